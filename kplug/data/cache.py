"""Splits that are kept in memory once they were read: their arrays as a batch has them, decoded and resized."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.console import log
from kplug.data.features import loader
from kplug.data.readable import READING
from kplug.data.staging import mapped
from kplug.data.values import Arrays
from kplug.records import DataInfo, Field, Split

MIB = 2**20
AT_ONCE = 2**23  # bytes of a batch in which examples come here: what is held beside the arrays themselves


def splits_that_fit(splits: Mapping[str, Split], info: DataInfo) -> list[str]:
    """The splits that are kept: whole ones while they fit, in their order; those that load many rows at once are not.

    It depends on sizes alone, never on the memory that is free, so that it is the same whenever it is asked.
    """
    each = size_of_an_example(info)
    room = max(split.cache_mb for split in splits.values()) * MIB
    found = []
    for name, split in splits.items():
        size = len(split) * each
        if not split.batched and 0 < size <= min(room, split.cache_mb * MIB):
            found.append(name)
            room -= size
    return found


def size_of_an_example(info: DataInfo) -> int:
    """Bytes of an example's arrays; 0 where one is text, whose size nobody knows before."""
    dtypes = [tf.as_dtype(one.dtype) for one in info.fields.values()]
    if tf.string in dtypes:
        return 0
    sizes = (math.prod(_shape(1, one)) for one in info.fields.values())
    return sum(size * dtype.size for size, dtype in zip(sizes, dtypes, strict=True))


def read_whole(name: str, split: Split, info: DataInfo) -> Arrays:
    """All examples of a split: arrays `[n, ...]` by the names of a batch."""
    each = size_of_an_example(info)
    log(f"reading {len(split):,} examples of {name} into memory, {len(split) * each / MIB:,.1f} MiB")
    load = loader(split, info.codecs)

    def read(row: Any) -> dict[str, Any]:
        with tf.name_scope(READING):
            return load(row)

    arrays = {key: np.empty(_shape(len(split), one), _of_numpy(one)) for key, one in info.fields.items()}
    batches = mapped(tf.data.Dataset.range(len(split)), read).batch(max(1, AT_ONCE // each))
    begin = end = 0
    for batch in batches.as_numpy_iterator():
        for key, values in batch.items():
            end = begin + len(values)
            arrays[key][begin:end] = values
        begin = end
    return arrays


def lookup(arrays: Arrays, info: DataInfo) -> Callable[[Any], dict[str, Any]]:
    """A function of rows `[b]` to the arrays of a batch, as a loader of many rows is."""
    names = list(arrays)

    def take(rows: np.ndarray) -> list[np.ndarray]:
        return [np.take(arrays[name], rows, axis=0) for name in names]

    def load(rows: Any) -> dict[str, Any]:
        dtypes = [info.fields[name].dtype for name in names]
        found = tf.numpy_function(take, [rows], [tf.as_dtype(dtype) for dtype in dtypes], stateful=False)
        shapes = [[*rows.shape, *info.fields[name].shape] for name in names]
        return {name: tf.ensure_shape(*pair) for name, *pair in zip(names, found, shapes, strict=True)}

    return load


def _shape(count: int, field: Field) -> tuple[int, ...]:
    return (count, *(size or 0 for size in field.shape))


def _of_numpy(field: Field) -> Any:
    return tf.as_dtype(field.dtype).as_numpy_dtype
