"""A source opened as train, validation and test; which examples of train validate is the same each time."""

from __future__ import annotations

import contextlib
import hashlib
import os
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
LOOKED_AT = 64  # rows, spread over a split, whose content is part of its digest


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
    wanted = wanted if isinstance(wanted, dict) else {"share": wanted, "by": None, "key": "name"}
    if wanted.get("share") == 0:
        return None
    by = split.group if wanted["by"] is None else wanted["by"]
    keys = _keys_of_rows(split, wanted["key"]) if by is None else _keys_at(spec, split.columns, by)
    is_grouped = by is not None or len(set(keys)) < len(keys)
    count, parts = len(set(keys)), wanted.get("of", 2)
    if count < parts:
        what = "examples" if by is None else f"groups of '{by}'"
        raise spec.error(HERE, f"train has {count} {what}, which cannot be cut into {parts} parts")
    if by is not None and split.group not in (None, by):
        group = str(split.group)
        if cut := cut_groups(_keys_at(spec, split.columns, group), keys):
            raise spec.error(f"{HERE}.by", told_cut(group, by, cut))
    if "fold" in wanted:
        return stable_folds(keys, parts, whole=is_grouped) == wanted["fold"]
    return stable_share(keys, wanted["share"], whole=is_grouped)


def _keys_of_rows(split: Split, key: str) -> list[str]:
    """The keys by which rows are chosen where no column is a group."""
    if key == "path":
        return [str(path) for path in split.columns.arrays.get("path", range(len(split)))]
    return row_names(split)


def row_names(split: Split) -> list[str]:
    """The name of each row for good, wherever the data lie; its number where it has none."""
    if split.names is not None:
        return [str(name) for name in split.names]
    if "path" not in split.columns or not len(split):
        return [str(row) for row in range(len(split))]
    paths = [os.path.abspath(str(path)) for path in split.columns["path"]]
    return [os.path.relpath(path, os.path.commonpath(paths)) for path in paths]


def digest_of_rows(split: Split) -> str:
    """A digest of what the rows of a split are: names, columns, sizes of files, and what some of them hold."""
    digest = hashlib.blake2b(digest_size=16)

    def add(what: str, values: Iterable[Any]) -> None:
        for part in (what, *map(str, values)):
            content = part.encode("utf-8", "surrogateescape")
            digest.update(len(content).to_bytes(8, "little") + content)

    add("names", row_names(split))
    add("sizes", split.sizes or ())
    for row in np.unique(np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(np.int64)):
        digest.update(_content_of(split, int(row)))
    for name, column in sorted(split.columns.arrays.items()):
        if column.dtype == object:
            add(name, () if name == "path" else column.tolist())
        else:
            add(name, (column.dtype.str, column.shape))
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


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


def _content_of(split: Split, row: int) -> bytes:
    """The content of a row's file, or of its arrays where they are in memory; nothing of others, which cost work."""
    if "path" in split.columns and split.sizes is not None:
        with contextlib.suppress(OSError), open(split.columns["path"][row], "rb") as file:
            return hashlib.blake2b(file.read()).digest()
        return b""  # it is told where it is read
    if not split.batched:
        return b""
    values = split.load(tf.constant([row], tf.int64))
    return b"".join(name.encode() + _bytes_of(value.numpy()) for name, value in sorted(values.items()))


def _bytes_of(array: np.ndarray) -> bytes:
    return b"\0".join(array.ravel().tolist()) if array.dtype == object else array.tobytes()


def _refuse_shared_rows(spec: Spec, splits: Mapping[str, Split]) -> None:
    """Refuse splits of a source that have an example in common, as far as it has names."""
    split_of: dict[str, tuple[str, int]] = {}
    for name, split in splits.items():
        own = {str(key): row for row, key in enumerate(split.names or ())}
        if shared := [key for key in own if key in split_of]:
            other, row = split_of[shared[0]]
            what = f"{len(shared):,} examples are in {other} and in {name}: {splits[other].where(row)}"
            raise spec.error(
                "data.source", f"{what} is {split.where(own[shared[0]])}; leave them out of one of the two"
            )
        split_of |= {key: (name, row) for key, row in own.items()}


def choose_rows(split: Split, rows: np.ndarray) -> Split:
    """Some examples of a split, in the order of `rows`."""
    table = tf.constant(rows, tf.int64)

    def load(row: Any) -> dict[str, Any]:
        return split.load(tf.gather(table, row))

    def place(row: int) -> str:
        return split.place(int(rows[row])) if split.place else f"row {rows[row]}"

    names, sizes = (
        [one[row] for row in rows.tolist()] if one is not None else None for one in (split.names, split.sizes)
    )
    columns = split.columns.at(rows)
    return replace(split, columns=columns, load=load, names=names, sizes=sizes, place=split.place and place)


def open_data(spec: Spec) -> Data:
    """The data of a spec: its source built, validation set apart, and its description made."""
    splits = dict(_splits(spec))
    _refuse_cut_groups(spec, splits)
    _refuse_shared_rows(spec, splits)
    train = splits["train"]
    chosen = validating(spec, train, splits)
    if chosen is not None and not chosen.any():
        what = f"so small a share of {len(train):,} examples is none"
        raise spec.error("data.validation", f"{what}; take a larger one, or 0 where nothing is to validate")
    if chosen is not None:
        splits["train"], splits["validation"] = (choose_rows(train, np.flatnonzero(part)) for part in (~chosen, chosen))
    for name, split in splits.items():
        if len(split) == 0:
            raise spec.error("data.source", f"the split '{name}' is empty")
    splits = {name: splits[name] for name in SPLITS if name in splits}
    info = replace(describe(spec, splits), rows={name: digest_of_rows(split) for name, split in splits.items()})
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
