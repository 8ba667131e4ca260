"""Pictures: the feature that reads them, moves that Keras lacks, and policies that draw an operation for each."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from kplug import (
    Augmentation,
    Count,
    DataInfo,
    Feature,
    FieldName,
    NonNegative,
    Positive,
    Size,
    Unit,
    hookimpl,
    leaves_behind,
    moves,
    rule,
)
from kplug.default_plugins.keras_components.types import Interpolation, Pixel

Magnitude = Annotated[float, Ge(0), Le(10)]
Severity = Annotated[float, Ge(0.1), Le(10)]  # 0.1 is the least that a level can be
Depth = Count | Literal[-1]  # -1: drawn
Area = Annotated[float, Gt(0), Le(1)]


@hookimpl
def components():
    return [image, aug_mix, rand_augment, random_quarter_turns, random_resized_crop, trivial_augment]


def _window_is_a_range(window: tuple[float, float] | None) -> None:
    if window is not None and window[0] >= window[1]:
        raise ValueError(f"window is [low, high]; received {list(window)}")


@rule(_window_is_a_range)
def image(
    size: Size | None = None,
    resize: Literal["pad", "crop", "stretch"] = "pad",
    channels: Literal[1, 3] | None = None,
    orientation: bool = True,
    window: tuple[NonNegative, NonNegative] | None = None,
    linked: FieldName | None = None,
) -> Feature:
    """A picture, uint8 [height, width, channels], from a file (JPEG, PNG, BMP, GIF) or from pixels.

    Args:
        size: [height, width] in pixels that pictures are brought to; null: as the source has it.
        resize: pad keeps the whole picture and adds black, crop fills the size and cuts, stretch does neither.
        channels: 1 (grey) or 3 (red, green, blue); null: as the source has it.
        orientation: turn a JPEG upright as its EXIF orientation says, in training and in what is served.
        window: the values of a PNG of 16 bits that become 0 and 255; null takes the upper 8 bits.
        linked: the field of another picture that shows the same, in another size say, with which it moves; null: it
            moves by itself.
    """
    from kplug.data.codecs.image import ImageCodec

    return ImageCodec(size, resize, channels, orientation, window, linked)


@moves()
def random_quarter_turns(data: DataInfo) -> Augmentation:
    """Turn square pictures by 0, 90, 180 or 270 degrees, each as often, for what has no upright: cells, satellites."""
    from kplug.default_plugins.images.whole_pixels import quarter_turns

    return quarter_turns(data)


@moves(fill="nearest", size="{size}")
def random_resized_crop(
    data: DataInfo,
    scale: tuple[Area, Area] = (0.08, 1.0),
    ratio: tuple[Positive, Positive] = (0.75, 1.3333333333333333),
    size: Size | None = None,
    visible: Unit = 0.3,
) -> Augmentation:
    """Cut a part of a drawn area and shape, and bring it to one size (Szegedy et al. 2015).

    Pixels are bilinear, without smoothing. Where no part of the drawn area has a shape of the range, it is made smaller
    until it fits.

    Args:
        scale: range of the part's share of the area.
        ratio: range of its width divided by its height, drawn evenly on a logarithmic scale.
        size: height and width it is brought to, in pixels; null: those of the pictures.
        visible: least share of an object, 0 to 1, that must be seen in the part; others are ignored.
    """
    from kplug.default_plugins.images.motions import resized_crops

    return resized_crops(data, scale, ratio, size, visible)


@moves()
def rand_augment(
    data: DataInfo,
    operations: Count = 2,
    magnitude: Magnitude = 9.0,
    fill: Pixel = 128.0,
    interpolation: Interpolation = "nearest",
) -> Augmentation:
    """Change each picture by a few operations drawn from 14, all of one magnitude (Cubuk et al. 2020).

    Args:
        operations: number of operations, one after another, each drawn anew; N in the paper.
        magnitude: how strong they are, 0 to 10; M in the paper; 10 turns by 30 degrees.
        fill: value of pixels that come from outside the picture, 0 to 255.
        interpolation: how pixels between pixels are made where a picture is turned, sheared or moved.
    """
    from kplug.default_plugins.images.operations import Outside, rand_augment_space
    from kplug.default_plugins.images.policies import draw_operations

    outside = Outside(fill, interpolation)
    return draw_operations(data, lambda image: rand_augment_space(image, outside), lambda _: magnitude / 10, operations)


@moves()
def trivial_augment(data: DataInfo, fill: Pixel = 0.0, interpolation: Interpolation = "nearest") -> Augmentation:
    """Change each picture by one operation of a strength drawn anew, from the wide space (Mueller and Hutter 2021).

    Args:
        fill: value of pixels that come from outside the picture, 0 to 255.
        interpolation: how pixels between pixels are made where a picture is turned, sheared or moved.
    """
    from kplug.default_plugins.images.operations import Outside, wide_space
    from kplug.default_plugins.images.policies import draw_operations

    outside = Outside(fill, interpolation)
    # the strength has 31 even steps, 0 and 1 among them
    return draw_operations(data, lambda image: wide_space(image, outside), lambda drawn: drawn * 31 // 1 / 30, count=1)


@leaves_behind("it mixes a picture with others that were moved from it, so that an object is in several places")
def aug_mix(
    severity: Severity = 3.0,
    width: Count = 3,
    depth: Depth = -1,
    alpha: Positive = 1.0,
    fill: Pixel = 0.0,
    interpolation: Interpolation = "bilinear",
) -> Augmentation:
    """Mix each picture with several chains of operations on it, in drawn shares (Hendrycks et al. 2020).

    Args:
        severity: the strongest that an operation may be, 0.1 to 10; 10 turns by up to 30 degrees.
        width: number of chains.
        depth: number of operations in a chain, at least 1; -1 draws 1, 2 or 3 for each chain.
        alpha: evenness of the shares, above 0: parameter of the Dirichlet and the Beta distribution.
        fill: value of pixels that come from outside the picture, 0 to 255.
        interpolation: how pixels between pixels are made where a picture is turned, sheared or moved.
    """
    from kplug.default_plugins.images.operations import Outside, aug_mix_space
    from kplug.default_plugins.images.policies import mix_chains

    def strength(uniform: Any) -> Any:
        return (0.1 + (severity - 0.1) * uniform) / 10

    outside = Outside(fill, interpolation)
    return mix_chains(lambda image: aug_mix_space(image, outside), strength, width, depth, alpha)
