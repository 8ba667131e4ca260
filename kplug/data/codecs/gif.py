"""GIF files: the first frame, at its place on the screen and with what is transparent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.codecs.file_bytes import Limit, bytes_at, check_size, integer, require
from kplug.data.codecs.pixels import by_strips

GIF = b"GIF8"
EXTENSION, IMAGE, CONTROL, TRAILER = 0x21, 0x2C, 0xF9, b"\x3b"
NUMBERS = bytes(number for number in range(256) for _ in range(3))  # a palette in which a colour is its own number
# A block of a picture has 255 bytes but for the last, and so many of a size are passed over at once. A file whose
# blocks change their size more often than those of any program is refused, so that the work is bounded.
BLOCKS, RUN = 2000, 4096


def decode_gif(data: Any, limit: Limit, convert: Callable[[Any], Any], channels: int) -> Any:
    """The first frame of a GIF at its place on the screen: what it does not cover is transparent.

    Args:
        data: string scalar, the bytes of a file.
        limit: the largest picture that is decoded.
        convert: brings a picture of RGB and alpha to `channels`; the palette alone goes through it.
        channels: of the picture.

    TensorFlow's decoder knows neither places nor what is transparent. It is given the frame alone, with a palette that
    makes every pixel its own number.
    """
    screen = tf.stack([integer(data, at, 2) for at in (8, 6)])
    data = check_size(data, screen[0], screen[1], limit)
    frame, end, control = first_frame(data)
    corner, size = (tf.stack([integer(data, frame + at, 2) for at in places]) for places in ((3, 1), (7, 5)))
    after = tf.maximum(screen, corner + size)
    data = check_size(check_size(data, after[0], after[1], limit), size[0], size[1], limit)
    flags = integer(data, frame + 9, 1)
    table_at, table_flags = (
        tf.where(flags >= 128, own, of_all) for own, of_all in ((frame + 10, 13), (flags, integer(data, 10, 1)))
    )
    table_flags = require(table_flags >= 128, table_flags, "a GIF without colours")
    count = tf.bitwise.left_shift(2, table_flags % 8)
    numbers = tf.io.decode_gif(_alone(data, frame, end, flags, table_flags % 8))[0, ..., :1]
    colours = tf.reshape(bytes_at(data, table_at, 3 * count), [-1, 3])
    says = tf.where(control > 0, integer(data, tf.maximum(control, 0) + 3, 1), 0)
    transparent = tf.where(says % 2 == 1, integer(data, tf.maximum(control, 0) + 6, 1), -1)
    alpha = tf.cast(tf.where(tf.range(count) == transparent, 0, 255), tf.uint8)
    palette = tf.concat([colours, alpha[:, tf.newaxis]], axis=1)[tf.newaxis]
    table = convert(tf.ensure_shape(palette, [1, None, 4]))[0]
    outside = tf.where((transparent >= 0) & (transparent < count), transparent, 0)  # as Pillow fills it
    around = tf.concat([tf.stack([corner, after - corner - size], axis=1), [[0, 0]]], axis=0)
    blank = tf.cast(outside, tf.uint8)
    whole = tf.cond(tf.reduce_all(around == 0), lambda: numbers, lambda: tf.pad(numbers, around, constant_values=blank))
    return by_strips(
        lambda each: tf.gather(table, tf.minimum(tf.cast(each[:, 0], tf.int32), count - 1)), whole, channels
    )


def _alone(data: Any, frame: Any, end: Any, flags: Any, table_size: Any) -> Any:
    """A GIF of one frame, in whose palette of 2 to the power of `table_size` + 1 colours each is its own number."""
    pixels = frame + 10 + _table(flags)
    size = tf.strings.substr(data, frame + 5, 4)
    return tf.strings.join(
        [
            b"GIF89a",
            size,
            _byte(128 + table_size),
            b"\0\0",
            tf.strings.substr(tf.constant(NUMBERS), 0, 3 * tf.bitwise.left_shift(2, table_size)),
            b"\x2c\0\0\0\0",
            size,
            _byte(tf.bitwise.bitwise_and(flags, 64)),  # the rows are interlaced
            tf.strings.substr(data, pixels, end - pixels),
            TRAILER,
        ]
    )


def _byte(number: Any) -> Any:
    """A number from 0 to 255 as a string of one byte."""
    return tf.gather(tf.constant([bytes([value]) for value in range(256)]), number)


def first_frame(data: Any) -> tuple[Any, Any, Any]:
    """Find the first frame of a GIF: the offsets at which it begins and ends, and that of its control block, or 0."""
    values = tf.io.decode_raw(tf.strings.join([data, b"\0"]), tf.uint8)  # behind the end there is an empty chunk
    length = tf.strings.length(data)

    def at(position: Any) -> Any:
        return tf.cast(values[tf.clip_by_value(position, 0, length)], tf.int32)

    def has_chunk(position: Any, steps: Any) -> Any:
        return (at(position) > 0) & (steps < BLOCKS)

    def skip_chunk(position: Any, steps: Any) -> tuple[Any, Any]:  # the inner loop: as few operations as may be
        size = at(position) + 1  # those that follow and are as long are passed over with it
        alike = values[position : position + RUN * size : size] == values[position]
        return position + size * tf.argmin(tf.concat([alike, [False]], axis=0), output_type=tf.int32), steps + 1

    def is_before(position: Any, frame: Any, control: Any, steps: Any) -> Any:
        return (frame == 0) & (steps < BLOCKS)

    def skip_block(position: Any, frame: Any, control: Any, steps: Any) -> tuple[Any, Any, Any, Any]:
        kind = at(position)
        checked = require(position < length, position, "the file is cut off")
        checked = require(tf.reduce_any(kind == (EXTENSION, IMAGE)), checked, "a GIF without a picture")
        is_image = kind == IMAGE
        chunks = checked + tf.where(is_image, 11 + _table(at(checked + 9)), 2)
        end, steps = tf.while_loop(has_chunk, skip_chunk, (chunks, steps + 1), parallel_iterations=1)
        end = require(end < length, end + 1, "the file is cut off")
        control = tf.where(~is_image & (at(checked + 1) == CONTROL), checked, control)
        return end, tf.where(is_image, checked, 0), control, steps

    start = 13 + _table(at(tf.constant(10)))
    loop = (start, tf.constant(0), tf.constant(0), tf.constant(0))
    end, frame, control, steps = tf.while_loop(is_before, skip_block, loop, parallel_iterations=1)
    is_found = (frame > 0) & (steps < BLOCKS)
    return frame, require(is_found, end, "a GIF of more blocks than a picture has"), control


def _table(flags: Any) -> Any:
    """The size in bytes of the colour table that a flag byte announces."""
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)
