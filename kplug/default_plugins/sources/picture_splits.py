"""Splits of pictures, in files or in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.source_files import Files, object_column
from kplug.records import Columns, Split


def cached(splits: Mapping[str, Split], cache_mb: int) -> dict[str, Split]:
    """Splits of which so much is kept in memory once it was read."""
    return {name: replace(split, cache_mb=cache_mb) for name, split in splits.items()}


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


def file_split(files: Files, columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split of picture files, read by row and left encoded; `path` joins the columns."""
    paths, names, sizes = files.paths, files.names, files.sizes
    with tf.device("CPU:0"):
        encoded = tf.constant([os.fsencode(path) for path in paths], tf.string)

    def load(row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.io.read_file(tf.gather(encoded, row))}

    table = Columns(len(paths), {**columns, "path": object_column(paths)})
    return Split(table, load, **described(columns, classes), names=names, sizes=sizes)


def memory_split(images: np.ndarray, columns: Mapping[str, np.ndarray], classes: Sequence[str]) -> Split:
    """A split that keeps its pictures, uint8 `[n, height, width, channels]`, in memory."""
    with tf.device("CPU:0"):
        pixels = tf.constant(images)

    def load(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.gather(pixels, rows)}

    told = described(columns, classes, images.shape[1:])
    return Split(Columns(len(images), dict(columns)), load, **told, batched=True)
