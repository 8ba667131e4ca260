"""The page of the results, made of the records of runs and of the specs' lab notes alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from results_specs import Note

NOTHING = "—"
UNEVEN = 2  # the largest class by the smallest from which classes are looked at one by one


@dataclass(frozen=True)
class Entry:
    """A row: a spec and the records of its runs.

    Args:
        name: of the spec.
        note: its lab note.
        title: of the section that it belongs to.
        asks_for_data: whether the command that repeats it takes `--data-dir`.
        records: of its runs, by seed.
    """

    name: str
    note: Note
    title: str
    asks_for_data: bool
    records: Mapping[int, Mapping[str, Any]]

    @property
    def seeds(self) -> str:
        return ",".join(map(str, sorted(self.records)))

    def values(self, of: Callable[[Mapping[str, Any]], float]) -> list[float]:
        return [of(self.records[seed]) for seed in sorted(self.records)]


@dataclass(frozen=True)
class Figure:
    """A column: its head, what it takes from a record (KeyError: that has none), and whether it is in percent."""

    head: str
    take: Callable[[Mapping[str, Any]], float]
    in_percent: bool = True

    def cell(self, entry: Entry, baseline: Entry | None) -> str:
        """Write mean and deviation over the seeds, and the difference to the baseline over the seeds that both have."""
        try:
            text = self._spread(entry.values(self.take))
        except KeyError:
            return NOTHING
        try:
            common = sorted(set(entry.records) & set(baseline.records)) if baseline else []
            pairs = [(self.take(entry.records[seed]), self.take(baseline.records[seed])) for seed in common]  # type: ignore[union-attr]
        except KeyError:
            return text
        if not pairs:
            return text
        return f"{text} ({self._number(statistics.mean(ours - theirs for ours, theirs in pairs), '+')})"

    def _spread(self, values: list[float]) -> str:
        text = self._number(statistics.mean(values))
        return f"{text} ± {self._number(statistics.stdev(values))}" if len(values) > 1 else text

    def _number(self, value: float, sign: str = "") -> str:
        return f"{value * 100:{sign}.2f}" if self.in_percent else f"{value:{sign}.4f}"


CLASS_FIGURES = (
    Figure("balanced accuracy, %", lambda record: record["metrics"]["balanced_accuracy"]),
    Figure("worst class's recall, %", lambda record: worst_recall(record["recall"])),
    Figure("macro F1, %", lambda record: record["metrics"]["macro_f1"]),
)


def worst_recall(recalls: Mapping[str, float | None]) -> float:
    """The lowest recall of a run's classes; a class without test examples has none."""
    there = [recall for recall in recalls.values() if recall is not None]
    if not there:
        raise KeyError("recall")
    return min(there)


def make_page(entries: list[Entry]) -> str:
    """Write all rows as Markdown."""
    sections: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        sections.setdefault((entry.title, entry.note.shows), []).append(entry)
    titles = [title for title, _ in sections]
    parts = [_opening(entries)]
    for (title, shows), rows in sorted(sections.items()):
        heading = title if titles.count(title) == 1 else f"{title}: {shows.replace('_', ' ')}"
        parts.append(_section(heading, rows))
    return "\n\n".join(parts) + "\n"


def _opening(entries: list[Entry]) -> str:
    text = """# Results

Written by `tools/results`, which trains the specs of this folder and measures them on the test split; do not edit. Each
figure is from a record in [results](results), which is made of a run directory alone; `tools/results --check` sees that
this page, the records and the specs agree. A row whose spec has changed since is left out.

The weights are those that `fit.best` of the spec kept. With several seeds: mean ± standard deviation. In brackets: the
mean difference to the baseline over the seeds that both have. Minutes are of the epochs alone, with their validation:
without start, preparation of the data and test; a mean over the seeds. The worst class's recall is the lowest of a run.
A dash: the spec's lab note names no paper's figure, or this was not measured."""
    records = [record for entry in entries for record in entry.records.values()]
    machines: dict[str, list[str]] = {}
    for record in records:
        versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
        machines.setdefault(f"{record['machine']}; {versions}", []).append(record["date"])
    lines = [
        f"- {name}: {len(dates)} run{'s' * (len(dates) > 1)}, {_between(dates)}"
        for name, dates in sorted(machines.items())
    ]
    return "\n\n".join([text, "Machines and versions:\n\n" + "\n".join(lines)]) if lines else text


def _section(heading: str, rows: list[Entry]) -> str:
    named = {entry.note.baseline for entry in rows}
    rows = sorted(rows, key=lambda entry: (entry.name not in named, entry.name))
    by_name = {entry.name: entry for entry in rows}
    shown = rows[0].note
    figures = [
        Figure(
            f"test {shown.shows.replace('_', ' ')}{', %' * shown.in_percent}", _metric(shown.shows), shown.in_percent
        )
    ]
    figures += CLASS_FIGURES if any(map(_is_uneven, rows)) else ()
    head = ["spec", "paper", *(figure.head for figure in figures), "epochs", "minutes", "parameters", "seed"]
    table = [
        [
            f"[{entry.name}]({entry.name}.yaml)",
            "; ".join(entry.note.papers).replace("|", r"\|") or NOTHING,
            *(figure.cell(entry, by_name.get(entry.note.baseline or "")) for figure in figures),
            _between([record["epochs"] for record in entry.records.values()]),
            f"{statistics.mean(entry.values(lambda record: record['minutes'])):.1f}",
            _between([f"{record['parameters']:,}" for record in entry.records.values()]),
            ", ".join(entry.seeds.split(",")),
        ]
        for entry in rows
    ]
    return "\n\n".join([f"## {heading}", _pictures(rows), _table(head, table), *_comparisons(rows), _commands(rows)])


def _metric(name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda record: record["metrics"][name]


def _is_uneven(entry: Entry) -> bool:
    sizes = [record["class_sizes"] for record in entry.records.values() if record["recall"] and record["class_sizes"]]
    return any(largest > UNEVEN * smallest for smallest, largest in sizes)


def _pictures(rows: list[Entry]) -> str:
    """Say what was trained and measured on; where rows of a section differ in it, which has what."""
    groups: dict[str, set[str]] = {}
    for entry in rows:
        for record in entry.records.values():
            splits = ", ".join(f"{count:,} {name}" for name, count in record["pictures"].items())
            sizes = record["class_sizes"]
            classes = f"; {sizes[0]:,} to {sizes[1]:,} of a class in training" if sizes else ""
            groups.setdefault(f"{splits}{classes}", set()).add(entry.name)
    if len(groups) == 1:
        return f"Pictures: {next(iter(groups))}."
    return "Pictures:\n\n" + "\n".join(
        f"- {text} ({', '.join(sorted(names))})" for text, names in sorted(groups.items())
    )


def _comparisons(rows: list[Entry]) -> list[str]:
    """Say which rows are compared with which, where any are."""
    groups: dict[str, list[str]] = {}
    for entry in rows:
        if any(entry.note.baseline == other.name for other in rows):
            groups.setdefault(str(entry.note.baseline), []).append(entry.name)
    return [f"The baseline of {', '.join(names)} is {baseline}." for baseline, names in groups.items()]


def _commands(rows: list[Entry]) -> str:
    """Write the commands that repeat a section: one for all rows of the same seeds."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for entry in rows:
        groups.setdefault((entry.seeds, entry.asks_for_data), []).append(entry.name)
    lines = [
        " ".join(["tools/results", "--seeds", seeds, *["--data-dir DIR"] * data, *names])
        for (seeds, data), names in groups.items()
    ]
    return "\n".join(["```sh", *lines, "```"])


def _between(values: Iterable[Any]) -> str:
    """Write one value, or the least and the greatest."""
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
