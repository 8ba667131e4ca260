"""Types of the Keras components' parameters: names that YAML writes for Keras objects, and the objects themselves.

Free of TensorFlow: Keras is imported inside the functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from kplug.kinds import MOST, Count, Known, Natural, NonNegative, Positive, Unit

# --- names ---------------------------------------------------------------------------------------------------------

# fmt: off
# glu is left out: it halves the channels, so it is no activation of another layer
ActivationName = Literal[
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh",
    "tanh_shrink",
]
InitializerName = Literal[
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform",
    "ones", "orthogonal", "random_normal", "random_uniform", "truncated_normal", "variance_scaling", "zeros",
]
# fmt: on
ConstraintName = Literal["max_norm", "min_max_norm", "non_neg", "unit_norm"]
Padding = Literal["valid", "same"]
CausalPadding = Literal["valid", "same", "causal"]
Interpolation = Literal["nearest", "bilinear"]
FillMode = Literal["constant", "nearest", "reflect", "wrap"]

# --- numbers -------------------------------------------------------------------------------------------------------

Signed = Annotated[float, Ge(-1), Le(1)]
OpenSigned = Annotated[float, Gt(-1), Le(1)]
OpenUnit = Annotated[float, Gt(0), Le(1)]
Half = Annotated[float, Ge(0), Le(0.5)]
Pixel = Annotated[float, Ge(0), Le(255)]
Bits = Annotated[int, Ge(1), Le(8)]
Several = Annotated[int, Ge(2), Le(MOST)]
Dimension = Annotated[int, Ge(-1), Le(MOST)]
Negative = Annotated[float, Le(0)]

Groups = Literal[-1] | Count
UnitRange = tuple[Unit, Unit]
SigmaRange = tuple[Unit, Positive]
SignedRange = tuple[Signed, Signed]
Volume = tuple[Count, Count, Count]  # depth, height, width
Sides = tuple[Natural, Natural]  # before, after
Border1D = Natural | Sides
Border2D = Natural | Sides | tuple[Sides, Sides]
Border3D = Natural | tuple[Natural, Natural, Natural] | tuple[Sides, Sides, Sides]
Classes = Annotated[tuple[Natural, ...], MinLen(1)]

# --- records -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regularizer:
    """A penalty added to the loss, `{l1: 0.0, l2: 1e-4}`.

    Args:
        l1: weight of the sum of absolute values.
        l2: weight of the sum of squares.
    """

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0


def regularizer(record: Regularizer | None) -> Any:
    """The Keras regularizer that a record stands for, None for None."""
    if record is None:
        return None
    import keras

    return keras.regularizers.L1L2(l1=record.l1, l2=record.l2)


# --- rules ---------------------------------------------------------------------------------------------------------


def one_clipping(clipnorm: float | None, clipvalue: float | None, global_clipnorm: float | None) -> None:
    """Keras clips in one way at most."""
    given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} exclude each other: keep one")


def values_between(boundaries: Sequence[int], values: Sequence[float]) -> None:
    """A value for every interval, and boundaries in order."""
    if len(values) != len(boundaries) + 1:
        raise ValueError(f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, these are {len(values)}")
    if list(boundaries) != sorted(set(boundaries)):
        raise ValueError("the boundaries must increase")


def same_length(mean: Any, variance: Any) -> None:
    """One mean and one variance for each channel, or one of each for all."""
    lengths = [len(value) if isinstance(value, list | tuple) else None for value in (mean, variance)]
    if lengths[0] != lengths[1]:
        raise ValueError("mean and variance must both be a number, or lists of the same length")


def stride_or_dilation(strides: Any, dilation_rate: Any) -> None:
    """Keras has no convolution that does both."""
    if any(n > 1 for n in _numbers(strides)) and any(n > 1 for n in _numbers(dilation_rate)):
        raise ValueError("strides over 1 and dilation_rate over 1 exclude each other: keep one")


def groups_divide(filters: int, groups: int) -> None:
    """Every group makes the same number of output channels."""
    if filters % groups:
        raise ValueError(f"filters ({filters}) is not a multiple of groups ({groups})")


def has_colors(data: Known) -> None:
    """Colors can be changed where there are any: in pictures of three channels."""
    shape = data.shapes.get("image") or ()
    if len(shape) == 3 and shape[2] not in (None, 3):
        raise ValueError(f"it needs 3 channels, these pictures have {shape[2]}: set data.features.image.channels to 3")


def has_colors_to_jitter(saturation: float, hue: float, data: Known) -> None:
    """Brightness and contrast are there in grey pictures too."""
    if saturation or hue:
        has_colors(data)


def window_meets_picture(padding: int | None, size: Sequence[int] | None, fill: str, data: Known) -> None:
    """No window may lie in what is added alone, but for a mirror image, which shows the picture too."""
    shape = data.shapes.get("image") or ()
    if fill != "constant":
        return
    sides = size or [side for side in shape[:2] if side is not None]
    if padding is not None and sides and padding >= min(sides):
        what = f"a window of {' x '.join(map(str, sides))} may lie in a padding of {padding} alone"
        raise ValueError(f"{what}, where nothing of the picture is: pad by less than {min(sides)}")


def _numbers(value: Any) -> Sequence[int]:
    return value if isinstance(value, list | tuple) else [value]
