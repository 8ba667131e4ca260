"""ResNet v1 (He et al. 2016, https://arxiv.org/abs/1512.03385) and v2 (https://arxiv.org/abs/1603.05027).

Both are laid out as keras.applications' are: bottlenecks of v1 stride in their first convolution, where torchvision's
stride in their second; v2 strides in the last block of a stage, where the authors' own code strides in the first of the
next. Neither has biases, as the authors' and torchvision's have none, where keras.applications has some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from kplug_cnn.convolutions import add_stem, filter_alone
from kplug_cnn.pictures import WithPyramid, fit_stride

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4  # a bottleneck's outputs by its inner filters


def build_resnet(x: Any, depth: int, width: int, stem: str, version: str, drop_path: float) -> WithPyramid:
    """A ResNet: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    block = block_of(version, bottleneck=depth >= 50)
    small = fit_stride(x, stem, "resnet")
    x, level = add_stem(x, width, small, activate if version == "v1" else None)
    pyramid = {}
    for number, (stage, stride, name) in enumerate(places(BLOCKS[depth], version)):
        level += stride == 2
        rate = drop_path * number / (sum(BLOCKS[depth]) - 1)
        x = pyramid[f"P{level}"] = block(x, width * 2**stage, stride, name, rate)
    if version == "v2":
        x = pyramid[f"P{level}"] = activate(x, "post")
    return x, pyramid


def places(blocks: tuple[int, ...], version: str) -> list[tuple[int, int, str]]:
    """The (stage from 0, stride, name) of every block in order."""
    found = []
    for stage, count in enumerate(blocks):
        strides = [1] * count
        if version == "v1" and stage > 0:
            strides[0] = 2
        if version == "v2" and stage < len(blocks) - 1:
            strides[-1] = 2
        found += [(stage, stride, f"stage{stage + 1}_block{n}") for n, stride in enumerate(strides, 1)]
    return found


# --- blocks --------------------------------------------------------------------------------------------------------


def block_of(version: str, bottleneck: bool) -> Callable[..., Any]:
    if version == "v1":
        return bottleneck_block if bottleneck else basic_block
    return preactivated_bottleneck if bottleneck else preactivated_block


def basic_block(x: Any, filters: int, stride: int, name: str, drop_path: float = 0.0) -> Any:
    """Two 3x3 convolutions beside a shortcut."""
    y = convolve(x, filters, 3, stride, f"{name}_1")
    y = convolve(y, filters, 3, 1, f"{name}_2", last=True)
    return add_shortcut(x, y, filters, stride, name, drop_path)


def bottleneck_block(x: Any, filters: int, stride: int, name: str, drop_path: float = 0.0) -> Any:
    """1x1 down, 3x3, 1x1 up, beside a shortcut."""
    y = convolve(x, filters, 1, stride, f"{name}_1")
    y = convolve(y, filters, 3, 1, f"{name}_2")
    y = convolve(y, filters * EXPANSION, 1, 1, f"{name}_3", last=True)
    return add_shortcut(x, y, filters * EXPANSION, stride, name, drop_path)


def add_shortcut(x: Any, y: Any, filters: int, stride: int, name: str, drop_path: float = 0.0) -> Any:
    """The block's input added to its output, projected where shapes differ."""
    if stride != 1 or x.shape[-1] != filters:
        x = normalize(filter_alone(x, filters, 1, stride, f"{name}_0", "valid"), f"{name}_0_norm")
    y = drop_examples(y, drop_path, name)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def preactivated_block(x: Any, filters: int, stride: int, name: str, drop_path: float = 0.0) -> Any:
    """Two 3x3 convolutions, each after normalization and activation, beside a shortcut."""
    before = activate(x, f"{name}_preact")
    y = convolve(before, filters, 3, stride, f"{name}_1")
    y = filter_alone(y, filters, 3, 1, f"{name}_2")
    return add_to_input(x, before, y, stride, name, drop_path)


def preactivated_bottleneck(x: Any, filters: int, stride: int, name: str, drop_path: float = 0.0) -> Any:
    """1x1 down, 3x3, 1x1 up, each after normalization and activation, beside a shortcut."""
    before = activate(x, f"{name}_preact")
    y = convolve(before, filters, 1, 1, f"{name}_1")
    y = convolve(y, filters, 3, stride, f"{name}_2")
    y = filter_alone(y, filters * EXPANSION, 1, 1, f"{name}_3")
    return add_to_input(x, before, y, stride, name, drop_path)


def add_to_input(x: Any, before: Any, y: Any, stride: int, name: str, drop_path: float) -> Any:
    """The block's input added to its output; projected after activation where channels differ, else every pixel kept
    or, with a stride of 2, one of four."""
    filters = y.shape[-1]
    if x.shape[-1] != filters:
        x = filter_alone(before, filters, 1, stride, f"{name}_0")
    elif stride != 1:
        x = layers.MaxPooling2D(1, stride, name=f"{name}_0_pool")(x)
    return layers.Add(name=f"{name}_out")([x, drop_examples(y, drop_path, name)])


def drop_examples(y: Any, drop_path: float, name: str) -> Any:
    """Let some examples pass by the block in training (stochastic depth, Huang et al. 2016)."""
    if not drop_path:
        return y
    return layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(y)


# --- what blocks are made of -----------------------------------------------------------------------------------------


def convolve(x: Any, filters: int, size: int, stride: int, name: str, last: bool = False) -> Any:
    """Convolution, normalization and, but for a block's last one, activation."""
    padding = "same"
    if stride > 1 and size > 1:  # as the paper's code pads; "same" would pad at the end alone
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    x = filter_alone(x, filters, size, stride, name, padding)
    return normalize(x, f"{name}_norm", scale="zeros") if last else activate(x, name)


def activate(x: Any, name: str) -> Any:
    """Normalization and activation."""
    return layers.ReLU(name=f"{name}_relu")(normalize(x, f"{name}_norm"))


def normalize(x: Any, name: str, scale: str = "ones") -> Any:
    """Batch normalization; a scale that starts at zero makes a block start as the identity (Goyal et al. 2017)."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=scale, name=name)(x)
