"""Pictures that are already tensors: their range, their channels, their size."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug import images


def to_uint8(image: Any) -> Any:
    """Pixels as uint8, rounded and clipped to 0..255; uint8 stays as it is."""
    if image.dtype == tf.uint8:
        return image
    return tf.cast(tf.clip_by_value(tf.round(tf.cast(image, tf.float32)), 0, 255), tf.uint8)


def to_channels(image: Any, channels: int) -> Any:
    """uint8 `[..., height, width, c]` with as many channels as wanted: grey is repeated, colour becomes its luma."""
    given = image.shape[-1]
    if given == channels:
        return image
    if channels == 3 and given == 1:
        return tf.repeat(image, 3, axis=-1)
    if channels == 3 and given == 4:
        return image[..., :3]
    if channels == 1 and given in (3, 4):
        return to_uint8(tf.tensordot(tf.cast(image[..., :3], tf.float32), tf.constant(images.LUMA), 1)[..., tf.newaxis])
    raise ValueError(f"pictures of {given} channels cannot be given {channels}")


def size_of(image: Any) -> tuple[int, int]:
    """Height and width of one picture: a tensor `[height, width, channels]`, or a string scalar with a file."""
    decoded = images.decode(image, 3) if image.dtype == tf.string else image
    return int(decoded.shape[0]), int(decoded.shape[1])
