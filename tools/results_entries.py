"""The rows of the results: records joined with the specs of today and with their lab notes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from results_page import Entry, make_page
from results_records import NoRow, Records, noting
from results_specs import data_dirs, in_words, read_note

from kplug.errors import SpecError
from kplug.spec import load


def page_of(specs: Path) -> tuple[str, list[str]]:
    """Make the page, and list what is wrong with the records and notes that it is made of."""
    records = Records.read(specs / "results")
    problems: list[str] = []
    by_name: dict[str, dict[int, Any]] = {}
    for record in records.of_today(specs):
        by_name.setdefault(record["spec"], {})[record["seed"]] = record
    titles = titles_of(specs, problems)
    entries = []
    for name, of_seeds in sorted(by_name.items()):
        with noting(problems):
            entries.append(entry_of(specs, name, of_seeds, titles))
    return make_page(entries), records.problems + problems


def entry_of(specs: Path, name: str, records: dict[int, Any], titles: dict[str, str]) -> Entry:
    file = specs / f"{name}.yaml"
    spec, note = load(file), read_note(file)
    if note.baseline and not (specs / f"{note.baseline}.yaml").is_file():
        raise NoRow(f"{file}: no row: there is no {note.baseline}.yaml to be its baseline")
    for seed, record in records.items():
        if note.shows not in record["metrics"]:
            there = ", ".join(record["metrics"])
            raise NoRow(f"{file}: no row: the run with seed {seed} has no test {note.shows} (it has: {there})")
    source = in_words(spec["data.source"])
    return Entry(name, note, titles.get(source, source), any(data_dirs(spec.root)), records)


def titles_of(specs: Path, problems: list[str]) -> dict[str, str]:
    """Collect the titles that lab notes give to sources."""
    titles: dict[str, str] = {}
    for file in sorted(specs.glob("*.yaml")):
        with contextlib.suppress(SpecError):  # it is told where its row is made
            if title := read_note(file).data:
                source = in_words(load(file)["data.source"])
                if titles.setdefault(source, title) != title:
                    problems.append(f"{file}: `# data: {title}`, but of the same source: {titles[source]}")
    return titles
