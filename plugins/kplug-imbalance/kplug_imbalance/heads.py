"""Heads: features to a score for each class."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


class Cosines(layers.Layer):
    """Cosines between features `[b, d]` and a learned vector for each class, times a scale, in float32.

    Args:
        classes: how many vectors.
        scale: what the cosines are multiplied by.
        name: the layer's name.
    """

    def __init__(self, classes: int, scale: float, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.classes, self.scale = classes, scale

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.classes), "glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        return self.scale * ops.normalize(inputs, axis=-1) @ ops.normalize(self.kernel, axis=0)


def build_cosine_linear(x: Any, classes: int, scale: float, dropout: float) -> Any:
    """Scores for features `[b, c]`; a feature map `[b, h, w, c]` is pooled, tokens `[b, n, c]` too."""
    if len(x.shape) > 2:
        x = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
    x = layers.Dropout(dropout, name="dropout")(x) if dropout else x
    return Cosines(classes, scale, name="scores")(x)
