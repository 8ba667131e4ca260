"""A space as Keras Tuner declares one, and Keras Tuner's values as a point of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np

from kplug.spec.search.ranges import Range
from kplug.spec.search.space import Point, Space


def declare(space: Space, hyperparameters: keras_tuner.HyperParameters | None = None) -> keras_tuner.HyperParameters:
    """Register every range by its path, what stands below a label under its condition."""
    found = hyperparameters if hyperparameters is not None else keras_tuner.HyperParameters()
    for one in space:
        with contextlib.ExitStack() as conditions:
            for path, label in one.conditions:
                conditions.enter_context(found.conditional_scope(path, [label]))
            _register(found, one)
    return found


def _register(found: keras_tuner.HyperParameters, one: Range) -> None:
    if one.kind == "bool":
        found.Boolean(one.path)
    elif one.kind == "choice":
        found.Choice(one.path, _words(one))
    elif one.kind == "int":
        found.Int(one.path, one.low, one.high, step=one.step)
    elif one.values is not None:
        found.Choice(one.path, list(one.values))  # Keras Tuner's own steps lose the last: 0.5 // 0.1 is 4
    else:
        found.Float(one.path, one.low, one.high, sampling="log" if one.kind == "log" else "linear")


def _words(one: Range) -> list[Any]:
    """The candidates as Keras Tuner takes them, all of one type; others as text."""
    values = list(one.labels or one.candidates)
    alike = {type(value) for value in values}
    return values if len(alike) == 1 and alike <= {int, float, str} else [json.dumps(value) for value in values]


def point_of(space: Space, values: Mapping[str, Any]) -> Point:
    """The point that Keras Tuner's values of active ranges are."""
    point: Point = {}
    for one in space:
        if one.is_active(point):
            value = values[one.path]
            if one.kind == "choice":
                value = (one.labels or one.candidates)[_words(one).index(value)]
            point[one.path] = value.item() if isinstance(value, np.generic) else value
    return point


def values_of(space: Space, point: Point) -> dict[str, Any]:
    """Keras Tuner's values of a point."""
    values = dict(point)
    for one in space.active(point):
        if one.kind == "choice":
            value = point[one.path]
            same = [type(value) is type(other) and value == other for other in one.labels or one.candidates]
            values[one.path] = _words(one)[same.index(True)]
    return values


def begin_with(oracle: keras_tuner.Oracle, points: list[dict[str, Any]], by_epochs: bool) -> None:
    """Have an oracle's first trials be these.

    Args:
        oracle: that has not been asked yet.
        points: Keras Tuner's values of each.
        by_epochs: the oracle gives its trials epochs.

    Raises:
        ValueError: they are more than the oracle makes.
    """
    most = oracle.max_trials
    if most and len(points) > most:
        raise ValueError(f"has {len(points)} points, and the oracle makes no more trials than {most}")
    draw, propose = oracle._random_values, oracle.populate_space

    def given() -> dict[str, Any] | None:
        number = len(oracle.trials)
        return dict(points[number]) if number < len(points) else None

    def populate(trial_id: str) -> dict[str, Any]:
        found = given()
        return {"status": "RUNNING", "values": found} if found else propose(trial_id)

    if by_epochs:
        oracle._random_values = lambda: given() or draw()  # what is around it notes the trial's round
    else:
        oracle.populate_space = populate


def mixed(seed: int) -> int:
    """A seed for Keras Tuner, whose oracles draw with seed, seed + 1, ...: neighbours would draw nearly the same."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) or 1
