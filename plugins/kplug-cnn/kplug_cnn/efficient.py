"""EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) and EfficientNetV2 (Tan and Le 2021,
https://arxiv.org/abs/2104.00298)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from keras import layers

from kplug_cnn.mobile import convolve, initializer, normalize, rounded, without_first_stride
from kplug_cnn.pictures import WithPyramid, fit_stride

WIDER, DEEPER = 1.1, 1.2  # the papers' alpha and beta: by how much a step of the compound coefficient scales
SIZES = {  # width and depth multiplier, as the authors rounded them
    **{"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8), "b5": (1.6, 2.2)},
    **{"b6": (1.8, 2.6), "b7": (2.0, 3.1), "v2_s": (1.0, 1.0)},
}


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind, one after another.

    Args:
        filters: of their outputs.
        count: how many.
        stride: of the first.
        expansion: inner channels by those that come in.
        size: of the kernels.
        squeeze: squeeze-and-excitation with a quarter of the channels that come in.
        fused: one full convolution instead of a 1x1 and a depthwise one (v2).
    """

    filters: int
    count: int
    stride: int
    expansion: int = 6
    size: int = 3
    squeeze: bool = True
    fused: bool = False


V1 = (
    Stage(16, 1, 1, expansion=1),
    Stage(24, 2, 2),
    Stage(40, 2, 2, size=5),
    Stage(80, 3, 2),
    Stage(112, 3, 1, size=5),
    Stage(192, 4, 2, size=5),
    Stage(320, 1, 1),
)
V2_S = (
    Stage(24, 2, 1, expansion=1, squeeze=False, fused=True),
    Stage(48, 4, 2, expansion=4, squeeze=False, fused=True),
    Stage(64, 4, 2, expansion=4, squeeze=False, fused=True),
    Stage(128, 6, 2, expansion=4),
    Stage(160, 9, 1),
    Stage(256, 15, 2),
)
TOP = 1280  # filters of the last convolution


def build_efficientnet(
    x: Any,
    version: str,
    compound: float | None,
    width_multiplier: float,
    stem: str,
    momentum: float | None,
    drop_path: float,
) -> WithPyramid:
    """An EfficientNet: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    wide, deep = SIZES[version] if compound is None else (WIDER**compound, DEEPER**compound)
    wide *= width_multiplier
    stages, first = (V2_S, 24) if version == "v2_s" else (V1, 32)
    momentum = (0.9 if version == "v2_s" else 0.99) if momentum is None else momentum
    small = fit_stride(x, stem, "efficientnet")
    x = convolve(x, rounded(first * wide), 3, 1 if small else 2, "silu", momentum, "stem")
    blocks = named_blocks(scaled_stages(stages, wide, deep, small))
    level, pyramid = 0 if small else 1, {}
    for number, (name, stage) in enumerate(blocks):
        level += stage.stride == 2
        block = fused_block if stage.fused else inverted_block
        x = pyramid[f"P{level}"] = block(x, stage, momentum, drop_path * number / len(blocks), name)
    top = rounded(TOP * wide) if version != "v2_s" or wide > 1 else TOP
    x = pyramid[f"P{level}"] = convolve(x, top, 1, 1, "silu", momentum, "top")
    return x, pyramid


def scaled_stages(stages: tuple[Stage, ...], wide: float, deep: float, small: bool) -> list[Stage]:
    """The stages under the multipliers; with the small stem the first one that strides keeps the size."""
    return [
        replace(stage, filters=rounded(stage.filters * wide), count=math.ceil(stage.count * deep))
        for stage in (without_first_stride(stages) if small else stages)
    ]


def named_blocks(stages: list[Stage]) -> list[tuple[str, Stage]]:
    """The (name, settings) of every block in order; of a stage only the first strides."""
    return [
        (f"stage{number}_block{place}", stage if place == 1 else replace(stage, stride=1))
        for number, stage in enumerate(stages, 1)
        for place in range(1, stage.count + 1)
    ]


# --- blocks --------------------------------------------------------------------------------------------------------


def inverted_block(x: Any, stage: Stage, momentum: float, drop_path: float, name: str) -> Any:
    """1x1 up, depthwise, squeeze-and-excitation, 1x1 down: MBConv."""
    y = x
    if stage.expansion != 1:
        y = convolve(y, x.shape[-1] * stage.expansion, 1, 1, "silu", momentum, f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        stage.size, stage.stride, "same", use_bias=False, depthwise_initializer=initializer(), name=f"{name}_depthwise"
    )
    y = normalize(depthwise(y), "silu", momentum, f"{name}_depthwise")
    y = squeeze_and_excite(y, x.shape[-1], name) if stage.squeeze else y
    y = convolve(y, stage.filters, 1, 1, None, momentum, f"{name}_project")
    return add_shortcut(x, y, stage, drop_path, name)


def fused_block(x: Any, stage: Stage, momentum: float, drop_path: float, name: str) -> Any:
    """A full convolution up, 1x1 down; a single convolution where nothing is expanded: Fused-MBConv."""
    if stage.expansion == 1:
        y = convolve(x, stage.filters, stage.size, stage.stride, "silu", momentum, f"{name}_project")
    else:
        inner = x.shape[-1] * stage.expansion
        y = convolve(x, inner, stage.size, stage.stride, "silu", momentum, f"{name}_expand")
        y = squeeze_and_excite(y, x.shape[-1], name) if stage.squeeze else y
        y = convolve(y, stage.filters, 1, 1, None, momentum, f"{name}_project")
    return add_shortcut(x, y, stage, drop_path, name)


def squeeze_and_excite(x: Any, before: int, name: str) -> Any:
    """Channels weighed by what the whole picture says of them (Hu et al. 2018).

    Args:
        x: `[b, h, w, c]`.
        before: channels that came into the block, a quarter of which are the inner ones.
        name: of the block.
    """
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_pool")(x)
    options = {"kernel_initializer": initializer(), "padding": "same"}
    y = layers.Conv2D(max(1, before // 4), 1, activation="silu", name=f"{name}_squeeze", **options)(y)
    y = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_excite", **options)(y)
    return layers.Multiply(name=f"{name}_weigh")([x, y])


def add_shortcut(x: Any, y: Any, stage: Stage, drop_path: float, name: str) -> Any:
    """The block's input added where shapes agree; in training some examples pass by the block (Huang et al. 2016)."""
    if stage.stride != 1 or x.shape[-1] != y.shape[-1]:
        return y
    if drop_path:
        y = layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])
