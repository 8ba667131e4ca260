"""Image layers of Keras, pure in the seed: pictures are 0 to 255, and what lives in them moves with them.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from typing import Literal

from kplug.default_plugins.keras_components.types import (
    Bits,
    FillMode,
    Half,
    Interpolation,
    OpenSigned,
    OpenUnit,
    Pixel,
    Several,
    SigmaRange,
    SignedRange,
    UnitRange,
    has_colors,
    has_colors_to_jitter,
    window_meets_picture,
)
from kplug.kinds import Augmentation, Natural, NonNegative, Odd, Positive, Size, Unit, mixes, moves, recolours, rule
from kplug.records import DataInfo


@recolours
def auto_contrast(probability: Unit = 0.5) -> Augmentation:
    """Stretch each color to the whole range from black to white.

    Args:
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.AutoContrast(dtype="float32"), probability=probability)


@recolours
def clahe(clip_limit: NonNegative = 4.0, tile_grid_size: Size = (8, 8), probability: Unit = 0.5) -> Augmentation:
    """Spread the brightness values evenly, tile by tile (Zuiderveld 1994).

    Args:
        clip_limit: most that the contrast may grow; 0 is no limit.
        tile_grid_size: number of tiles, along height and width.
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(
        keras.layers.ContrastLimitedAdaptiveHistogramEqualization(
            clip_limit=clip_limit, tile_grid_size=tile_grid_size, dtype="float32"
        ),
        probability=probability,
    )


@mixes(parts=True)
def cut_mix(data: DataInfo, alpha: OpenUnit = 1.0) -> Augmentation:
    """Put a rectangle of one picture into another and mix their labels by area (Yun et al. 2019).

    Args:
        alpha: both parameters of the Beta distribution of the area; 1 is uniform.
    """
    from kplug.default_plugins.images.mixtures import pasted

    return pasted(data, alpha)


@recolours
def equalization(bins: Several = 256, probability: Unit = 0.5) -> Augmentation:
    """Spread the brightness values evenly.

    Args:
        bins: number of brightness steps that are counted.
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.Equalization(bins=bins, dtype="float32"), probability=probability, one_by_one=True)


@mixes()
def mix_up(data: DataInfo, alpha: Positive = 0.2) -> Augmentation:
    """Mix two pictures and their labels in the same shares (Zhang et al. 2018).

    Args:
        alpha: both parameters of the Beta distribution of the share; small mixes little.
    """
    from kplug.default_plugins.images.mixtures import shares

    return shares(data, alpha)


@recolours
def random_brightness(factor: SignedRange = (-0.2, 0.2)) -> Augmentation:
    """Make pictures brighter or darker.

    Args:
        factor: range of what is added, as a share of white.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomBrightness(factor=factor, dtype="float32"))


@recolours
@rule(has_colors)
def random_color_degeneration(factor: UnitRange = (0.0, 0.5)) -> Augmentation:
    """Mix pictures with their gray version.

    Args:
        factor: range of the gray version's share.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomColorDegeneration(factor=factor, dtype="float32"), color=True)


@recolours
@rule(has_colors_to_jitter)
def random_color_jitter(
    brightness: Unit = 0.4, contrast: Unit = 0.4, saturation: Unit = 0.4, hue: Half = 0.1
) -> Augmentation:
    """Change brightness, contrast, saturation and hue, each by a random amount.

    Args:
        brightness: brightness is multiplied by 1 - brightness to 1 + brightness.
        contrast: contrast is multiplied by 1 - contrast to 1 + contrast.
        saturation: saturation is multiplied by 1 - saturation to 1 + saturation.
        hue: colors turn by up to this share of the circle.
    """
    from kplug.default_plugins.images.pure_layers import color_jitter

    return color_jitter(brightness, contrast, saturation, hue)


@recolours
def random_contrast(factor: Unit = 0.2) -> Augmentation:
    """Raise or lower the contrast.

    Args:
        factor: contrast is multiplied by 1 - factor to 1 + factor.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomContrast(factor=(factor, factor), dtype="float32"))


@moves(fill="{fill}", size="{size}")
@rule(window_meets_picture)
def random_crop(
    data: DataInfo,
    padding: Natural | None = None,
    fill: Literal["constant", "reflect", "symmetric"] = "constant",
    size: Size | None = None,
) -> Augmentation:
    """Cut a window at a random place: of the old size, after a padding of every side, or of another.

    Args:
        padding: pixels that are added on every side; null: 4, and 0 where a size is given.
        fill: what is added: black, or a mirror image.
        size: height and width of the window in pixels; null: those of the pictures.
    """
    from kplug.default_plugins.images.whole_pixels import windows

    return windows(data, padding, fill, size)


@moves(fill="nearest")
def random_elastic_transform(data: DataInfo, scale: UnitRange = (0.5, 1.0), probability: Unit = 0.5) -> Augmentation:
    """Bend pictures like rubber (Simard et al. 2003).

    Args:
        scale: range of the strength; 1 moves pixels by about 3 percent of the size.
        probability: share of the pictures that are changed.
    """
    from kplug.default_plugins.images.motions import elastic

    return elastic(data, scale, probability)


@recolours
def random_erasing(
    scale: UnitRange = (0.02, 0.33), fill_value: Pixel | None = None, probability: Unit = 0.5
) -> Augmentation:
    """Erase a random rectangle (Zhong et al. 2020).

    Args:
        scale: range of the share of the area that is erased.
        fill_value: value of the erased pixels, 0 to 255; null is noise.
        probability: share of the pictures that are changed.
    """
    from kplug.default_plugins.images.whole_pixels import erasing

    return erasing(scale, fill_value, probability)


@moves()
def random_flip(
    data: DataInfo, mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"
) -> Augmentation:
    """Mirror pictures with probability one half.

    Args:
        mode: left and right, top and bottom, or each of the two by itself.
    """
    from kplug.default_plugins.images.whole_pixels import flips

    return flips(data, mode)


@recolours
def random_gaussian_blur(kernel_size: Odd = 3, sigma: SigmaRange = (0.1, 2.0), probability: Unit = 0.5) -> Augmentation:
    """Blur pictures.

    Args:
        kernel_size: height and width of the kernel in pixels.
        sigma: range of the standard deviation in pixels, drawn once for a batch.
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(
        keras.layers.RandomGaussianBlur(
            kernel_size=kernel_size, sigma=sigma, dtype="float32", factor=(probability, probability)
        )
    )


@recolours
@rule(has_colors)
def random_grayscale(probability: Unit = 0.1) -> Augmentation:
    """Take the color out of pictures.

    Args:
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomGrayscale(dtype="float32", factor=probability), color=True)


@recolours
@rule(has_colors)
def random_hue(factor: UnitRange = (0.0, 0.1)) -> Augmentation:
    """Turn the circle of colors.

    Args:
        factor: range of the turn either way; 1 is half the circle.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomHue(factor=factor, dtype="float32"), color=True)


@recolours
def random_invert(probability: Unit = 0.5) -> Augmentation:
    """Turn pictures into their negatives.

    Args:
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomInvert(dtype="float32", factor=(probability, probability)))


@moves()
def random_perspective(
    data: DataInfo,
    scale: Unit = 0.5,
    interpolation: Interpolation = "bilinear",
    fill_value: Pixel = 0.0,
    probability: Unit = 0.5,
) -> Augmentation:
    """Look at pictures from an angle.

    Args:
        scale: how far the corners may move, as a share of the size.
        interpolation: how pixels between pixels are made.
        fill_value: value outside in mode constant, 0 to 255.
        probability: share of the pictures that are changed.
    """
    from kplug.default_plugins.images.motions import perspectives

    return perspectives(data, scale, interpolation, fill_value, probability)


@recolours
def random_posterization(bits: tuple[Bits, Bits] = (4, 7), probability: Unit = 0.5) -> Augmentation:
    """Keep only the upper bits of each color.

    Args:
        bits: fewest and most bits that are kept, 1 to 8.
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(
        keras.layers.RandomPosterization(dtype="float32", factor=(min(bits), max(bits) + 1)), probability=probability
    )


@moves(fill="{fill_mode}")
def random_rotation(
    data: DataInfo,
    factor: SignedRange = (-0.05, 0.05),
    fill_mode: FillMode = "reflect",
    interpolation: Interpolation = "bilinear",
    fill_value: Pixel = 0.0,
) -> Augmentation:
    """Turn pictures.

    Args:
        factor: range of the turn; 1 is a full one, positive is counterclockwise.
        fill_mode: what lies outside: constant, the nearest pixel, a mirror image, or the other side.
        interpolation: how pixels between pixels are made.
        fill_value: value outside in mode constant, 0 to 255.
    """
    from kplug.default_plugins.images.motions import rotations

    return rotations(data, factor, fill_mode, interpolation, fill_value)


@recolours
@rule(has_colors)
def random_saturation(factor: UnitRange = (0.4, 0.6)) -> Augmentation:
    """Make colors stronger or paler.

    Args:
        factor: range: 0 is gray, 0.5 changes nothing, 1 is full color.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(
        keras.layers.RandomSaturation(factor=factor, dtype="float32", value_range=(0, 1)), color=True, unit_values=True
    )


@recolours
def random_sharpness(factor: UnitRange = (0.25, 0.75)) -> Augmentation:
    """Sharpen or smooth pictures.

    Args:
        factor: range: 0 is smoothed, 0.5 changes nothing, 1 is sharpened.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(keras.layers.RandomSharpness(factor=factor, dtype="float32"))


@moves(fill="{fill_mode}")
def random_shear(
    data: DataInfo,
    x_factor: UnitRange = (0.0, 0.2),
    y_factor: UnitRange = (0.0, 0.2),
    interpolation: Interpolation = "bilinear",
    fill_mode: FillMode = "reflect",
    fill_value: Pixel = 0.0,
) -> Augmentation:
    """Shear pictures, either way.

    Args:
        x_factor: range of the shear along the width, as a share.
        y_factor: range of the shear along the height, as a share.
        interpolation: how pixels between pixels are made.
        fill_mode: what lies outside: constant, the nearest pixel, a mirror image, or the other side.
        fill_value: value outside in mode constant, 0 to 255.
    """
    from kplug.default_plugins.images.motions import shears

    return shears(data, x_factor, y_factor, interpolation, fill_mode, fill_value)


@moves(fill="{fill_mode}")
def random_translation(
    data: DataInfo,
    height_factor: SignedRange = (-0.1, 0.1),
    width_factor: SignedRange = (-0.1, 0.1),
    fill_mode: FillMode = "reflect",
    interpolation: Interpolation = "bilinear",
    fill_value: Pixel = 0.0,
) -> Augmentation:
    """Shift pictures by a share of their size.

    Args:
        height_factor: range of the shift as a share of the height; positive is down.
        width_factor: range of the shift as a share of the width; positive is right.
        fill_mode: what lies outside: constant, the nearest pixel, a mirror image, or the other side.
        interpolation: how pixels between pixels are made.
        fill_value: value outside in mode constant, 0 to 255.
    """
    from kplug.default_plugins.images.motions import translations

    return translations(data, height_factor, width_factor, fill_mode, interpolation, fill_value)


@moves(fill="{fill_mode}")
def random_zoom(
    data: DataInfo,
    height_factor: tuple[OpenSigned, OpenSigned] = (-0.2, 0.2),
    width_factor: tuple[OpenSigned, OpenSigned] | None = None,
    fill_mode: FillMode = "reflect",
    interpolation: Interpolation = "bilinear",
    fill_value: Pixel = 0.0,
) -> Augmentation:
    """Zoom in or out.

    Args:
        height_factor: range of the zoom; positive is out, negative is in.
        width_factor: the same for the width; null keeps the proportions.
        fill_mode: what lies outside: constant, the nearest pixel, a mirror image, or the other side.
        interpolation: how pixels between pixels are made.
        fill_value: value outside in mode constant, 0 to 255.
    """
    from kplug.default_plugins.images.motions import zooms

    return zooms(data, height_factor, width_factor, fill_mode, interpolation, fill_value)


@recolours
def solarization(
    addition_factor: UnitRange = (0.0, 0.0), threshold_factor: UnitRange = (0.5, 0.5), probability: Unit = 0.5
) -> Augmentation:
    """Turn the bright pixels into their negatives.

    Args:
        addition_factor: range of what is added first, as a share of white.
        threshold_factor: range of the brightness above which pixels turn, as a share of white.
        probability: share of the pictures that are changed.
    """
    import keras

    from kplug.default_plugins.images.pure_layers import image_layers

    return image_layers(
        keras.layers.Solarization(addition_factor=addition_factor, threshold_factor=threshold_factor, dtype="float32"),
        probability=probability,
    )


COMPONENTS = [
    auto_contrast,
    clahe,
    cut_mix,
    equalization,
    mix_up,
    random_brightness,
    random_color_degeneration,
    random_color_jitter,
    random_contrast,
    random_crop,
    random_elastic_transform,
    random_erasing,
    random_flip,
    random_gaussian_blur,
    random_grayscale,
    random_hue,
    random_invert,
    random_perspective,
    random_posterization,
    random_rotation,
    random_saturation,
    random_sharpness,
    random_shear,
    random_translation,
    random_zoom,
    solarization,
]
