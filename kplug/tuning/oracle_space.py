"""A space as Keras Tuner declares one, and Keras Tuner's values as a point of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np

from kplug.records import SearchInfo
from kplug.spec.search.ranges import Range
from kplug.spec.search.space import Point, Space


def declare(space: Space, hyperparameters: keras_tuner.HyperParameters | None = None) -> keras_tuner.HyperParameters:
    """Register every range by its path, what stands below a label under its condition."""
    declared = keras_tuner.HyperParameters() if hyperparameters is None else hyperparameters
    for one in space:
        with contextlib.ExitStack() as conditions:
            for path, label in one.conditions:
                conditions.enter_context(declared.conditional_scope(path, [label]))
            _register(declared, one)
    return declared


def _register(declared: keras_tuner.HyperParameters, one: Range) -> None:
    if one.kind == "bool":
        declared.Boolean(one.path)
    elif one.kind == "choice":
        declared.Choice(one.path, _words(one))
    elif one.kind == "int":
        declared.Int(one.path, one.low, one.high, step=one.step)
    elif one.values is not None:
        declared.Choice(one.path, list(one.values))  # Keras Tuner's own steps lose the last: 0.5 // 0.1 is 4
    else:
        declared.Float(one.path, one.low, one.high, sampling="log" if one.kind == "log" else "linear")


def _words(one: Range) -> list[Any]:
    """The candidates as Keras Tuner takes them, which must be of one type: others are written as JSON."""
    values = list(one.labels or one.candidates)
    is_taken = {type(value) for value in values} in ({int}, {float}, {str})
    return values if is_taken else [json.dumps(value) for value in values]


def point_of(space: Space, values: Mapping[str, Any]) -> Point:
    """The point, path to value, of which Keras Tuner has these values."""
    point: Point = {}
    for one in space:
        if one.is_active(point):
            value = values[one.path]
            if one.kind == "choice":
                value = (one.labels or one.candidates)[_words(one).index(value)]
            point[one.path] = value.item() if isinstance(value, np.generic) else value
    return point


def values_of(space: Space, point: Point) -> dict[str, Any]:
    """The values that Keras Tuner has of a point."""
    values = dict(point)
    for one in space.active(point):
        if one.kind == "choice":
            alike = [(type(value), value) for value in one.labels or one.candidates]  # True is no 1 here
            values[one.path] = _words(one)[alike.index((type(point[one.path]), point[one.path]))]
    return values


def search_info(space: Space, name: str, direction: str, seed: int, epochs: int, first: int = 0) -> SearchInfo:
    """The record that an oracle is injected with.

    Args:
        space: that it searches.
        name: of the number by which trials are compared.
        direction: minimize or maximize.
        seed: of the spec.
        epochs: of a whole training.
        first: how many points the spec gives before the oracle's own.
    """
    objective = keras_tuner.Objective(name, direction[:3])
    return SearchInfo(declare(space), objective, mixed(seed), max(1, epochs), space.size(), first, space)


def mixed(seed: int) -> int:
    """A seed for Keras Tuner that lies far from those of neighbours, since its oracles draw with seed, seed + 1, ..."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) or 1
