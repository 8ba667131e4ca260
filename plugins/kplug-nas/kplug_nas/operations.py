"""Blocks as layers: feature maps `[b, h, w, c]` to the same shape."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kplug import SpecError
from kplug.authoring import Network


def make_residual(kernel: int) -> Network:
    def network(x: Any) -> Any:
        x = convolve(activate(x, "1"), x.shape[-1], kernel, "1")
        return convolve(activate(x, "2"), x.shape[-1], kernel, "2")

    return Network(network, name="residual")


def make_inverted_residual(expansion: float, kernel: int) -> Network:
    """Laid out as in the paper: it begins and ends without activation, so that nothing is lost where it is thin."""

    def network(x: Any) -> Any:
        y, channels = x, x.shape[-1]
        if expansion != 1:
            y = convolve(y, max(1, round(channels * expansion)), 1, "expand")
            y = layers.ReLU(6.0, name="expand_relu")(y)
        y = normalize(filter_channels(y, kernel, "depthwise"), "depthwise")
        y = layers.ReLU(6.0, name="depthwise_relu")(y)
        return convolve(y, channels, 1, "project")

    return Network(network, name="inverted_residual")


def make_separable(kernel: int) -> Network:
    def network(x: Any) -> Any:
        y = filter_channels(activate(x, "depthwise"), kernel, "depthwise")
        return convolve(y, x.shape[-1], 1, "pointwise")

    return Network(network, name="separable")


def make_convolution(kernel: int) -> Network:
    return Network(lambda x: convolve(activate(x, "in"), x.shape[-1], kernel, "in"), name="convolution")


def make_pooling(mode: str, kernel: int) -> layers.Layer:
    pool = layers.MaxPooling2D if mode == "max" else layers.AveragePooling2D
    return pool(kernel, 1, "same")


def make_self_attention(heads: int) -> Network:
    def network(x: Any) -> Any:
        channels = x.shape[-1]
        if channels % heads:
            raise SpecError(f"{heads} heads do not divide the {channels} channels that come in")
        attention = layers.MultiHeadAttention(
            heads,
            channels // heads,
            use_bias=False,
            # Glorot's; Keras mistakes the fans of kernels of the shape [channels, heads, channels / heads]
            kernel_initializer=keras.initializers.RandomNormal(stddev=channels**-0.5),
            name="attention",
        )
        x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
        return attention(x, x)

    return Network(network, name="self_attention")


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
    he = keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    return layers.DepthwiseConv2D(
        kernel, padding="same", use_bias=False, depthwise_initializer=he, name=f"{name}_conv"
    )(x)


def normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def activate(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(x)
