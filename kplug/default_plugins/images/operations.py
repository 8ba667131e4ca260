"""Operations on one picture, uint8 `[height, width, channels]`, as Pillow computes them.

The papers used Pillow, so its arithmetic is kept: enhancements cut fractions off, tables are made in integers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kplug.data.codecs import pixels

# --- values --------------------------------------------------------------------------------------------------------


def posterize(image: Any, bits: Any) -> Any:
    """Keep the upper bits of each value, 0 to 8."""
    mask = 256 - tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def solarize(image: Any, threshold: Any) -> Any:
    """Turn all values from the threshold on, 0 to 256, into their negative."""
    bright = (image >= tf.cast(tf.minimum(threshold, 255), tf.uint8)) & (threshold < 256)
    return tf.bitwise.bitwise_xor(image, 255 * tf.cast(bright, tf.uint8))


def auto_contrast(image: Any) -> Any:
    """Stretch each channel to 0 to 255; one of a single value stays."""
    low, high = (tf.cast(reduce(image, [0, 1]), tf.float64) for reduce in (tf.reduce_min, tf.reduce_max))
    scale = tf.where(high > low, 255 / tf.maximum(high - low, 1), 1)
    offset = tf.where(high > low, -low * scale, 0)
    # in float64 fractions are cut off at the same places as in Pillow
    return _look_up(image, tf.range(256, dtype=tf.float64)[:, tf.newaxis] * scale + offset)


def equalize(image: Any) -> Any:
    """Spread the values of each channel evenly; one that has too few pixels for that stays."""
    channels = image.shape[-1]
    places = tf.reshape(_table_places(image), [-1])
    counts = tf.reshape(tf.math.bincount(places, minlength=256 * channels, maxlength=256 * channels), [256, channels])
    occupied = tf.where(counts > 0, tf.range(256)[:, tf.newaxis], -1)
    highest = tf.reduce_max(occupied, axis=0)  # [channels]
    last = tf.gather(tf.transpose(counts), highest, batch_dims=1)
    step = (tf.reduce_sum(counts, axis=0) - last) // 255
    spread = (step // 2 + tf.cumsum(counts, axis=0, exclusive=True)) // tf.maximum(step, 1)
    return _look_up(image, tf.where(step > 0, spread, tf.range(256)[:, tf.newaxis]))


def _table_places(image: Any) -> Any:
    """Return the place of each pixel's entry in a table `[256, channels]` laid out flat."""
    return tf.cast(image, tf.int32) * image.shape[-1] + tf.range(image.shape[-1])


def _look_up(image: Any, table: Any) -> Any:
    """Replace every value by its entry in a table `[256, channels]`, clipped, fractions cut off."""
    entries = tf.cast(tf.clip_by_value(table, 0, 255), tf.uint8)
    return tf.gather(tf.reshape(entries, [-1]), _table_places(image))


# --- enhancements: a picture pushed away from, or towards, a version of it that lacks something ---------------------


def brightness(image: Any, factor: Any) -> Any:
    return _blend(0.0, image, factor)


def contrast(image: Any, factor: Any) -> Any:
    mean = tf.floor(tf.reduce_mean(tf.cast(_gray(image), tf.float64)) + 0.5)
    return _blend(tf.cast(mean, tf.float32), image, factor)


def color(image: Any, factor: Any) -> Any:
    return image if image.shape[-1] == 1 else _blend(_gray(image), image, factor)


def sharpness(image: Any, factor: Any) -> Any:
    """Push away from the picture smoothed by weights of 1, in the center 5; its border of one pixel stays."""
    if min(image.shape[:2]) < 3:
        return image
    values = tf.cast(image, tf.float32)
    rows = values[:-2] + values[1:-1] + values[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    inside = values[1:-1, 1:-1]
    changed = _blend(tf.floor((sums + 4 * inside) / 13 + 0.5), image[1:-1, 1:-1], factor)
    middle = tf.concat([image[1:-1, :1], changed, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def _blend(without: Any, image: Any, factor: Any) -> Any:
    return tf.cast(tf.clip_by_value(without + factor * (tf.cast(image, tf.float32) - without), 0, 255), tf.uint8)


def _gray(image: Any) -> Any:
    """Return the luma of ITU-R 601 in 16 bits, rounded, float32 `[h, w, 1]`; all sums are exact in float32."""
    values = tf.cast(image, tf.float32)
    if image.shape[-1] != 3:  # one channel, or channels that are no red, green and blue
        return tf.floor(tf.reduce_mean(values, axis=-1, keepdims=True) + 0.5)
    weighted = tf.tensordot(values, tf.constant([[19595.0], [38470.0], [7471.0]]), 1)
    return tf.floor((weighted + 0x8000) / 0x10000)


# --- places --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outside:
    """A way to make pixels that lie outside of the picture (`fill`), or between pixels (`interpolation`)."""

    fill: float = 0.0
    interpolation: str = "nearest"


# In the papers' order a, b, c, d, e, f: what is at (x, y) after a move was at (a x + b y + c, d x + e y + f), where
# places are edges, as in `Geometry`.
MOVES: dict[str, Callable[[Any], list[Any]]] = {
    "shear_x": lambda share: [1.0, share, 0.0, 0.0, 1.0, 0.0],  # each row by a share of its distance from the top
    "shear_y": lambda share: [1.0, 0.0, 0.0, share, 1.0, 0.0],
    "translate_x": lambda shift: [1.0, 0.0, shift, 0.0, 1.0, 0.0],  # in pixels, to the left
    "translate_y": lambda shift: [1.0, 0.0, 0.0, 0.0, 1.0, shift],
}


def move(image: Any, amount: Any, by: str, outside: Outside) -> Any:
    """Shear or translate, by the name in `MOVES`."""
    return _affine(image, MOVES[by](amount), outside)


def rotate(image: Any, degrees: Any, outside: Outside) -> Any:
    """Turn around the center, counterclockwise where positive."""
    return _affine(image, turn(image.shape[:2], degrees), outside)


def turn(size: Any, degrees: Any) -> list[Any]:
    """The numbers a to f of a turn around the center of pictures of a size."""
    angle = tf.cast(degrees, tf.float32) * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    y, x = size[0] / 2, size[1] / 2
    return [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]


def _affine(image: Any, matrix: list[Any], outside: Outside) -> Any:
    a, b, c, d, e, f = (tf.cast(value, tf.float32) for value in matrix)
    # Pillow counts from the corner of the first pixel, TensorFlow from its middle
    centered = [a, b, c + (a + b - 1) / 2, d, e, f + (d + e - 1) / 2, tf.constant(0.0), tf.constant(0.0)]
    source = image if outside.interpolation == "nearest" else tf.cast(image, tf.float32)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=source[tf.newaxis],
        transforms=tf.stack(centered)[tf.newaxis],
        output_shape=image.shape[:2],
        fill_value=outside.fill,
        interpolation=outside.interpolation.upper(),
        fill_mode="CONSTANT",
    )[0]
    return pixels.to_uint8(moved)


# --- spaces: which operations, and what a strength of 0 to 1 and a sign of -1 or 1 mean for each ---------------------


@dataclass(frozen=True)
class Operation:
    """An operation of a space.

    Args:
        change: (picture, amount) to the changed picture; a picture alone where there is no amount.
        amount: (strength, sign) to the amount.
        move: of one that moves pixels, an amount to its numbers a to f, as in `MOVES`.
    """

    change: Callable[..., Any]
    amount: Callable[[Any, Any], Any] | None = None
    move: Callable[[Any], list[Any]] | None = None

    def __call__(self, image: Any, strength: Any, sign: Any) -> Any:
        return self.change(image, self.amount(strength, sign)) if self.amount else self.change(image)

    def matrix(self, strength: Any, sign: Any) -> Any:
        """The matrix of a `Geometry` that moves as the operation does, float32 `[3, 3]`."""
        if self.move is None or self.amount is None:
            return tf.eye(3)
        numbers = [tf.cast(number, tf.float32) for number in (*self.move(self.amount(strength, sign)), 0, 0, 1)]
        return tf.reshape(tf.stack(numbers), [3, 3])


Space = dict[str, Operation]
UNCHANGED: Space = {"identity": Operation(lambda image: image)}


def rand_augment_space(image: Any, outside: Outside) -> Space:
    """The 14 operations of RandAugment with the ranges of AutoAugment; it moved 331 pixels by 150."""
    places = _places(image, outside, degrees=30, shear=0.3, shift=lambda side: side * 150 / 331)
    return UNCHANGED | _values(8, 4) | _enhancements(lambda strength, sign: 1 + sign * 0.9 * strength) | places


def wide_space(image: Any, outside: Outside) -> Space:
    """The 14 operations of TrivialAugment in its wide ranges."""
    places = _places(image, outside, degrees=135, shear=0.99, shift=lambda side: 32)
    return UNCHANGED | _values(8, 2) | _enhancements(lambda strength, _: 0.01 + 1.99 * strength) | places


def aug_mix_space(image: Any, outside: Outside) -> Space:
    """The 9 operations of AugMix: none that is among the corruptions of ImageNet-C."""
    return _values(4, 0) | _places(image, outside, degrees=30, shear=0.3, shift=lambda side: side / 3)


def _values(most: int, least: int) -> Space:
    """The operations on values; posterize keeps `most` bits at strength 0 and `least` at strength 1."""
    return {
        "auto_contrast": Operation(auto_contrast),
        "equalize": Operation(equalize),
        "posterize": Operation(posterize, lambda strength, _: most - _whole((most - least) * strength)),
        "solarize": Operation(solarize, lambda strength, _: 256 - _whole(256 * strength)),
    }


def _enhancements(factor: Callable[[Any, Any], Any]) -> Space:
    return {change.__name__: Operation(change, factor) for change in (color, contrast, brightness, sharpness)}


def _places(image: Any, outside: Outside, degrees: float, shear: float, shift: Callable[[int], float]) -> Space:
    def signed(most: float) -> Callable[[Any, Any], Any]:
        return lambda strength, sign: sign * most * strength

    def in_pixels(side: int) -> Callable[[Any, Any], Any]:
        return lambda strength, sign: sign * tf.cast(_whole(shift(side) * strength), tf.float32)

    amounts = {"shear_x": signed(shear), "shear_y": signed(shear)}
    amounts |= {"translate_x": in_pixels(image.shape[1]), "translate_y": in_pixels(image.shape[0])}
    moves = {by: Operation(functools.partial(move, by=by, outside=outside), amounts[by], MOVES[by]) for by in MOVES}
    turned = functools.partial(turn, image.shape[:2])
    return {"rotate": Operation(functools.partial(rotate, outside=outside), signed(degrees), turned)} | moves


def _whole(value: Any) -> Any:
    """Cut fractions off; a whole number that float32 made a little smaller stays."""
    return tf.cast(value + 1e-4, tf.int32)
