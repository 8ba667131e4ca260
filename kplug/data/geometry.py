"""Pictures and what lives in them, moved together: pixels are sampled, points go the other way.

Places are edges: the pixel in column i covers [i, i + 1), so that its middle is at i + 0.5. A matrix or a field takes a
place after a move to where it was before; points need the inverse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.augment import Batch, fold_in
from kplug.data.codecs.outlines import move_boxes as move_boxes
from kplug.data.codecs.outlines import move_points as move_points
from kplug.data.codecs.warping import from_indices as from_indices
from kplug.data.codecs.warping import resized
from kplug.data.codecs.warping import warp as warp
from kplug.errors import SpecError, listed
from kplug.records import DataInfo, Geometry

WAY = "\0way"  # no field is called so: a name from a file has no null character
Draw = Callable[[Any, tuple[int, int], Any], Geometry]


# --- all that lives in a picture -------------------------------------------------------------------------------------


def move(data: DataInfo, batch: Batch, seed: Any, draw: Draw) -> Batch:
    """Move every picture of a batch, and whatever lives in it.

    Frames that are linked share a draw, scaled to their sizes; others have a seed each.

    Args:
        data: knows which fields are pictures and which live in them.
        batch: arrays `[batch, ...]` by name.
        seed: integers `[2]`.
        draw: (number of examples, (height, width), seed) to the `Geometry` of a picture's move.
    """
    moved = dict(batch)
    drawn: dict[str, Geometry] = {}
    for number, name in enumerate(frames_in(data, batch)):
        size, linked = size_of(batch[name]), data.codecs[name].linked
        if linked in drawn:
            drawn[name] = scaled(drawn[linked], size)
        else:
            drawn[name] = draw(tf.shape(batch[name])[0], size, fold_in(seed, number) if number else seed)
        for field in (name, *fields_in(data, name)):
            moved |= move_field(data, batch, field, drawn[name])
        way = way_name(name)  # no `:=`: AutoGraph, through which TensorFlow reads this, warns of it in each training
        if way in batch:
            moved[way] = _further(batch[way], drawn[name])
    return moved


def way_name(frame: str) -> str:
    """The array of a batch, where it is asked for, that says how a picture was moved: float64 `[b, 3, 3]`.

    It takes (x, y, 1) after all moves to where it was before; NaN after one that no matrix says.
    """
    return f"{frame}{WAY}"


def _further(way: Any, geometry: Geometry) -> Any:
    if geometry.field is not None:
        return tf.fill(tf.shape(way), tf.constant(float("nan"), tf.float64))
    return way @ tf.cast(geometry.matrix, tf.float64)


def moved_back(values: Any, way: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Values by pixel of pictures that were moved, where the pictures show the same before the move.

    Args:
        values: float `[b, h, w, channels]`, in the picture's size or in parts of it.
        way: how the pictures were moved: `way_name`.
        size: of the pictures before and after.

    Returns:
        The values, 0 where the picture after the move shows nothing of a place, and the share of each pixel that it
        does show, `[b, h, w, 1]`.
    """
    back = Geometry(size, size, tf.linalg.inv(way))
    own = scaled(back, (values.shape[1], values.shape[2]))
    return warp(values, own, "bilinear", 0.0), warp(tf.ones_like(values[..., :1]), own, "bilinear", 0.0)


def frames_in(data: DataInfo, batch: Batch) -> list[str]:
    """The fields of a batch that are pictures; those that are linked to another come after it.

    Raises:
        SpecError: there are none.
    """
    frames = [name for name, codec in data.codecs.items() if codec.is_frame and name in batch]
    if not frames:
        raise SpecError(f"it moves pictures, and no field here is one (fields: {listed(batch)})")
    return sorted(frames, key=lambda name: data.codecs[name].linked in frames)


def mix(data: DataInfo, batch: Batch, partners: Any, share: Any) -> Batch:
    """Mix each example of a batch with another one, in all fields that can be mixed.

    Args:
        data: knows the codecs of the fields.
        batch: arrays `[batch, ...]` by name, those of one replica.
        partners: the row of each example's other one, int32 `[batch]`.
        share: of the example itself, 0 to 1: float32 `[batch]`, or `[batch, height, width]` of 0 and 1 where parts of
            the other picture are pasted.
    """
    mixed, has_parts = dict(batch), share.shape.rank == 3
    for name, codec in data.codecs.items():
        if (codec.pastes if has_parts else codec.mixes) and name in batch:
            there = _arrays_in(data, batch, name)
            others = {suffix: tf.gather(values, partners) for suffix, values in there.items()}
            mixed |= _named(name, codec.mix(there, others, share))
    return mixed


def fields_in(data: DataInfo, frame: str) -> list[str]:
    """The fields that live in a picture, by the field of that picture."""
    return [name for name, codec in data.codecs.items() if codec.in_frame and codec.frame == frame]


def move_field(data: DataInfo, batch: Batch, name: str, geometry: Geometry) -> Batch:
    """The arrays of one field, moved, by the names of the batch."""
    arrays = _arrays_in(data, batch, name)
    return _named(name, data.codecs[name].warp(arrays, geometry)) if arrays else {}


def _arrays_in(data: DataInfo, batch: Batch, name: str) -> Batch:
    """The arrays of a field in a batch, by suffix."""
    names = {suffix: f"{name}_{suffix}" if suffix else name for suffix in data.codecs[name].arrays}
    return {suffix: batch[array] for suffix, array in names.items() if array in batch}


def _named(name: str, arrays: Batch) -> Batch:
    return {f"{name}_{suffix}" if suffix else name: values for suffix, values in arrays.items()}


def size_of(values: Any) -> tuple[Any, Any]:
    """Height and width of pictures `[..., height, width, channels]`; a scalar tensor where one is not known before."""
    height, width = values.shape[-3:-1]
    return (
        tf.shape(values)[-3] if height is None else height,
        tf.shape(values)[-2] if width is None else width,
    )


def scaled(geometry: Geometry, before: tuple[int, int]) -> Geometry:
    """The same move of a picture of another size that shows the same: a larger one is moved by more pixels."""
    if before == geometry.before:
        return geometry
    grown = [new / old for new, old in zip(before, geometry.before, strict=True)]
    after = (round(geometry.after[0] * grown[0]), round(geometry.after[1] * grown[1]))
    matrix, field = geometry.matrix, geometry.field
    if matrix is not None:
        shrunk = [old / new for new, old in zip(after, geometry.after, strict=True)]
        matrix = _stretch(grown) @ tf.cast(matrix, tf.float64) @ _stretch(shrunk)
    if field is not None:
        field = resized(field, after) * tf.constant(grown[::-1], tf.float32)
    return dataclasses.replace(geometry, before=before, after=after, matrix=matrix, field=field, copy=None)


def _stretch(factors: list[float]) -> Any:
    return tf.constant([[factors[1], 0, 0], [0, factors[0], 0], [0, 0, 1]], tf.float64)


# --- placements ------------------------------------------------------------------------------------------------------


def placement_of(before: Any, size: tuple[int, int], how: str) -> Any:
    """The placement of a picture that is brought to a size: float32 `[6]`, as `records.geometry.PLACEMENT` names it.

    Args:
        before: height and width of the upright picture, int32 `[2]`.
        size: height and width in the batch.
        how: pad, crop or stretch.
    """
    old, new = tf.cast(before, tf.float32), tf.constant(size, tf.float32)
    wanted = scaled_size(old, new, how)
    same = tf.reduce_all(old == new)
    scale = tf.where(same, 1.0, wanted / old)
    shift = tf.where(same, 0.0, tf.floor((new - wanted) / 2))
    return tf.concat([scale, shift, old], axis=0)


def scaled_size(old: Any, new: Any, how: str) -> Any:
    """Height and width that a picture is scaled to before it is placed, float32 `[2]`."""
    if how == "stretch":
        return new
    extreme = tf.reduce_min if how == "pad" else tf.reduce_max
    return tf.maximum(tf.round(old * extreme(new / old)), 1.0)


def place(points: Any, placement: Any) -> Any:
    """Points (x, y) of an upright file, `[..., 2]`, in the picture of the batch; placement `[6]` or `[b, ..., 6]`."""
    return points * _xy(placement, 0) + _xy(placement, 2)


def place_back(points: Any, placement: Any) -> Any:
    """Points (x, y) of the picture of the batch in the upright file's."""
    return (points - _xy(placement, 2)) / _xy(placement, 0)


def _xy(placement: Any, at: int) -> Any:
    return tf.stack([placement[..., at + 1], placement[..., at]], axis=-1)


def place_pixels(values: Any, placement: Any, size: tuple[int, int], blank: Any) -> Any:
    """Values by pixel of an upright file, `[h, w, ...]`, in a picture of the batch: each the nearest, never a mean."""
    return _nearest(values, size, lambda axis, at: tf.floor((at + 0.5 - placement[2 + axis]) / placement[axis]), blank)


def place_pixels_back(values: Any, placement: Any, blank: Any) -> Any:
    """Values by pixel of the batch's picture, `[h, w, ...]`, in the upright file's; blank where it was cut off."""
    size = tf.unstack(tf.cast(placement[4:6], tf.int32))
    return _nearest(values, size, lambda axis, at: tf.floor((at + 0.5) * placement[axis] + placement[2 + axis]), blank)


def _nearest(values: Any, size: Any, place_of: Callable[[int, Any], Any], blank: Any) -> Any:
    rows, columns = (place_of(axis, tf.range(tf.cast(size[axis], tf.float32))) for axis in (0, 1))
    sides = tf.cast(tf.shape(values)[:2], tf.float32)
    found = values
    for axis, at in enumerate((rows, columns)):
        found = tf.gather(found, tf.cast(tf.clip_by_value(at, 0.0, sides[axis] - 1), tf.int32), axis=axis)
    is_row, is_column = ((at >= 0) & (at < sides[axis]) for axis, at in enumerate((rows, columns)))
    is_there = is_row[:, tf.newaxis] & is_column
    is_there = tf.reshape(is_there, [*tf.unstack(tf.shape(is_there)), *[1] * (values.shape.rank - 2)])
    return tf.where(is_there, found, tf.cast(blank, values.dtype))
