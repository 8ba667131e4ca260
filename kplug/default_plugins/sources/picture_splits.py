"""Splits of pictures in files or in memory, and the share of their examples that becomes the test split."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.splits import SPLITS, stable_share
from kplug.errors import SpecError
from kplug.records import Columns, Split


def share_out(
    examples: Sequence, keys: Sequence[str], test: float, groups: Sequence[str] | None = None
) -> dict[str, list]:
    """Share examples out to train and, unless `test` is 0, to test, in their order.

    Args:
        examples: anything, one a key.
        keys: by which a stable share is chosen.
        test: the share, 0 to 1.
        groups: which examples belong together: none is cut; None: each stands by itself.
    """
    if test == 0:
        return {"train": list(examples)}
    chosen = stable_share(keys, test) if groups is None else stable_share(groups, test, whole=True)
    if chosen.all() or not chosen.any():
        part = "train" if chosen.any() else "test"
        of = f"{len(keys)} examples" if groups is None else f"{len(set(groups))} groups"
        what = f"test: {test:g} of {of} leaves none for {part}"
        raise SpecError(f"{what}; choose another share, or 0 for no test")
    parts = {"train": ~chosen, "test": chosen}
    return {split: list(itertools.compress(examples, part)) for split, part in parts.items()}


def in_order(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a source by split, in the order train, validation, test; those that hold nothing are left out."""
    return {split: parts[split] for split in SPLITS if parts.get(split)}


def cached(splits: Mapping[str, Split], cache_mb: int) -> dict[str, Split]:
    """Splits of which so much is kept in memory once it was read."""
    return {name: replace(split, cache_mb=cache_mb) for name, split in splits.items()}


def object_column(values: Sequence[Any]) -> np.ndarray:
    """An array of objects, such as strings or bytes.

    NumPy's own strings all have the length of the longest, and its bytes lose zeros at the end.
    """
    return np.array([*values, None], object)[:-1]


def described(
    columns: Mapping[str, np.ndarray], classes: Sequence[str], shape: Sequence[int | None] = (None, None, None)
) -> dict[str, Any]:
    """The fields of a split of pictures: their `features`, and the `facts` as far as they are known.

    Args:
        columns: `label` among them, where there are classes.
        classes: their names.
        shape: height, width and channels of all pictures, None where one varies.
    """
    height, width, channels = shape
    features: dict[str, Any] = {"image": "image"}
    facts: dict[str, Any] = {"image": {"size": (height, width) if height and width else None, "channels": channels}}
    if "label" in columns and len(classes):
        features["label"], facts["label"] = "label", {"classes": tuple(classes)}
    return {"features": features, "facts": facts}


def file_split(files: Sequence[str], columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split of picture files, read by row and left encoded; `path` joins the columns."""
    with tf.device("CPU:0"):
        names = tf.constant([os.fsencode(file) for file in files], tf.string)

    def load(row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.io.read_file(tf.gather(names, row))}

    return Split(Columns(len(files), {**columns, "path": object_column(files)}), load, **described(columns, classes))


def memory_split(images: np.ndarray, columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split that keeps its pictures, uint8 `[n, height, width, channels]`, in memory."""
    with tf.device("CPU:0"):
        pixels = tf.constant(images)

    def load(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.gather(pixels, rows)}

    told = described(columns, classes, images.shape[1:])
    return Split(Columns(len(images), dict(columns)), load, **told, batched=True)
