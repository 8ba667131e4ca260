"""The values that a split gives for one field, and the arrays of a batch by the fields that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.errors import SpecError
from kplug.records import Codec, Split

Arrays = dict[str, np.ndarray]


def value_of(split: Split, name: str, row: int) -> Any:
    """The value of a field in one row, as the source gives it."""
    if name in split.columns:
        return tf.constant(readable_column(split.columns[name][row : row + 1]))[0]
    return split.load(tf.constant(row, tf.int64))[name]


def readable_column(column: np.ndarray) -> np.ndarray:
    """A column as TensorFlow takes it: of objects, such as strings with None among them, those are texts."""
    return as_texts(column) if column.dtype == object else column


def values_of(split: Split, name: str) -> np.ndarray:
    """The values of a field in all rows; they are loaded one after another where they are no column."""
    if name in split.columns:
        return split.columns[name]
    rows = tf.data.Dataset.range(len(split))
    found = rows.map(lambda row: split.load(row)[name], num_parallel_calls=tf.data.AUTOTUNE)
    return np.stack(list(found.as_numpy_iterator()))


def texts_of(split: Split, name: str) -> np.ndarray:
    """The texts of a field in all rows, bytes `[n]` or `[n, most]`; what is missing is an empty one."""
    if name in split.columns:
        values = split.columns[name]
        if values.dtype.kind not in "OUS":
            raise SpecError(f"'{name}' gives {values.dtype}, not text")
        return as_texts(values)
    rows = tf.data.Dataset.range(len(split))
    found = rows.map(lambda row: split.load(row)[name], num_parallel_calls=tf.data.AUTOTUNE)
    if found.element_spec.dtype != tf.string:
        raise SpecError(f"'{name}' gives {found.element_spec.dtype.name}, not text")
    return as_texts(_objects(list(found.as_numpy_iterator())))


def as_texts(column: np.ndarray) -> np.ndarray:
    """A column of texts, or of lists of them, as bytes; None and NaN are empty texts, short lists are filled up."""
    if column.ndim > 1:
        return _objects([_as_bytes(text) for text in column.ravel()]).reshape(column.shape)
    values = column.tolist()
    if not any(isinstance(value, list | tuple | np.ndarray) for value in values):
        return _objects([_as_bytes(value) for value in values])
    rows = [[_as_bytes(text) for text in (() if value is None else value)] for value in values]
    most = max(map(len, rows))
    return _objects([text for row in rows for text in [*row, *[b""] * (most - len(row))]]).reshape(len(rows), most)


def _as_bytes(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    if text is None or text != text:  # NaN
        return b""
    return str(text).encode("utf-8", "surrogateescape")


def _objects(values: list[Any]) -> np.ndarray:
    """An array of objects; NumPy's own bytes all have the length of the longest, and lose zeros at the end."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def by_owner(arrays: Mapping[str, Any], codecs: Mapping[str, Codec]) -> dict[str, dict[str, Any]]:
    """The arrays of a batch by field, and in it by suffix; one that no codec has made is a field itself."""
    found: dict[str, dict[str, Any]] = {}
    for name, values in arrays.items():
        field = owner(name, codecs)
        found.setdefault(field, {})[name[len(field) + 1 :]] = values
    return found


def owner(array: str, codecs: Mapping[str, Codec]) -> str:
    """The field that an array of a batch belongs to."""
    if array in codecs:
        return array
    owners = (name for name, codec in codecs.items() if array.startswith(f"{name}_"))
    suffixes = {name: {*codecs[name].arrays, *codecs[name].restored()} for name in owners}
    return next((name for name, own in suffixes.items() if array[len(name) + 1 :] in own), array)
