"""The records that oracles are given, and those that they propose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class SearchInfo:
    """The space that an oracle searches, and what is best in it.

    Args:
        hyperparameters: a `keras_tuner.HyperParameters` that declares the space.
        objective: a `keras_tuner.Objective`.
        seed: a number other than 0, which Keras Tuner takes for none.
        epochs: how many a whole training has.
        points: how many the space has; infinite where a range is an interval.
        first: how many trials `search.first` gives before the oracle proposes its own.
        space: the ranges in order, each with its `path`; `space.sample(rng)` is a random point, path to value.
    """

    hyperparameters: Any
    objective: Any
    seed: int
    epochs: int
    points: float = float("inf")
    first: int = 0
    space: Any = None


@dataclass(frozen=True, eq=False)
class Proposal:
    """A point that an oracle proposes, where more is to be said of it than its values.

    Args:
        point: path to value.
        epochs: of the whole training, which the trial is to have; None: all.
        origin: number of the trial that it goes on from; None where it begins.
        values: the point in the oracle's own words, kept in the journal and given to it where a search goes on.
    """

    point: Mapping[str, Any]
    epochs: int | None = None
    origin: int | None = None
    values: Mapping[str, Any] | None = None
