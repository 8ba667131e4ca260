"""The EXIF orientation of a picture's file, and the picture turned upright by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.codecs.file_bytes import starts_with
from kplug.data.codecs.pixels import noinline

SEARCHED = 2**17  # bytes of a JPEG in which its EXIF block is looked for: two segments of the largest size
SEGMENTS = 16  # of a JPEG that may stand before its EXIF block
SEGMENT, EXIF = 0xE1, b"Exif\0\0"
CHUNK = b"eXIf"  # of a PNG, before its pixels or behind them
LITTLE_ENDIAN, BIG_ENDIAN, ORIENTATION_TAG, ENTRY = b"II*\0", b"MM\0*", 0x0112, 12


@noinline
def jpeg_orientation(data: Any) -> Any:
    """The EXIF orientation of a JPEG, 1 to 8; 1, upright, where it says none that makes sense."""
    head = tf.strings.substr(data, 0, SEARCHED)
    at, says = _reading(head)
    length = tf.strings.length(head)

    def is_segment(place: Any, number: Any) -> Any:  # one that may stand before the picture, and not the one sought
        kind = at(place + 1)
        is_metadata = ((kind >= 0xE0) & (kind <= 0xEF)) | (kind == 0xFE)
        sought = (kind == SEGMENT) & says(place + 4, EXIF)
        return (place + 10 < length) & (at(place) == 0xFF) & is_metadata & ~sought & (number < SEGMENTS)

    def skip(place: Any, number: Any) -> tuple[Any, Any]:
        return place + 2 + at(place + 2) * 256 + at(place + 3), number + 1

    place, _ = tf.while_loop(is_segment, skip, (tf.constant(2), tf.constant(0)))
    return tf.where(says(place + 4, EXIF), _orientation(at, says, place + 4 + len(EXIF)), 1)


def png_orientation(data: Any) -> Any:
    """The EXIF orientation of a PNG, 1 to 8; 1, upright, where it says none that makes sense."""
    parts = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep=CHUNK, maxsplit=1).values
    return tf.cond(tf.size(parts) > 1, lambda: _block_orientation(parts[1]), lambda: tf.constant(1))


def turn(image: Any, orientation: Any) -> Any:
    """Turn a picture as an EXIF orientation, 1 to 8, says: from 5 on its axes are exchanged first."""
    return tf.cond(orientation == 1, lambda: image, lambda: _turned(image, orientation))


@noinline
def _turned(image: Any, orientation: Any) -> Any:
    channels = image.shape[-1]
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    upside_down, mirrored = (tf.reduce_any(orientation == those) for those in ((3, 4, 7, 8), (2, 3, 6, 7)))
    # TensorFlow reverses along one axis 5 times as fast as along two: a half turn is all pixels in one line reversed
    shape, is_half_turn = tf.shape(image), upside_down & mirrored
    image = tf.cond(is_half_turn, lambda: tf.reshape(image, [1, -1, channels]), lambda: image)
    turned = tf.raw_ops.Reverse(tensor=image, dims=tf.stack([upside_down & ~mirrored, mirrored, False]))
    return tf.ensure_shape(tf.reshape(turned, shape), [None, None, channels])


@noinline
def _block_orientation(block: Any) -> Any:
    """The orientation that a block of EXIF says; what only looks like one does not begin as one."""
    at, says = _reading(tf.strings.substr(block, 0, SEARCHED))
    is_block = starts_with(block, LITTLE_ENDIAN) | starts_with(block, BIG_ENDIAN)
    return tf.where(is_block, _orientation(at, says, tf.constant(0)), 1)


def _reading(head: Any) -> tuple[Callable[[Any], Any], Callable[[Any, bytes], Any]]:
    """Functions of a place to its byte, 0 behind the end, and of a place to whether bytes stand there."""
    length = tf.strings.length(head)
    values = tf.cast(tf.io.decode_raw(tf.strings.join([head, b"\0"]), tf.uint8), tf.int32)

    def at(place: Any) -> Any:
        return tf.gather(values, tf.where((place >= 0) & (place < length), place, length))

    def says(place: Any, magic: bytes) -> Any:  # a segment may claim to end behind the file
        return tf.strings.substr(head, tf.minimum(place, length), len(magic)) == magic

    return at, says


def _orientation(at: Callable[[Any], Any], says: Callable[[Any, bytes], Any], block: Any) -> Any:
    """The orientation that the first directory of an EXIF block says, 1 where it says none."""
    is_little = says(block, LITTLE_ENDIAN[:2])

    def number(place: Any, size: int) -> Any:
        read = [at(place + offset) for offset in range(size)]
        orders = [sum(byte * 256**power for power, byte in enumerate(some)) for some in (read, read[::-1])]
        return tf.where(is_little, *orders)

    entries = block + number(block + 4, 4)
    places = entries + 2 + ENTRY * tf.range(tf.clip_by_value(number(entries, 2), 0, 255))
    found = number(tf.boolean_mask(places, number(places, 2) == ORIENTATION_TAG)[:1] + 8, 2)
    is_known = tf.reduce_any((found >= 1) & (found <= 8))
    return tf.cond(is_known, lambda: found[0], lambda: tf.constant(1))
