"""Samplers that look at labels: each gives `(rng) -> int64 [steps, batch]`, the rows of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from kplug import Columns, DataInfo, SpecError
from kplug.errors import listed

Sampler = Callable[[np.random.Generator], np.ndarray]


def evenly(columns: Columns, data: DataInfo, batch_size: int, choose: Callable[[Iterable[int]], int]) -> Sampler:
    """A sampler of as many examples of every class, mixed, as `choose` (`max` or `min`) takes of the classes' sizes."""
    rows = [np.flatnonzero(column) for column in members(columns, data, several=False).T]
    each = choose(map(len, rows))

    def epoch(rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(np.concatenate([in_turn(rng, of_class, each) for of_class in rows]))

    return in_batches(epoch, each * len(rows), batch_size)


def class_balanced(columns: Columns, data: DataInfo, batch_size: int, power: float) -> Sampler:
    rows = [np.flatnonzero(column) for column in members(columns, data).T]
    chances = np.asarray([len(of_class) for of_class in rows], np.float64) ** power
    chances /= chances.sum()

    def epoch(rng: np.random.Generator) -> np.ndarray:
        classes = rng.choice(len(rows), columns.size, p=chances)
        found = np.empty(columns.size, np.int64)
        for number, of_class in enumerate(rows):
            places = np.flatnonzero(classes == number)
            found[places] = in_turn(rng, of_class, len(places))
        return found

    return in_batches(epoch, columns.size, batch_size)


def weighted(columns: Columns, column: str, batch_size: int) -> Sampler:
    values = columns[column]
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise SpecError(f"column '{column}' holds no numbers that could be weights")
    weights = values.astype(np.float64)
    if not np.isfinite(weights).all() or weights.min() < 0 or not weights.sum():
        raise SpecError(
            f"weights are at least 0 and not all 0; column '{column}' has {weights.min():g} to {weights.max():g}"
        )
    chances = weights / weights.sum()
    return in_batches(lambda rng: rng.choice(columns.size, columns.size, p=chances), columns.size, batch_size)


def repeat_factor(columns: Columns, data: DataInfo, batch_size: int, threshold: float) -> Sampler:
    labels = members(columns, data)
    shares = labels.mean(axis=0)
    of_class = np.maximum(1.0, np.sqrt(threshold / shares))
    factors = np.where(labels, of_class, 1.0).max(axis=1)  # 1 for an example without a label
    total = int(factors.sum() + 1e-6)

    def epoch(rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(columns.size)
        # a grid of step 1 laid over the factors at a random place: each example the expected number of times, and
        # the sum of all the same in every epoch, but for 1
        ends = np.floor(np.cumsum(factors[order]) + rng.uniform(1e-6, 1)).astype(np.int64)
        repeats = np.diff(ends, prepend=0)
        return rng.permutation(np.repeat(order, repeats))[:total]

    return in_batches(epoch, total, batch_size)


# --- what they share -----------------------------------------------------------------------------------------------


def members(columns: Columns, data: DataInfo, several: bool = True) -> np.ndarray:
    """The classes of every example, bool `[n, classes]`.

    Raises:
        SpecError: there are no labels, several where one is needed, or a class without examples.
    """
    if data.label not in columns or not data.classes:
        raise SpecError(f"the source gives no column '{data.label}' of classes by which to sample")
    labels = np.asarray(columns[data.label])
    if labels.ndim == 2 and not several:
        raise SpecError("it is for one label an example, and the source gives several; take class_balanced")
    found = labels > 0 if labels.ndim == 2 else labels[:, np.newaxis] == np.arange(len(data.classes))
    empty = [
        f"'{name}'"
        for name, any_of_it in zip(data.classes, np.any(found, axis=0).tolist(), strict=True)
        if not any_of_it
    ]
    if empty:
        raise SpecError(
            f"there are no training examples of {listed(empty)}; leave these classes out, or take another sampler"
        )
    return found


def in_turn(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """Draw `count` of the rows in random order, none once more before all came as often."""
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:count]


def in_batches(epoch: Callable[[np.random.Generator], np.ndarray], count: int, batch_size: int) -> Sampler:
    """The rows of an epoch, of which there are `count` or one less, in full batches."""
    steps = count // batch_size
    if steps == 0:
        raise SpecError(
            f"{count} examples an epoch do not fill a batch of {batch_size}; set batch_size to at most {count}"
        )
    return lambda rng: epoch(rng)[: steps * batch_size].reshape(steps, batch_size)
