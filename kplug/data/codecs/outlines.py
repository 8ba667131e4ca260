"""Points and boxes after a move: a matrix is inverted, and of a field all pixels are asked what they show."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug.data.codecs.warping import middles, sides_of
from kplug.records import Geometry

GRID = 8  # points a side, spread over a box, that say how much of it is seen
MOST_ON_A_SIDE = 256  # pixels of a side that are asked where a field took them from
NEAR = 2.0  # pixels between a point and what the nearest pixel shows, from which on the point is not seen


def move_points(points: Any, geometry: Geometry) -> Any:
    """Move points.

    Args:
        points: (x, y) before the move, float32 `[b, ..., 2]`.
        geometry: of b pictures.

    Returns:
        Where they are after it, of the same shape; NaN where they are nowhere: behind a perspective, or where a field
        shows nothing of them.
    """
    shape = tf.shape(points)
    flat = tf.reshape(points, [shape[0], -1, 2])
    if geometry.field is not None:
        moved = _against_field(flat, geometry)
    else:
        forward = _forward(flat, geometry)
        depth = forward[..., 2:]
        seen = tf.cast(forward[..., :2] / tf.where(depth > 0, depth, 1.0), tf.float32)
        moved = tf.where(depth > 0, seen, float("nan"))
    return tf.reshape(moved, shape)


def _forward(points: Any, geometry: Geometry) -> Any:
    """Points `[b, n, 2]` after a move by a matrix, float64 `[b, n, 3]` up to a factor above 0; the third tells depth.

    A matrix is inverted but for a factor by its cofactors, so that one that flattens the picture is no error.
    """
    matrix = tf.cast(geometry.matrix, tf.float64)
    middle = tf.concat([tf.cast(sides_of(geometry.after), tf.float64) / 2, [1.0]], axis=0)
    # the factor is of the sign that makes the middle of the picture after the move lie in front
    matrix *= tf.sign(tf.linalg.matvec(matrix, middle)[:, 2])[:, tf.newaxis, tf.newaxis]
    one, two, three = tf.unstack(matrix, axis=1)
    columns = [tf.linalg.cross(two, three), tf.linalg.cross(three, one), tf.linalg.cross(one, two)]
    determinant = tf.reduce_sum(one * columns[0], axis=-1)
    inverse = tf.stack(columns, axis=2) * tf.sign(determinant)[:, tf.newaxis, tf.newaxis]
    homogeneous = tf.concat([tf.cast(points, tf.float64), tf.ones_like(points[..., :1], tf.float64)], axis=-1)
    return tf.einsum("bij,bnj->bni", inverse, homogeneous)


def move_boxes(boxes: Any, geometry: Geometry) -> tuple[Any, Any]:
    """Move boxes: each becomes the smallest box around what is still seen of its area.

    Args:
        boxes: x1 y1 x2 y2 in pixels, float32 `[b, n, 4]`.
        geometry: of b pictures.

    Returns:
        The boxes after the move, inside the picture, and the share of each that is seen, `[b, n]`; a box of which
        nothing is seen is four zeros.
    """
    tight, seen = (_boxes_by_matrix if geometry.field is None else _boxes_by_field)(boxes, geometry)
    is_seen = seen > 0
    return tf.where(is_seen[..., tf.newaxis], tight, 0.0), tf.where(is_seen, seen, 0.0)


# --- by a matrix: straight lines stay straight


def _boxes_by_matrix(boxes: Any, geometry: Geometry) -> tuple[Any, Any]:
    """The boxes around what is seen, of which the corners are enough.

    What is seen of a box is a polygon. Its corners are corners of the box that are inside the picture, crossings of
    its sides with the picture's, and corners of the picture that lie in the box.
    """
    sides = tf.cast(sides_of(geometry.after), tf.float64)
    outline = _moved_by_matrix(_corners(boxes), geometry)
    crossings, are_there = _crossings(outline, sides)
    corners, are_in = _corners_of_picture(boxes, geometry, sides)
    points = tf.concat([_flat(outline), crossings, corners], axis=2)
    known = tf.concat([_is_inside(outline, sides), are_there, are_in], axis=2)[..., tf.newaxis]
    low = tf.reduce_min(tf.where(known, points, float("inf")), axis=2)
    high = tf.reduce_max(tf.where(known, points, float("-inf")), axis=2)
    tight = tf.cast(tf.clip_by_value(tf.concat([low, high], axis=-1), 0.0, tf.tile(sides, [2])), tf.float32)
    inside = _is_inside(_moved_by_matrix(_grid(boxes), geometry), sides)
    share = tf.reduce_mean(tf.cast(inside, tf.float32), axis=-1)
    is_seen = tf.reduce_any(known[..., 0], axis=2) & tf.reduce_all(tight[..., 2:] > tight[..., :2], axis=-1)
    # a strip that lies between the points of the grid is seen too
    return tight, tf.where(is_seen, tf.maximum(share, 0.5 / GRID**2), 0.0)


def _corners(boxes: Any) -> Any:
    """The corners of boxes, one after another around them, `[b, n, 4, 2]`."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.stack([tf.stack([x1, x2, x2, x1], axis=-1), tf.stack([y1, y1, y2, y2], axis=-1)], axis=-1)


def _grid(boxes: Any) -> Any:
    """The middles of the cells of boxes, `[b, n, GRID * GRID, 2]`."""
    way = (tf.range(GRID, dtype=tf.float32) + 0.5) / GRID
    ys, xs = (tf.reshape(part, [-1]) for part in tf.meshgrid(way, way, indexing="ij"))
    x1, y1, x2, y2 = tf.split(boxes, 4, axis=-1)
    return tf.stack([x1 + (x2 - x1) * xs, y1 + (y2 - y1) * ys], axis=-1)


def _moved_by_matrix(points: Any, geometry: Geometry) -> Any:
    """Points `[b, n, p, 2]` after the move, `[b, n, p, 3]`."""
    shape = tf.shape(points)
    return tf.reshape(_forward(tf.reshape(points, [shape[0], -1, 2]), geometry), [*tf.unstack(shape[:3]), 3])


def _flat(points: Any) -> Any:
    return points[..., :2] / tf.where(points[..., 2:] > 0, points[..., 2:], 1.0)


def _is_inside(points: Any, sides: Any) -> Any:
    at, depth = points[..., :2], points[..., 2:]
    return tf.reduce_all((at >= 0) & (at <= sides * depth) & (depth > 0), axis=-1)


def _crossings(outline: Any, sides: Any) -> tuple[Any, Any]:
    """The places where sides of a polygon cross those of a picture: points `[b, n, 4 * p, 2]`, and which there are."""
    begin, end = outline, tf.roll(outline, -1, axis=2)
    points, known = [], []
    for axis in (0, 1):
        for edge in (tf.zeros([], tf.float64), sides[axis]):
            before, after = (place[..., axis] - edge * place[..., 2] for place in (begin, end))
            crosses = (before <= 0) != (after <= 0)
            part = before / tf.where(crosses, before - after, 1.0)
            found = begin + (end - begin) * part[..., tf.newaxis]
            at, other, depth = _flat(found), found[..., 1 - axis], found[..., 2]
            known.append(crosses & (depth > 0) & (other >= 0) & (other <= sides[1 - axis] * depth))
            points.append(at)
    return tf.concat(points, axis=2), tf.concat(known, axis=2)


def _corners_of_picture(boxes: Any, geometry: Geometry, sides: Any) -> tuple[Any, Any]:
    """The corners of the picture `[b, n, 4, 2]`, and which show something of a box."""
    corners = tf.constant([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], tf.float64) * sides
    homogeneous = tf.concat([corners, tf.ones([4, 1], tf.float64)], axis=-1)
    before = tf.einsum("bij,pj->bpi", tf.cast(geometry.matrix, tf.float64), homogeneous)
    depth = before[..., 2:]
    before = (before[..., :2] / tf.where(depth == 0, tf.ones_like(depth), depth))[:, tf.newaxis]
    low, high = tf.split(tf.cast(boxes, tf.float64)[:, :, tf.newaxis], 2, axis=-1)
    are_in = tf.reduce_all((before >= low) & (before <= high), axis=-1)
    return tf.broadcast_to(corners, tf.concat([tf.shape(are_in), [2]], axis=0)), are_in


# --- by a field: it may fold, so that it is not inverted; all pixels are asked what they show


def _boxes_by_field(boxes: Any, geometry: Geometry) -> tuple[Any, Any]:
    """The boxes around all pixels that show something of them, and how much of their area those show."""
    after, before, step = _shown(geometry)
    area = _area_of_pixels(geometry)[:, ::step, ::step] * step**2
    half = step / 2

    def one(given: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        wanted, places, areas = given
        x1, y1, x2, y2 = (part[..., tf.newaxis] for part in tf.split(wanted, 4, axis=-1))
        xs, ys = places[..., 0], places[..., 1]
        inside = (xs >= x1) & (xs < x2) & (ys >= y1) & (ys < y2)  # [n, h, w]
        ends = [
            _ends(tf.reduce_any(inside, axis=axis), line) for axis, line in ((1, after[0, :, 0]), (2, after[:, 0, 1]))
        ]
        tight = tf.stack([ends[0][0] - half, ends[1][0] - half, ends[0][1] + half, ends[1][1] + half], axis=-1)
        whole = tf.reshape((x2 - x1) * (y2 - y1), [-1])
        shown = tf.reduce_sum(tf.where(inside, areas, 0.0), axis=[1, 2])
        return tight, tf.minimum(shown / tf.maximum(whole, 1e-6), 1.0)

    signature = (tf.TensorSpec([None, 4]), tf.TensorSpec([None]))
    tight, seen = tf.map_fn(one, (boxes, before, area), fn_output_signature=signature)
    return tf.clip_by_value(tight, 0.0, tf.tile(sides_of(geometry.after), [2])), seen


def _shown(geometry: Geometry) -> tuple[Any, Any, int]:
    """The middles of pixels `[h, w, 2]`, where they were `[b, h, w, 2]`, and how many pixels they are apart."""
    step = max(1, max(geometry.after) // MOST_ON_A_SIDE)
    after = middles(geometry.after)
    return after[::step, ::step], (after + geometry.field)[:, ::step, ::step], step


def _area_of_pixels(geometry: Geometry) -> Any:
    """The area before the move that each pixel after it shows, `[b, h, w]`."""
    places = middles(geometry.after) + geometry.field
    padded = tf.pad(places, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    height, width = geometry.after
    across /= _apart(width)[:, tf.newaxis]
    down /= _apart(height)[:, tf.newaxis, tf.newaxis]
    return tf.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])


def _apart(side: int) -> Any:
    """The pixels between the two neighbours of each pixel on a line; at an end one of them is the pixel itself."""
    at = tf.range(side)
    return tf.cast(tf.where((at == 0) | (at == side - 1), 1, 2), tf.float32)


def _ends(known: Any, line: Any) -> tuple[Any, Any]:
    """The first and the last place on a line, `[n]` each, of those that are known, bool `[n, places]`."""
    low = tf.reduce_min(tf.where(known, line, float("inf")), axis=-1)
    return low, tf.reduce_max(tf.where(known, line, float("-inf")), axis=-1)


def _against_field(points: Any, geometry: Geometry) -> Any:
    """The pixels that show something nearest to points `[b, n, 2]`, moved by what is between."""
    after, before, step = _shown(geometry)
    after = tf.reshape(after, [-1, 2])

    def one(given: tuple[Any, Any]) -> Any:
        wanted, places = given
        places = tf.reshape(places, [-1, 2])
        xs, ys = (wanted[:, tf.newaxis, axis] - places[:, axis] for axis in (0, 1))
        nearest = tf.argmin(xs**2 + ys**2, axis=-1)
        rest = wanted - tf.gather(places, nearest)
        is_near = tf.norm(rest, axis=-1, keepdims=True) < NEAR * step
        return tf.where(is_near, tf.gather(after, nearest) + rest, float("nan"))

    return tf.map_fn(one, (points, before), fn_output_signature=tf.TensorSpec([None, 2]))
