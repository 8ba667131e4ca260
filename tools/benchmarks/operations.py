"""The operations of the tuned scripts on pictures, written by hand for speed: uint8 `[h, w, c]`, or batches of them.

The operations are those of the specs beside this file: decoding, antialiased resizing, flips, crops, erasing, and
RandAugment's 14 operations (Cubuk et al. 2020), of which a picture goes through those alone that it drew.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# --- batches ---------------------------------------------------------------------------------------------------------


def flip_batch(images: Any) -> Any:
    """Mirror half of the pictures."""
    chosen = tf.random.uniform([tf.shape(images)[0]]) < 0.5
    # the first version of `where` copies whole rows; `reverse` has a kernel of its own for pictures
    return tf.raw_ops.Select(condition=chosen, x=tf.reverse(images, [2]), y=images)


def erase_batch(images: Any) -> Any:
    """Turn a rectangle of 2 to 33 percent of the area into noise, in half of the pictures (Zhong et al. 2020)."""
    shape = tf.shape(images)
    spans = []
    for side in (images.shape[1], images.shape[2]):
        length = tf.sqrt(tf.random.uniform([shape[0], 1], 0.02, 0.33)) * side
        start = tf.random.uniform([shape[0], 1]) * (side - length)
        places = tf.range(side, dtype=tf.float32)
        spans.append((places >= start) & (places < start + length))
    chosen = tf.random.uniform([shape[0], 1, 1, 1]) < 0.5
    inside = spans[0][:, :, tf.newaxis, tf.newaxis] & spans[1][:, tf.newaxis, :, tf.newaxis] & chosen
    noise = tf.cast(tf.clip_by_value(tf.random.normal(shape) * 255, 0, 255), tf.uint8)
    return tf.where(inside, noise, images)


# --- one picture -----------------------------------------------------------------------------------------------------


def load_jpeg(file: Any, side: int) -> Any:
    """A JPEG file as a square: the middle of the picture, bilinear with antialiasing."""
    image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3, dct_method="INTEGER_ACCURATE")
    old = tf.cast(tf.shape(image)[:2], tf.float32)
    new = tf.round(old * tf.reduce_max(side / old))
    resized = tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=[side, side],
        scale=new / old,
        translation=tf.floor((side - new) / 2),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.ensure_shape(tf.cast(tf.round(resized[0]), tf.uint8), [side, side, 3])


def flip_one(image: Any) -> Any:
    return tf.cond(tf.random.uniform([]) < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def crop_at_random(image: Any, padding: int) -> Any:
    """Black around the picture, and a window of its size at a random place."""
    padded = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
    y, x = tf.unstack(tf.random.uniform([2], 0, 2 * padding + 1, tf.int32))
    return tf.ensure_shape(tf.slice(padded, [y, x, 0], image.shape), image.shape)


# --- RandAugment -----------------------------------------------------------------------------------------------------

FILL = 128.0


def rand_augment(image: Any, count: int, strength: float) -> Any:
    """`count` operations, each drawn from 14, of one strength, 0 to 1."""
    # functions that are not inlined: else all operations of the branches not taken are visited too
    options = {"autograph": False, "experimental_attributes": {"_noinline": True}}
    apart = [tf.function(operation, **options) for operation in _operations(image, strength)]
    for _ in range(count):
        sign = tf.where(tf.random.uniform([]) < 0.5, -1.0, 1.0)
        calls = [functools.partial(operation, image, sign) for operation in apart]
        drawn = tf.random.uniform([], 0, len(calls), tf.int32)
        image = tf.ensure_shape(tf.switch_case(drawn, calls), image.shape)
    return image


def _operations(image: Any, strength: float) -> list[Callable[[Any, Any], Any]]:
    """Functions of a picture and a sign, 1 or -1."""
    height, width = image.shape[:2]
    shift_x, shift_y = (float(int(side * 150 / 331 * strength)) for side in (width, height))
    change, shear, turn = 0.9 * strength, 0.3 * strength, 30 * strength
    return [
        lambda image, sign: image,
        lambda image, sign: _auto_contrast(image),
        lambda image, sign: _equalize(image),
        lambda image, sign: tf.bitwise.bitwise_and(image, tf.constant(256 - 2 ** int(4 * strength), tf.uint8)),
        lambda image, sign: tf.where(image >= 256 - int(256 * strength), 255 - image, image),
        lambda image, sign: _blend(_gray(image), image, 1 + sign * change),
        lambda image, sign: _blend(tf.round(tf.reduce_mean(_gray(image))), image, 1 + sign * change),
        lambda image, sign: _blend(0.0, image, 1 + sign * change),
        lambda image, sign: _sharpness(image, 1 + sign * change),
        lambda image, sign: _rotate(image, sign * turn),
        lambda image, sign: _transform(image, [1.0, sign * shear, sign * shear / 2, 0.0, 1.0, 0.0]),
        lambda image, sign: _transform(image, [1.0, 0.0, 0.0, sign * shear, 1.0, sign * shear / 2]),
        lambda image, sign: _transform(image, [1.0, 0.0, sign * shift_x, 0.0, 1.0, 0.0]),
        lambda image, sign: _transform(image, [1.0, 0.0, 0.0, 0.0, 1.0, sign * shift_y]),
    ]


def _to_uint8(values: Any) -> Any:
    return tf.cast(tf.clip_by_value(values, 0, 255), tf.uint8)


def _auto_contrast(image: Any) -> Any:
    low, high = (tf.cast(reduce(image, [0, 1]), tf.float32) for reduce in (tf.reduce_min, tf.reduce_max))
    stretched = (tf.cast(image, tf.float32) - low) * (255 / tf.maximum(high - low, 1))
    return tf.where(high > low, _to_uint8(stretched), image)


def _equalize(image: Any) -> Any:
    channels = []
    for channel in tf.unstack(image, axis=-1):
        values = tf.cast(channel, tf.int32)
        counts = tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256)
        step = (tf.size(values) - counts[tf.reduce_max(values)]) // 255
        table = (step // 2 + tf.cumsum(counts, exclusive=True)) // tf.maximum(step, 1)
        table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
        channels.append(tf.gather(tf.cast(table, tf.uint8), values))
    return tf.stack(channels, axis=-1)


def _gray(image: Any) -> Any:
    return tf.floor(tf.tensordot(tf.cast(image, tf.float32), [[0.299], [0.587], [0.114]], 1) + 0.5)


def _blend(without: Any, image: Any, factor: Any) -> Any:
    return _to_uint8(without + factor * (tf.cast(image, tf.float32) - without))


def _sharpness(image: Any, factor: Any) -> Any:
    values = tf.cast(image, tf.float32)
    kernel = tf.tile(tf.reshape(tf.constant([1.0, 1, 1, 1, 5, 1, 1, 1, 1]) / 13, [3, 3, 1, 1]), [1, 1, 3, 1])
    smooth = tf.nn.depthwise_conv2d(values[tf.newaxis], kernel, [1, 1, 1, 1], "VALID")[0]
    changed = _blend(tf.floor(smooth + 0.5), image[1:-1, 1:-1], factor)
    middle = tf.concat([image[1:-1, :1], changed, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def _rotate(image: Any, degrees: Any) -> Any:
    cos, sin = tf.cos(degrees * math.pi / 180), tf.sin(degrees * math.pi / 180)
    y, x = (image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2
    return _transform(image, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y])


def _transform(image: Any, matrix: list[Any]) -> Any:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.stack([tf.cast(value, tf.float32) for value in [*matrix, 0.0, 0.0]])[tf.newaxis],
        output_shape=image.shape[:2],
        fill_value=FILL,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]
