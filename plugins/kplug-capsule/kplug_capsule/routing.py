"""CapsNet (Sabour et al. 2017, https://arxiv.org/abs/1710.09829)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from kplug import SpecError
from kplug.network import Network

ops = keras.ops


def make_capsnet(
    classes: int, filters: int, kernel_size: int, primary: int, primary_size: int, size: int, iterations: int
) -> Network:
    """The network as a layer: images `[b, h, w, c]` to capsules `[b, classes, size]`."""

    def network(x: Any) -> Any:
        if None in x.shape[1:3]:
            raise SpecError("capsnet needs pictures of one size, each place has weights: set data.image.size")
        least = 2 * kernel_size - 1
        if min(x.shape[1:3]) < least:
            raise SpecError(
                f"two convolutions of {kernel_size}x{kernel_size} need pictures of {least} pixels at least, these have "
                f"{x.shape[1]}x{x.shape[2]}: take a smaller kernel_size, or make them larger with data.image.size"
            )
        x = layers.Conv2D(filters, kernel_size, activation="relu", kernel_initializer="he_normal", name="conv")(x)
        x = layers.Conv2D(primary * primary_size, kernel_size, 2, name="primary")(x)
        x = layers.Reshape((-1, primary_size), name="primary_capsules")(x)
        return RoutedCapsules(classes, size, iterations, name="class_capsules")(squash(x))

    return Network(network, name="capsnet")


def make_decoder(image_shape: tuple[int, int, int], hidden: tuple[int, int]) -> Network:
    """The decoder as a layer: `[b, features]` to `[b, height * width * channels]`, in 0 to 1."""

    def network(x: Any) -> Any:
        for number, units in enumerate(hidden, 1):
            x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"hidden{number}")(x)
        return layers.Dense(math.prod(image_shape), activation="sigmoid", dtype="float32", name="pixels")(x)

    return Network(network, name="capsule_decoder")


class RoutedCapsules(layers.Layer):
    """Capsules `[b, n, d]` to `[b, classes, size]`: those below send more to those above that agree with them.

    Args:
        classes: capsules above.
        size: their features.
        iterations: of the routing, at least 1.
        name: the layer's name.
    """

    def __init__(self, classes: int, size: int, iterations: int, name: str) -> None:
        super().__init__(name=name)
        self.classes, self.size, self.iterations = classes, size, iterations

    def build(self, input_shape: Any) -> None:
        _, count, below = input_shape
        normal = keras.initializers.RandomNormal(stddev=0.1)
        self.kernel = self.add_weight((self.classes, count, below, self.size), normal, name="kernel")

    def call(self, inputs: Any) -> Any:
        return self.route(inputs)[0]

    def route(self, inputs: Any) -> tuple[Any, Any]:
        """The capsules above, and how much each below sends to each, `[b, classes, n]`, which sums to 1 over them."""
        votes = ops.einsum("bnd,cnds->bcns", inputs, self.kernel)
        # how the routing comes about is no path for gradients but in its last step, as in the authors' code
        fixed = ops.stop_gradient(votes)
        logits = ops.zeros_like(fixed[..., 0])
        for number in range(self.iterations):
            shares = ops.softmax(logits, axis=1)
            last = number == self.iterations - 1
            above = squash(ops.einsum("bcn,bcns->bcs", shares, votes if last else fixed))
            if not last:
                logits = logits + ops.einsum("bcs,bcns->bcn", above, fixed)
        return above, shares


def squash(capsules: Any) -> Any:
    """Lengths of `[..., size]` brought below 1, directions kept; in float32, where a length of 0 has a gradient."""
    squares = ops.sum(ops.square(ops.cast(capsules, "float32")), axis=-1, keepdims=True)
    factor = ops.sqrt(squares + keras.config.epsilon()) / (1 + squares)
    return capsules * ops.cast(factor, capsules.dtype)
