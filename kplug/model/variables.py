"""Every variable and optimizer below a model: what a checkpoint holds, and where learning rates are lowered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

# objects whose attributes are looked into; others, such as schedules and the nodes of a graph, hold nothing to be kept
_HOLDERS = (
    keras.Layer,
    keras.optimizers.Optimizer,
    keras.metrics.Metric,
    keras.losses.Loss,
    keras.random.SeedGenerator,
)


def walk(item: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield (path, thing) for a model and everything below it, each thing once, by the first path that leads to it.

    A path is the names of attributes, keys and numbers in lists that lead from the model to the thing. Paths of
    variables name the values of a checkpoint: their form and the order of the walk are part of its format. They go
    through private attributes of Keras too, so that a checkpoint is of one version of Keras, which a run records.
    """
    seen = set() if seen is None else seen
    item = item.value if isinstance(item, keras.Variable) else item
    if id(item) in seen:
        return
    seen.add(id(item))
    yield path, item
    parts: Any = ()
    if isinstance(item, list | tuple):
        parts = enumerate(item)
    elif isinstance(item, dict):
        parts = item.items()
    elif isinstance(item, _HOLDERS):
        parts = vars(item).items()
    for name, part in parts:
        yield from walk(part, f"{path}/{name}" if path else name, seen)


def reachable_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Return every variable that can be reached from a model, by the path of attributes that leads to it.

    Weights, seeds, metrics, all optimizers and whatever else a model holds; `tf.train.Checkpoint(model)` leaves out
    the seeds and the metrics.
    """
    return {path: item for path, item in walk(model) if isinstance(item, tf.Variable)}


def optimizers_of(model: keras.Model) -> list[Any]:
    """Return every optimizer that is reachable from a model, those that others wrap among them."""
    return [item for _, item in walk(model) if isinstance(item, keras.optimizers.Optimizer)]
