"""Which weights a stage trains, by which optimizers, and which it takes over from the stage before."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import keras

from kplug.errors import SpecError, listed
from kplug.evaluate import log
from kplug.spec import Spec


def freeze(spec: Spec, model: keras.Model) -> None:
    """Freeze the layers whose path matches no pattern of `fit.trainable`.

    Raises:
        SpecError: a pattern matches no layer.
    """
    patterns = spec["fit.trainable"]
    layers = {path_of(layer): layer for layer in leaf_layers(model)}
    for position, pattern in enumerate(patterns):
        if not fnmatch.filter(layers, pattern):
            path = ("fit", "trainable", position)
            message = f"'{pattern}' matches no layer; there are {listed(sorted(layers), 40)}"
            raise SpecError(message).located(path, spec.where(path))
    for path_, layer in layers.items():
        layer.trainable = any(fnmatch.fnmatchcase(path_, pattern) for pattern in patterns)


def leaf_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that own weights themselves."""
    found = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in found if layer._trainable_variables or layer._non_trainable_variables]


def path_of(layer: keras.Layer) -> str:
    """A layer's path below the model: `resnet/stage1/conv`."""
    variables = [*layer._trainable_variables, *layer._non_trainable_variables]
    return variables[0].path.rpartition("/")[0]


def carry_over(weights: Mapping[str, Any], model: keras.Model) -> None:
    """Give a model the weights of the stage before, by path; say which it does not take."""
    left = dict(weights)
    new = []
    for weight in model.weights:
        if weight.path in left and left[weight.path].shape == tuple(weight.shape):
            weight.assign(left.pop(weight.path))
        else:
            new.append(weight.path)
    finalize(model)
    if new or left:
        log(f"not carried over: {listed([*left, *new])}")


def finalize(model: keras.Model) -> None:
    """After weights were assigned: let layers see it that compute with copies of theirs, as Normalization does."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def optimizers_of(model: keras.Model) -> list[Any]:
    """Every optimizer that is reachable from a model, those that others wrap among them."""
    found: list[Any] = []
    _collect(model, found, set())
    return found


def _collect(item: Any, found: list[Any], seen: set[int]) -> None:
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
            _collect(part, found, seen)
