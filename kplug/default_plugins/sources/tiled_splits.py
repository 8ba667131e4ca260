"""A source whose examples are tiles of pictures, each with what lives in its part of the picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.codecs.boxes import BEYOND, IGNORED, PADDING, BoxesCodec
from kplug.data.codecs.decoding import decode, size_of
from kplug.data.codecs.file_bytes import require
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.instances import InstancesCodec
from kplug.data.codecs.mask_files import decode_ids
from kplug.data.codecs.masks import MaskCodec
from kplug.data.codecs.points import PointsCodec
from kplug.data.features import arrays_of, codecs_of
from kplug.data.readable import SHOWN, refuse_unreadable
from kplug.data.staging import mapped
from kplug.data.tiling import starts
from kplug.data.values import by_owner, owner, readable_column
from kplug.default_plugins.sources.known_data import TILE_COLUMNS
from kplug.errors import SpecError, listed
from kplug.records import AskedFeatures, Codec, Split

Pair = tuple[int, int]
Values = dict[str, Any]


def cut_in_tiles(
    of: Mapping[str, Split],
    asked: AskedFeatures,
    size: Pair,
    overlap: Pair,
    splits: Sequence[str] | None,
    visible: float,
) -> dict[str, Split]:
    """The splits of a source, some in tiles; the parameters are those of the component `tiles`."""
    if missing := [name for name in splits or () if name not in of]:
        raise SpecError(f"there is no split '{missing[0]}' to cut; the source has {listed(of)}")
    first = np.cumsum([0, *map(len, of.values())]).tolist()
    found = {}
    for (name, split), number in zip(of.items(), first, strict=False):
        whole = _Whole(split, _codecs_of(split, asked))
        is_cut = splits is None or name in splits
        tiles = _tiles_of(whole, size, overlap) if is_cut else _corners(np.arange(len(split)))
        columns = whole.columns_of(tiles, number)
        group = split.group or TILE_COLUMNS[0]
        names = None if split.names is None else [split.names[row] for row in tiles.rows]
        sizes = None if split.sizes is None else [split.sizes[row] for row in tiles.rows]
        found[name] = replace(split, columns=columns, group=group, names=names, sizes=sizes)
        if is_cut:
            found[name] = _tiled(whole, found[name], tiles, size, visible)
    return found


# --- the source that is cut ------------------------------------------------------------------------------------------


def _codecs_of(split: Split, asked: AskedFeatures) -> dict[str, Codec]:
    """The codecs of a split's features, with those refused that cannot be cut; a field without one is repeated."""
    codecs = codecs_of(split, asked)
    frames = [name for name, codec in codecs.items() if codec.is_frame]
    if len(frames) != 1:
        what = f"the source gives {listed(frames)}" if frames else "the source gives none"
        raise SpecError(f"tiles are cut of one picture, and {what}")
    for name, codec in codecs.items():
        if codec.is_frame and not isinstance(codec, ImageCodec):
            raise SpecError(f"'{name}' is no picture that tiles are cut of, but is read by {type(codec).__name__}")
        if codec.in_frame and codec.of is None and _cutting(codec) is None:
            what = f"'{name}', which is read by {type(codec).__name__}, lives in the picture"
            raise SpecError(f"{what}, and only masks, instances, boxes and points can be cut with it")
    return codecs


@dataclass(frozen=True, eq=False)
class _Whole:
    """A split of whole pictures.

    Args:
        split: as its source gives it.
        codecs: of its fields that have a feature.
    """

    split: Split
    codecs: Mapping[str, Codec]

    @property
    def picture(self) -> str:
        """The field of the picture."""
        return next(name for name, codec in self.codecs.items() if codec.is_frame)

    @property
    def codec(self) -> ImageCodec:
        """The codec of the picture."""
        return next(codec for codec in self.codecs.values() if isinstance(codec, ImageCodec))

    @property
    def told(self) -> dict[str, Any]:
        """The facts of the picture."""
        return dict(self.split.facts.get(self.picture, {}))

    @property
    def columns_that_are_cut(self) -> list[str]:
        """The columns that are no numbers of an example, but a part of its picture or of what lives in it."""
        owners = {name: self.codecs.get(owner(name, self.codecs)) for name in self.split.columns.arrays}
        return [name for name, codec in owners.items() if codec is not None and (codec.is_frame or codec.in_frame)]

    def columns_of(self, tiles: _Tiles, number: int) -> Any:
        """The table of tiles; their pictures are numbered from a number on."""
        given = [*self.split.columns.arrays, *self.codecs]
        if taken := [name for name in TILE_COLUMNS if name in given]:
            raise SpecError(f"the source has a field '{taken[0]}', as tiles have one that says where they are from")
        table = self.split.columns.at(tiles.rows)
        own = dict(zip(TILE_COLUMNS, (tiles.rows + number, tiles.y, tiles.x), strict=True))
        return replace(table, arrays={**table.arrays, **own})

    def values(self) -> Callable[[Any], Values]:
        """A function of a row to what the source gives for it, columns that are cut among it."""
        columns = self.split.columns
        table = {name: tf.constant(readable_column(columns[name])) for name in self.columns_that_are_cut}

        def load(row: Any) -> Values:
            return {**self.split.load(row), **{name: tf.gather(column, row) for name, column in table.items()}}

        return load

    def sizes(self) -> np.ndarray:
        """Height and width of every upright picture, `[n, 2]`; of files as their headers say."""
        if told := self.told.get("size"):
            return np.tile(np.array(told), [len(self.split), 1])
        load, name, codec, rows = self.values(), self.picture, self.codec, range(len(self.split))

        def size(row: Any) -> Any:
            value = load(row)[name]
            return size_of(value, codec.orientation) if value.dtype == tf.string else tf.shape(value)[:2]

        reading = replace(codec, size=(1, 1), channels=self.told.get("channels") or 3)
        with refuse_unreadable(self.split, {name: reading}, rows):
            found = list(mapped(tf.data.Dataset.range(len(rows)), size).as_numpy_iterator())
        return np.array(found, np.int64).reshape(-1, 2)


# --- where the tiles are ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Tiles:
    """The tiles of a split, int64 `[n]` each: rows of their pictures, and the pixels of their corners."""

    rows: np.ndarray
    y: np.ndarray
    x: np.ndarray


def _corners(rows: np.ndarray) -> _Tiles:
    """Whole pictures as tiles of themselves."""
    return _Tiles(rows, np.zeros_like(rows), np.zeros_like(rows))


def _tiles_of(whole: _Whole, size: Pair, overlap: Pair) -> _Tiles:
    """The tiles of all pictures, in the order of their rows, from the top and from the left.

    Raises:
        SpecError: pictures are smaller than a tile.
    """
    sizes = whole.sizes()
    if small := np.flatnonzero((sizes < size).any(1)).tolist():
        shown = [f"\n  {whole.split.where(row)}: {sizes[row][0]} x {sizes[row][1]}" for row in small[:SHOWN]]
        more = f"\n  ... ({len(small)} in all)" if len(small) > SHOWN else ""
        raise SpecError(f"these pictures are smaller than tiles of {size[0]} x {size[1]}:{''.join(shown)}{more}")
    distinct = {tuple(sides) for sides in sizes.tolist()}
    places = {
        sides: list(
            itertools.product(*(starts(*one).numpy().tolist() for one in zip(sides, size, overlap, strict=True)))
        )
        for sides in distinct
    }
    every = [(row, *place) for row, sides in enumerate(sizes.tolist()) for place in places[tuple(sides)]]
    return _Tiles(*np.array(every, np.int64).reshape(-1, 3).T)


# --- the tiles -------------------------------------------------------------------------------------------------------


def _tiled(whole: _Whole, split: Split, tiles: _Tiles, size: Pair, visible: float) -> Split:
    """A split of tiles.

    Args:
        whole: their pictures.
        split: has their columns, those that are cut among them.
        tiles: where they are.
        size: height and width of each.
        visible: share of a box that must be in a tile.
    """
    values_of, name, codec = whole.values(), whole.picture, whole.codec
    value = tf.data.Dataset.range(1).map(values_of).element_spec[name]
    told = whole.told.get("channels") or codec.channels
    channels = told or (3 if value.dtype == tf.string else value.shape[-1])
    rows, corners = tf.constant(tiles.rows), tf.constant(np.stack([tiles.y, tiles.x], axis=1), tf.int32)

    def load(row: Any) -> Values:
        given = by_owner(values_of(tf.gather(rows, row)), whole.codecs)
        picture = given[name][""]
        if picture.dtype == tf.string:
            picture = decode(picture, channels, codec.orientation, codec.window)
        tile = _Tile(tf.gather(corners, row), size, tf.shape(picture)[:2], visible)
        found = {name: tf.ensure_shape(tile.cut(picture), [*size, channels])}
        for field, arrays in given.items():
            cut = _cutting(whole.codecs.get(field))
            found |= {} if field == name else arrays_of(field, cut(arrays, tile, field) if cut else arrays)
        return found

    def place(row: int) -> str:
        at, where = int(tiles.rows[row]), whole.split.place
        own = where(at) if where else "" if "path" in split.columns else f"row {at}"
        return ", ".join([*([own] if own else []), f"tile at y {tiles.y[row]}, x {tiles.x[row]}"])

    left = {key: array for key, array in split.columns.arrays.items() if key not in whole.columns_that_are_cut}
    facts = {**split.facts, name: {**whole.told, "size": size} | ({"channels": channels} if channels else {})}
    columns = replace(split.columns, arrays=left)
    return replace(split, columns=columns, load=load, facts=facts, batched=False, place=place)


@dataclass(frozen=True, eq=False)
class _Tile:
    """A part of a picture.

    Args:
        corner: y and x of its first pixel, int32 `[2]`.
        size: its height and width.
        sides: those of the picture, int32 `[2]`.
        visible: share of a box that must be in it.
    """

    corner: Any
    size: Pair
    sides: Any
    visible: float

    def cut(self, values: Any) -> Any:
        """The part of values by pixel, `[height, width, ...]`."""
        begin = tf.concat([self.corner, tf.zeros([values.shape.rank - 2], tf.int32)], axis=0)
        part = tf.slice(values, begin, [*self.size, *[-1] * (values.shape.rank - 2)])
        return tf.ensure_shape(part, [*self.size, *values.shape[2:]])

    @property
    def shift(self) -> Any:
        """The corner as (x, y), float32 `[2]`."""
        return tf.cast(self.corner[::-1], tf.float32)

    @property
    def extent(self) -> Any:
        """The size as (x, y), float32 `[2]`."""
        return tf.constant(self.size[::-1], tf.float32)


def _cutting(codec: Codec | None) -> Callable[[Values, _Tile, str], Values] | None:
    """A function that cuts the arrays of a field in the form that its source gives; None for one that is not cut."""
    return next((cut for kind, cut in CUTS.items() if isinstance(codec, kind)), None)


def _cut_ids(arrays: Values, tile: _Tile, name: str) -> Values:
    """Numbers of classes, or of objects, by pixel; whatever the field has beside stays."""
    ids = decode_ids(arrays[""]) if arrays[""].dtype == tf.string else arrays[""]
    size = tf.shape(ids)[:2]
    message = tf.strings.format(
        f"{name}: another height and width than its picture: {{}} instead of {{}}", [size, tile.sides]
    )
    return {**arrays, "": tile.cut(require(tf.reduce_all(size == tile.sides), ids, message))}


def _cut_boxes(arrays: Values, tile: _Tile, name: str) -> Values:
    """Boxes that are seen, cut at the tile's edges.

    Boxes that are bad stay so, for the feature to refuse or to leave out: one that reaches out of the picture is not
    cut there, and one without an area in the picture is in the tile that has its first corner.
    """
    boxes = tf.cast(arrays[""], tf.float32)
    classes = tf.cast(arrays["class"], tf.int32) if "class" in arrays else tf.zeros(tf.shape(boxes)[:1], tf.int32)
    sides = tf.cast(tile.sides[::-1], tf.float32)
    inside = tf.clip_by_value(boxes, 0.0, tf.tile(sides, [2]))
    is_beyond = tf.abs(boxes - inside) > BEYOND * tf.tile(sides, [2])
    low, high = tf.tile(tile.shift, [2]), tf.tile(tile.shift + tile.extent, [2])
    cut = tf.clip_by_value(inside, low, high)
    area, seen = (tf.reduce_prod(one[:, 2:] - one[:, :2], axis=-1) for one in (inside, cut))
    is_first = (inside[:, :2] >= low[:2]) & ((inside[:, :2] < high[:2]) | (high[:2] >= sides))
    is_flat = ~tf.reduce_all(inside[:, 2:] > inside[:, :2], axis=-1)
    is_there = (classes != PADDING) & tf.where(is_flat, tf.reduce_all(is_first, axis=-1), seen > 0)
    is_little = ~is_flat & (classes >= 0) & (tf.math.divide_no_nan(seen, area) < tile.visible)
    is_at_end = tf.where(boxes < inside, low == 0, high == tf.tile(sides, [2]))
    kept = tf.where(is_flat[:, tf.newaxis] | (is_beyond & is_at_end), boxes, cut) - low
    left = tf.where(is_little, IGNORED, classes)
    return {**arrays, "": tf.boolean_mask(kept, is_there), "class": tf.boolean_mask(left, is_there)}


def _cut_points(arrays: Values, tile: _Tile, name: str) -> Values:
    """Points as x, y and whether they are seen: zeros in the place of those that are not in the tile."""
    points = tf.cast(arrays[""], tf.float32)
    places = points[..., :2] - tile.shift
    shown = points[..., 2:] if points.shape[-1] == 3 else tf.ones_like(points[..., :1])
    seen = tf.reduce_all((places >= 0) & (places <= tile.extent), axis=-1, keepdims=True) & (shown > 0)
    return {**arrays, "": tf.where(seen, tf.concat([places, shown], axis=-1), 0.0)}


CUTS: dict[type[Codec], Callable[[Values, _Tile, str], Values]] = {
    BoxesCodec: _cut_boxes,
    InstancesCodec: _cut_ids,
    MaskCodec: _cut_ids,
    PointsCodec: _cut_points,
}
