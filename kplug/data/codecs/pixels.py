"""Pixels of pictures that are tensors: resized, rounded, and given other channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

STRIP = 2**20  # pixels of a large picture that are worked on at once
RESIZE_RULES = ("pad", "crop", "stretch")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG and Pillow have it


def noinline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that stays one operation of the graph it is called in.

    TensorFlow visits every operation of a branch that is not taken; for small pictures that costs more than their work.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def by_strips(function: Callable[[Any], Any], image: Any, channels: int) -> Any:
    """Work on the pixels of a picture, in strips where it is large, so that what is made between takes little memory.

    Args:
        function: of pixels `[n, channels of the image]` to uint8 `[n, channels]`, each by itself.
        image: `[height, width, c]`.
        channels: of what is returned, `[height, width, channels]`.
    """
    shape = tf.shape(image)
    pixels, count = tf.reshape(image, [-1, image.shape[-1] or shape[-1]]), shape[0] * shape[1]

    def one_by_one() -> Any:
        done = tf.TensorArray(tf.uint8, size=0, dynamic_size=True, infer_shape=False, element_shape=[None, channels])

        def step(number: Any, done: Any) -> tuple[Any, Any]:
            strip = pixels[number * STRIP : (number + 1) * STRIP]
            return number + 1, done.write(number, function(strip))

        strips = (count - 1) // STRIP + 1
        loop = (tf.constant(0), done)
        return tf.while_loop(lambda number, _: number < strips, step, loop, parallel_iterations=1)[1].concat()

    made = tf.cond(count <= STRIP, lambda: function(pixels), one_by_one)
    return tf.ensure_shape(tf.reshape(made, [shape[0], shape[1], channels]), [None, None, channels])


def luma(image: Any) -> Any:
    """The grey of an RGB picture, `[height, width, 1]`."""

    def grey(pixels: Any) -> Any:
        return round_to_uint8(tf.tensordot(tf.cast(pixels, tf.float32), tf.constant(LUMA), 1))[:, tf.newaxis]

    return by_strips(grey, image, 1)


def opaque(image: Any) -> Any:
    """An RGB picture, `[height, width, 3]`, with an alpha of 255."""
    alpha = tf.fill(tf.shape(image[..., :1]), tf.constant(255, tf.uint8))
    return tf.ensure_shape(tf.concat([image, alpha], axis=-1), [None, None, 4])


# --- resizing ------------------------------------------------------------------------------------------------------


def resize(image: Any, size: tuple[int, int], how: str) -> Any:
    """Bring pictures to a size, bilinear with antialiasing; a picture that has the size stays as it is.

    Args:
        image: uint8 `[height, width, channels]` or `[batch, height, width, channels]`.
        size: height and width in pixels.
        how: pad (aspect ratio kept, zeros around), crop (aspect ratio kept, the middle) or stretch.

    Returns:
        uint8 of the same rank, rounded.
    """
    if how not in RESIZE_RULES:
        raise ValueError(f"how is one of {', '.join(RESIZE_RULES)}. Received: how={how}")
    image = tf.convert_to_tensor(image)
    static = image.shape[-3:-1]
    if static.is_fully_defined():
        return image if tuple(static) == tuple(size) else _resample(image, size, how)
    same = tf.reduce_all(tf.shape(image)[-3:-1] == size)
    resized = tf.cond(same, lambda: image, lambda: _resample(image, size, how))
    return tf.ensure_shape(resized, [*image.shape[:-3], *size, image.shape[-1]])


def _resample(image: Any, size: tuple[int, int], how: str) -> Any:
    """Scale and place in one operation, so that a crop never makes the picture that it is cut from."""
    old = tf.cast(tf.shape(image)[-3:-1], tf.float32)
    new = tf.constant(size, tf.float32)
    if how == "stretch":
        scaled = new
    else:
        extreme = tf.reduce_min if how == "pad" else tf.reduce_max
        scaled = tf.maximum(tf.round(old * extreme(new / old)), 1.0)
    batch = image if image.shape.rank == 4 else image[tf.newaxis]
    shift = tf.floor((new - scaled) / 2)
    placed = tf.raw_ops.ScaleAndTranslate(
        images=batch, size=size, scale=scaled / old, translation=shift, kernel_type="triangle", antialias=True
    )
    return round_to_uint8(placed if image.shape.rank == 4 else placed[0])


def round_to_uint8(averages: Any) -> Any:
    """Averages of bytes as uint8; they never leave 0 to 255 by so much that rounding does not take it back."""
    return tf.cast(tf.round(averages), tf.uint8)


def to_uint8(image: Any) -> Any:
    """Bring pixels to uint8, rounded and clipped to 0..255; uint8 stays as it is."""
    if image.dtype == tf.uint8:
        return image
    return tf.cast(tf.clip_by_value(tf.round(tf.cast(image, tf.float32)), 0, 255), tf.uint8)


def to_channels(image: Any, channels: int) -> Any:
    """Give uint8 pictures `[..., height, width, c]` `channels` channels: grey is repeated, colour becomes its luma."""
    given = image.shape[-1]
    if given == channels:
        return image
    if channels == 3 and given == 1:
        return tf.repeat(image, 3, axis=-1)
    if channels == 3 and given == 4:
        return image[..., :3]
    if channels == 1 and given in (3, 4):
        return to_uint8(tf.tensordot(tf.cast(image[..., :3], tf.float32), tf.constant(LUMA), 1)[..., tf.newaxis])
    raise ValueError(f"pictures of {given} channels cannot be given {channels}")
