"""The record that `tools/results` keeps of a run, made of its directory alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results_specs import comparable, filled

from kplug.default_plugins.runs.listing import FINISHED, list_runs
from kplug.errors import SpecError
from kplug.spec import Spec, load, loads
from kplug.storage.run_directory import RunDirectory

VERSIONS = ("kplug", "keras", "tensorflow")
Listed = dict[str, Any]  # a run as `kplug runs --json` tells of it


class NoRow(Exception):
    """A spec or a run gives no row; the message says why."""


@contextlib.contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Inside, what goes wrong is added to the problems, and no more than that."""
    try:
        yield
    except (NoRow, SpecError) as error:
        problems.append(str(error))


# --- runs ------------------------------------------------------------------------------------------------------------


def runs_of(name: str, folder: Path) -> list[Listed]:
    """Find the runs below a folder of specs with this name; one that trained nothing yet is left out."""
    found = list_runs(folder) if folder.is_dir() else []
    return [run for run in found if run["name"] == name and run["started"]]


def same_spec(run: Listed, spec: Spec) -> bool:
    """Return True where a run is of a spec and its seed."""
    try:
        return run["seed"] == spec["seed"] and comparable(RunDirectory(Path(run["run"])).spec) == comparable(spec)
    except SpecError:  # of another kplug, or with plugins that are gone
        return False


def best_measured(runs: list[Listed]) -> Listed | None:
    """Return the newest of the runs that are evaluated, else of those that are finished, else of all."""
    return max(
        runs, key=lambda run: (run["state"] == FINISHED, "test" in run["evaluations"], run["started"]), default=None
    )


def record_of(run: Listed) -> dict[str, Any]:
    """Make what is kept of a run; NoRow where it is not finished or not evaluated."""
    if run["state"] != FINISHED:
        raise NoRow(f"{run['run']} did not finish; no row")
    if "test" not in run["evaluations"]:
        raise NoRow(f"no row: the test split is not measured; kplug evaluate {run['run']}")
    directory = RunDirectory(Path(run["run"]))
    environment, counts = directory.read_json("environment.json"), directory.info.counts
    report = directory.read_json("report-test.json") if (directory.path / "report-test.json").is_file() else {}
    return {
        "spec": run["name"],
        "seed": run["seed"],
        "metrics": run["evaluations"]["test"],
        "recall": {name: one["recall"] for name, one in report.get("classes", {}).items()},
        "epochs": run["epochs"],
        "minutes": run["minutes"],
        "parameters": environment["chosen"]["parameters"],
        "pictures": directory.info.splits,
        "class_sizes": [min(counts), max(counts)] if counts else None,
        "machine": run["machine"],
        "versions": {"python": environment["python"]} | {name: environment["distributions"][name] for name in VERSIONS},
        "date": run["started"][:10],
        "filled": filled(directory.spec),
    }


# --- records ---------------------------------------------------------------------------------------------------------


@dataclass
class Records:
    """The records in a folder.

    Args:
        folder: the folder that holds them, `NAME-SEED.json`.
        good: the records that can be read, by file name.
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
                records.good[path.name] = json.loads(path.read_text())
            except ValueError as error:
                records.problems.append(f"{path}: no row: it is damaged: {error}")
        return records

    def keep(self, record: dict[str, Any]) -> None:
        """Write a record, a value a line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
        (self.folder / f"{record['spec']}-{record['seed']}.json").write_text("{\n" + lines + "\n}\n")

    def of_today(self, specs: Path) -> list[dict[str, Any]]:
        """Return the records whose spec still says what was run; the others become problems."""
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
    """Say how a record's spec differs from the file of that name; nothing where it does not."""
    file = specs / f"{record['spec']}.yaml"
    if not file.is_file():
        return f"{file} is gone"
    then, now = comparable(loads(json.dumps(record["filled"]), str(path))), comparable(load(file))
    if record["filled"]["kplug"] == 1:  # 0.1.0 could not turn pictures upright, and nobody could say it to
        for field in then["data"]["features"].values():
            field.pop("orientation", None)
        then["data"]["features"] = {name: said for name, said in then["data"]["features"].items() if said}
        validation = then["data"]["validation"]
        if then["data"]["source"]["type"] == "tfds" and isinstance(validation, dict) and "share" in validation:
            then["data"]["validation"] = validation["share"]  # rows without files have numbers, then and now
    changed = sorted(leaves(then).items() ^ leaves(now).items())
    if not changed:
        return ""
    where = changed[0][0]
    before, after = leaves(then).get(where, "not there"), leaves(now).get(where, "not there")
    return f"{file} is not what was run: {where} is {after}, the run had {before}; train it again"


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[str, str]:
    """Return every value of plain data as JSON, by dotted path."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = {key: text for name, value in inside for key, text in leaves(value, (*path, str(name))).items()}
    return found or {".".join(path): json.dumps(tree)}
