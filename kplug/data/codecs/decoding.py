"""Decoding and resizing: the same functions feed a training and stand in the exported graph.

A picture is JPEG, PNG, BMP or GIF (first frame). Its header is read before anything is allocated; transparency is
dropped unless four channels are asked for; 16 bits a channel become 8; EXIF orientation is not applied.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from kplug.data.codecs.pixels import LUMA, noinline, resize, round_to_uint8

MAX_PIXELS = 2**27  # above the 102 megapixels of the largest cameras, 400 MB as RGB
MAX_SIDE = 2**16 - 1  # what JPEG and GIF can say; a resize holds output height x input width floats
CHANNELS = (1, 3, 4)


PARALLEL_DECODES = 4  # pictures of one request decoded at once, which bounds the memory of a hostile one

JPEG, PNG, BMP, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8"
GIF_EXTENSION, GIF_IMAGE, GIF_TRAILER = 0x21, 0x2C, b"\x3b"
BMP_COMPRESSIONS = (0, 3)  # none, and bit fields
BMP_BITS = (8, 24, 32)

# --- decoding ------------------------------------------------------------------------------------------------------


def decode(data: Any, channels: int) -> Any:
    """Decode a picture file, with InvalidArgumentError for what is none, is cut off or is too large.

    Args:
        data: string scalar, the bytes of a file.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha).

    Returns:
        uint8 `[height, width, channels]`.
    """
    if channels not in CHANNELS:
        raise ValueError(f"channels is one of 1, 3, 4. Received: channels={channels}")
    data = tf.convert_to_tensor(data)
    return tf.cond(
        _starts_with(data, JPEG), lambda: _convert(_decode_jpeg(data), channels), lambda: _decode_other(data, channels)
    )


@noinline
def _decode_other(data: Any, channels: int) -> Any:
    known = tf.stack([_starts_with(data, magic) for magic in (PNG, BMP, GIF)])
    data = _require(tf.reduce_any(known), data, "not a JPEG, PNG, BMP or GIF file")
    decoders = [lambda d=d: _convert(d(data), channels) for d in (_decode_png, _decode_bmp, _decode_gif)]
    return tf.switch_case(tf.argmax(known, output_type=tf.int32), decoders)


def _decode_jpeg(data: Any) -> Any:
    shape = tf.io.extract_jpeg_shape(data)
    data = _check_size(data, height=shape[0], width=shape[1])
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_png(data: Any) -> Any:
    width, height = (_integer(data, at, 4, big_endian=True) for at in (16, 20))
    return _any_channels(tf.io.decode_png(_check_size(data, height, width)))


def _decode_bmp(data: Any) -> Any:
    width, height = _integer(data, 18, 4), tf.abs(_integer(data, 22, 4))
    compression, bits = _integer(data, 30, 4), _integer(data, 28, 2)
    plain = tf.reduce_any(compression == BMP_COMPRESSIONS) & tf.reduce_any(bits == BMP_BITS)
    data = _require(plain, data, "a BMP that is compressed or has not 8, 24 or 32 bits a pixel")
    image = tf.io.decode_bmp(_check_size(data, height, width))
    image = _any_channels(image[..., :3])  # the fourth byte of a pixel is padding
    return tf.cond(bits == 8, lambda: _any_channels(_look_up_palette(data, image)), lambda: image)


def _look_up_palette(data: Any, image: Any) -> Any:
    """The colours of an 8-bit BMP; TensorFlow's decoder returns the numbers of its palette's entries."""
    start, pixels = 14 + _integer(data, 14, 4), _integer(data, 10, 4)
    palette = tf.reshape(_bytes(data, start, (pixels - start) // 4 * 4), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(image[..., 0], tf.int32))


def _decode_gif(data: Any) -> Any:
    data = _check_size(data, height=_integer(data, 8, 2), width=_integer(data, 6, 2))
    frame, end = _first_frame(data)
    data = _check_size(data, height=_integer(data, frame + 7, 2), width=_integer(data, frame + 5, 2))
    return _any_channels(tf.io.decode_gif(tf.strings.substr(data, 0, end) + GIF_TRAILER)[0])


def _first_frame(data: Any) -> tuple[Any, Any]:
    """The offsets at which the first frame of a GIF begins and ends: TensorFlow's decoder allocates every frame."""
    blocks, extension, image, done = range(4)  # between blocks; inside the chunks of one; past the first image

    def step(position: Any, state: Any, frame: Any) -> tuple[Any, Any, Any]:
        byte = _integer(data, position, 1)

        def start_block() -> tuple[Any, Any, Any]:
            checked = _require(tf.reduce_any(byte == (GIF_EXTENSION, GIF_IMAGE)), position, "a GIF without a picture")
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
    flags = _integer(data, flags_at, 1)
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


# --- bytes and checks ----------------------------------------------------------------------------------------------


def _starts_with(data: Any, magic: bytes) -> Any:
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def _bytes(data: Any, start: Any, length: Any) -> Any:
    data = _require(start + length <= tf.strings.length(data), data, "the file is cut off")
    return tf.io.decode_raw(tf.strings.substr(data, start, length), tf.uint8)


def _integer(data: Any, start: Any, length: int, big_endian: bool = False) -> Any:
    """An integer of 1, 2 or 4 bytes as int32; negative where a 4-byte one is 2**31 or more."""
    values = tf.cast(tf.ensure_shape(_bytes(data, start, length), [length]), tf.int32)
    order = range(length - 1, -1, -1) if big_endian else range(length)
    return tf.add_n([tf.bitwise.left_shift(values[i], 8 * place) for place, i in enumerate(order)])


def _require(condition: Any, value: Any, message: Any) -> Any:
    """Return `value` once `condition` is seen to hold: what is computed from it waits for the check."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def _check_size(data: Any, height: Any, width: Any) -> Any:
    sides = tf.cast(tf.stack([height, width]), tf.int64)
    fits = tf.reduce_all((sides > 0) & (sides <= MAX_SIDE)) & (sides[0] * sides[1] <= MAX_PIXELS)
    limit = f" pixels; at least 1 and at most {MAX_SIDE} on a side, at most {MAX_PIXELS} in all"
    size = tf.strings.as_string(sides)
    return _require(fits, data, tf.strings.join(["a picture of ", size[1], " x ", size[0], limit]))


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


# --- what never fails ----------------------------------------------------------------------------------------------


def decode_or_blank(data: Any, image_shape: tuple[int, int, int], how: str) -> tuple[Any, Any]:
    """Decode and resize one picture; a file that cannot be decoded gives zeros and False.

    Args:
        data: string scalar, the bytes of a file.
        image_shape: height, width, channels of the result.
        how: pad, crop or stretch.
    """

    def load(data: Any) -> tuple[Any, Any]:
        return resize(decode(data, image_shape[2]), image_shape[:2], how), tf.constant(True)

    blank = tf.zeros(image_shape, tf.uint8), tf.constant(False)
    # a dataset is the one place in a graph where an error can be caught
    loaded = tf.data.Dataset.from_tensors(data).map(load).ignore_errors()
    return loaded.concatenate(tf.data.Dataset.from_tensors(blank)).take(1).get_single_element()


def decode_files(files: Any, image_shape: tuple[int, int, int], how: str) -> tuple[Any, Any]:
    """Decode and resize a batch of files: images uint8 `[b, *image_shape]` and which are valid, bool `[b]`.

    Args:
        files: strings `[b]`; b may be 0.
        image_shape: height, width, channels of the images.
        how: pad, crop or stretch.
    """
    return tf.map_fn(
        lambda data: decode_or_blank(data, image_shape, how),
        files,
        fn_output_signature=(tf.TensorSpec(image_shape, tf.uint8), tf.TensorSpec([], tf.bool)),
        parallel_iterations=PARALLEL_DECODES,
    )


def size_of(image: Any) -> tuple[int, int]:
    """Height and width of one picture: a tensor `[height, width, channels]`, or a string scalar with a file."""
    decoded = decode(image, 3) if image.dtype == tf.string else image
    return int(decoded.shape[0]), int(decoded.shape[1])
