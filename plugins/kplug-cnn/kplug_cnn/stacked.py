"""VGG (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556)."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug_cnn.pictures import WithPyramid, fit_vgg

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
HIDDEN = 4096  # units of a dense layer in the paper


def build_vgg(x: Any, depth: int, width: int, batch_norm: bool, hidden: int | None, dropout: float) -> WithPyramid:
    """A VGG: images `[b, h, w, c]` to features `[b, hidden]`, or `[b, h', w', c']` where hidden is 0."""
    small = fit_vgg(x)  # the paper's dense layers would hold nearly all weights
    units = (8 * width if small else HIDDEN) if hidden is None else hidden
    pyramid = {}
    for stage, count in enumerate(CONVOLUTIONS[depth], 1):
        filters, name = width * min(2 ** (stage - 1), 8), f"block{stage}"
        x = pyramid[f"P{stage - 1}"] = convolve_repeatedly(x, filters, count, batch_norm, name)
        x = pool(x, name)
    return (add_hidden_layers(x, units, dropout) if units else x), pyramid


def convolve_repeatedly(x: Any, filters: int, count: int, batch_norm: bool, name: str) -> Any:
    """3x3 convolutions with ReLU, and normalization between them where it is wanted."""
    for number in range(1, count + 1):
        one = f"{name}_conv{number}"
        options = {"use_bias": not batch_norm, "kernel_initializer": "he_normal"}
        x = layers.Conv2D(filters, 3, 1, "same", name=one, **options)(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{one}_norm")(x)
        x = layers.ReLU(name=f"{one}_relu")(x)
    return x


def pool(x: Any, name: str) -> Any:
    """Half the size; "same" keeps what a picture of 28 pixels has, and is the paper's pooling where sides are even."""
    return layers.MaxPooling2D(2, 2, "same", name=f"{name}_pool")(x)


def add_hidden_layers(x: Any, units: int, dropout: float) -> Any:
    """Two dense layers on all pixels of the last feature map."""
    x = layers.Flatten(name="flatten")(x)
    for number in (1, 2):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"fc{number}_dropout")(x) if dropout else x
    return x
