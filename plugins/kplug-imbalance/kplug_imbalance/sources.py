"""Sources that change the sizes of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kplug import SpecError
from kplug.authoring import choose_rows
from kplug.kinds import Split


def long_tail(of: Mapping[str, Split], factor: float, label: str) -> dict[str, Split]:
    train = of["train"]
    labels, classes = train.columns.arrays.get(label), train.facts.get(label, {}).get("classes", ())
    if labels is None or np.asarray(labels).ndim != 1 or not classes:
        raise SpecError("long_tail needs a source with one label an example")
    if "weight" in train.columns:
        raise SpecError("long_tail gives a column 'weight', and the source has one already")
    chosen = choose_rows(train, tail_rows(np.asarray(labels), len(classes), factor))
    sizes = np.bincount(chosen.columns[label], minlength=len(classes))
    weight = {"weight": (1 / sizes[chosen.columns[label]]).astype(np.float32)}
    columns = replace(chosen.columns, arrays={**chosen.columns.arrays, **weight})
    return {**of, "train": replace(chosen, columns=columns)}


def tail_rows(labels: np.ndarray, classes: int, factor: float) -> np.ndarray:
    """The rows that stay, in their order, int64.

    Args:
        labels: of all rows.
        classes: how many there are.
        factor: size of the first class by that of the last.
    """
    largest = np.bincount(labels, minlength=classes).max()
    sizes = largest * factor ** (-np.arange(classes) / max(classes - 1, 1))
    kept = [np.flatnonzero(labels == label)[: max(1, int(size + 1e-6))] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate(kept))
