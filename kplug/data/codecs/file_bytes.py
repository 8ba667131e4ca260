"""The bytes of a picture's file: integers in them, and what is demanded before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Limit:
    """The largest picture that is decoded.

    Args:
        pixels: in all.
        side: of its height and its width.
    """

    pixels: int
    side: int


# Of a training's own files: above the 102 megapixels of medium-format cameras, 400 MB as RGB; a side is what JPEG and
# GIF can say.
TRAINED = Limit(2**27, 2**16 - 1)
# Of files that strangers send, so that each costs at most 500 MB and a second: a progressive JPEG holds 8 bytes a pixel
# of coefficients beside 3 of colours, and a resize holds output height x input width x 12 bytes.
SERVED = Limit(4096 * 3072, 2**15)


def starts_with(data: Any, magic: bytes) -> Any:
    """Say whether a file begins with the bytes that mark its kind."""
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def bytes_at(data: Any, start: Any, length: Any) -> Any:
    """A part of a file as uint8 `[length]`, with InvalidArgumentError where the file ends before it."""
    data = require(start + length <= tf.strings.length(data), data, "the file is cut off")
    return tf.io.decode_raw(tf.strings.substr(data, start, length), tf.uint8)


def integer(data: Any, start: Any, length: int, big_endian: bool = False) -> Any:
    """An integer of 1, 2 or 4 bytes as int32; negative where a 4-byte one is 2**31 or more."""
    values = tf.cast(tf.ensure_shape(bytes_at(data, start, length), [length]), tf.int32)
    order = range(length - 1, -1, -1) if big_endian else range(length)
    return tf.add_n([tf.bitwise.left_shift(values[i], 8 * place) for place, i in enumerate(order)])


def require(condition: Any, value: Any, message: Any) -> Any:
    """Return `value` once `condition` is seen to hold: what is computed from it waits for the check."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def require_lazily(condition: Any, value: Any, message: Callable[[], Any]) -> Any:
    """Do what `require` does, with a message that is made where the condition does not hold."""
    return tf.cond(condition, lambda: value, lambda: require(condition, value, message()))


def check_size(data: Any, height: Any, width: Any, limit: Limit = TRAINED) -> Any:
    """Return `data` once the height and the width in pixels are seen to be allowed."""
    sides = tf.cast(tf.stack([height, width]), tf.int64)
    fits = tf.reduce_all((sides > 0) & (sides <= limit.side)) & (sides[0] * sides[1] <= limit.pixels)
    allowed = f"at least 1 and at most {limit.side} on a side, at most {limit.pixels} in all"
    return require_lazily(fits, data, lambda: tf.strings.join([in_words(sides), " pixels; ", allowed]))


def in_words(sides: Any) -> Any:
    """The height and the width of a picture for a message."""
    size = tf.strings.as_string(sides)
    return tf.strings.join(["a picture of ", size[1], " x ", size[0]])
