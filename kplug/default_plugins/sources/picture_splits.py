"""Splits of pictures in files or in memory, and the share of their examples that becomes the test split."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.splits import SPLITS, stable_share
from kplug.errors import SpecError
from kplug.records import Columns, Split


def share_out(examples: Sequence, keys: Sequence[str], test: float) -> dict[str, list]:
    """Share examples out to train and, unless `test` is 0, to test, in their order.

    Args:
        examples: anything, one a key.
        keys: by which a stable share is chosen.
        test: the share, 0 to 1.
    """
    if test == 0:
        return {"train": list(examples)}
    chosen = stable_share(keys, test)
    if chosen.all() or not chosen.any():
        part = "train" if chosen.any() else "test"
        what = f"test: {test:g} of {len(keys)} examples leaves none for {part}"
        raise SpecError(f"{what}; choose another share, or 0 for no test")
    parts = {"train": ~chosen, "test": chosen}
    return {split: list(itertools.compress(examples, part)) for split, part in parts.items()}


def in_order(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a source by split, in the order train, validation, test; those that hold nothing are left out."""
    return {split: parts[split] for split in SPLITS if parts.get(split)}


def object_column(values: Sequence[Any]) -> np.ndarray:
    """An array of objects, such as strings or bytes.

    NumPy's own strings all have the length of the longest, and its bytes lose zeros at the end.
    """
    return np.array([*values, None], object)[:-1]


def file_split(files: Sequence[str], columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split of picture files, read by row and left encoded; `path` joins the columns."""
    with tf.device("CPU:0"):
        names = tf.constant([os.fsencode(file) for file in files], tf.string)

    def load(row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.io.read_file(tf.gather(names, row))}

    return Split(Columns(len(files), {**columns, "path": object_column(files)}), load, tuple(classes))


def memory_split(images: np.ndarray, columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split that keeps its pictures, uint8 `[n, height, width, channels]`, in memory."""
    with tf.device("CPU:0"):
        pixels = tf.constant(images)

    def load(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.gather(pixels, rows)}

    height, width, channels = images.shape[1:]
    return Split(Columns(len(images), dict(columns)), load, tuple(classes), (height, width, channels), batched=True)
