"""Every variable and optimizer that is reachable from a model."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_HOLDERS = (
    *(keras.layers.Layer, keras.optimizers.Optimizer, keras.metrics.Metric, keras.losses.Loss),
    keras.random.SeedGenerator,
)


def reachable_variables(model: keras.Model) -> dict[str, Any]:
    """Every variable that can be reached from a model, by the path of attributes that leads to it.

    Weights, seeds, metrics, all optimizers and whatever else a model holds; `tf.train.Checkpoint(model)` leaves out
    the seeds and the metrics.
    """
    found: dict[str, Any] = {}
    _collect(model, "", found, set())
    return found


def _collect(item: Any, path: str, found: dict[str, Any], seen: set[int]) -> None:
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, keras.Variable):
        _collect(item.value, path, found, seen)
    elif isinstance(item, tf.Variable):
        found[path] = item
    elif isinstance(item, list | tuple):
        for number, part in enumerate(item):
            _collect(part, f"{path}/{number}", found, seen)
    elif isinstance(item, dict):
        for key, part in item.items():
            _collect(part, f"{path}/{key}", found, seen)
    elif isinstance(item, _HOLDERS):
        for name, part in vars(item).items():
            _collect(part, f"{path}/{name}" if path else name, found, seen)


def optimizers_of(model: keras.Model) -> list[Any]:
    """Every optimizer that is reachable from a model, those that others wrap among them."""
    found: list[Any] = []
    _collect_optimizers(model, found, set())
    return found


def _collect_optimizers(item: Any, found: list[Any], seen: set[int]) -> None:
    """Every optimizer below an attribute, those that others wrap among them."""
    if id(item) in seen or isinstance(item, keras.Variable):
        return
    seen.add(id(item))
    if isinstance(item, keras.optimizers.Optimizer):
        found.append(item)
    if isinstance(item, keras.Layer | keras.optimizers.Optimizer):
        item = list(vars(item).values())
    elif isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, list | tuple):
        for part in item:
            _collect_optimizers(part, found, seen)
