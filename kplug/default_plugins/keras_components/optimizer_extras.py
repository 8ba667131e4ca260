"""The two parameters that kplug adds to every optimizer of Keras: which weights decay, how fast each layer learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kplug.model.patches import leave_out_weight_decay, number_of, rate_of, weight_decay_of

VECTORS = ("bias", "gamma", "beta")  # some have two axes all the same: one row for each head, or for each gate


def adjusted(optimizer: keras.optimizers.Optimizer, decay_vectors: bool, layer_decay: float | None) -> Any:
    """Change an optimizer and return it; what is added lives in numbers of Python, so that it holds no further weights.

    Args:
        optimizer: not built yet.
        decay_vectors: weight decay for biases and norms too.
        layer_decay: what the learning rate is multiplied by for each layer further from the output; None is 1.
    """
    build = optimizer.build

    def build_adjusted(variables: Sequence[keras.Variable]) -> None:
        if not (decay_vectors or optimizer.built):
            optimizer.exclude_from_weight_decay([variable for variable in variables if is_vector(variable)])
        build(variables)
        if layer_decay is not None:
            _step_by_layer(optimizer, variables, layer_decay)

    optimizer.build = build_adjusted
    scale = getattr(rate_of(optimizer), "scale", None)
    if isinstance(scale, keras.Variable):
        optimizer.rate_scale = scale  # a checkpoint looks into optimizers, not into schedules
    return optimizer


def is_vector(variable: Any) -> bool:
    """Return True for a bias, the scale or offset of a norm, and whatever else has one axis at most."""
    return len(variable.shape) < 2 or variable.name in VECTORS


def layers_above(variables: Sequence[Any]) -> list[int]:
    """Count the layers between each weight's layer and the output, 0 for the last.

    A layer is what the first two names of a path stand for: `vit/block3` in `vit/block3/attention/query/kernel`,
    `resnet/stem_conv` in `resnet/stem_conv/kernel`, `vit` in `vit/token`. Layers come in the order of their first
    weights, that of the model; the head is the last. One without a matrix, such as a norm, counts with the layer
    before it.
    """
    layers = ["/".join(variable.path.split("/")[:-1][:2]) or variable.path for variable in variables]
    with_matrix = {layer for layer, variable in zip(layers, variables, strict=True) if not is_vector(variable)}
    places: dict[str, int] = {}
    counted = -1
    for layer in layers:
        if layer not in places:
            counted += layer in with_matrix
            places[layer] = max(counted, 0)
    return [max(places.values()) - places[layer] for layer in layers]


def _step_by_layer(optimizer: Any, variables: Sequence[keras.Variable], layer_decay: float) -> None:
    """Make each step, weight decay included, with the rate of the weight's layer."""
    shares = [layer_decay**above for above in layers_above(variables)]
    decays = [weight_decay_of(optimizer, variable) for variable in variables]
    step = optimizer.update_step
    # Adafactor caps its rate at 1 / sqrt(step), so a smaller rate has no effect early: the change is scaled instead
    limited = isinstance(optimizer, keras.optimizers.Adafactor)

    def step_by_layer(gradient: Any, variable: Any, learning_rate: Any) -> None:
        number = number_of(optimizer, variable)
        rate = ops.cast(learning_rate, variable.dtype) * shares[number]
        if decays[number]:
            optimizer.assign_sub(variable, variable * (rate * decays[number]))
        before = ops.copy(variable) if limited else None
        step(gradient, variable, learning_rate if limited else rate)
        if limited:
            optimizer.assign(variable, before + (variable - before) * shares[number])

    optimizer.update_step = step_by_layer
    leave_out_weight_decay(optimizer)  # the step does it
