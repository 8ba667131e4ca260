"""The convolutions that the networks of this plugin share, and the sizes of pictures that they take."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def convolve(x: Any, filters: int, name: str, norm: str, groups: int, size: int = 3, **options: Any) -> Any:
    """A convolution, normalized and activated.

    Args:
        x: features `[b, h, w, c]`.
        filters: channels that come out.
        name: of the layers, which end with what each does.
        norm: batch, group or none.
        groups: of group normalization.
        size: of the kernel in pixels.
        options: of `keras.layers.Conv2D`, such as a dilation.
    """
    x = layers.Conv2D(
        filters,
        size,
        use_bias=norm == "none",
        kernel_initializer="he_normal",
        name=f"{name}_conv",
        **{"padding": "same", **options},
    )(x)
    return layers.ReLU(name=f"{name}_relu")(normalize(x, norm, groups, name))


def normalize(x: Any, norm: str, groups: int, name: str) -> Any:
    """Features normalized over the batch, or over groups of an example's channels, or left alone."""
    if norm == "batch":
        return layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.GroupNormalization(groups, name=f"{name}_norm")(x) if norm == "group" else x


def double(x: Any, filters: int, how: str, name: str) -> Any:
    """Features of twice the height and width.

    Args:
        x: features `[b, h, w, c]`.
        filters: channels that come out.
        how: transposed (a kernel of 2x2 pixels, whose steps do not overlap, so that no checkerboard comes of it), or
            resize (each pixel four times, and a convolution of a pixel).
        name: of the layers.
    """
    if how == "transposed":
        return layers.Conv2DTranspose(filters, 2, 2, kernel_initializer="he_normal", name=f"{name}_up")(x)
    x = layers.UpSampling2D(2, name=f"{name}_resize")(x)
    return layers.Conv2D(filters, 1, kernel_initializer="he_normal", name=f"{name}_up")(x)


def resized_like(x: Any, other: Any, name: str, interpolation: str = "bilinear") -> Any:
    """Features in the height and width of others."""
    return Resized(interpolation, name=name)([x, other])


@keras.saving.register_keras_serializable("kplug_segment")
class Resized(layers.Layer):
    """Features `[b, h, w, c]` in the height and width of a second tensor, whatever these are.

    Args:
        interpolation: bilinear or nearest.
    """

    def __init__(self, interpolation: str = "bilinear", **options: Any) -> None:
        super().__init__(**options)
        self.interpolation = interpolation

    def call(self, inputs: Any) -> Any:
        x, other = inputs
        return ops.image.resize(x, tuple(_sizes(other)), interpolation=self.interpolation)

    def compute_output_shape(self, input_shape: Any) -> Any:
        x, other = input_shape
        return (x[0], *other[1:3], x[3])


@keras.saving.register_keras_serializable("kplug_segment")
class Mirrored(layers.Layer):
    """Pictures continued by their mirror image on all sides, as convolutions without padding need it.

    Args:
        margin: pixels that are added to each side.
        stride: height and width are then filled up, below and to the right, so that
        remainder: is what they leave when they are divided by it.
    """

    def __init__(self, margin: int, stride: int, remainder: int, **options: Any) -> None:
        super().__init__(**options)
        self.margin, self.stride, self.remainder = margin, stride, remainder

    def call(self, pictures: Any) -> Any:
        sides = [self._sides(size) for size in _sizes(pictures)]
        return ops.pad(pictures, [(0, 0), *sides, (0, 0)], mode="reflect")

    def _sides(self, size: Any) -> tuple[Any, Any]:
        return self.margin, self.margin + (self.remainder - size - 2 * self.margin) % self.stride

    def compute_output_shape(self, input_shape: Any) -> Any:
        def padded(size: int | None) -> int | None:
            return None if size is None else size + sum(self._sides(size))

        return (input_shape[0], *(padded(size) for size in input_shape[1:3]), input_shape[3])


@keras.saving.register_keras_serializable("kplug_segment")
class Cut(layers.Layer):
    """The upper left part of a first tensor in the height and width of a second; or its middle.

    Args:
        where: corner or middle.
    """

    def __init__(self, where: str, **options: Any) -> None:
        super().__init__(**options)
        self.where = where

    def call(self, inputs: Any) -> Any:
        x, other = inputs
        begin = [0, 0]
        if self.where == "middle":
            begin = [(own - size) // 2 for own, size in zip(_sizes(x), _sizes(other), strict=True)]
        (top, left), (height, width) = begin, _sizes(other)
        return x[:, top : top + height, left : left + width]

    def compute_output_shape(self, input_shape: Any) -> Any:
        x, other = input_shape
        return (x[0], *other[1:3], x[3])


def _sizes(x: Any) -> list[Any]:
    """Height and width, numbers where they are known, else scalar tensors."""
    return [known if known is not None else ops.shape(x)[axis] for axis, known in ((1, x.shape[1]), (2, x.shape[2]))]
