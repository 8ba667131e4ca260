"""The section of docs/search.md that compares oracles, made of the figures in docs/searches.json alone."""

from __future__ import annotations

import hashlib
import json
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from results_records import NoRow
from studies.oracles.running import minutes_in

SECTION_OF, FIGURES = "search.md", "searches.json"
BEGIN, END = "<!-- made by tools/studies/oracles/regret -->", "<!-- end -->"
REFERENCE = "random"  # what other oracles are compared with
TITLES = {"search-training": "How a network is trained", "search-cell": "Which cell it is made of"}
NOTHING = "—"

Search = dict[str, Any]


# --- figures ---------------------------------------------------------------------------------------------------------


def as_text(figures: dict[str, Any]) -> str:
    """JSON with a line for each trial."""
    best = [f' "best": {json.dumps(figures["best"])},\n'] if "best" in figures else []
    specs = ",\n".join(f"  {json.dumps(name)}: {json.dumps(text)}" for name, text in figures["specs"].items())
    searches = ",".join(_search_as_text(search) for search in figures["searches"])
    return "".join(["{\n", *best, f' "specs": {{\n{specs}\n }},\n', ' "searches": [', searches, "\n ]\n}\n"])


def _search_as_text(search: Search) -> str:
    lines = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in search.items() if key != "trials"]
    trials = ",\n".join(f"    {json.dumps(trial)}" for trial in search["trials"])
    return "\n  {\n" + ",\n".join(lines) + f',\n   "trials": [\n{trials}\n   ]\n  }}'


def spaces_of(figures: dict[str, Any]) -> dict[str, list[Search]]:
    """The searches of each space, by the name of its spec, those of training first."""
    spaces: dict[str, list[Search]] = {}
    for search in figures["searches"]:
        spaces.setdefault(search["spec"], []).append(search)
    known = list(TITLES)
    return {name: spaces[name] for name in sorted(spaces, key=lambda name: (name not in known, name != known[0], name))}


def digest(searches: Sequence[Search]) -> str:
    """A digest that tells what a picture was made of."""
    return hashlib.sha256(json.dumps(searches, sort_keys=True).encode()).hexdigest()


def by_oracle(searches: Iterable[Search]) -> dict[str, dict[int, Search]]:
    """Searches by oracle and seed, the oracle that others are compared with first."""
    found: dict[str, dict[int, Search]] = {}
    for search in sorted(searches, key=lambda one: (one["oracle"]["type"], one["seed"])):
        found.setdefault(search["oracle"]["type"], {})[search["seed"]] = search
    return dict(sorted(found.items(), key=lambda item: item[0] != REFERENCE))


def cost(search: Search, value: float) -> float:
    """A value turned so that less is better."""
    return -value if search["direction"] == "maximize" else value


def best_of(search: Search) -> float | None:
    return search["trials"][-1]["best"]


def best_within(search: Search, epochs: float) -> float | None:
    """The best when so many epochs were trained."""
    return next((trial["best"] for trial in reversed(search["trials"]) if trial["epochs"] <= epochs), None)


def epochs_until(search: Search, value: float) -> int | None:
    """The epochs after which a search was as good as that; None where it never was."""
    reached = (
        trial["epochs"]
        for trial in search["trials"]
        if trial["best"] is not None and cost(search, trial["best"]) <= cost(search, value)
    )
    return next(reached, None)


def epochs_of(search: Search) -> int:
    return search["trials"][-1]["epochs"]


# --- the section -----------------------------------------------------------------------------------------------------


def put_section(page: Path, section: str) -> str:
    """The page with this section between its two markers; NoRow where they are not there."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoRow(f"{page} lacks the lines {BEGIN} and {END}, between which the section is written")
    inside = f"\n\n{section}\n\n" if section else "\n"
    return f"{before}{BEGIN}{inside}{END}{after}"


def make_section(figures: dict[str, Any]) -> str:
    """Markdown of all figures; nothing where there are none."""
    if not figures["searches"]:
        return ""
    parts = [_opening(figures["searches"])]
    for name, searches in spaces_of(figures).items():
        parts += _space(name, searches)
    if "best" in figures:
        parts.append(_best_cell(figures["best"]))
    return "\n\n".join(parts)


def _opening(searches: list[Search]) -> str:
    dates = between(search["date"] for search in searches)
    minutes = minutes_in(span for search in searches for span in search["spans"])
    workers = between(search["workers"] for search in searches)
    at_once = "one trial" if workers == "1" else f"{workers} trials"
    together = between(search["at_once"] for search in searches)
    order = "one after another" if together == "1" else f"{together} at a time"
    names = sorted({machine for search in searches for machine in search["machines"]})
    machines = "\n".join(f"- {name}" for name in names)
    made = (
        f"Made by `tools/studies/oracles/regret` of {len(searches)} searches of {dates}, run {order}, each with "
        f"{at_once} at once: {minutes:.0f} minutes in all. The raw figures are in [{FIGURES}]({FIGURES}), and "
        "`regret check` sees that this section and its pictures say what they say."
    )
    meant = (
        "A trial's value is that of the epoch whose weights it keeps. Epochs are counted as they are trained: of a "
        "promoted trial the further ones; of one that was refused, or that was the same as another, none. In the "
        "tables: the median over the seeds, in brackets the least and the greatest. Regret is how far the best so far "
        "is from the best that any search found in that space; in the pictures a thin line is a seed, a thick one the "
        "median."
    )
    return "\n\n".join(["## Oracles compared", wrapped(made), machines, wrapped(meant)])


def _space(name: str, searches: list[Search]) -> list[str]:
    pictures = between(", ".join(f"{count:,} {split}" for split, count in one["pictures"].items()) for one in searches)
    lengths = between(search["epochs_of_a_trial"] for search in searches)
    told = f"Pictures: {pictures}. A trial that is trained in full has {lengths} epochs."
    heading = f"### {TITLES.get(name, name)}\n\n" + wrapped(f"Space: [{name}](../specs/{name}.yaml). {told}")
    groups = by_oracle(searches)
    shown = {key: value for key, value in searches[0].items() if key in ("objective", "direction")}
    picture = f"![Regret against epochs trained, {name}]({name}.png)"
    parts = [heading, _table_of_oracles(groups, **shown), picture, _table_of_seeds(groups, shown["objective"])]
    if REFERENCE in groups and "hyperband" in groups:
        parts.append(_hyperband(groups["hyperband"], groups[REFERENCE]))
    return parts


def _table_of_oracles(groups: dict[str, dict[int, Search]], objective: str, direction: str) -> str:
    """The table with a row for each oracle."""
    reference = groups.get(REFERENCE) or next(iter(groups.values()))
    half = int(statistics.median(map(epochs_of, reference.values())) / 2)
    unit = ", %" if in_percent(objective) else ""
    head = ["oracle", "seeds", "points", "trained in full", "epochs", f"best after {half} epochs{unit}"]
    head += [
        f"best {objective}{unit} ({'more' if direction == 'maximize' else 'less'} is better)",
        "better than random",
    ]
    rows = []
    for name, of_seeds in groups.items():
        found = list(of_seeds.values())
        full = (sum(trial["status"] == "finished" for trial in search["trials"]) for search in found)
        row = [in_words(found[0]["oracle"]), ", ".join(map(str, of_seeds))]
        row += [between(len({trial["origin"] for trial in search["trials"]}) for search in found), between(full)]
        row += [between(map(epochs_of, found)), _spread([best_within(search, half) for search in found], objective)]
        row += [_spread(list(map(best_of, found)), objective), _wins(of_seeds, groups.get(REFERENCE, {}), name)]
        rows.append(row)
    return _table(head, rows)


def _wins(of_seeds: dict[int, Search], reference: dict[int, Search], name: str) -> str:
    """Count the seeds with which an oracle's best is better than the reference's."""
    pairs = [
        (cost(search, value), cost(search, other))
        for seed, search in of_seeds.items()
        if seed in reference
        and (value := best_of(search)) is not None
        and (other := best_of(reference[seed])) is not None
    ]
    if name == REFERENCE or not pairs:
        return NOTHING
    equal = sum(mine == theirs for mine, theirs in pairs)
    text = f"{sum(mine < theirs for mine, theirs in pairs)} of {len(pairs)} seeds"
    return f"{text}, equal in {equal}" if equal else text


def _table_of_seeds(groups: dict[str, dict[int, Search]], objective: str) -> str:
    """The table with a row for each seed."""
    seeds = sorted({seed for of_seeds in groups.values() for seed in of_seeds})
    head = [f"best {objective}{', %' * in_percent(objective)} with seed", *map(str, seeds)]
    rows = [
        [name, *(number(best_of(found[seed]), objective) if seed in found else NOTHING for seed in seeds)]
        for name, found in groups.items()
    ]
    return _table(head, rows, left=1)


def _hyperband(hyperband: dict[int, Search], reference: dict[int, Search]) -> str:
    """Say after how many epochs hyperband was as good as random search was in the end."""
    rows, soon = [], 0
    seeds = sorted(hyperband.keys() & reference.keys())
    for seed in seeds:
        goal, spent = best_of(reference[seed]), epochs_of(reference[seed])
        after = None if goal is None else epochs_until(hyperband[seed], goal)
        soon += after is not None and 2 * after <= spent
        row = [number(goal, reference[seed]["objective"]), str(spent), "not reached" if after is None else str(after)]
        rows.append([str(seed), *row, str(epochs_of(hyperband[seed]))])
    unit = ", %" if seeds and in_percent(reference[seeds[0]]["objective"]) else ""
    head = ["seed", f"random's best{unit}", "its epochs", "hyperband was as good after epochs", "hyperband's epochs"]
    text = f"Hyperband was as good as random search with at most half of its epochs with {soon} of {len(seeds)} seeds."
    return f"{text}\n\n{_table(head, rows, left=1)}"


def _best_cell(best: dict[str, Any]) -> str:
    base = best["base"]
    value = number(best["value"], best["objective"]) + " %" * in_percent(best["objective"])
    text = (
        f"Of all cells under {best['most']:,} parameters, that of trial {best['trial']} of {best['search']} is the "
        f"best: {best['objective']} {value}, {best['parameters']:,} parameters. Trained in full it is "
        "[searched-cell](../specs/searched-cell.yaml); [searched-cell-base](../specs/searched-cell-base.yaml) is the "
        f"cell that stands in [search-cell](../specs/search-cell.yaml), with width {base['width']}: "
        f"{base['parameters']:,} parameters. What both give on the test split: [results](../specs/RESULTS.md)."
    )
    return f"### The best cell, trained in full\n\n{wrapped(text)}"


# --- words -----------------------------------------------------------------------------------------------------------


def wrapped(text: str) -> str:
    return textwrap.fill(text, width=120, break_long_words=False, break_on_hyphens=False)


def in_words(oracle: dict[str, Any]) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in oracle.items() if key != "type")
    return f"{oracle['type']} ({parameters})" if parameters else oracle["type"]


def in_percent(objective: str) -> bool:
    return objective.endswith("accuracy")


def number(value: float | None, objective: str) -> str:
    if value is None:
        return NOTHING
    return f"{100 * value:.2f}" if in_percent(objective) else f"{value:.4f}"


def _spread(values: Sequence[float | None], objective: str) -> str:
    """The median, and the least and the greatest where there are several."""
    there = [value for value in values if value is not None]
    if not there:
        return NOTHING
    text = number(statistics.median(there), objective)
    ends = f"{number(min(there), objective)} to {number(max(there), objective)}"
    return f"{text} ({ends})" if len(there) > 1 else text


def between(values: Iterable[Any]) -> str:
    """One value, or the least and the greatest."""
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _table(head: list[str], rows: list[list[str]], left: int = 2) -> str:
    lines = [head, [*["---"] * left, *["---:"] * (len(head) - left)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
