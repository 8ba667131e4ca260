"""The examples of train that validate: a share, or a fold of several, the same ones each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.checking import plain
from kplug.errors import SpecError
from kplug.kinds import Columns, Split
from kplug.shares import stable_part
from kplug.spec import Spec


def validating(spec: Spec, splits: Mapping[str, Split]) -> tuple[float, float]:
    """From where to where, in shares of train, examples validate."""
    wanted = plain(spec["data.validation"])
    if not isinstance(wanted, dict):
        return 0.0, 0.0 if "validation" in splits else wanted
    if "validation" in splits:
        path = ("data", "validation")
        raise SpecError("the source has a validation split of its own, so that no fold of train validates").located(
            path, spec.where(path)
        )
    return wanted["fold"] / wanted["of"], (wanted["fold"] + 1) / wanted["of"]


def set_apart(split: Split, begin: float, end: float) -> tuple[Split, Split]:
    """Train and validation: the same examples each time, and with further files nearly the same."""
    paths = split.columns.arrays.get("path")
    keys = [str(key) for key in (range(len(split)) if paths is None else paths)]
    chosen = stable_part(keys, begin, end)
    return choose_rows(split, np.flatnonzero(~chosen)), choose_rows(split, np.flatnonzero(chosen))


def choose_rows(split: Split, rows: np.ndarray) -> Split:
    """Some examples of a split, in the order of `rows`."""
    table = tf.constant(rows, tf.int64)
    columns = Columns(len(rows), {name: array[rows] for name, array in split.columns.arrays.items()})

    def load(row: Any) -> dict[str, Any]:
        return split.load(tf.gather(table, row))

    return Split(columns, load, split.classes, split.image, split.batched, split.vocabulary)
