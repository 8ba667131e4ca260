"""The pyramid of a network of Keras layers: its last tensor at each stride, before the picture is halved."""

from __future__ import annotations

import math
from typing import Any

import keras

from kplug.authoring import steps_of

LEVELS = (2, 3, 4, 5)  # strides 4 to 32
PADDING = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)


def pyramid_levels(model: keras.Model) -> dict[str, Any]:
    """The tensors of a model by level, `P2` (stride 4) to `P5` (stride 32), as far as it has them.

    A level is the last tensor at its stride that everything after it comes from, so that no branch of a block that
    goes on to the next stride is taken for it; a network of cells that look back by two, as NASNet's, has none, and
    there it is the last one that joins several.

    Args:
        model: a functional one, of pictures to features with height and width.
    """
    steps = _steps(model)
    strides: dict[int, int] = {id(model.inputs[0]): 1}
    for layer, inputs, output in steps:
        strides[id(output)] = max(strides[id(tensor)] for tensor in inputs) * stride_of(layer)
    through = _tensors_on_every_way(steps)
    levels = {}
    for level in LEVELS:
        there = [
            (layer, inputs, output)
            for layer, inputs, output in steps
            if strides[id(output)] == 2**level and len(output.shape) == 4 and not isinstance(layer, PADDING)
        ]
        best = [step for step in there if id(step[2]) in through] or [s for s in there if len(s[1]) > 1] or there
        if best:
            levels[f"P{level}"] = best[-1][2]
    return levels


def features_and_levels(model: keras.Model, levels: dict[str, Any], pictures: Any) -> tuple[Any, dict[str, Any]]:
    """The output of a model for pictures, and beside it the tensors of its levels."""
    features, *tensors = keras.Model(model.inputs, [model.output, *levels.values()])(pictures)
    return features, dict(zip(levels, tensors, strict=True))


def _steps(model: keras.Model) -> list[tuple[Any, list[Any], Any]]:
    """(layer, inputs, output) of every layer that the output needs, each after those that it takes from."""
    return [(node.operation, node.input_tensors, node.outputs[0]) for node in steps_of(model) if node.input_tensors]


def _tensors_on_every_way(steps: list[tuple[Any, list[Any], Any]]) -> set[int]:
    """Ids of the outputs that no connection passes by: nothing after them takes from anything before them."""
    place = {id(output): number for number, (_, _, output) in enumerate(steps)}
    reach = list(range(len(steps)))  # of each output, the last step that takes it
    for number, (_, inputs, _) in enumerate(steps):
        for tensor in inputs:
            if id(tensor) in place:
                reach[place[id(tensor)]] = max(reach[place[id(tensor)]], number)
    found, furthest = set(), 0
    for number, (_, _, output) in enumerate(steps):
        if furthest <= number:
            found.add(id(output))
        furthest = max(furthest, reach[number])
    return found


def stride_of(layer: Any) -> int:
    """The factor by which a layer divides height and width."""
    if isinstance(layer, keras.Sequential):
        return math.prod(stride_of(inner) for inner in layer.layers)
    strides = getattr(layer, "strides", 1)
    return int(max(strides) if isinstance(strides, tuple | list) else strides)
