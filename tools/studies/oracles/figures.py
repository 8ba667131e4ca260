"""The figures that `tools/studies/oracles/regret` keeps of searches, made of their directories alone."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from results_records import NoRow, leaves, noting
from studies.oracles.running import commands, spans_of

from kplug.default_plugins.runs.listing import machine_in_words
from kplug.spec import loads, loads_kept
from kplug.spec.yaml12 import dump, parse
from kplug.storage.journal import Journal

VERSIONS = ("kplug", "keras", "keras-tuner", "tensorflow")
VARIED = ("seed", "search.oracle", "search.executor", "search.keep")  # what of a spec is another in each search


def figures_of(folder: Path, specs: Path, before: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """All finished searches of a folder, and of the figures before those that it lacks, where their spec is the same.

    What is wrong with others is a problem.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    told: set[str] = set()
    for journal in sorted(folder.glob("*/journal.jsonl")):
        told.add(journal.parent.name)
        with noting(problems):
            one = search_in(journal.parent, specs)
            key = one["spec"], one["oracle"]["type"], one["seed"]
            if key in found:
                raise NoRow(f"{journal.parent}: left out: {found[key]['search']} has the same oracle and seed")
            found[key] = one
    for one in before.get("searches", []):
        with noting([] if one["search"] in told else problems):
            then = before.get("specs", {}).get(one["spec"], "")
            _refuse_changed(then, one["search"], specs / f"{one['spec']}.yaml")
            found.setdefault((one["spec"], one["oracle"]["type"], one["seed"]), one)
    texts = {
        name: loads((specs / f"{name}.yaml").read_text()).filled().dump() for name in {name for name, _, _ in found}
    }
    return {"specs": dict(sorted(texts.items())), "searches": [found[key] for key in sorted(found)]}


def search_in(path: Path, specs: Path) -> dict[str, Any]:
    """The figures of a search; NoRow where it is not finished or is not of the spec of today."""
    ended = commands(path)
    if not ended or ended[-1]["code"] != 0:
        raise NoRow(f"{path}: left out: it is not finished; regret run goes on with it")
    written = parse((path / "spec.yaml").read_bytes(), str(path / "spec.yaml"))[0]
    name, direction = objective_of(written, path)
    del written["search"]["executor"]  # it may be of a plugin that is gone
    _refuse_changed(dump(written), str(path), specs / f"{written['name']}.yaml")
    facts = {"search": path.name, "spec": written["name"], "seed": written["seed"], "oracle": ended[-1]["oracle"]}
    facts |= {"objective": name, "direction": direction, "epochs_of_a_trial": written["fit"]["epochs"]}
    facts |= {key: ended[-1][key] for key in ("workers", "at_once")} | {"spans": spans_of(path)}
    return facts | _of_its_runs(path) | {"trials": trials_of(path, direction)}


def objective_of(written: dict[str, Any], path: Path) -> tuple[str, str]:
    """(name, direction) of the one objective of a search."""
    objective = written["search"]["objective"]
    if not isinstance(objective, dict):
        raise NoRow(f"{path}: left out: oracles are compared in one objective; received {json.dumps(objective)}")
    direction = next(direction for direction in ("maximize", "minimize") if objective[direction])
    return objective[direction], direction


def _refuse_changed(text: str, name: str, file: Path) -> None:
    """Refuse a search that was not of what its spec says today."""
    if not file.is_file():
        raise NoRow(f"{name}: left out: {file} is gone")
    if not text:
        raise NoRow(f"{name}: left out: its figures do not say what its spec was; search anew")
    then = _compared(text, name, kept=True)
    now = _compared(file.read_text(), str(file), kept=False)
    if changed := sorted(then.items() ^ now.items()):
        where = changed[0][0]
        before, after = then.get(where, "not there"), now.get(where, "not there")
        raise NoRow(f"{name}: left out: in {file} {where} is {after}, the search had {before}; search anew elsewhere")


@functools.cache
def _compared(text: str, where: str, kept: bool) -> dict[str, str]:
    """The values of a filled spec that are the same in all its searches, by path."""
    filled = (loads_kept if kept else loads)(text, where).filled().data
    return {path: value for path, value in leaves(filled).items() if not _is_varied(path)}


def _is_varied(where: str) -> bool:
    return where.endswith(".data_dir") or any(f"{where}.".startswith(f"{path}.") for path in VARIED)


def _of_its_runs(path: Path) -> dict[str, Any]:
    """Say where, when and on how many pictures the trials were trained."""
    environments = [json.loads(file.read_text()) for file in sorted(path.glob("trials/*/environment.json"))]
    if not environments:
        raise NoRow(f"{path}: left out: no trial was trained")
    data = json.loads(next(iter(sorted(path.glob("trials/*/data.json")))).read_text())
    machines = sorted(set(map(_in_words, environments)))
    return {"machines": machines, "date": environments[0]["started"][:10], "pictures": data["splits"]}


def _in_words(environment: dict[str, Any]) -> str:
    versions = {"python": environment["python"]} | {name: environment["distributions"][name] for name in VERSIONS}
    numbers = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{machine_in_words(environment['chosen'])} a trial; {numbers}"


def trials_of(path: Path, direction: str) -> list[dict[str, Any]]:
    """The trials in the order in which they ended, with what all had cost until then and the best so far.

    An epoch counts when its training reports it: of a trial that was promoted, the further ones alone.
    """
    table = {row["number"]: row for row in rows_in(path / "trials.jsonl")}
    trained: dict[int, list[int]] = {}  # by trial
    rows: list[dict[str, Any]] = []
    epochs, best = 0, None
    seconds: float | None = 0.0
    for event in Journal(path / "journal.jsonl"):
        if event["event"] == "report" and event["epoch"]:
            trained.setdefault(event["trial"], []).append(event["epoch"])
            epochs += 1
        elif event["event"] == "tell":
            trial = table[event["trial"]]
            spent = _seconds(path / "trials" / f"{trial['origin']:04}", trained.get(trial["number"], []))
            seconds = None if seconds is None or spent is None else round(seconds + spent, 2)
            best = better_of(best, trial["score"], direction)
            row = {"trial": trial["number"], "origin": trial["origin"], "status": trial["status"], "epochs": epochs}
            row |= {"seconds": seconds, "value": trial["score"], "best": best}
            rows.append(row | {"parameters": trial["numbers"].get("parameters")})
    return rows


def _seconds(run: Path, epochs: Iterable[int]) -> float | None:
    """The seconds that some epochs of a run took, with their validation; None where that is not known."""
    file = run / "timings.jsonl"
    times = {row["epoch"]: row["seconds"] for row in rows_in(file)} if file.is_file() else {}
    try:
        return sum(times[epoch] for epoch in epochs)
    except KeyError:
        return None


def better_of(one: float | None, other: float | None, direction: str) -> float | None:
    there = [value for value in (one, other) if value is not None]
    return (max if direction == "maximize" else min)(there, default=None)


def rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
