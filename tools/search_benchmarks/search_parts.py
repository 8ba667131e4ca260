"""The measurements of a search, part by part, as raw figures: `search_page.py` makes sentences of them."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import suite
from watched import MIB, Failed, on_disk, watch

HERE = Path(__file__).resolve().parent
TRAINED = 1536  # of the 1,797 digits; a multiple of the batch, since kplug leaves an epoch's remainder out
POINT = {  # paths of tiny.yaml's space to the names of keras_tuner_by_hand.py
    "task.model.layers.0.filters": "width",
    "task.head.dropout": "dropout",
    "task.label_smoothing": "label_smoothing",
    "task.optimizer.learning_rate": "learning_rate",
}
Figures = dict[str, Any]
Points = list[list[float]]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: how often all sides are run.
        trials: of each search; None: as many as the part has by default.
        seed: of the points, the weights and the order.
        quick: trainings as short as can be.
    """

    rounds: int = 3
    trials: int | None = None
    seed: int = 0
    quick: bool = False


def measure(part: str, effort: Effort, command: str) -> Figures:
    """The figures of a part, with what they depend on."""
    run, trials = PARTS[part]
    trials = effort.trials or trials
    found: Figures = {"command": command, "date": datetime.date.today().isoformat(), "machine": machine()}
    found |= {"seed": effort.seed, "rounds": effort.rounds, "trials": trials}
    with tempfile.TemporaryDirectory(prefix="kplug-bench-") as folder:
        return found | suite.rounded(run(Path(folder), effort, trials))


def machine() -> Figures:
    found = suite.machine()
    found["versions"]["keras-tuner"] = version("keras-tuner")
    return found


# --- beside Keras Tuner by hand --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One of those that search the same space.

    Args:
        command: what searches, from the directory and the number of trials.
        under_way: from the directory, the trial that it is at, counted from 1; 0 where it is at none.
        points: from the directory, the points of all trials in their order, values in the order of `POINT`.
    """

    command: Callable[[Path, int], list[str]]
    under_way: Callable[[Path], int]
    points: Callable[[Path], Points]


def beside_keras_tuner(folder: Path, effort: Effort, trials: int) -> Figures:
    """`kplug search` and a script of Keras Tuner on one space: time, memory and disk."""
    write_digits(folder / "digits.npz")
    sides, at = two_sides(effort.seed), marks(trials)
    names = ("seconds", "trial_seconds", "resident", "together", "disk")
    found: Figures = {name: {what: [] for what in names} for name in sides}
    for number in range(effort.rounds):
        points = {}
        for name in in_turn(sides, number):
            side, directory = sides[name], folder / f"{name}{number}"
            command, log = side.command(directory, trials), folder / f"{name}{number}.log"
            seen = watch(command, folder, log, environment(), partial(side.under_way, directory))
            points[name] = side.points(directory)
            taken = (seen.seconds, seen.ended - seen.began, [seen.resident_in(mark) / MIB for mark in at])
            for what, value in zip(names, (*taken, seen.together / MIB, on_disk(directory) / MIB), strict=True):
                found[name][what].append(value)
            suite.say(f"keras_tuner: round {number + 1}, {name}: {seen.seconds:.1f} s")
        refuse_other_points(points, trials)
    return {"marks": at, **found}


def two_sides(seed: int) -> dict[str, Side]:
    def kplug(directory: Path, trials: int) -> list[str]:
        return kplug_search("tiny.yaml", directory, {"seed": seed, "search.oracle.trials": trials})

    drawn = oracle_seed(seed)

    def keras_tuner(directory: Path, trials: int) -> list[str]:
        script = str(HERE / "keras_tuner_by_hand.py")
        return [sys.executable, script, "digits.npz", str(directory), "--trials", str(trials), "--seed", str(drawn)]

    return {
        "kplug": Side(kplug, trial_of_journal, kplug_points),
        "keras_tuner": Side(keras_tuner, trial_of_project, keras_tuner_points),
    }


def write_digits(path: Path) -> None:
    """Scikit-learn's digits in a fixed order: pictures uint8 `[n, 8, 8, 1]`, labels, of train and validation."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images[..., np.newaxis] * (255 / 16)).astype(np.uint8)
    order = np.random.RandomState(0).permutation(len(images))
    parts = {"train": order[:TRAINED], "validation": order[TRAINED:]}
    arrays = {f"x_{split}": images[rows] for split, rows in parts.items()}
    np.savez(path, **arrays, **{f"y_{split}": digits.target[rows] for split, rows in parts.items()})


def oracle_seed(seed: int) -> int:
    """The seed that kplug gives to Keras Tuner's oracle, so that both draw the same points."""
    code = f"from kplug.tuning.oracle_space import mixed; print(mixed({seed}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    return int(done.stdout)


def trial_of_journal(directory: Path) -> int:
    journal = directory / "journal.jsonl"
    events = journal.read_bytes() if journal.exists() else b""
    asked, told = (events.count(b'{"event": "%s"' % event) for event in (b"ask", b"tell"))
    return asked if asked > told else 0


def trial_of_project(directory: Path) -> int:
    trials = project_trials(directory)
    return len(trials) if trials and '"RUNNING"' in trials[-1].read_text() else 0


def project_trials(directory: Path) -> list[Path]:
    """Keras Tuner's file of each trial; their numbers are padded with zeros."""
    return sorted(directory.glob("*/trial_*/trial.json"))


def kplug_points(directory: Path) -> Points:
    rows = [json.loads(line) for line in (directory / "trials.jsonl").read_text().splitlines()]
    if bad := [row for row in rows if row["status"] != "finished"]:
        raise Failed(f"kplug: trial {bad[0]['number']} {bad[0]['status']}: {bad[0]['reason']}")
    return [[row["point"][path] for path in POINT] for row in rows]


def keras_tuner_points(directory: Path) -> Points:
    trials = [json.loads(path.read_text()) for path in project_trials(directory)]
    if bad := [trial for trial in trials if trial["status"] != "COMPLETED"]:
        raise Failed(f"Keras Tuner: trial {bad[0]['trial_id']} {bad[0]['status']}: {bad[0]['message']}")
    return [[trial["hyperparameters"]["values"][name] for name in POINT.values()] for trial in trials]


def refuse_other_points(points: dict[str, Points], trials: int) -> None:
    if points["kplug"] != points["keras_tuner"] or len(points["kplug"]) != trials:
        raise Failed(f"the sides were to try {trials} equal points; they tried {points}")


def marks(trials: int) -> list[int]:
    """The trials at which memory is told: after a third, two thirds and all."""
    return sorted({max(1, round(trials * thirds / 3)) for thirds in (1, 2, 3)})


# --- two workers -----------------------------------------------------------------------------------------------------


def two_workers(folder: Path, effort: Effort, trials: int) -> Figures:
    """Wall times of one search with one worker and with two, one thread a trial in both."""
    found: Figures = {"one": [], "two": []}
    counts = {"one": 1, "two": 2}
    changes = {"seed": effort.seed, "search.oracle.trials": trials} | ({"fit.epochs": 1} if effort.quick else {})
    for number in range(effort.rounds):
        for name in in_turn(counts, number):
            directory = folder / f"{name}{number}"
            command = [*kplug_search("steady.yaml", directory, changes), "--workers", str(counts[name])]
            started = time.perf_counter()
            run(command, folder)
            found[name].append(time.perf_counter() - started)
            ended = [json.loads(line)["status"] for line in (directory / "trials.jsonl").read_text().splitlines()]
            if ended != ["finished"] * trials:
                raise Failed(f"{trials} trials were to finish; they ended {ended}")
            suite.say(f"workers: round {number + 1}, {name}: {found[name][-1]:.1f} s")
    return found


# --- the start of a trial --------------------------------------------------------------------------------------------


def starts(folder: Path, effort: Effort, trials: int) -> Figures:
    """Seconds from the start of a training to its first step, in a process of its own and in one that is warm."""
    write_digits(folder / "digits.npz")
    site = folder / "site" / "kplug_stopwatch-1.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: kplug-stopwatch\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[kplug]\nstopwatch = stopwatch\n")
    variables = environment(site.parent, HERE)
    for name in ("KPLUG_PLUGINS", "KPLUG_DISABLE_PLUGINS"):  # the stopwatch must be among them
        variables.pop(name, None)
    script = [sys.executable, str(HERE / "trial_starts.py"), str(HERE / "tiny.yaml")]
    found: Figures = {way: {"begin": [], "end": []} for way in ("process", "in_process")}
    for number in range(effort.rounds):
        place = folder / f"round{number}"
        place.mkdir()
        run([*script, str(place), str(trials)], folder, variables)
        for way, figures in json.loads((place / "starts.json").read_text()).items():
            for what, seconds in figures.items():
                found[way][what] += seconds
    return found


# --- processes -------------------------------------------------------------------------------------------------------


def kplug_search(spec: str, directory: Path, changes: dict[str, Any]) -> list[str]:
    settings = [word for path, value in changes.items() for word in ("--set", f"{path}={value}")]
    return [sys.executable, "-m", "kplug", "search", str(HERE / spec), "--to", str(directory), *settings]


def environment(*further: Path) -> dict[str, str]:
    """Variables of all that is started; `further` folders are where Python finds modules and plugins."""
    path = os.pathsep.join([*map(str, further), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path}


def run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=variables or environment(), capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr[-2000:]}")


def in_turn(names: dict[str, Any], number: int) -> Sequence[str]:
    """Order the names, in each round another one first."""
    return sorted(names, reverse=number % 2 == 1)


PARTS: dict[str, tuple[Callable[[Path, Effort, int], Figures], int]] = {  # and how many trials
    "keras_tuner": (beside_keras_tuner, 30),
    "workers": (two_workers, 20),
    "overhead": (starts, 20),
}
