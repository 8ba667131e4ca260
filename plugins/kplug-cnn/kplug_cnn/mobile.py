"""MobileNet v1 (Howard et al. 2017, https://arxiv.org/abs/1704.04861), v2 (Sandler et al. 2018,
https://arxiv.org/abs/1801.04381) and v3 (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from keras import initializers, layers

from kplug_cnn.convolutions import filter_alone
from kplug_cnn.pictures import WithPyramid, fit_stride

T = TypeVar("T", bound=Any)


@dataclass(frozen=True)
class Row:
    """A block of an architecture's table.

    Args:
        filters: of its output, before the width multiplier.
        stride: of its depthwise convolution.
        expansion: inner filters by those that come in; 0 is a depthwise separable block.
        size: of the depthwise kernel.
        squeeze: inner filters are weighed by squeeze-and-excitation.
        activation: Keras's name.
    """

    filters: int
    stride: int = 1
    expansion: float = 6
    size: int = 3
    squeeze: bool = False
    activation: str = "relu6"


@dataclass(frozen=True)
class Version:
    """The layers of one MobileNet version, before the width multiplier.

    Args:
        rows: its blocks.
        stem: filters of the first convolution; v3 does not scale them.
        last: how many filters the convolution after the blocks has, from the width multiplier and the filters that
            come in; None where there is no such convolution.
        hidden: units of the layer between pooling and classifier; 0 where there is none.
        activation: of the first and the last convolution.
        momentum: of batch normalization.
    """

    rows: tuple[Row, ...]
    stem: int = 32
    last: Callable[[float, int], int] | None = None
    hidden: int = 0
    activation: str = "relu6"
    momentum: float = 0.999


def stages(*stages: tuple[int, int, int, float]) -> tuple[Row, ...]:
    """The blocks of some stages, each given by its filters, count of blocks, stride of the first, and expansion."""
    return tuple(
        Row(filters, 1 if number else stride, expansion)
        for filters, count, stride, expansion in stages
        for number in range(count)
    )


V1 = stages((64, 1, 1, 0), (128, 2, 2, 0), (256, 2, 2, 0), (512, 6, 2, 0), (1024, 2, 2, 0))
V2 = stages((16, 1, 1, 1), (24, 2, 2, 6), (32, 3, 2, 6), (64, 4, 2, 6), (96, 3, 1, 6), (160, 3, 2, 6), (320, 1, 1, 6))

V3_SMALL = (
    Row(16, 2, 1, squeeze=True, activation="relu"),
    Row(24, 2, 72 / 16, activation="relu"),
    Row(24, 1, 88 / 24, activation="relu"),
    Row(40, 2, 4, 5, squeeze=True, activation="hard_silu"),
    *(Row(40, 1, 6, 5, squeeze=True, activation="hard_silu"),) * 2,
    *(Row(48, 1, 3, 5, squeeze=True, activation="hard_silu"),) * 2,
    Row(96, 2, 6, 5, squeeze=True, activation="hard_silu"),
    *(Row(96, 1, 6, 5, squeeze=True, activation="hard_silu"),) * 2,
)

V3_LARGE = (
    Row(16, 1, 1, activation="relu"),
    Row(24, 2, 4, activation="relu"),
    Row(24, 1, 3, activation="relu"),
    Row(40, 2, 3, 5, squeeze=True, activation="relu"),
    *(Row(40, 1, 3, 5, squeeze=True, activation="relu"),) * 2,
    Row(80, 2, 6, activation="hard_silu"),
    Row(80, 1, 2.5, activation="hard_silu"),
    *(Row(80, 1, 2.3, activation="hard_silu"),) * 2,
    *(Row(112, 1, 6, squeeze=True, activation="hard_silu"),) * 2,
    Row(160, 2, 6, 5, squeeze=True, activation="hard_silu"),
    *(Row(160, 1, 6, 5, squeeze=True, activation="hard_silu"),) * 2,
)


def rounded(filters: float) -> int:
    """The nearest multiple of 8 that is not more than 10% below."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


def last_of_v3(multiplier: float, filters: int) -> int:
    return rounded(filters * 6)


VERSIONS = {
    "v1": Version(V1, momentum=0.99),
    # a thin network keeps all of its features
    "v2": Version(V2, last=lambda multiplier, filters: rounded(1280 * max(multiplier, 1.0))),
    "v3_small": Version(V3_SMALL, 16, last_of_v3, 1024, "hard_silu"),
    "v3_large": Version(V3_LARGE, 16, last_of_v3, 1280, "hard_silu"),
}

# --- networks ------------------------------------------------------------------------------------------------------


def build_mobilenet(
    x: Any, version: str, multiplier: float, stem: str, momentum: float | None, hidden: bool
) -> WithPyramid:
    """A MobileNet: images `[b, h, w, c]` to features `[b, h', w', filters]`, or `[b, units]` if `hidden`."""
    table = VERSIONS[version]
    momentum = table.momentum if momentum is None else momentum
    small = fit_stride(x, stem, "mobilenet")
    filters = table.stem if version.startswith("v3") else scaled(table.stem, multiplier, version)
    x = convolve(x, filters, 3, 1 if small else 2, table.activation, momentum, "stem")
    level, pyramid = 0 if small else 1, {}
    for number, row in enumerate(scaled_rows(version, multiplier, small), 1):
        level += row.stride == 2
        x = pyramid[f"P{level}"] = apply_block(x, row, momentum, f"block{number}")
    if table.last:
        x = convolve(x, table.last(multiplier, x.shape[-1]), 1, 1, table.activation, momentum, "last")
    return (add_hidden_layer(x, table, multiplier) if hidden else x), pyramid


def scaled(filters: int, multiplier: float, version: str) -> int:
    """Filters under the width multiplier, rounded as the version's authors do."""
    return max(8, int(filters * multiplier)) if version == "v1" else rounded(filters * multiplier)


def scaled_rows(version: str, multiplier: float, small: bool) -> list[Row]:
    """The blocks of a version under the multiplier; with the small stem the first one that strides keeps the size."""
    rows = [replace(row, filters=scaled(row.filters, multiplier, version)) for row in VERSIONS[version].rows]
    return without_first_stride(rows) if small else rows


def without_first_stride(rows: Sequence[T]) -> list[T]:
    """The blocks or stages, of which the first that strides keeps the size."""
    first = next(number for number, row in enumerate(rows) if row.stride == 2)
    return [replace(row, stride=1) if number == first else row for number, row in enumerate(rows)]


def add_hidden_layer(x: Any, table: Version, multiplier: float) -> Any:
    """v3 pools before its widest layer, which costs little then."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    units = rounded(table.hidden * max(multiplier, 1.0))
    return layers.Dense(units, activation=table.activation, name="hidden")(x)


# --- blocks --------------------------------------------------------------------------------------------------------


def apply_block(x: Any, row: Row, momentum: float, name: str) -> Any:
    return (inverted_residual_block if row.expansion else depthwise_separable_block)(x, row, momentum, name)


def depthwise_separable_block(x: Any, row: Row, momentum: float, name: str) -> Any:
    """Each channel filtered by itself, then all mixed: v1's replacement of a convolution."""
    x = filter_channels(x, row, momentum, f"{name}_depthwise")
    return convolve(x, row.filters, 1, 1, row.activation, momentum, f"{name}_pointwise")


def inverted_residual_block(x: Any, row: Row, momentum: float, name: str) -> Any:
    """1x1 up, depthwise, 1x1 down without activation, beside a shortcut between the thin ends."""
    y = x
    if row.expansion != 1:
        y = convolve(y, rounded(x.shape[-1] * row.expansion), 1, 1, row.activation, momentum, f"{name}_expand")
    y = filter_channels(y, row, momentum, f"{name}_depthwise")
    y = squeeze_and_excite(y, name) if row.squeeze else y
    y = convolve(y, row.filters, 1, 1, None, momentum, f"{name}_project")
    alike = row.stride == 1 and x.shape[-1] == row.filters
    return layers.Add(name=f"{name}_add")([x, y]) if alike else y


def squeeze_and_excite(x: Any, name: str) -> Any:
    """Channels weighed by what the whole picture says of them (Hu et al. 2018), with v3's cheap sigmoid."""
    filters = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_pool")(x)
    y = layers.Conv2D(rounded(filters / 4), 1, activation="relu", name=f"{name}_squeeze")(y)
    y = layers.Conv2D(filters, 1, activation="hard_sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_weigh")([x, y])


def convolve(x: Any, filters: int, size: int, stride: int, activation: str | None, momentum: float, name: str) -> Any:
    """Convolution, normalization and, unless it is None, activation."""
    x = filter_alone(x, filters, size, stride, name, initializer=initializer())
    return normalize(x, activation, momentum, name)


def filter_channels(x: Any, row: Row, momentum: float, name: str) -> Any:
    """Depthwise convolution, normalization and activation; "same" pads at a stride of 2 as the authors' code does."""
    convolution = layers.DepthwiseConv2D(
        row.size, row.stride, "same", use_bias=False, depthwise_initializer=initializer(), name=f"{name}_conv"
    )
    return normalize(convolution(x), row.activation, momentum, name)


def normalize(x: Any, activation: str | None, momentum: float, name: str) -> Any:
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def initializer() -> Any:
    """He's for the filters that go out: those that come in are counted wrongly for depthwise kernels."""
    return initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
