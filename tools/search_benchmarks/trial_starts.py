"""How long a training takes to its first step, in a process of its own as a search starts it, and in this one.

usage: trial_starts.py SPEC FOLDER TRIALS

The plugin of stopwatch.py must be installed. Figures go to FOLDER/starts.json: by where and by what, seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from stopwatch import FIRST_STEP

FIGURES = "starts.json"
Seconds = dict[str, float]


def start_apart(executor: Any, spec: Any, run: Path) -> Seconds:
    """Start a training as a trial of a search: forked, with a job that is told whether it goes on."""
    from kplug.tuning.executor import FINISHED, Job, Reported

    started = time.monotonic()
    executor.start(Job(run.name, spec.dump(), str(run), str(run.with_suffix(".log"))))
    while True:
        for event in executor.wait(1.0):
            if isinstance(event, Reported):
                executor.answer(event.name, True)
            elif event.how == FINISHED:
                return seconds_since(started, run)
            else:
                raise SystemExit(f"a training {event.how}: {event.reason}")


def start_here(spec: Any, run: Path) -> Seconds:
    """Start a training in this process."""
    import kplug

    started = time.monotonic()
    kplug.train(spec, run)
    return seconds_since(started, run)


def seconds_since(started: float, run: Path) -> Seconds:
    return {what: when - started for what, when in json.loads((run / FIRST_STEP).read_text()).items()}


def main() -> None:
    file, folder, trials = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    from kplug.console import load_tensorflow

    load_tensorflow()
    import kplug
    from kplug.tuning.local_executor import Processes

    spec, executor = kplug.load(file).at({"search": None}).absolute(), Processes(1)
    ways = {
        "process": lambda run: start_apart(executor, spec, run),
        "in_process": lambda run: start_here(spec, run),
    }
    found: dict[str, dict[str, list[float]]] = {name: {"begin": [], "end": []} for name in ways}
    try:
        for number in range(trials + 1):
            for name in sorted(ways, reverse=number % 2 == 1):
                seconds = ways[name](folder / f"{name}{number}")
                if number:  # the first loads TensorFlow into the process that forks, and warms this one
                    for what, taken in seconds.items():
                        found[name][what].append(taken)
    finally:
        executor.stop()
    (folder / FIGURES).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
