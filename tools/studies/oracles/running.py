"""Running the searches that `tools/studies/oracles/regret` compares, and going on with those that were stopped."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kplug_commands import say, start_kplug, stopping
from results_specs import data_dirs

from kplug.spec import load
from kplug.storage.journal import Journal

COMMANDS = "commands.jsonl"  # in a search's directory: how each command ended, after how many seconds


@dataclass(frozen=True, eq=False)
class Job:
    """A search with one oracle and one seed.

    Args:
        name: of the search in the table.
        seed: of oracle, data and trainings.
        file: of the spec.
        oracle: with its parameters.
        directory: of the search.
        data_dir: where datasets are; None leaves it to the spec.
        workers: trials at once; None leaves it to the spec.
    """

    name: str
    seed: int
    file: Path
    oracle: dict[str, Any]
    directory: Path
    data_dir: str | None = None
    workers: int | None = None

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    @property
    def is_begun(self) -> bool:
        return (self.directory / "journal.jsonl").exists()

    @property
    def is_finished(self) -> bool:
        """True where the search ended by itself, with this oracle: one of fewer trials is gone on with."""
        return [(one["code"], one["oracle"]) for one in commands(self.directory)[-1:]] == [(0, self.oracle)]

    def words(self) -> list[str]:
        """The words that are typed after `kplug`."""
        changes: dict[str, Any] = {"search.oracle": self.oracle, "seed": self.seed}
        if self.data_dir:
            changes |= dict.fromkeys(data_dirs(load(self.file).root), os.path.abspath(self.data_dir))
        settings = [word for path, value in changes.items() for word in ("--set", f"{path}={json.dumps(value)}")]
        workers = ["--workers", str(self.workers)] if self.workers else []
        resume = ["--resume"] if self.is_begun else []
        return ["search", str(self.file), *settings, "--to", str(self.directory), *workers, *resume]


def run_all(jobs: Sequence[Job], problems: list[str], at_once: int = 1) -> None:
    """Run what is not finished, so many searches side by side; one that ends badly is a problem, the others go on."""
    waiting = [job for job in jobs if not job.is_finished]
    for job in jobs:
        if job not in waiting:
            say(f"{job}: finished")
    running: dict[Job, tuple[float, subprocess.Popen[bytes]]] = {}
    children: list[subprocess.Popen[bytes]] = []
    try:
        with stopping(children):
            while waiting or running:
                while waiting and len(running) < at_once:
                    job = waiting.pop(0)
                    say(f"{job}: begins, {len(waiting)} wait")
                    children.append(start_kplug(*job.words()))
                    running[job] = time.monotonic(), children[-1]
                for job, (_, child) in list(running.items()):
                    if child.poll() is not None:
                        _ended(job, *running.pop(job), at_once, problems)
                time.sleep(0.1)
    finally:
        for job, (started, _) in running.items():
            if job.is_begun:
                note_command(job, None, time.monotonic() - started, at_once)
    spans = [span for job in jobs for span in spans_of(job.directory)]
    say(f"{sum(job.is_finished for job in jobs)} of {len(jobs)} are finished, after {minutes_in(spans):.1f} minutes")


def _ended(job: Job, started: float, child: subprocess.Popen[bytes], at_once: int, problems: list[str]) -> None:
    if job.is_begun:
        note_command(job, child.returncode, time.monotonic() - started, at_once)
    if child.returncode:
        problems.append(f"{job}: kplug search ended with exit code {child.returncode}")


def note_command(job: Job, code: int | None, seconds: float, at_once: int = 1) -> None:
    """Note how the command that searched ended, beside the search."""
    journal = Journal(job.directory / COMMANDS)
    journal.repair()
    content = {"oracle": job.oracle, "workers": job.workers or 1, "at_once": at_once}
    journal.append("command", **content, seconds=round(seconds, 1), code=code)


def spans_of(directory: Path) -> list[tuple[float, float]]:
    """The times in which a search was under way, (begin, end) in seconds since 1970."""
    return [(one["at"] - one["seconds"], one["at"]) for one in commands(directory)]


def minutes_in(spans: Iterable[Sequence[float]]) -> float:
    """The minutes in which anything was under way; what was so at the same time counts once."""
    seconds = until = 0.0
    for begin, end in sorted(map(tuple, spans)):
        seconds += max(0.0, end - max(begin, until))
        until = max(until, end)
    return seconds / 60


def commands(directory: Path) -> list[dict[str, Any]]:
    """The ends of a search's commands, in order; `code` is null where it was stopped with this tool."""
    return list(Journal(directory / COMMANDS))
