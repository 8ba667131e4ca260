"""Decoding: the same functions feed a training and stand in the exported graph.

A picture is JPEG, PNG, BMP or GIF (first frame). Its header is read before anything is allocated; transparency is
dropped unless four channels are asked for; 16 bits a channel become 8. A JPEG or PNG is turned upright as its EXIF
orientation says.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from kplug.data.codecs.exif import jpeg_orientation, png_orientation, turn
from kplug.data.codecs.file_bytes import TRAINED, Limit, bytes_at, check_size, integer, require, starts_with
from kplug.data.codecs.gif import GIF, decode_gif
from kplug.data.codecs.jpeg import JPEG, decode_jpeg, jpeg_size
from kplug.data.codecs.pixels import by_strips, luma, noinline, opaque
from kplug.data.codecs.png import PNG, check_png, decode_png, png_size

CHANNELS = (1, 3, 4)
BMP = b"BM"
SIGNATURES = (JPEG, PNG[:6], BMP, GIF)
NONE_OF_THEM = "not a JPEG, PNG, BMP or GIF file"
BIT_FIELDS = 3  # compression of a BMP that says by masks which bits of a pixel are which colour
BMP_COMPRESSIONS = (0, BIT_FIELDS)
BMP_BITS = (8, 24, 32)

# --- decoding ------------------------------------------------------------------------------------------------------


def decode(
    data: Any,
    channels: int,
    orientation: bool = True,
    window: tuple[float, float] | None = None,
    limit: Limit = TRAINED,
) -> Any:
    """Decode a picture file, with InvalidArgumentError for what is none, is cut off or is too large.

    Args:
        data: string scalar, the bytes of a file.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha).
        orientation: turn a JPEG or PNG upright as its EXIF orientation says.
        window: of a PNG of 16 bits the values that become 0 and 255, others are cut; None takes the upper 8 bits.
        limit: the largest picture that is decoded.

    Returns:
        uint8 `[height, width, channels]`.
    """
    if channels not in CHANNELS:
        raise ValueError(f"channels is one of 1, 3, 4. Received: channels={channels}")
    data = tf.convert_to_tensor(data)
    upright = (lambda image: turn(image, jpeg_orientation(data))) if orientation else tf.identity
    return tf.cond(
        starts_with(data, JPEG),
        lambda: upright(_convert(decode_jpeg(data, limit), channels)),
        lambda: _decode_other(data, channels, orientation, window, limit),
    )


@noinline
def _decode_other(data: Any, channels: int, orientation: bool, window: tuple[float, float] | None, limit: Limit) -> Any:
    known = tf.stack([starts_with(data, magic) for magic in (PNG, BMP, GIF)])
    data = require(tf.reduce_any(known), data, NONE_OF_THEM)
    upright = (lambda image: turn(image, png_orientation(data))) if orientation else tf.identity
    decoders = [
        lambda: upright(decode_png(check_png(data, limit), channels, window)),
        lambda: _decode_bmp(check_bmp(data, limit), channels),
        lambda: _decode_gif(data, limit, channels),
    ]
    return tf.switch_case(tf.argmax(known, output_type=tf.int32), decoders)


def size_of(data: Any, orientation: bool = True) -> Any:
    """Height and width that `decode` gives a picture, int32 `[2]`: as its header says, of a GIF as it is decoded.

    Args:
        data: string scalar, the bytes of a file.
        orientation: a JPEG or PNG is turned upright as its EXIF orientation says.
    """
    data = tf.convert_to_tensor(data)
    known = tf.stack([starts_with(data, magic) for magic in (JPEG, PNG, BMP, GIF)])
    data = require(tf.reduce_any(known), data, NONE_OF_THEM)
    sizes = [
        lambda: jpeg_size(data, orientation),
        lambda: png_size(check_png(data), orientation),
        lambda: tf.stack([tf.abs(integer(check_bmp(data), 22, 4)), integer(data, 18, 4)]),
        lambda: tf.shape(decode_gif(data, TRAINED, tf.identity, 4))[:2],
    ]
    return tf.ensure_shape(tf.switch_case(tf.argmax(known, output_type=tf.int32), sizes), [2])


@noinline
def _decode_gif(data: Any, limit: Limit, channels: int) -> Any:
    return decode_gif(data, limit, lambda colours: _convert(colours, channels), channels)


# --- BMP -----------------------------------------------------------------------------------------------------------


@noinline
def _decode_bmp(data: Any, channels: int) -> Any:
    has_masks, is_indexed = integer(data, 30, 4) == BIT_FIELDS, integer(data, 28, 2) == 8

    def plain() -> Any:
        image = tf.io.decode_bmp(data)
        colours = tf.cond(is_indexed, lambda: _look_up_palette(data, image), lambda: _any_channels(image[..., :3]))
        return _convert(tf.ensure_shape(colours, [None, None, 3]), channels)  # the fourth byte of a pixel is padding

    return tf.cond(has_masks, lambda: _convert(_by_masks(data), channels), plain)


def _by_masks(data: Any) -> Any:
    """The picture of a BMP of 32 bits that says which byte of a pixel is which colour; RGB and alpha."""
    width, height, begin = integer(data, 18, 4), integer(data, 22, 4), integer(data, 10, 4)
    rows = tf.reshape(bytes_at(data, begin, width * tf.abs(height) * 4), [tf.abs(height), width, 4])
    rows = tf.cond(height > 0, lambda: tf.reverse(rows, [0]), lambda: rows)
    has_alpha = integer(data, 14, 4) >= 56  # the size of the first header that has a mask for it
    masks = tf.stack([*(integer(data, at, 4) for at in (54, 58, 62)), tf.where(has_alpha, integer(data, 66, 4), 0)])
    places = masks[:, tf.newaxis] == tf.constant([0xFF, 0xFF00, 0xFF0000, -0x1000000])  # bytes 0 to 3, as int32
    is_byte = tf.reduce_any(places, axis=1)
    places = require(tf.reduce_all(is_byte[:3]), places, "a BMP whose masks of colours are no whole bytes")
    image = tf.gather(rows, tf.argmax(places, axis=1), axis=-1)
    # without a mask, or with nothing but zeros, as some programs write, there is no alpha
    seen = is_byte[3] & tf.reduce_any(image[..., 3] > 0)
    alpha = tf.cond(seen, lambda: image[..., 3:], lambda: tf.fill(tf.shape(image[..., :1]), tf.constant(255, tf.uint8)))
    return tf.ensure_shape(tf.concat([image[..., :3], alpha], axis=-1), [None, None, 4])


def _look_up_palette(data: Any, image: Any) -> Any:
    """The colours of an 8-bit BMP; TensorFlow's decoder returns the numbers of its palette's entries."""
    start, pixels = 14 + integer(data, 14, 4), integer(data, 10, 4)
    palette = tf.reshape(bytes_at(data, start, (pixels - start) // 4 * 4), [-1, 4])
    colours = by_strips(
        lambda numbers: tf.gather(palette[:, 2::-1], tf.cast(numbers[:, 0], tf.int32)), image[..., :1], 3
    )
    return _any_channels(colours)


def check_bmp(data: Any, limit: Limit = TRAINED) -> Any:
    """Return a BMP once its header is seen to announce a size that is allowed and pixels that can be read."""
    width, height = integer(data, 18, 4), tf.abs(integer(data, 22, 4))
    compression, bits = integer(data, 30, 4), integer(data, 28, 2)
    plain = tf.reduce_any(compression == BMP_COMPRESSIONS) & tf.reduce_any(bits == BMP_BITS)
    plain &= (compression == 0) | (bits == 32)
    data = require(plain, data, "a BMP that is compressed or has not 8, 24 or 32 bits a pixel")
    return check_size(data, height, width, limit)


# --- channels ------------------------------------------------------------------------------------------------------


def _any_channels(image: Any) -> Any:
    """The image with only its rank known, which branches must agree on."""
    return tf.ensure_shape(tf.raw_ops.PlaceholderWithDefault(input=image, shape=[None, None, None]), [None] * 3)


def _convert(image: Any, channels: int) -> Any:
    """Bring RGB, or RGB and alpha, to `channels`."""
    if image.shape[-1] == channels:
        return image
    if channels == 4:
        return opaque(image)
    rgb = image[..., :3]
    return luma(rgb) if channels == 1 else rgb


def reason(error: tf.errors.OpError) -> str:
    """The reason why `decode` refused a file, without the names of operations around it."""
    ours = re.search(r"assertion failed: \[(.*?)\]|Summarized data: b'(.*?)'", error.message)
    if ours:
        return ours[1] or ours[2]
    return re.sub(r"\{\{.*?\}\}", "", error.message).split(" [Op:")[0].strip().splitlines()[0]
