"""AlexNet (Krizhevsky et al. 2012), in the form with one tower (Krizhevsky 2014, https://arxiv.org/abs/1404.5997)."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug_cnn.pictures import fit_alexnet

FILTERS = (64, 192, 384, 256, 256)
HIDDEN = 4096  # units of a dense layer in the paper
SMALL_HIDDEN = 512


def build_alexnet(x: Any, width_multiplier: float, stem: str, hidden: int | None, dropout: float) -> Any:
    """An AlexNet: images `[b, h, w, c]` to features `[b, hidden]`."""
    small = fit_alexnet(x, stem)
    units = (SMALL_HIDDEN if small else HIDDEN) if hidden is None else hidden
    x = convolve_all(x, [max(1, round(filters * width_multiplier)) for filters in FILTERS], small)
    return add_hidden_layers(x, units, dropout)


def convolve_all(x: Any, filters: list[int], small: bool) -> Any:
    """Five convolutions, with pooling after the first, the second and the last."""
    if small:
        x = convolve(x, filters[0], 3, 1, "conv1")
    else:
        x = layers.ZeroPadding2D(2, name="conv1_pad")(x)
        x = convolve(x, filters[0], 11, 4, "conv1", padding="valid")
    padding = "same" if small else "valid"
    x = layers.MaxPooling2D(3, 2, padding, name="pool1")(x)
    x = convolve(x, filters[1], 3 if small else 5, 1, "conv2")
    x = layers.MaxPooling2D(3, 2, padding, name="pool2")(x)
    for number in (3, 4, 5):
        x = convolve(x, filters[number - 1], 3, 1, f"conv{number}")
    return layers.MaxPooling2D(3, 2, padding, name="pool5")(x)


def convolve(x: Any, filters: int, size: int, stride: int, name: str, padding: str = "same") -> Any:
    options = {"activation": "relu", "kernel_initializer": "he_normal"}
    return layers.Conv2D(filters, size, stride, padding, name=name, **options)(x)


def add_hidden_layers(x: Any, units: int, dropout: float) -> Any:
    """Two dense layers on all pixels of the last feature map, each after dropout, which this paper made known."""
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = layers.Dropout(dropout, name=f"fc{number}_dropout")(x) if dropout else x
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
    return x
