"""Blocks: feature maps `[b, h, w, c]` to the same shape."""

from __future__ import annotations

from typing import Any

from keras import initializers, layers

from kplug import SpecError


def build_residual(x: Any, kernel: int) -> Any:
    x = convolve(activate(x, "1"), x.shape[-1], kernel, "1")
    return convolve(activate(x, "2"), x.shape[-1], kernel, "2")


def build_inverted_residual(x: Any, expansion: float, kernel: int) -> Any:
    """Laid out as in the paper: it begins and ends without activation, so that nothing is lost where it is thin."""
    y, channels = x, x.shape[-1]
    if expansion != 1:
        y = convolve(y, max(1, round(channels * expansion)), 1, "expand")
        y = layers.ReLU(6.0, name="expand_relu")(y)
    y = normalize(filter_channels(y, kernel, "depthwise"), "depthwise")
    y = layers.ReLU(6.0, name="depthwise_relu")(y)
    return convolve(y, channels, 1, "project")


def build_separable(x: Any, kernel: int) -> Any:
    y = filter_channels(activate(x, "depthwise"), kernel, "depthwise")
    return convolve(y, x.shape[-1], 1, "pointwise")


def make_pooling(mode: str, kernel: int) -> layers.Layer:
    pool = layers.MaxPooling2D if mode == "max" else layers.AveragePooling2D
    return pool(kernel, 1, "same")


def build_self_attention(x: Any, heads: int) -> Any:
    channels = x.shape[-1]
    if channels % heads:
        raise SpecError(f"{heads} heads do not divide the {channels} channels that come in")
    # Glorot's; Keras mistakes the fans of kernels of the shape [channels, heads, channels / heads]
    glorot = initializers.RandomNormal(stddev=channels**-0.5)
    options = {"use_bias": False, "kernel_initializer": glorot, "name": "attention"}
    attention = layers.MultiHeadAttention(heads, channels // heads, **options)
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return attention(x, x)


# --- what they are made of -------------------------------------------------------------------------------------------


def convolve(x: Any, filters: int, kernel: int, name: str) -> Any:
    """Convolution and normalization."""
    convolution = layers.Conv2D(
        filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    return normalize(convolution(x), name)


def filter_channels(x: Any, kernel: int, name: str) -> Any:
    """Depthwise convolution."""
    # He's for the channels that go out: those that come in are counted wrongly for depthwise kernels
    he = initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    return layers.DepthwiseConv2D(
        kernel, padding="same", use_bias=False, depthwise_initializer=he, name=f"{name}_conv"
    )(x)


def normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def activate(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(x)
