"""DenseNet (Huang et al. 2017, https://arxiv.org/abs/1608.06993): every layer reads all before it."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug_cnn.convolutions import add_stem, filter_alone
from kplug_cnn.pictures import WithPyramid, fit_densenet

IMAGENET = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}
BOTTLENECK = 4  # filters of a layer's 1x1 convolution by the growth


def build_densenet(
    x: Any, depth: int, growth: int | None, compression: float, stem: str, dropout: float
) -> WithPyramid:
    """A DenseNet: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    blocks = IMAGENET.get(depth) or ((depth - 4) // 6,) * 3
    rate = growth or (32 if depth in IMAGENET else 12)
    small = fit_densenet(x, stem, len(blocks))
    x, level = add_stem(x, 2 * rate, small, None if small else activate)
    pyramid = {}
    for number, count in enumerate(blocks, 1):
        x = dense_block(x, count, rate, dropout, f"block{number}")
        if number < len(blocks):
            pyramid[f"P{level + number - 1}"] = x
            x = transition(x, compression, f"transition{number}")
    x = pyramid[f"P{level + len(blocks) - 1}"] = activate(x, "last")
    return x, pyramid


def dense_block(x: Any, count: int, growth: int, dropout: float, name: str) -> Any:
    """Layers that each add `growth` channels to what came in."""
    for number in range(1, count + 1):
        x = layers.Concatenate(name=f"{name}_{number}_join")([x, dense_layer(x, growth, dropout, f"{name}_{number}")])
    return x


def dense_layer(x: Any, growth: int, dropout: float, name: str) -> Any:
    """A 1x1 and a 3x3 convolution, each after normalization and activation."""
    x = filter_alone(activate(x, f"{name}_0"), BOTTLENECK * growth, 1, 1, f"{name}_1")
    x = layers.Dropout(dropout, name=f"{name}_1_dropout")(x) if dropout else x
    x = filter_alone(activate(x, f"{name}_1"), growth, 3, 1, f"{name}_2")
    return layers.Dropout(dropout, name=f"{name}_2_dropout")(x) if dropout else x


def transition(x: Any, compression: float, name: str) -> Any:
    """Fewer channels and half the size; an odd side rounds up."""
    x = filter_alone(activate(x, name), max(1, int(x.shape[-1] * compression)), 1, 1, name)
    return layers.AveragePooling2D(2, 2, "same", name=f"{name}_pool")(x)


def activate(x: Any, name: str) -> Any:
    """Batch normalization and ReLU."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
