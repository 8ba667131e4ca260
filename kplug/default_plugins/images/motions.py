"""Moves of pictures by drawn matrices and fields: what is turned, sheared, shifted, zoomed, cut or bent.

Matrices are made between numbers of rows and columns, in float32 and in Keras's order, so that pictures are those of
Keras's layers to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.augment import Augment, fold_in
from kplug.data.geometry import from_indices, move
from kplug.records import DataInfo, Geometry

Range = tuple[float, float]
Sizes = tuple[Any, Any]

SMOOTH, FAR = 0.05, 0.03  # of an elastic field: its standard deviations along and across, as shares of the size


def rotations(data: DataInfo, factor: Range, fill_mode: str, interpolation: str, fill_value: float) -> Augment:
    """Turn pictures around their middle, by a share of a full turn."""

    def draw(count: Any, size: Sizes, seed: Any) -> Any:
        angle = _uniform([count], seed, 1, factor, 360.0) * tf.constant(math.pi / 180, tf.float32)
        cos, sin = tf.cos(angle), tf.sin(angle)
        y, x = (0.5 * (tf.cast(side, tf.float32) - 1) for side in size)
        return [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos]

    return _by_matrix(data, draw, fill_mode, interpolation, fill_value)


def shears(
    data: DataInfo, x_factor: Range, y_factor: Range, interpolation: str, fill_mode: str, fill_value: float
) -> Augment:
    """Shear pictures along both sides, either way."""

    def draw(count: Any, size: Sizes, seed: Any) -> Any:
        sign = tf.where(_uniform([count], seed, 1, (0.0, 1.0)) > 0.5, -1.0, 1.0)
        y, x = _uniform([count], seed, 2, y_factor) * sign, _uniform([count], seed, 3, x_factor) * sign
        return [1.0, x, 0.0, y, 1.0, 0.0]

    return _by_matrix(data, draw, fill_mode, interpolation, fill_value)


def translations(
    data: DataInfo, height_factor: Range, width_factor: Range, fill_mode: str, interpolation: str, fill_value: float
) -> Augment:
    """Shift pictures by shares of their size."""

    def draw(count: Any, size: Sizes, seed: Any) -> Any:
        y = _uniform([count], seed, 1, height_factor) * tf.cast(size[0], tf.float32)
        x = _uniform([count], seed, 2, width_factor) * tf.cast(size[1], tf.float32)
        return [1.0, 0.0, -x, 0.0, 1.0, -y]

    return _by_matrix(data, draw, fill_mode, interpolation, fill_value)


def zooms(
    data: DataInfo,
    height_factor: Range,
    width_factor: Range | None,
    fill_mode: str,
    interpolation: str,
    fill_value: float,
) -> Augment:
    """Zoom around the middle of pictures."""

    def draw(count: Any, size: Sizes, seed: Any) -> Any:
        y = _uniform([count], seed, 1, _plus_one(height_factor))
        x = y if width_factor is None else _uniform([count], seed, 2, _plus_one(width_factor))
        rest = [(tf.cast(side, tf.float32) - 1) / 2 * (1 - zoom) for side, zoom in zip(size, (y, x), strict=True)]
        return [x, 0.0, rest[1], 0.0, y, rest[0]]

    return _by_matrix(data, draw, fill_mode, interpolation, fill_value)


def _plus_one(factor: Range) -> Range:
    return 1.0 + min(factor), 1.0 + max(factor)


def _by_matrix(
    data: DataInfo, entries: Callable[[Any, Sizes, Any], Any], fill: str, interpolation: str, value: float
) -> Augment:
    """An augmentation by matrices.

    Args:
        data: knows what lives in pictures.
        entries: (number of pictures, their size, seed) to the first two rows of the matrices, between numbers of
            columns and rows: six values, each a number or float32 `[b]`.
        fill: what is shown outside.
        interpolation: nearest or bilinear.
        value: of pixels outside, where the fill is constant.
    """

    def draw(count: Any, size: Sizes, seed: Any) -> Geometry:
        rows = [
            tf.broadcast_to(tf.cast(entry, tf.float32), [count]) for entry in (*entries(count, size, seed), 0, 0, 1)
        ]
        matrix = from_indices(tf.reshape(tf.stack(rows, axis=-1), [-1, 3, 3]))
        return Geometry(size, size, matrix, fill=fill, value=value, interpolation=interpolation)  # type: ignore[arg-type]

    return lambda batch, seed: move(data, batch, seed, draw)


def _uniform(shape: list[Any], seed: Any, number: int, limits: Range, unit: float = 1.0) -> Any:
    """Numbers drawn evenly, as Keras's layers do: the first draw of a step has the number 1."""
    low, high = sorted(limits)
    return tf.random.stateless_uniform(shape, fold_in(seed, number), low * unit, high * unit)


# --- perspective -----------------------------------------------------------------------------------------------------


def perspectives(data: DataInfo, scale: float, interpolation: str, fill_value: float, probability: float) -> Augment:
    """Move the corners of pictures, and all between them as if they were seen from an angle.

    A view in which a picture would fold, so that its back were seen, leaves it as it is; there are some from a scale of
    2/3 on.
    """

    def draw(count: Any, size: Sizes, seed: Any) -> Geometry:
        chosen = _uniform([count], seed, 2, (0.0, 1.0)) < probability
        height, width = (tf.cast(side, tf.float32) - 1 for side in size)
        corners = tf.reshape(tf.stack([0.0, 0.0, width, 0.0, 0.0, height, width, height]), [1, 4, 2])
        moved = corners + corners * _uniform([count, 4, 2], seed, 3, (-0.5 * scale, 0.5 * scale))
        matrix = from_indices(_homography(tf.broadcast_to(corners, [count, 4, 2]), moved))
        chosen &= ~_folds(matrix, size)
        matrix = tf.where(chosen[:, tf.newaxis, tf.newaxis], matrix, tf.eye(3, dtype=tf.float64))
        return Geometry(size, size, matrix, value=fill_value, interpolation=interpolation)  # type: ignore[arg-type]

    return lambda batch, seed: move(data, batch, seed, draw)


def _homography(before: Any, after: Any) -> Any:
    """The matrices `[b, 3, 3]` that take four points after a move, `[b, 4, 2]`, to where they were."""
    (x, y), (old_x, old_y) = tf.unstack(after, axis=-1), tf.unstack(before, axis=-1)
    one, none = tf.ones_like(x), tf.zeros_like(x)
    of_x = tf.stack([x, y, one, none, none, none, -old_x * x, -old_x * y], axis=-1)
    of_y = tf.stack([none, none, none, x, y, one, -old_y * x, -old_y * y], axis=-1)
    equations = tf.reshape(tf.stack([of_x, of_y], axis=2), [-1, 8, 8])
    solved = tf.linalg.solve(equations, tf.reshape(before, [-1, 8, 1]))[..., 0]
    return tf.reshape(tf.concat([solved, tf.ones_like(solved[:, :1])], axis=-1), [-1, 3, 3])


def _folds(matrix: Any, size: Sizes) -> Any:
    """True where a part of the picture after a move by a matrix lies behind the one who looks."""
    height, width = (tf.cast(side, tf.float64) for side in size)
    none = tf.zeros([], tf.float64)
    corners = tf.reshape(tf.stack([none, none, width, none, none, height, width, height]), [4, 2])
    depth = tf.einsum("bi,pi->bp", matrix[:, 2, :2], corners) + matrix[:, 2, 2:]
    return tf.reduce_min(depth, axis=1) <= 0


# --- a part of a picture ---------------------------------------------------------------------------------------------


def resized_crops(data: DataInfo, scale: Range, ratio: Range, size: tuple[int, int] | None, visible: float) -> Augment:
    """Bring a part of each picture, of a drawn area and shape, to a size."""

    def draw(count: Any, old: Sizes, seed: Any) -> Geometry:
        sides = [tf.cast(side, tf.float32) for side in old]
        cut = _parts(_uniform([count], seed, 1, scale) * sides[0] * sides[1], sides, ratio, fold_in(seed, 2))
        after = size or old
        zoom = [part / tf.cast(side, tf.float32) for part, side in zip(cut, after, strict=True)]
        free = _uniform([2, count], seed, 3, (0.0, 1.0)) * tf.stack([sides[0] - cut[0], sides[1] - cut[1]])
        none, one = tf.zeros([count]), tf.ones([count])
        rows = [zoom[1], none, free[1], none, zoom[0], free[0], none, none, one]
        matrix = tf.reshape(tf.stack(rows, axis=-1), [-1, 3, 3])
        return Geometry(old, after, matrix, fill="nearest", visible=visible)  # half a pixel outside is the border's

    return lambda batch, seed: move(data, batch, seed, draw)


def _parts(area: Any, sides: list[Any], ratio: Range, seed: Any) -> tuple[Any, Any]:
    """Height and width of parts of an area `[b]`; where no shape of the range fits, the part is made smaller."""
    height, width = sides
    low, high = (tf.math.log(tf.constant(end, tf.float32)) for end in sorted(ratio))
    # so wide that the part is no higher than the picture, and no wider than it
    least = tf.clip_by_value(tf.math.log(area / height**2), low, high)
    most = tf.clip_by_value(tf.math.log(width**2 / area), low, high)
    shape = tf.exp(least + (most - least) * tf.random.stateless_uniform(tf.shape(area), seed))
    high_part, wide_part = tf.sqrt(area / shape), tf.sqrt(area * shape)
    fit = tf.minimum(1.0, tf.minimum(height / high_part, width / wide_part))
    return high_part * fit, wide_part * fit


# --- elastic ---------------------------------------------------------------------------------------------------------


def elastic(data: DataInfo, scale: Range, probability: float) -> Augment:
    """Move every pixel along a smooth random field; at strength 1 by 3 percent of the size (standard deviation)."""

    def draw(count: Any, size: Sizes, seed: Any) -> Geometry:
        height, width = known(size)
        seeds = [fold_in(seed, n) for n in range(3)]
        strength = tf.random.stateless_uniform([count, 1, 1, 1], seeds[0], min(scale), max(scale))
        noise = tf.random.stateless_normal([count, height, width, 2], seeds[1])  # y, then x
        field = smooth(noise, SMOOTH * min(height, width)) * strength * FAR * tf.constant([height, width], tf.float32)
        chosen = tf.random.stateless_uniform([count, 1, 1, 1], seeds[2]) < probability
        return Geometry(size, size, field=tf.where(chosen, field, 0.0)[..., ::-1], fill="nearest")

    return lambda batch, seed: move(data, batch, seed, draw)


def smooth(noise: Any, sigma: float) -> Any:
    """Blur white noise [b, h, w, 2] by a Gaussian; its standard deviation is 1 as before."""
    sigma = max(sigma, 1.0)
    reach = math.ceil(3 * sigma)
    kernel = tf.exp(-0.5 * (tf.range(-reach, reach + 1, dtype=tf.float32) / sigma) ** 2)
    kernel /= tf.norm(kernel)
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        one_way = tf.tile(tf.reshape(kernel, shape), [1, 1, 2, 1])
        noise = tf.nn.depthwise_conv2d(noise, one_way, [1, 1, 1, 1], "SAME")
    return noise


def known(size: Sizes) -> tuple[int, int]:
    """Height and width that do not differ from picture to picture.

    Raises:
        ValueError: they do.
    """
    height, width = size
    if not isinstance(height, int) or not isinstance(width, int):
        raise ValueError("it works on pictures of one known size")
    return height, width
