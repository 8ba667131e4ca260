"""A source opened as train, validation and test; which examples of train validate is the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.features import describe
from kplug.data.pipeline import Data
from kplug.errors import SpecError, listed
from kplug.records import AskedFeatures, Columns, Split
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.data_rules import lacking
from kplug.spec.sections import cut_groups, told_cut
from kplug.spec.tree import plain

SPLITS = ("train", "validation", "test")
HERE = "data.validation"


def validating(spec: Spec, split: Split, given: Iterable[str]) -> np.ndarray | None:
    """The rows of train that validate, bool `[n]`: a share or a fold of them that cuts no group; None where none do.

    Args:
        spec: says which share or fold, and which column is the group.
        split: train.
        given: the splits of the source.

    Raises:
        SpecError: there is no such column, it cuts groups of the source, or there are fewer groups than parts.
    """
    wanted = plain(spec[HERE])
    if "validation" in given:
        if isinstance(wanted, dict):
            own = f"no {'fold' if 'fold' in wanted else 'share'} of train validates"
            raise spec.error(HERE, f"the source has a validation split of its own, so that {own}")
        return None
    wanted = wanted if isinstance(wanted, dict) else {"share": wanted, "by": None}
    if wanted.get("share") == 0:
        return None
    by = split.group if wanted["by"] is None else wanted["by"]
    keys = row_keys(split.columns) if by is None else _keys_at(spec, split.columns, by)
    count, parts = len(set(keys)) if by is not None else len(keys), wanted.get("of", 2)
    if count < parts:
        what = "examples" if by is None else f"groups of '{by}'"
        raise spec.error(HERE, f"train has {count} {what}, which cannot be cut into {parts} parts")
    if by is not None and split.group not in (None, by):
        group = str(split.group)
        if cut := cut_groups(_keys_at(spec, split.columns, group), keys):
            raise spec.error(f"{HERE}.by", told_cut(group, by, cut))
    if "fold" in wanted:
        return stable_folds(keys, parts, whole=by is not None) == wanted["fold"]
    return stable_share(keys, wanted["share"], whole=by is not None)


def row_keys(columns: Columns) -> list[str]:
    """The name of each row for good: its path, or its number where it has none."""
    return [str(key) for key in columns.arrays.get("path", range(columns.size))]


def group_keys(columns: Columns, by: str) -> list[str]:
    """The group of each row, by a column.

    Raises:
        SpecError: there is no such column, or it has several values an example.
    """
    values = columns[by]
    if values.ndim != 1:
        raise SpecError(f"'{by}' has several values an example, and an example is of one group")
    return [str(value) for value in values.tolist()]


def _keys_at(spec: Spec, columns: Columns, by: str) -> list[str]:
    """The same, with what is wrong told where the spec names the column, or the source that does."""
    try:
        return group_keys(columns, by)
    except SpecError as error:
        wanted = plain(spec[HERE])
        is_named = isinstance(wanted, dict) and wanted["by"] is not None
        raise spec.error(f"{HERE}.by" if is_named else "data.source", str(error)) from None


def _refuse_cut_groups(spec: Spec, splits: Mapping[str, Split]) -> None:
    """Refuse splits of a source that share a group."""
    by = splits["train"].group
    if by is None:
        return
    split_of: dict[str, str] = {}
    for name, split in splits.items():
        groups = set(_keys_at(spec, split.columns, by))
        if shared := sorted(group for group in groups if group in split_of):
            what = f"'{by}' says which rows belong together, and {listed(shared)} of it are in {split_of[shared[0]]}"
            instead = f"where that is meant, name no group there and write data.validation: {{share: 0.1, by: {by}}}"
            raise spec.error("data.source", f"{what} and in {name}; {instead}")
        split_of |= dict.fromkeys(groups, name)


def choose_rows(split: Split, rows: np.ndarray) -> Split:
    """Some examples of a split, in the order of `rows`."""
    table = tf.constant(rows, tf.int64)

    def load(row: Any) -> dict[str, Any]:
        return split.load(tf.gather(table, row))

    def place(row: int) -> str:
        return split.place(int(rows[row])) if split.place else f"row {rows[row]}"

    return replace(split, columns=split.columns.at(rows), load=load, place=split.place and place)


def open_data(spec: Spec) -> Data:
    """The data of a spec: its source built, validation set apart, and its description made."""
    splits = dict(_splits(spec))
    _refuse_cut_groups(spec, splits)
    train = splits["train"]
    chosen = validating(spec, train, splits)
    if chosen is not None:
        splits["train"], splits["validation"] = (choose_rows(train, np.flatnonzero(part)) for part in (~chosen, chosen))
    for name, split in splits.items():
        if len(split) == 0:
            raise spec.error("data.source", f"the split '{name}' is empty")
    splits = {name: splits[name] for name in SPLITS if name in splits}
    info = describe(spec, splits)
    if problems := [spec.problem(path, message) for path, message in lacking(spec.root, info.fields)]:
        raise SpecError(problems)
    return Data(spec, splits, info).knowing_sizes()


def _splits(spec: Spec) -> Mapping[str, Split]:
    asked = AskedFeatures({name: plain(node) for name, node in spec["data.features"].items()})
    splits = build(spec, spec["data.source"], {AskedFeatures: asked})
    if not {"train"} <= set(splits) <= set(SPLITS):
        raise spec.error("data.source", f"a source has the splits train, validation, test; received {listed(splits)}")
    for name, told in splits["train"].facts.items():
        if any(split.facts.get(name, {}).get("classes") != told.get("classes") for split in splits.values()):
            raise spec.error("data.source", f"the splits have different classes of '{name}'")
    return splits


def stable_share(keys: Sequence[str], share: float, whole: bool = False) -> np.ndarray:
    """Choose the round(share * n) examples whose keys have the smallest hashes.

    Exact in count. An example added shifts the border in the order of hashes, so that at most one other example
    changes sides; equal keys are neighbours in that order.

    Args:
        keys: what names each example for good, such as its path; or its group.
        share: 0 to 1.
        whole: equal keys, which are a group, stay together: the border is the nearest between two groups. At least one
            group is chosen, and one is not, where the share of the examples is none and not all of them.

    Returns:
        bool `[n]`, True for the chosen.
    """
    return _parts(keys, [share], whole) == 0


def stable_folds(keys: Sequence[str], of: int, whole: bool = False) -> np.ndarray:
    """Number the fold of each example, int `[n]`: parts of equal size, cut as `stable_share` does.

    Args:
        keys: what names each example for good; or its group.
        of: how many folds there are, each of one group at least.
        whole: equal keys stay together.
    """
    return _parts(keys, [fold / of for fold in range(1, of)], whole)


def _parts(keys: Sequence[str], shares: Sequence[float], whole: bool) -> np.ndarray:
    """Number the parts of examples between borders at these shares, in the order of their keys' hashes."""
    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    hashes = np.frombuffer(b"".join(digests), ">u8")
    order = np.argsort(hashes, kind="stable")
    borders = [round(share * len(keys)) for share in shares]
    if whole:
        borders = _between_groups(hashes[order], borders)
    parts = np.empty(len(keys), np.int64)
    parts[order] = np.searchsorted(borders, np.arange(len(keys)), side="right")
    return parts


def _between_groups(hashes: np.ndarray, borders: Sequence[int]) -> list[int]:
    """The nearest borders between groups, each with a group more before it than the last; 0 and n stay.

    Args:
        hashes: sorted, those of a group equal.
        borders: numbers of the first example after each.
    """
    size = len(hashes)
    ends = np.concatenate([[0], np.flatnonzero(np.diff(hashes)) + 1, [size]])
    found, last = [], 0
    for number, border in enumerate(borders):
        if 0 < border < size:
            nearest = int(np.abs(ends - border).argmin())
            last = min(max(nearest, last + 1), len(ends) - 1 - (len(borders) - number))
            border = int(ends[last])
        found.append(border)
    return found
