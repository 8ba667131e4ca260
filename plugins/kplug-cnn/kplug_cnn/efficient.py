"""EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) and EfficientNetV2 (Tan and Le 2021,
https://arxiv.org/abs/2104.00298)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers

from kplug.authoring import Network
from kplug_cnn.pictures import fit_stride

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


@dataclass(frozen=True)
class Options:
    """The settings that all blocks of a network share.

    Args:
        momentum: of batch normalization.
        drop_path: share of examples that pass by the last block in training; blocks before it have less.
    """

    momentum: float
    drop_path: float


def make_efficientnet(
    version: str, compound: float | None, width_multiplier: float, stem: str, momentum: float | None, drop_path: float
) -> Network:
    """An EfficientNet as a layer: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    wide, deep = SIZES[version] if compound is None else (WIDER**compound, DEEPER**compound)
    wide *= width_multiplier
    stages, first = (V2_S, 24) if version == "v2_s" else (V1, 32)
    options = Options((0.9 if version == "v2_s" else 0.99) if momentum is None else momentum, drop_path)

    def network(x: Any) -> tuple[Any, dict[str, Any]]:
        small = fit_stride(x, stem, "efficientnet")
        level = 0 if small else 1
        x = convolve(x, rounded(first * wide), 3, 1 if small else 2, options, "stem")
        x, pyramid = apply_stages(x, scaled_stages(stages, wide, deep, small), level, options)
        top = rounded(TOP * wide) if version != "v2_s" or wide > 1 else TOP
        x = convolve(x, top, 1, 1, options, "top")
        return x, pyramid | {list(pyramid)[-1]: x}

    return Network(network, name="efficientnet")


def make_fused_block(stage: Stage, momentum: float, drop_path: float) -> Network:
    """One fused block as a layer: features `[b, h, w, c]` to `[b, h', w', filters]`."""
    options = Options(momentum, drop_path)
    return Network(lambda x: fused_block(x, stage, options, "block"), name="fused_inverted_residual_block")


def rounded(filters: float, divisor: int = 8) -> int:
    """Round a width to a multiple of the divisor, but never by more than a tenth down."""
    found = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return found if found >= 0.9 * filters else found + divisor


def scaled_stages(stages: tuple[Stage, ...], wide: float, deep: float, small: bool) -> list[Stage]:
    """Under the multipliers; a small form lets the first stage that strides keep the size."""
    kept = next(number for number, stage in enumerate(stages) if stage.stride == 2) if small else None
    return [
        replace(
            stage,
            filters=rounded(stage.filters * wide),
            count=math.ceil(stage.count * deep),
            stride=1 if number == kept else stage.stride,
        )
        for number, stage in enumerate(stages)
    ]


def apply_stages(x: Any, stages: list[Stage], level: int, options: Options) -> tuple[Any, dict[str, Any]]:
    """The last block's output, and that of the last block at each level of the pyramid."""
    total, done, pyramid = sum(stage.count for stage in stages), 0, {}
    for number, stage in enumerate(stages, 1):
        level += stage.stride == 2
        for place in range(1, stage.count + 1):
            share = replace(options, drop_path=options.drop_path * done / total)
            block = fused_block if stage.fused else inverted_block
            x = block(x, replace(stage, stride=stage.stride if place == 1 else 1), share, f"stage{number}_block{place}")
            done += 1
        pyramid[f"P{level}"] = x
    return x, pyramid


# --- blocks --------------------------------------------------------------------------------------------------------


def inverted_block(x: Any, stage: Stage, options: Options, name: str) -> Any:
    """1x1 up, depthwise, squeeze-and-excitation, 1x1 down: MBConv."""
    y, inner = x, x.shape[-1] * stage.expansion
    if stage.expansion != 1:
        y = convolve(y, inner, 1, 1, options, f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        stage.size, stage.stride, "same", use_bias=False, depthwise_initializer=initializer(), name=f"{name}_depthwise"
    )
    y = normalize(depthwise(y), options, f"{name}_depthwise", activation=True)
    y = squeeze_and_excite(y, x.shape[-1], name) if stage.squeeze else y
    y = convolve(y, stage.filters, 1, 1, options, f"{name}_project", activation=False)
    return add_shortcut(x, y, stage, options, name)


def fused_block(x: Any, stage: Stage, options: Options, name: str) -> Any:
    """A full convolution up, 1x1 down; a single convolution where nothing is expanded: Fused-MBConv."""
    if stage.expansion == 1:
        y = convolve(x, stage.filters, stage.size, stage.stride, options, f"{name}_project")
        return add_shortcut(x, y, stage, options, name)
    y = convolve(x, x.shape[-1] * stage.expansion, stage.size, stage.stride, options, f"{name}_expand")
    y = squeeze_and_excite(y, x.shape[-1], name) if stage.squeeze else y
    y = convolve(y, stage.filters, 1, 1, options, f"{name}_project", activation=False)
    return add_shortcut(x, y, stage, options, name)


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


def add_shortcut(x: Any, y: Any, stage: Stage, options: Options, name: str) -> Any:
    """The block's input added where shapes agree; in training some examples pass by the block (Huang et al. 2016)."""
    if stage.stride != 1 or x.shape[-1] != y.shape[-1]:
        return y
    if options.drop_path:
        y = layers.Dropout(options.drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def convolve(x: Any, filters: int, size: int, stride: int, options: Options, name: str, activation: bool = True) -> Any:
    convolution = layers.Conv2D(
        filters, size, stride, "same", use_bias=False, kernel_initializer=initializer(), name=f"{name}_conv"
    )
    return normalize(convolution(x), options, name, activation)


def normalize(x: Any, options: Options, name: str, activation: bool) -> Any:
    """Batch normalization, and SiLU where it is wanted."""
    x = layers.BatchNormalization(momentum=options.momentum, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.Activation("silu", name=f"{name}_silu")(x) if activation else x


def initializer() -> Any:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
