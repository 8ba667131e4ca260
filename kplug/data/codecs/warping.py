"""Pixels of pictures, masks and clips after a move: sampled where a matrix or a field says that they were."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug.records import Geometry


def warp(values: Any, geometry: Geometry, interpolation: str, blank: float) -> Any:
    """Move pixels.

    Args:
        values: `[b, h, w]`, `[b, h, w, channels]`, or with further axes between b and h, which move alike.
        geometry: of b pictures.
        interpolation: nearest gives the dtype of the values, bilinear float32.
        blank: the value of places outside, where the fill is constant.
    """
    rank = values.shape.rank
    if rank == 3:
        return warp(values[..., tf.newaxis], geometry, interpolation, blank)[..., 0]
    if rank > 4:  # frames become channels, so that one draw moves all of them
        order = [0, rank - 3, rank - 2, *range(1, rank - 3), rank - 1]
        turned = tf.transpose(values, order)
        further = tf.shape(turned)[3:]
        flat = tf.reshape(turned, tf.concat([tf.shape(turned)[:3], [tf.reduce_prod(further)]], axis=0))
        moved = warp(flat, geometry, interpolation, blank)
        moved = tf.reshape(moved, tf.concat([tf.shape(moved)[:3], further], axis=0))
        turned_back = tf.transpose(moved, [0, *range(3, rank - 1), 1, 2, rank - 1])
        return tf.ensure_shape(turned_back, [*values.shape[:-3], *_static(geometry.after), values.shape[-1]])
    if geometry.copy is not None:
        moved = geometry.copy(values, blank)
    elif geometry.field is None:
        moved = _projected(values, geometry, interpolation, blank)
    else:
        moved = _sampled(values, geometry, interpolation, blank)
    return tf.ensure_shape(moved, [values.shape[0], *_static(geometry.after), values.shape[-1]])


def _projected(values: Any, geometry: Geometry, interpolation: str, blank: float) -> Any:
    # TensorFlow counts from the middle of the first pixel. In float64 the way there and back leaves float32 as it was.
    matrix = _shift(-0.5) @ tf.cast(geometry.matrix, tf.float64) @ _shift(0.5)
    flat = tf.reshape(matrix / matrix[:, 2:, 2:], [-1, 9])[:, :8]
    source = values if interpolation == "nearest" else tf.cast(values, tf.float32)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=source,
        transforms=tf.cast(flat, tf.float32),
        output_shape=tf.stack(geometry.after),
        fill_value=round(blank) if source.dtype.is_integer else blank,
        interpolation=interpolation.upper(),
        fill_mode=geometry.fill.upper(),
    )


def from_indices(matrix: Any) -> Any:
    """The matrix between edges that does what one between numbers of rows and columns does, float64 `[b, 3, 3]`.

    Args:
        matrix: `[b, 3, 3]`; the pixel in column i is at i, as Keras and TensorFlow count.
    """
    return _shift(0.5) @ tf.cast(matrix, tf.float64) @ _shift(-0.5)


def _shift(by: float) -> Any:
    return tf.constant([[1, 0, by], [0, 1, by], [0, 0, 1]], tf.float64)


def _static(size: tuple[Any, Any]) -> list[int | None]:
    """Height and width as far as they are known before a batch is there."""
    return [side if isinstance(side, int) else None for side in size]


def sides_of(size: tuple[Any, Any]) -> Any:
    """Width and height, float32 `[2]`."""
    return tf.cast(tf.stack(size[::-1]), tf.float32)


def _sampled(values: Any, geometry: Geometry, interpolation: str, blank: float) -> Any:
    """Read values at the middle of each pixel plus a field."""
    places = middles(geometry.after) - 0.5 + geometry.field  # as indices, x before y
    if interpolation == "nearest":
        return _gathered(values, tf.floor(places + 0.5), geometry, blank)
    low = tf.floor(places)
    share = places - low
    found = tf.zeros([], tf.float32)
    for corner in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        weight = tf.reduce_prod(tf.abs(1 - tf.constant(corner) - share), axis=-1, keepdims=True)
        found += weight * tf.cast(_gathered(values, low + tf.constant(corner), geometry, blank), tf.float32)
    return found


def middles(size: tuple[Any, Any]) -> Any:
    """The middles (x, y) of all pixels, float32 `[h, w, 2]`."""
    xs, ys = tf.meshgrid(*(tf.range(tf.cast(side, tf.float32)) for side in size[::-1]))
    return tf.stack([xs, ys], axis=-1) + 0.5


def _gathered(values: Any, indices: Any, geometry: Geometry, blank: float) -> Any:
    """Read whole pixels at indices (x, y), float32 `[b, h, w, 2]`; those outside by the rule of the fill."""
    sides = sides_of(geometry.before)
    if geometry.fill == "wrap":
        inside = indices - sides * tf.floor(indices / sides)
    elif geometry.fill == "reflect":  # dcba|abcd|dcba, as TensorFlow's
        period = indices - 2 * sides * tf.floor(indices / (2 * sides))
        inside = tf.minimum(period, 2 * sides - 1 - period)
    else:
        inside = indices
    inside = tf.clip_by_value(inside, 0.0, sides - 1)
    at = tf.cast(inside[..., ::-1], tf.int32)
    found = tf.gather_nd(values, at, batch_dims=1)
    if geometry.fill != "constant":
        return found
    is_there = tf.reduce_all((indices >= 0) & (indices < sides), axis=-1, keepdims=True)
    return tf.where(is_there, found, tf.cast(blank, found.dtype))


def resized(field: Any, size: tuple[int, int]) -> Any:
    """A field `[b, h, w, 2]` with as many numbers as a picture of another size has pixels; they stay what they are."""
    return tf.image.resize(field, size)
