"""A source opened as train, validation and test; which examples of train validate is the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.features import describe
from kplug.data.pipeline import Data
from kplug.errors import listed
from kplug.records import Columns, Split
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.tree import plain

SPLITS = ("train", "validation", "test")


def validating(spec: Spec, splits: Mapping[str, Split]) -> tuple[float, float]:
    """(begin, end) of the validation part, as shares of train."""
    wanted = plain(spec["data.validation"])
    if not isinstance(wanted, dict):
        return 0.0, 0.0 if "validation" in splits else wanted
    if "validation" in splits:
        message = "the source has a validation split of its own, so that no fold of train validates"
        raise spec.error("data.validation", message)
    return wanted["fold"] / wanted["of"], (wanted["fold"] + 1) / wanted["of"]


def set_apart(split: Split, begin: float, end: float) -> tuple[Split, Split]:
    """Train and validation: the same examples each time, and nearly the same ones when some are added."""
    keys = [str(key) for key in split.columns.arrays.get("path", range(len(split)))]
    chosen = stable_slice(keys, begin, end)
    return choose_rows(split, np.flatnonzero(~chosen)), choose_rows(split, np.flatnonzero(chosen))


def choose_rows(split: Split, rows: np.ndarray) -> Split:
    """Some examples of a split, in the order of `rows`."""
    table = tf.constant(rows, tf.int64)
    columns = Columns(len(rows), {name: array[rows] for name, array in split.columns.arrays.items()})

    def load(row: Any) -> dict[str, Any]:
        return split.load(tf.gather(table, row))

    return replace(split, columns=columns, load=load)


def open_data(spec: Spec) -> Data:
    """The data of a spec: its source built, validation set apart, and its description made."""
    splits = dict(_splits(spec))
    begin, end = validating(spec, splits)
    if begin < end:
        splits["train"], splits["validation"] = set_apart(splits["train"], begin, end)
    for name, split in splits.items():
        if len(split) == 0:
            raise spec.error("data.source", f"the split '{name}' is empty")
    splits = {name: splits[name] for name in SPLITS if name in splits}
    return Data(spec, splits, describe(spec, splits))


def _splits(spec: Spec) -> Mapping[str, Split]:
    splits = build(spec, spec["data.source"])
    if not {"train"} <= set(splits) <= set(SPLITS):
        raise spec.error("data.source", f"a source has the splits train, validation, test; received {listed(splits)}")
    if any(split.classes != splits["train"].classes for split in splits.values()):
        raise spec.error("data.source", "the splits have different classes")
    return splits


def stable_share(keys: Sequence[str], share: float) -> np.ndarray:
    """Choose the round(share * n) examples whose keys have the smallest hashes.

    Exact in count. An example added shifts the border in the order of hashes, so that at most one other example
    changes sides; equal keys are neighbours in that order.

    Args:
        keys: what names each example for good, such as its path.
        share: 0 to 1.

    Returns:
        bool `[n]`, True for the chosen.
    """
    return stable_slice(keys, 0.0, share)


def stable_slice(keys: Sequence[str], begin: float, end: float) -> np.ndarray:
    """Choose the examples from one share to another in the order of their keys' hashes, as `stable_share` does."""
    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    hashes = np.frombuffer(b"".join(digests), ">u8")
    chosen = np.zeros(len(keys), bool)
    order = np.argsort(hashes, kind="stable")
    chosen[order[round(begin * len(keys)) : round(end * len(keys))]] = True
    return chosen
