"""PNG files: their colours and alpha, those of a palette and of a colour that stands for transparent among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.codecs.exif import png_orientation
from kplug.data.codecs.file_bytes import TRAINED, Limit, check_size, integer, require
from kplug.data.codecs.pixels import by_strips, luma, noinline, opaque, round_to_uint8

PNG = b"\x89PNG\r\n\x1a\n"
DEPTH, COLOUR_TYPE = 24, 25  # the places of a header in the file
TRANSPARENCY = b"tRNS"
COMPRESSED_TEXT = b"TXt"  # in the names of the chunks that hold one: zTXt and iTXt
# libpng unpacks each text, to 8 MB at most, and keeps them all. A file packs nothing to less than a thousandth: of a
# small one all texts together are small.
TEXTS, SMALL = 16, 2**17

# --- decoding ------------------------------------------------------------------------------------------------------


def decode_png(data: Any, channels: int, window: tuple[float, float] | None) -> Any:
    """A PNG in `channels`; with a window, its values between two of 16 bits are spread over 0 to 255."""
    if window is None:
        return _decode(data, channels)
    low, high = window

    def spread(values: Any) -> Any:
        return round_to_uint8(tf.clip_by_value((tf.cast(values, tf.float32) - low) * (255 / (high - low)), 0, 255))

    return tf.cond(
        integer(data, DEPTH, 1) == 16,
        lambda: _in_grey(data, channels, lambda n: by_strips(spread, tf.io.decode_png(data, n, tf.uint16), n)),
        lambda: _decode(data, channels),
    )


def _decode(data: Any, channels: int) -> Any:
    if channels == 4:
        return _with_alpha(data)
    return _in_grey(data, channels, lambda channels: tf.io.decode_png(data, channels))


def _in_grey(data: Any, channels: int, decoded: Callable[[int], Any]) -> Any:
    """Return what is decoded to `channels`, with kplug's own luma of colours where that is one."""
    if channels != 1:
        return decoded(channels)
    has_colours = integer(data, COLOUR_TYPE, 1) % 4 > 1  # 2, 3 and 6; 0 is grey, 4 has alpha beside it
    return tf.cond(has_colours, lambda: luma(decoded(3)), lambda: decoded(1))


def _with_alpha(data: Any) -> Any:
    """RGB and alpha; a colour that stands for transparent becomes so.

    Where TensorFlow adds an alpha to fewer than 8 bits, it writes the largest number of so many bits.
    """

    def few_bits() -> Any:
        parts = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep=TRANSPARENCY, maxsplit=1).values
        return tf.cond(tf.size(parts) > 1, lambda: tf.io.decode_png(data, 4), lambda: opaque(tf.io.decode_png(data, 3)))

    return tf.cond(integer(data, DEPTH, 1) >= 8, lambda: tf.io.decode_png(data, 4), few_bits)


def png_size(data: Any, is_upright: bool) -> Any:
    """Height and width of a PNG as its header says them; of the upright picture where `is_upright`."""
    size = tf.stack([integer(data, at, 4, big_endian=True) for at in (20, 16)])
    is_turned = png_orientation(data) >= 5 if is_upright else tf.constant(False)
    return tf.where(is_turned, size[::-1], size)


# --- checks --------------------------------------------------------------------------------------------------------


def check_png(data: Any, limit: Limit = TRAINED) -> Any:
    """Return a PNG once its header is seen to announce a size that is allowed, and its texts are few."""
    width, height = (integer(data, at, 4, big_endian=True) for at in (16, 20))
    data = check_size(data, height, width, limit)
    return tf.cond(tf.strings.length(data) <= SMALL, lambda: data, lambda: _check_texts(data))


@noinline
def _check_texts(data: Any) -> Any:
    parts = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep=COMPRESSED_TEXT).values
    return require(tf.size(parts) <= 1 + TEXTS, data, "a PNG of more texts than a picture has")
