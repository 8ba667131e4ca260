"""Files of masks: decoded and encoded in a graph with the value of every pixel kept.

A decoder of pictures changes the numbers of classes: it turns the indices of a palette into colours, spreads 1, 2 and
4 bits over 0 to 255, and drops the lower half of 16 bits. Here a value is read as the file has it.
"""

from __future__ import annotations

import zlib
from typing import Any

import tensorflow as tf

from kplug.data.codecs.decoding import BMP, check_bmp
from kplug.data.codecs.file_bytes import check_size, integer, require, starts_with
from kplug.data.codecs.jpeg import JPEG
from kplug.data.codecs.pixels import noinline
from kplug.data.codecs.png import COLOUR_TYPE, DEPTH, PNG, check_png

NEITHER = "a mask that is not a PNG or BMP file"
LOSSY = "a JPEG changes the values of a mask; save it as PNG"
COLOURED = "colours are not class numbers; save a mask as the indices of a palette or as grey"

# The places of a PNG's header in the file, and what stands behind it.
CRC, CHUNKS = 29, 33
DEPTHS, PALETTE = (1, 2, 4, 8, 16), 3
MOST_CHUNKS = 1000  # that may stand before the pixels, as libpng limits those that it does not know

# CRC-32 is linear: where bytes change, it changes by what depends only on their difference and how many bytes follow.
# Between the colour type, 3 for a palette and 0 for grey, and the CRC stand 3 bytes.
CRC_CHANGE = (zlib.crc32(bytes([PALETTE, 0, 0, 0])) ^ zlib.crc32(bytes(4))).to_bytes(4, "big")

# --- decoding ------------------------------------------------------------------------------------------------------


def decode_ids(data: Any) -> Any:
    """Decode the file of a mask, with InvalidArgumentError for one whose values are lost, is cut off or is too large.

    A pixel is the index in a palette, or the grey of 1 to 16 bits, or the value that its three colours share. Opacity
    is dropped.

    Args:
        data: string scalar, the bytes of a PNG or BMP file.

    Returns:
        int32 `[height, width]`, values from 0 to 65535.
    """
    data = tf.convert_to_tensor(data)
    is_png = starts_with(data, PNG)
    message = tf.where(starts_with(data, JPEG), LOSSY, NEITHER)
    data = require(is_png | starts_with(data, BMP), data, message)
    return tf.cond(is_png, lambda: _decode_png(data), lambda: _decode_bmp(data))


@noinline
def _decode_png(data: Any) -> Any:
    """The values of a PNG: libpng spreads those of fewer than 16 bits over 0 to 65535, which a division takes back."""
    data, depth = check_png(data), integer(data, DEPTH, 1)
    is_palette = integer(data, COLOUR_TYPE, 1) == PALETTE
    allowed = tf.reduce_any(depth == DEPTHS) & (~is_palette | (depth <= 8))
    data = require(allowed, data, "a PNG whose header is broken")
    grey = tf.cond(is_palette, lambda: _palette_as_grey(data), lambda: data)
    spread = _shared_value(tf.io.decode_png(grey, dtype=tf.uint16))
    greatest = tf.bitwise.left_shift(1, integer(data, DEPTH, 1)) - 1  # read again, behind the check: it is never 0
    return spread // (65535 // greatest)


def _decode_bmp(data: Any) -> Any:
    """The values of a BMP: TensorFlow's decoder returns the numbers of its palette's entries."""
    return _shared_value(tf.io.decode_bmp(check_bmp(data)))


def _shared_value(image: Any) -> Any:
    """The value that the colours of each pixel have in common, of grey, grey and alpha, RGB, or RGB and alpha."""
    native = tf.shape(image)[-1]
    first = image[..., 0]
    same = tf.cond(native < 3, lambda: tf.constant(True), lambda: _are_equal(first, image[..., 1], image[..., 2]))
    return tf.ensure_shape(require(same, tf.cast(first, tf.int32), COLOURED), [None, None])


def _are_equal(first: Any, second: Any, third: Any) -> Any:
    return tf.reduce_all(first == second) & tf.reduce_all(first == third)


# --- palettes ------------------------------------------------------------------------------------------------------


@noinline
def _palette_as_grey(data: Any) -> Any:
    """A PNG with a palette as one of grey, whose pixels are the indices.

    The colour type is changed, the header's CRC with it, and all chunks between the header and the pixels are left
    out, since libpng writes a warning about a palette in a grey file. The CRCs of those chunks are not looked at.
    """
    crc = tf.stack([integer(data, CRC + place, 1) for place in range(4)])
    mended = tf.bitwise.bitwise_xor(crc, list(CRC_CHANGE))
    each_byte = tf.constant([bytes([value]) for value in range(256)])
    pieces = [
        tf.strings.substr(data, 0, COLOUR_TYPE),
        b"\0",
        tf.strings.substr(data, COLOUR_TYPE + 1, CRC - COLOUR_TYPE - 1),
        tf.strings.reduce_join(tf.gather(each_byte, mended)),
        tf.strings.substr(data, _first_pixels(data), tf.strings.length(data)),
    ]
    return tf.strings.join(pieces)


def _first_pixels(data: Any) -> Any:
    """The place in a PNG at which its first chunk of pixels begins."""
    length, pixels = tf.strings.length(data), int.from_bytes(b"IDAT", "big")

    def is_other(place: Any, _: Any) -> Any:
        return integer(data, place + 4, 4, big_endian=True) != pixels

    def skip(place: Any, number: Any) -> tuple[Any, Any]:
        size = integer(data, place, 4, big_endian=True)
        fits = (size >= 0) & (size < length - place) & (number < MOST_CHUNKS)
        return require(fits, place, "the file is cut off") + 12 + size, number + 1

    place, _ = tf.while_loop(is_other, skip, (tf.constant(CHUNKS), tf.constant(0)))
    return place


# --- encoding ------------------------------------------------------------------------------------------------------


def encode_ids(ids: Any, wide: bool = False) -> Any:
    """Encode a mask as a grey PNG from which `decode_ids` reads the same values.

    Args:
        ids: integers `[height, width]`, from 0 to 255, or to 65535 where `wide`; others are an InvalidArgumentError.
        wide: write 16 bits a pixel in place of 8.

    Returns:
        string scalar, the bytes of the file.
    """
    ids = tf.ensure_shape(ids, [None, None])
    if not ids.dtype.is_integer:
        raise ValueError(f"ids are integers. Received: dtype={ids.dtype.name}")
    dtype = tf.uint16 if wide else tf.uint8
    height, width = tf.unstack(tf.shape(ids))
    ids = check_size(ids, height, width)
    least, most = (tf.cast(extreme(ids), tf.int64) for extreme in (tf.reduce_min, tf.reduce_max))
    fits = (least >= 0) & (most <= dtype.max)
    ids = require(fits, ids, f"values of a mask that are not from 0 to {dtype.max}")
    return tf.io.encode_png(tf.cast(ids, dtype)[..., tf.newaxis])
