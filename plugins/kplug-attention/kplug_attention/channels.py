"""Attention that weighs channels and places: squeeze-and-excitation (Hu et al. 2018, https://arxiv.org/abs/1709.01507)
and CBAM (Woo et al. 2018, https://arxiv.org/abs/1807.06521)."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


def build_squeeze_excitation(x: Any, ratio: float) -> Any:
    """The block on a feature map: `[b, h, w, c]` to the same shape."""
    y = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    y = layers.Dense(inner(x, ratio), activation="relu", name="squeeze")(y)
    y = layers.Dense(x.shape[-1], activation="sigmoid", name="excite")(y)
    return layers.Multiply(name="weigh")([x, y])


def build_cbam(x: Any, ratio: float, kernel_size: int) -> Any:
    """The block on a feature map: `[b, h, w, c]` to the same shape."""
    x = layers.Multiply(name="weigh_channels")([x, channel_weights(x, ratio)])
    return layers.Multiply(name="weigh_places")([x, place_weights(x, kernel_size)])


def channel_weights(x: Any, ratio: float) -> Any:
    """The weights of channels, `[b, 1, 1, c]`: mean and maximum of each through one network, added."""
    squeeze = layers.Dense(inner(x, ratio), activation="relu", name="squeeze")
    excite = layers.Dense(x.shape[-1], name="excite")
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="channel_means")(x)
    most = layers.GlobalMaxPooling2D(keepdims=True, name="channel_maxima")(x)
    added = layers.Add(name="add")([excite(squeeze(mean)), excite(squeeze(most))])
    return layers.Activation("sigmoid", name="channels")(added)


def place_weights(x: Any, kernel_size: int) -> Any:
    """The weights of places, `[b, h, w, 1]`: mean and maximum over the channels through a convolution."""
    both = ops.concatenate([ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)], axis=-1)
    return layers.Conv2D(1, kernel_size, 1, "same", use_bias=False, activation="sigmoid", name="places")(both)


def inner(x: Any, ratio: float) -> int:
    return max(1, round(x.shape[-1] / ratio))
