"""The source of pictures that a CSV file lists."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kplug.data.source_files import Files, found_files, in_order, object_column, share_out, tell_repeated
from kplug.data.splits import group_keys
from kplug.default_plugins.sources.class_folders import SPLIT_NAMES
from kplug.default_plugins.sources.picture_splits import file_split
from kplug.default_plugins.sources.text_files import raise_missing, read_classes, read_text
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Columns, Split

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # 007 is a name, and 19 digits may be more than int64 holds
NUMBER = re.compile(r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|NaN|NAN")
SHOWN = 5  # rows that an error lists

# --- the file ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A CSV file: where it is, its column names, and per row the line it begins on and its cells."""

    path: str
    header: list[str]
    lines: list[int]
    rows: list[list[str]]

    def column(self, name: str, parameter: str) -> list[str]:
        if name not in self.header:
            what = f"{self.path} has no column '{name}' ({parameter}){did_you_mean(name, self.header)}"
            hint = "; the columns are to be separated by commas" if len(self.header) == 1 else ""
            raise SpecError(f"{what} (columns: {listed(self.header)}){hint}")
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def refuse(self, what: str, problems: Sequence[tuple[int, str]]) -> None:
        """Raise SpecError where there are problems, each a row and what is the matter with it."""
        if problems:
            shown = "".join(f"\n  {self.path}:{self.lines[row]}: {text}" for row, text in problems[:SHOWN])
            more = f"\n  ... ({len(problems)} in all)" if len(problems) > SHOWN else ""
            raise SpecError(f"{what}:{shown}{more}")


def _read_table(path: str) -> Table:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    lines, rows = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        begin = reader.line_num + 1
        for row in reader:
            if row:  # else a blank line
                lines.append(begin)
                rows.append(row)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise SpecError(f"{path}:{max(reader.line_num, 1)}: not CSV: {error}") from None
    table = Table(path, header, lines, rows)
    if not rows:
        raise SpecError(f"{path} has no rows; the first line names the columns, each further line is an example")
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise SpecError(f"{path}:1: columns named twice: {listed(twice)}")
    width = len(header)
    ragged = [(at, f"{len(row)} cells, the first line has {width}") for at, row in enumerate(rows) if len(row) != width]
    table.refuse("rows with another number of cells than columns; quote cells that hold a comma", ragged)
    return table


# --- the source ----------------------------------------------------------------------------------------------------


def open_table(
    path: str,
    image: str | None,
    label: str | None,
    split: str | None,
    root: str | None,
    separator: str | None,
    classes: str | None,
    test: float,
    group: str | None = None,
) -> dict[str, Split]:
    """The splits of a table; `kplug.default_plugins.sources.table` says the parameters."""
    table = _read_table(os.path.expanduser(path))
    if split == "split" and split not in [name.lower() for name in table.header]:
        split = None
    pictures = None if image is None else table.column(image, "image")
    files = None if pictures is None else _existing_files(table, pictures, root)
    rows = range(len(table.rows))
    splits = _split_of_rows(table, table.column(split, "split")) if split else ["train"] * len(rows)
    columns: dict[str, np.ndarray] = {}
    names: tuple[str, ...] = ()
    if label is not None:
        columns["label"], names = _labels(table, table.column(label, "label"), separator, classes, splits)
    columns |= _further_columns(table, {image, label, split})
    if files is not None:
        tell_repeated(files, None if label is None else table.column(label, "label"))
    paths = {} if files is None else {"path": object_column(files.paths)}
    groups = None if group is None else _groups(table, columns | paths, group)
    if split:
        parts = in_order({name: [row for row in rows if splits[row] == name] for name in set(splits)})
    else:
        parts = share_out(rows, files.names if files is not None else list(map(str, rows)), test, groups)
    return {name: replace(_split(table, files, columns, names, chosen), group=group) for name, chosen in parts.items()}


def _groups(table: Table, columns: Mapping[str, np.ndarray], group: str) -> list[str]:
    """The group of each row; a row without one is refused, since it may belong to any."""
    found = group_keys(Columns(len(table.rows), columns), group)
    empty = [(row, f"'{group}' is empty") for row, key in enumerate(found) if key.strip() in ("", "nan")]
    table.refuse("rows without a group", empty)
    return found


def _split(
    table: Table,
    files: Files | None,
    columns: Mapping[str, np.ndarray],
    classes: Sequence[str],
    rows: Sequence[int],
) -> Split:
    chosen = {key: array[rows] for key, array in columns.items()}

    def place(row: int) -> str:
        return f"{table.path}:{table.lines[rows[row]]}"

    if files is not None:
        return replace(file_split(files.at(rows), chosen, classes), place=place)
    features, facts = ({"label": "label"}, {"label": {"classes": tuple(classes)}}) if len(classes) else ({}, {})
    return Split(Columns(len(rows), chosen), lambda row: {}, features, facts, batched=True, place=place)


def _existing_files(table: Table, pictures: Sequence[str], root: str | None) -> Files:
    folder = os.path.expanduser(root) if root else os.path.dirname(table.path)
    if root and not os.path.isdir(folder):
        raise_missing("folder", folder)
    files = [os.path.join(folder, picture) for picture in pictures]
    missing = [(row, f"no file {file}") for row, file in enumerate(files) if not os.path.isfile(file)]
    table.refuse(f"{len(missing)} of {len(files)} pictures are missing (root: {folder or '.'})", missing)
    return found_files(files, folder)


def _split_of_rows(table: Table, cells: Sequence[str]) -> list[str]:
    found = [SPLIT_NAMES.get(cell.strip().lower(), "") for cell in cells]
    strange = [row for row, name in enumerate(found) if not name]
    unknown = [(row, f"'{cells[row]}'{did_you_mean(cells[row], SPLIT_NAMES)}") for row in strange]
    table.refuse(f"rows whose split is none of {listed(SPLIT_NAMES)}", unknown)
    if "train" not in found:
        raise SpecError(f"{table.path} has no row of the split train (splits: {listed(sorted(set(found)))})")
    return found


def _further_columns(table: Table, used: set[str | None]) -> dict[str, np.ndarray]:
    """The columns that have a name and no other use, numbers as numbers."""
    names = [name for name in table.header if name and name not in used]
    if taken := sorted({"image", "label", "path"} & set(names)):
        raise SpecError(f"{table.path}: the further columns {listed(taken)} bear names that kplug gives; rename them")
    return {name: _as_numbers(table.column(name, "")) for name in names}


def _as_numbers(cells: Sequence[str]) -> np.ndarray:
    """Cells as int64, or as float32 with NaN for empty ones, or as strings."""
    texts = [cell.strip() for cell in cells]
    if all(map(INTEGER.fullmatch, texts)):
        return np.array([int(text) for text in texts], np.int64)
    if any(texts) and all(not text or NUMBER.fullmatch(text) for text in texts):
        with np.errstate(over="ignore"):
            return np.array([float(text or "nan") for text in texts]).astype(np.float32)
    return object_column(cells)


# --- labels --------------------------------------------------------------------------------------------------------


def _labels(
    table: Table, cells: Sequence[str], separator: str | None, classes: str | None, splits: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels, int32 [n] or float32 [n, classes] of zeros and ones, and the class names."""
    parted = [[cell] if separator is None else cell.strip().split(separator) for cell in cells]
    several = [[part.strip() for part in row if part.strip()] for row in parted]
    if separator is None:
        table.refuse("rows without a label", [(at, "the cell is empty") for at, row in enumerate(several) if not row])
    names = read_classes(classes) if classes else _distinct_names(table, several, splits)
    codes = {name: code for code, name in enumerate(names)}
    given = {name for row in several for name in row}
    if classes and not given & set(names) and all(map(INTEGER.fullmatch, given)):
        codes = {str(code): code for code in range(len(names))}
    strange = [(at, name) for at, row in enumerate(several) for name in row if name not in codes]
    unknown = [(at, f"'{name}'{did_you_mean(name, codes)}") for at, name in strange]
    table.refuse(f"labels that are no class of {classes or 'the training rows'} ({listed(codes)})", unknown)
    if separator is None:
        return np.array([codes[row[0]] for row in several], np.int32), names
    hot = np.zeros((len(cells), len(names)), np.float32)
    for at, row in enumerate(several):
        hot[at, [codes[name] for name in row]] = 1.0
    return hot, names


def _distinct_names(table: Table, several: Iterable[Sequence[str]], splits: Sequence[str]) -> tuple[str, ...]:
    """The class names in the training rows, sorted; integers by their size."""
    names = {name for row, split in zip(several, splits, strict=True) if split == "train" for name in row}
    if not names:
        raise SpecError(f"{table.path}: no training row has a label")
    return tuple(sorted(names, key=int if all(map(INTEGER.fullmatch, names)) else None))
