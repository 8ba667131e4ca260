"""Decoding and resizing: the same functions feed a training and stand in the exported graph.

A picture is JPEG, PNG, BMP or GIF (first frame). Its header is read before anything is allocated; transparency is
dropped unless four channels are asked for; 16 bits a channel become 8. A JPEG is turned upright as its EXIF orientation
says.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from kplug.data.codecs.pixels import LUMA, noinline, round_to_uint8

MAX_PIXELS = 2**27  # above the 102 megapixels of the largest cameras, 400 MB as RGB
MAX_SIDE = 2**16 - 1  # what JPEG and GIF can say; a resize holds output height x input width floats
CHANNELS = (1, 3, 4)


PARALLEL_DECODES = 4  # pictures of one request decoded at once, which bounds the memory of a hostile one

JPEG, PNG, BMP, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8"
GIF_EXTENSION, GIF_IMAGE, GIF_TRAILER = 0x21, 0x2C, b"\x3b"
BMP_COMPRESSIONS = (0, 3)  # none, and bit fields
BMP_BITS = (8, 24, 32)

# --- decoding ------------------------------------------------------------------------------------------------------


def decode(data: Any, channels: int, orientation: bool = True, window: tuple[float, float] | None = None) -> Any:
    """Decode a picture file, with InvalidArgumentError for what is none, is cut off or is too large.

    Args:
        data: string scalar, the bytes of a file.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha).
        orientation: turn a JPEG upright as its EXIF orientation says.
        window: of a PNG of 16 bits the values that become 0 and 255, others are cut; None takes the upper 8 bits.

    Returns:
        uint8 `[height, width, channels]`.
    """
    if channels not in CHANNELS:
        raise ValueError(f"channels is one of 1, 3, 4. Received: channels={channels}")
    data = tf.convert_to_tensor(data)
    return tf.cond(
        starts_with(data, JPEG),
        lambda: _convert(_decode_upright(data) if orientation else _decode_jpeg(data), channels),
        lambda: _decode_other(data, channels, window),
    )


@noinline
def _decode_other(data: Any, channels: int, window: tuple[float, float] | None) -> Any:
    known = tf.stack([starts_with(data, magic) for magic in (PNG, BMP, GIF)])
    data = require(tf.reduce_any(known), data, "not a JPEG, PNG, BMP or GIF file")
    png = _decode_png if window is None else lambda data: _decode_window(data, window)
    decoders = [lambda d=d: _convert(d(data), channels) for d in (png, _decode_bmp, _decode_gif)]
    return tf.switch_case(tf.argmax(known, output_type=tf.int32), decoders)


def size_of(data: Any, orientation: bool = True) -> Any:
    """Height and width that `decode` gives a picture, int32 `[2]`: as its header says, of a GIF as it is decoded.

    Args:
        data: string scalar, the bytes of a file.
        orientation: a JPEG is turned upright as its EXIF orientation says.
    """
    data = tf.convert_to_tensor(data)
    known = tf.stack([starts_with(data, magic) for magic in (JPEG, PNG, BMP, GIF)])
    data = require(tf.reduce_any(known), data, "not a JPEG, PNG, BMP or GIF file")
    sizes = [
        lambda: _jpeg_size(data, orientation),
        lambda: tf.stack([integer(check_png(data), at, 4, big_endian=True) for at in (20, 16)]),
        lambda: tf.stack([tf.abs(integer(check_bmp(data), 22, 4)), integer(data, 18, 4)]),
        lambda: tf.shape(_decode_gif(data))[:2],
    ]
    return tf.ensure_shape(tf.switch_case(tf.argmax(known, output_type=tf.int32), sizes), [2])


def _jpeg_size(data: Any, orientation: bool) -> Any:
    size = tf.io.extract_jpeg_shape(data)[:2]
    is_turned = exif_orientation(data) >= 5 if orientation else tf.constant(False)
    return tf.where(is_turned, size[::-1], size)


def _decode_upright(data: Any) -> Any:
    image, orientation = _decode_jpeg(data), exif_orientation(data)
    return tf.cond(orientation == 1, lambda: image, lambda: _turn(image, orientation))


@noinline
def _turn(image: Any, orientation: Any) -> Any:
    """Turn an RGB picture as an EXIF orientation, 2 to 8, says: from 5 on its axes are exchanged first."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    upside_down, mirrored = (tf.reduce_any(orientation == those) for those in ((3, 4, 7, 8), (2, 3, 6, 7)))
    turned = tf.raw_ops.Reverse(tensor=image, dims=tf.stack([upside_down, mirrored, False]))
    return tf.ensure_shape(turned, [None, None, 3])


def _decode_window(data: Any, window: tuple[float, float]) -> Any:
    """A PNG whose values between two of 16 bits are spread over 0 to 255; one of fewer bits as it is."""
    low, high = window

    def spread() -> Any:
        values = tf.cast(tf.io.decode_png(check_png(data), dtype=tf.uint16), tf.float32)
        return _any_channels(round_to_uint8(tf.clip_by_value((values - low) * (255 / (high - low)), 0, 255)))

    return tf.cond(integer(data, 24, 1) == 16, spread, lambda: _decode_png(data))


def _decode_jpeg(data: Any) -> Any:
    shape = tf.io.extract_jpeg_shape(data)
    data = check_size(data, height=shape[0], width=shape[1])
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_png(data: Any) -> Any:
    return _any_channels(tf.io.decode_png(check_png(data)))


def _decode_bmp(data: Any) -> Any:
    data = check_bmp(data)
    image = _any_channels(tf.io.decode_bmp(data)[..., :3])  # the fourth byte of a pixel is padding
    is_indexed = integer(data, 28, 2) == 8
    return tf.cond(is_indexed, lambda: _any_channels(_look_up_palette(data, image)), lambda: image)


def _look_up_palette(data: Any, image: Any) -> Any:
    """The colours of an 8-bit BMP; TensorFlow's decoder returns the numbers of its palette's entries."""
    start, pixels = 14 + integer(data, 14, 4), integer(data, 10, 4)
    palette = tf.reshape(_bytes(data, start, (pixels - start) // 4 * 4), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(image[..., 0], tf.int32))


def _decode_gif(data: Any) -> Any:
    data = check_size(data, height=integer(data, 8, 2), width=integer(data, 6, 2))
    frame, end = _first_frame(data)
    data = check_size(data, height=integer(data, frame + 7, 2), width=integer(data, frame + 5, 2))
    return _any_channels(tf.io.decode_gif(tf.strings.substr(data, 0, end) + GIF_TRAILER)[0])


def _first_frame(data: Any) -> tuple[Any, Any]:
    """The offsets at which the first frame of a GIF begins and ends: TensorFlow's decoder allocates every frame."""
    blocks, extension, image, done = range(4)  # between blocks; inside the chunks of one; past the first image

    def step(position: Any, state: Any, frame: Any) -> tuple[Any, Any, Any]:
        byte = integer(data, position, 1)

        def start_block() -> tuple[Any, Any, Any]:
            checked = require(tf.reduce_any(byte == (GIF_EXTENSION, GIF_IMAGE)), position, "a GIF without a picture")
            return tf.cond(
                byte == GIF_IMAGE,
                lambda: (checked + 11 + _gif_table(data, checked + 9), image, checked),
                lambda: (checked + 2, extension, frame),
            )

        def skip_chunk() -> tuple[Any, Any, Any]:
            after = tf.where(state == image, done, blocks)
            return position + 1 + byte, tf.where(byte == 0, after, state), frame

        return tf.cond(state == blocks, start_block, skip_chunk)

    start = 13 + _gif_table(data, tf.constant(10))
    end, _, frame = tf.while_loop(lambda _, state, __: state != done, step, (start, tf.constant(blocks), start))
    return frame, end


def _gif_table(data: Any, flags_at: Any) -> Any:
    """The size in bytes of the colour table that a flag byte announces."""
    flags = integer(data, flags_at, 1)
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


# --- EXIF ----------------------------------------------------------------------------------------------------------

SEARCHED = 2**17  # bytes of a JPEG in which its EXIF block is looked for: two segments of the largest size
SEGMENTS = 16  # of a JPEG that may stand before its EXIF block
EXIF_SEGMENT, EXIF, LITTLE_ENDIAN, ORIENTATION_TAG, ENTRY = 0xE1, b"Exif\0\0", b"II", 0x0112, 12


@noinline
def exif_orientation(data: Any) -> Any:
    """The EXIF orientation of a JPEG, 1 to 8; 1, upright, where it says none that makes sense."""
    head = tf.strings.substr(data, 0, SEARCHED)
    length = tf.strings.length(head)
    values = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)

    def at(place: Any) -> Any:
        return tf.where((place >= 0) & (place < length), tf.gather(values, tf.clip_by_value(place, 0, length - 1)), 0)

    def says(place: Any, magic: bytes) -> Any:  # a segment may claim to end behind the file
        return tf.strings.substr(head, tf.minimum(place, length), len(magic)) == magic

    def is_segment(place: Any, number: Any) -> Any:  # one that may stand before the picture, and not the one sought
        kind = at(place + 1)
        is_metadata = ((kind >= 0xE0) & (kind <= 0xEF)) | (kind == 0xFE)
        sought = (kind == EXIF_SEGMENT) & says(place + 4, EXIF)
        return (place + 10 < length) & (at(place) == 0xFF) & is_metadata & ~sought & (number < SEGMENTS)

    def skip(place: Any, number: Any) -> tuple[Any, Any]:
        return place + 2 + at(place + 2) * 256 + at(place + 3), number + 1

    place, _ = tf.while_loop(is_segment, skip, (tf.constant(2), tf.constant(0)))
    block = place + 4 + len(EXIF)
    little = says(block, LITTLE_ENDIAN)

    def number(place: Any, size: int) -> Any:
        read = [at(place + offset) for offset in range(size)]
        orders = [sum(byte * 256**power for power, byte in enumerate(some)) for some in (read, read[::-1])]
        return tf.where(little, *orders)

    entries = block + number(block + 4, 4)
    places = entries + 2 + ENTRY * tf.range(tf.clip_by_value(number(entries, 2), 0, 255))
    found = number(tf.boolean_mask(places, number(places, 2) == ORIENTATION_TAG)[:1] + 8, 2)
    is_known = tf.reduce_any((found >= 1) & (found <= 8)) & says(place + 4, EXIF)
    return tf.cond(is_known, lambda: found[0], lambda: tf.constant(1))


# --- bytes and checks ----------------------------------------------------------------------------------------------


def starts_with(data: Any, magic: bytes) -> Any:
    """Say whether a file begins with the bytes that mark its kind."""
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def _bytes(data: Any, start: Any, length: Any) -> Any:
    data = require(start + length <= tf.strings.length(data), data, "the file is cut off")
    return tf.io.decode_raw(tf.strings.substr(data, start, length), tf.uint8)


def integer(data: Any, start: Any, length: int, big_endian: bool = False) -> Any:
    """An integer of 1, 2 or 4 bytes as int32; negative where a 4-byte one is 2**31 or more."""
    values = tf.cast(tf.ensure_shape(_bytes(data, start, length), [length]), tf.int32)
    order = range(length - 1, -1, -1) if big_endian else range(length)
    return tf.add_n([tf.bitwise.left_shift(values[i], 8 * place) for place, i in enumerate(order)])


def require(condition: Any, value: Any, message: Any) -> Any:
    """Return `value` once `condition` is seen to hold: what is computed from it waits for the check."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def check_png(data: Any) -> Any:
    """Return a PNG once its header is seen to announce a size that is allowed."""
    width, height = (integer(data, at, 4, big_endian=True) for at in (16, 20))
    return check_size(data, height, width)


def check_bmp(data: Any) -> Any:
    """Return a BMP once its header is seen to announce a size that is allowed and pixels that can be read."""
    width, height = integer(data, 18, 4), tf.abs(integer(data, 22, 4))
    compression, bits = integer(data, 30, 4), integer(data, 28, 2)
    plain = tf.reduce_any(compression == BMP_COMPRESSIONS) & tf.reduce_any(bits == BMP_BITS)
    data = require(plain, data, "a BMP that is compressed or has not 8, 24 or 32 bits a pixel")
    return check_size(data, height, width)


def check_size(data: Any, height: Any, width: Any) -> Any:
    """Return `data` once the height and the width in pixels are seen to be allowed."""
    sides = tf.cast(tf.stack([height, width]), tf.int64)
    fits = tf.reduce_all((sides > 0) & (sides <= MAX_SIDE)) & (sides[0] * sides[1] <= MAX_PIXELS)
    limit = f" pixels; at least 1 and at most {MAX_SIDE} on a side, at most {MAX_PIXELS} in all"
    size = tf.strings.as_string(sides)
    return require(fits, data, tf.strings.join(["a picture of ", size[1], " x ", size[0], limit]))


def _any_channels(image: Any) -> Any:
    """The image with only its rank known, which branches must agree on."""
    return tf.ensure_shape(tf.raw_ops.PlaceholderWithDefault(input=image, shape=[None, None, None]), [None] * 3)


def _convert(image: Any, channels: int) -> Any:
    """Bring grey, grey and alpha, RGB, or RGB and alpha to `channels`."""
    if image.shape[-1] == channels:
        return image
    native = tf.shape(image)[-1]
    has_alpha = native % 2 == 0
    colours = tf.where(has_alpha, native - 1, native)
    rgb = tf.tile(image[..., :colours], [1, 1, 3 // colours])
    if channels == 1:
        rgb = round_to_uint8(tf.tensordot(tf.cast(rgb, tf.float32), tf.constant(LUMA), 1))[..., tf.newaxis]
    if channels == 4:
        opaque = tf.fill(tf.shape(image[..., :1]), tf.constant(255, tf.uint8))
        rgb = tf.concat([rgb, tf.cond(has_alpha, lambda: image[..., native - 1 :], lambda: opaque)], axis=-1)
    return tf.ensure_shape(rgb, [None, None, channels])


def reason(error: tf.errors.OpError) -> str:
    """The reason why `decode` refused a file, without the names of operations around it."""
    ours = re.search(r"assertion failed: \[(.*?)\]|Summarized data: b'(.*?)'", error.message)
    if ours:
        return ours[1] or ours[2]
    return re.sub(r"\{\{.*?\}\}", "", error.message).split(" [Op:")[0].strip().splitlines()[0]
