"""CapsNet (Sabour et al. 2017, https://arxiv.org/abs/1710.09829)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from keras import config, initializers, layers, ops

from kplug import SpecError
from kplug_capsule.pictures import refuse_small


def build_capsnet(
    x: Any, classes: int, filters: int, kernel_size: int, primary: int, primary_size: int, size: int, iterations: int
) -> Any:
    """The network: images `[b, h, w, c]` to capsules `[b, classes, size]`."""
    if None in x.shape[1:3]:
        raise SpecError("capsnet needs pictures of one size, each place has weights: set data.features.image.size")
    refuse_small(kernel_size, *x.shape[1:3])
    x = layers.Conv2D(filters, kernel_size, activation="relu", kernel_initializer="he_normal", name="conv")(x)
    x = layers.Conv2D(primary * primary_size, kernel_size, 2, name="primary")(x)
    places = tuple(x.shape[1:3])
    x = layers.Reshape((-1, primary_size), name="primary_capsules")(x)
    return RoutedCapsules(classes, size, iterations, name="class_capsules", places=places)(squash(x))


def build_decoder(x: Any, image_shape: Sequence[Any], hidden: tuple[int, int]) -> Any:
    """The decoder: `[b, features]` to `[b, height * width * channels]`, in 0 to 1."""
    for number, units in enumerate(hidden, 1):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"hidden{number}")(x)
    return layers.Dense(math.prod(image_shape), activation="sigmoid", dtype="float32", name="pixels")(x)


class RoutedCapsules(layers.Layer):
    """Capsules `[b, n, d]` to `[b, classes, size]`: those below send more to those above that agree with them.

    Args:
        classes: capsules above.
        size: their features.
        iterations: of the routing, at least 1.
        name: the layer's name.
        places: rows and columns of the grid that the capsules below stand on, the kinds of one place side by side; None
            where they stand on none.
    """

    def __init__(
        self, classes: int, size: int, iterations: int, name: str, places: tuple[int, int] | None = None
    ) -> None:
        super().__init__(name=name)
        self.classes, self.size, self.iterations, self.places = classes, size, iterations, places
        self.seen: list[Any] | None = None

    def build(self, input_shape: Any) -> None:
        _, count, below = input_shape
        normal = initializers.RandomNormal(stddev=0.1)
        self.kernel = self.add_weight((self.classes, count, below, self.size), normal, name="kernel")

    def call(self, inputs: Any) -> Any:
        if self.seen is not None:
            self.seen.append(inputs)
        return self.route(inputs)[0]

    def route(self, inputs: Any) -> tuple[Any, Any]:
        """The capsules above, and how much each below sends to each, `[b, classes, n]`, which sums to 1 over them."""
        *_, last = self.steps(inputs)
        return last

    def steps(self, inputs: Any) -> Iterator[tuple[Any, Any]]:
        """The answer of `route` after each iteration.

        Gradients pass through the last one alone: the agreements that led there are taken as they are.
        """
        votes = ops.einsum("bnd,cnds->bcns", inputs, self.kernel)
        fixed = ops.stop_gradient(votes)
        logits = ops.zeros_like(fixed[..., 0])
        for number in range(self.iterations):
            shares = ops.softmax(logits, axis=1)
            last = number == self.iterations - 1
            above = squash(ops.einsum("bcn,bcns->bcs", shares, votes if last else fixed))
            yield above, shares
            if not last:
                logits = logits + ops.einsum("bcs,bcns->bcn", above, fixed)

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[Any]]:
        """List the inputs of the layer's calls inside the block, however deep in a model it is; not in a graph."""
        self.seen = []
        try:
            yield self.seen
        finally:
            self.seen = None


def squash(capsules: Any) -> Any:
    """Lengths of `[..., size]` brought below 1, directions kept; in float32, where a length of 0 has a gradient."""
    squares = ops.sum(ops.square(ops.cast(capsules, "float32")), axis=-1, keepdims=True)
    factor = ops.sqrt(squares + config.epsilon()) / (1 + squares)
    return capsules * ops.cast(factor, capsules.dtype)
