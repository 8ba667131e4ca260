"""A run as a row of a table, told by its files alone; free of TensorFlow, and nothing is checked or loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError
from kplug.spec.yaml12 import parse
from kplug.storage.files import with_nan
from kplug.storage.metrics import best_row, in_order
from kplug.storage.reading import content_of, read_json, read_rows
from kplug.storage.run_directory import RESULT

FINISHED, UNFINISHED, DAMAGED = "finished", "unfinished", "damaged"
FILES = {"lock", "environment.json", "data.json", "metrics.jsonl", RESULT}  # one of them is in every run that began
COLUMNS = ("run", "spec", "seed", "state", "epochs", "minutes", "machine", "best")
SHOWN = 3  # metrics in the table; `--json` has all


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """Describe every run below a directory, or the run that it is, in the order of their numbers.

    Raises:
        SpecError: there is no such directory; the default one may be missing.
    """
    if not folder.is_dir() and folder != Path("runs"):
        raise SpecError([Problem("no such directory", where=str(folder))])
    return [describe_run(path) for path in sorted(run_directories(folder), key=_by_number)]


def run_directories(folder: Path) -> Iterator[Path]:
    """Yield the directories of runs below a folder; a search's own is none, and those of its trials are."""
    for place, folders, names in os.walk(folder):
        files = set(names)
        if "journal.jsonl" not in files and (FILES & files or ("spec.yaml" in files and not folders)):
            folders.clear()  # parts of other runs, which a run keeps below itself, are no runs
            yield Path(place)


def _by_number(path: Path) -> list[tuple[bool, int, str]]:
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in path.parts]


def describe_run(path: Path) -> dict[str, Any]:
    """Describe a run by its files.

    Returns:
        `run` (its directory), `name` and `seed` of its spec, `started` (ISO 8601), `state` (finished, unfinished or
        damaged), `epochs` that are done and `of` how many, `metrics` of the epoch that is the best so far,
        `evaluations` (name to metrics) of the kept weights, `minutes` of all epochs, `machine`, `problem` (what is
        damaged). A value is None where the run does not say it.
    """
    found: dict[str, Any] = dict.fromkeys(("name", "seed", "started", "epochs", "of", "metrics", "minutes", "machine"))
    found = {"run": str(path), "state": DAMAGED} | found | {"evaluations": {}, "problem": None}
    try:
        for part in (_of_spec, _of_environment, _of_epochs, _of_evaluations):  # what is read before a damage stays
            found |= part(path)
    except (SpecError, OSError) as error:
        return found | {"problem": str(error)}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return found | {"problem": "a file of it does not hold what kplug writes"}
    return found | {"state": FINISHED if (path / RESULT).exists() else UNFINISHED}


def _of_spec(path: Path) -> dict[str, Any]:
    spec = _spec(path)
    of = spec["fit"]["epochs"] + sum(stage["epochs"] for stage in spec["fit"]["stages"])
    return {"name": spec["name"], "seed": spec["seed"], "of": of}


def _spec(path: Path) -> dict[str, Any]:
    """The filled spec as it is written: plugins that it needs may be gone."""
    if not (path / "spec.yaml").is_file():
        raise SpecError("it has no spec.yaml")
    return parse(content_of(path / "spec.yaml", advice=""), str(path / "spec.yaml"))[0]


def _of_environment(path: Path) -> dict[str, Any]:
    found = _read(path / "environment.json")
    return {} if found is None else {"started": found["started"], "machine": machine_in_words(found["chosen"])}


def machine_in_words(chosen: dict[str, Any]) -> str:
    """Name the hardware of a training by the `chosen` of its environment.json: `AMD EPYC, 2 threads`."""
    hardware = chosen["hardware"]
    if hardware["kind"] == "CPU":
        return f"{hardware['name']}, {chosen['threads']} thread{'s' * (chosen['threads'] != 1)}"
    return f"{hardware['replicas']} x {hardware['name']}"


def _of_epochs(path: Path) -> dict[str, Any]:
    rows, seconds = (
        list(map(with_nan, read_rows(path / "metrics.jsonl", advice=""))),
        [row["seconds"] for row in read_rows(path / "timings.jsonl", advice="")],
    )
    found = {"epochs": len(rows), "minutes": round(sum(seconds) / 60, 3)}
    result = _read(path / RESULT)
    if result is None and not rows:
        return found
    best = best_row(rows, {"fit.best": _spec(path)["fit"]["best"]}) if result is None else with_nan(result["metrics"])
    return found | {"metrics": in_order(best)}


def _of_evaluations(path: Path) -> dict[str, Any]:
    """Metrics of the evaluations that came after the end of the training: older ones are of other weights."""
    if not (path / RESULT).exists():
        return {}
    ended = (path / RESULT).stat().st_mtime_ns
    files = [file for file in sorted(path.glob("evaluation-*.json")) if file.stat().st_mtime_ns >= ended]
    return {"evaluations": {file.stem.removeprefix("evaluation-"): _read(file)["metrics"] for file in files}}


def _read(file: Path) -> Any:
    """The content of a JSON file, None where there is none."""
    try:
        return read_json(file, advice="")
    except FileNotFoundError:
        return None


def as_table(found: list[dict[str, Any]]) -> str:
    """Write runs below each other, in columns as wide as they need."""
    rows = [COLUMNS, *map(_cells, found)] if found else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    epochs = "-" if run["epochs"] is None else f"{run['epochs']} of {run['of']}"
    minutes = "-" if run["minutes"] is None else f"{run['minutes']:.1f}"
    best = run["problem"] or _in_words(run["metrics"] or {}) or "-"
    said = (run[key] if run[key] is not None else "-" for key in ("run", "name", "seed", "state"))
    return (*map(str, said), epochs, minutes, run["machine"] or "-", " ".join(best.split()))


def _in_words(metrics: dict[str, float]) -> str:
    """The first of the validation's metrics, of the training's where nothing validates."""
    shown = {name: value for name, value in metrics.items() if name.startswith("val_")} or metrics
    return ", ".join(f"{name} {value:.4g}" for name, value in list(shown.items())[:SHOWN])
