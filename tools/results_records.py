"""The record that `tools/results` keeps of a run, made of its directory alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results_specs import comparable, filled

from kplug.errors import SpecError
from kplug.inference.run import Run
from kplug.spec import Spec, load, loads
from kplug.storage.files import write
from kplug.storage.run_directory import RESULT

VERSIONS = ("kplug", "keras", "tensorflow")


class NoRow(Exception):
    """A spec or a run that gives no row: why."""


@contextlib.contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """What goes wrong inside is a problem, and no more than that."""
    try:
        yield
    except (NoRow, SpecError) as error:
        problems.append(str(error))


# --- runs ------------------------------------------------------------------------------------------------------------


def runs_of(name: str, folder: Path) -> list[Run]:
    """The runs below a folder of specs with this name, the newest first."""
    line = re.compile(rf"^name: ['\"]?{re.escape(name)}['\"]?$", re.MULTILINE)
    found = [Run(path) for path in _run_directories(folder) if line.search((path / "spec.yaml").read_text())]
    return sorted(found, key=_started, reverse=True)


def _run_directories(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if "spec.yaml" in files:
            folders.clear()  # what a run keeps of others is below it
            if "environment.json" in files:  # else nothing was trained yet
                yield Path(place)


def _started(run: Run) -> str:
    return run.read_json("environment.json")["started"]


def same_spec(run: Run, spec: Spec) -> bool:
    """Whether a run is of a spec and its seed."""
    try:
        return run.spec["seed"] == spec["seed"] and comparable(run.spec) == comparable(spec)
    except SpecError:  # of another kplug, or with plugins that are gone
        return False


def seed_of(run: Run) -> int | None:
    """None where the spec cannot be read any more."""
    try:
        return run.spec["seed"]
    except SpecError:
        return None


def runs_by_fingerprint(folder: Path) -> dict[str, Run]:
    return {fingerprint(Run(path)): Run(path) for path in _run_directories(folder)}


def is_evaluated(run: Run) -> bool:
    """Whether the weights that a finished run kept were measured on the test split."""
    evaluation = run.path / "evaluation-test.json"
    return evaluation.is_file() and evaluation.stat().st_mtime_ns >= (run.path / RESULT).stat().st_mtime_ns


def best_measured(runs: list[Run]) -> Run | None:
    """The newest of the runs that are evaluated, else of those that are finished, else of all."""
    return max(runs, key=lambda run: (run.finished, run.finished and is_evaluated(run), _started(run)), default=None)


def record_of(run: Run) -> dict[str, Any]:
    """What is kept of a run, from its directory alone; NoRow where it is not finished or not evaluated."""
    if not run.finished:
        raise NoRow(f"{run.path} did not finish; no row")
    if not is_evaluated(run):
        raise NoRow(f"no row: the test split is not measured; kplug evaluate {run.path}")
    environment = run.read_json("environment.json")
    seconds = sum(row["seconds"] for row in run.rows("timings.jsonl"))
    report = run.read_json("report-test.json") if (run.path / "report-test.json").is_file() else {}
    counts = run.info.counts
    facts = {
        "spec": run.spec.name,
        "seed": run.spec["seed"],
        "metrics": run.read_json("evaluation-test.json")["metrics"],
        "recall": {name: one["recall"] for name, one in report.get("classes", {}).items()},
        "epochs": len(run.rows("metrics.jsonl")),
        "minutes": round(seconds / 60, 3),
        "parameters": environment["chosen"]["parameters"],
        "pictures": run.read_json("data.json")["splits"],
        "class_sizes": [min(counts), max(counts)] if counts else None,
        "machine": machine_in_words(environment["chosen"]),
        "versions": {"python": environment["python"]} | {name: environment["distributions"][name] for name in VERSIONS},
        "date": environment["started"][:10],
        "environment": fingerprint(run),
        "filled": filled(run.spec),
    }
    return facts | {"digest": digest(facts)}


def machine_in_words(chosen: dict[str, Any]) -> str:
    hardware = chosen["hardware"]
    if hardware["kind"] == "CPU":
        return f"{hardware['name']}, {chosen['threads']} thread{'s' * (chosen['threads'] != 1)}"
    return f"{hardware['replicas']} x {hardware['name']}"


def fingerprint(run: Run) -> str:
    """Tells a run from every other: when and where it was begun, with which versions and sources."""
    return hashlib.sha256((run.path / "environment.json").read_bytes()).hexdigest()


# --- records ---------------------------------------------------------------------------------------------------------


def digest(facts: dict[str, Any]) -> str:
    content = {key: value for key, value in facts.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass
class Records:
    """The records in a folder.

    Args:
        folder: that holds them, `NAME-SEED.json`.
        good: those that say what was written, by file name.
        problems: what is wrong with the others.
    """

    folder: Path
    good: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Records:
        records = cls(folder)
        for path in sorted(folder.glob("*.json")):
            try:
                found = json.loads(path.read_text())
                intact = found["digest"] == digest(found) and path.name == file_name(found)
            except (ValueError, KeyError, TypeError):
                intact = False
            if intact:
                records.good[path.name] = found
            else:
                records.problems.append(f"{path}: changed by hand: its digest is not that of what it says")
        return records

    def keep(self, record: dict[str, Any]) -> None:
        """Write a record, whole or not at all; a value a line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
        write(self.folder / file_name(record), "{\n" + lines + "\n}\n")

    def of_today(self, specs: Path) -> list[dict[str, Any]]:
        """The good records whose spec still says what was run; the others are problems."""
        found = []
        for name, record in self.good.items():
            try:
                problem = _differences(record, self.folder / name, specs)
            except SpecError as error:
                problem = f"it cannot be compared with its spec: {error}"
            if problem:
                self.problems.append(f"{self.folder / name}: no row: {problem}")
            else:
                found.append(record)
        return found


def _differences(record: dict[str, Any], path: Path, specs: Path) -> str:
    """How a record's spec differs from the file of that name; nothing where it does not."""
    file = specs / f"{record['spec']}.yaml"
    if not file.is_file():
        return f"{file} is gone"
    then, now = comparable(loads(json.dumps(record["filled"]), str(path))), comparable(load(file))
    changed = sorted(leaves(then).items() ^ leaves(now).items())
    if not changed:
        return ""
    where = changed[0][0]
    before, after = leaves(then).get(where, "not there"), leaves(now).get(where, "not there")
    return f"{file} is not what was run: {where} is {after}, the run had {before}; train it again"


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[str, str]:
    """Every value of plain data as JSON, by dotted path."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = {key: text for name, value in inside for key, text in leaves(value, (*path, str(name))).items()}
    return found or {".".join(path): json.dumps(tree)}


def file_name(record: dict[str, Any]) -> str:
    return f"{record['spec']}-{record['seed']}.json"
