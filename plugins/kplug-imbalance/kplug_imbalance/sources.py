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
    places = np.asarray(chosen.columns[label]) + 1  # the first is for those whose class is not known
    sizes = np.bincount(places, minlength=len(classes) + 1)
    weight = {"weight": (1 / sizes[places]).astype(np.float32)}
    columns = replace(chosen.columns, arrays={**chosen.columns.arrays, **weight})
    return {**of, "train": replace(chosen, columns=columns)}


def tail_rows(labels: np.ndarray, classes: int, factor: float) -> np.ndarray:
    """The rows that stay, in their order, int64: fewer of each class, and all whose class is not known.

    Args:
        labels: of all rows; -1 where the class is not known.
        classes: how many there are.
        factor: size of the first class by that of the last.
    """
    largest = np.bincount(labels[labels >= 0], minlength=classes).max()
    sizes = largest * factor ** (-np.arange(classes) / max(classes - 1, 1))
    kept = [np.flatnonzero(labels == label)[: max(1, int(size + 1e-6))] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate([*kept, np.flatnonzero(labels < 0)]))
