"""The best cell of the searches as a spec that is trained in full, and its base with as many parameters."""

from __future__ import annotations

import copy
import functools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results_records import NoRow
from results_specs import data_dirs
from studies.oracles.figures import rows_in
from studies.oracles.page import cost, in_percent, number

from kplug.spec import Spec, load, load_kept, loads, steps_in
from kplug.spec.tree import plain
from kplug.spec.yaml12 import dump

CELL = "search-cell"  # the spec whose searches are looked through
MOST = 300_000  # parameters
WIDTH = "task.model.width"
VALIDATION = 0.05  # of the whole train set, as the other specs of it have
NOTE = "# yaml-language-server: $schema=schema.json\n#\n"


def winner_of(figures: dict[str, Any]) -> dict[str, Any] | None:
    """The best trial of all searches of cells; of equal ones that with the fewest parameters."""
    there = [
        (cost(search, trial["value"]), trial["parameters"], search["search"], trial["trial"], search, trial)
        for search in figures["searches"]
        if search["spec"] == CELL
        for trial in search["trials"]
        if trial["status"] == "finished" and trial["parameters"] is not None and trial["parameters"] <= MOST
    ]
    if not there:
        return None
    *_, search, trial = min(there, key=lambda found: found[:4])
    facts = {key: search[key] for key in ("search", "seed", "objective", "epochs_of_a_trial", "pictures")}
    facts |= {"trial": trial["trial"], "value": trial["value"], "parameters": int(trial["parameters"])}
    return facts | {"most": MOST}


def write_specs(
    figures: dict[str, Any], searches: Path, specs: Path, epochs: int, data_dir: str | None
) -> dict[str, Any]:
    """Write both specs; the winner, with the width and the parameters of its base."""
    winner = winner_of(figures)
    if winner is None:
        raise NoRow("no cell was trained in full yet; run regret run cell, then regret write")
    base = load(specs / f"{CELL}.yaml")
    cell = _in_full(base, "searched-cell", epochs)
    cell = _at_point(cell, base, searches / winner["search"], winner["trial"])
    count = _counting(data_dir)
    if count(cell) != winner["parameters"]:
        raise NoRow(f"the best cell has {count(cell):,} parameters, and had {winner['parameters']:,} in its search")
    other = _in_full(base, "searched-cell-base", epochs)
    width = nearest_width(lambda width: count(_put(other, WIDTH, width)), winner["parameters"], base[WIDTH])
    other = _put(other, WIDTH, width)
    found = winner | {"base": {"width": width, "parameters": count(other)}}
    (specs / "searched-cell.yaml").write_text(_note_of_the_winner(found) + dump(cell))
    (specs / "searched-cell-base.yaml").write_text(_note_of_the_base(found) + dump(other))
    return found


def _in_full(base: Spec, name: str, epochs: int) -> dict[str, Any]:
    """The search's spec without its search, on the whole train set and all cores."""
    tree = {key: copy.deepcopy(value) for key, value in base.data.items() if key != "search"}
    tree["name"] = name
    tree["data"]["validation"] = VALIDATION
    tree.setdefault("fit", {})["epochs"] = epochs
    tree["fit"].pop("threads", None)  # it has the machine for itself
    if isinstance(tree["data"]["source"], dict):
        tree["data"]["source"].pop("train", None)
    return tree


def _at_point(tree: dict[str, Any], base: Spec, search: Path, trial: int) -> dict[str, Any]:
    """A tree with the point of a trial, as the space writes it; it must come to what the trial trained."""
    point = next(row["point"] for row in rows_in(search / "trials.jsonl") if row["number"] == trial)
    space = base.space()
    assert space is not None
    for changes in space.changes(point):
        for path, value in changes.items():
            tree = _put(tree, path, value)
    trained = load_kept(search / "trials" / f"{trial:04}.yaml")
    if plain(loads(dump(tree))["task"]) != plain(trained["task"]):
        raise NoRow(f"{search}: trial {trial} does not come out of {CELL}.yaml as it was trained")
    return tree


def _put(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a tree with another value at a path."""
    tree = copy.deepcopy(tree)
    *before, last = steps_in(path)
    inside: Any = tree
    for step in before:
        inside = inside[step]
    inside[last] = copy.deepcopy(value)
    return tree


def _counting(data_dir: str | None) -> Callable[[dict[str, Any]], int]:
    """Make a function that counts a tree's parameters, as a dry run does; what was counted is not built again."""
    from kplug.console import load_tensorflow

    load_tensorflow()
    from kplug.default_plugins.search.table import parameters

    @functools.cache
    def count(text: str) -> int:
        spec = loads(text)
        places = dict.fromkeys(data_dirs(spec.root), data_dir) if data_dir else {}
        found = parameters(spec.at(places))
        if found is None:
            raise NoRow(f"the model of {spec.name} cannot be built")
        return found

    return lambda tree: count(dump(tree))


def nearest_width(count: Callable[[int], int], wanted: int, begin: int) -> int:
    """The width with the number of parameters nearest to what is wanted; a wider network has more of them."""
    low, high = 0, begin
    while count(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)
    return min(filter(None, (low, high)), key=lambda width: abs(count(width) - wanted))


def _note_of_the_winner(found: dict[str, Any]) -> str:
    value = number(found["value"], found["objective"]) + " %" * in_percent(found["objective"])
    text = (
        f"The best cell under {found['most']:,} parameters that tools/studies/oracles/regret found: trial "
        f"{found['trial']} of {found['search']}, with {found['objective']} {value} after "
        f"{found['epochs_of_a_trial']} epochs of "
        f"{found['pictures']['train']:,} pictures (../docs/search.md). Here it is trained in full, beside the cell "
        f"that was written by hand. It has {found['parameters']:,} parameters, that one has "
        f"{found['base']['parameters']:,}."
    )
    return _note(text, "searched-cell", "baseline: searched-cell-base")


def _note_of_the_base(found: dict[str, Any]) -> str:
    text = (
        f"The cell that stands in {CELL}.yaml, written by hand, with the width that brings it nearest to the size of "
        f"searched-cell.yaml: {found['base']['parameters']:,} parameters, and {found['parameters']:,} there. Made by "
        "tools/studies/oracles/regret."
    )
    return _note(text, "searched-cell-base")


def _note(text: str, name: str, *lines: str) -> str:
    told = textwrap.wrap(text, width=118)
    command = f"  tools/results --seeds 0,1,2 {name} --data-dir DIR"
    everything = [*told, "", command, "", *lines, "What it gave, in how many minutes: RESULTS.md."]
    return NOTE + "".join(f"# {line}".rstrip() + "\n" for line in everything)
