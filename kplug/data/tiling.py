"""Large pictures cut in tiles: where the tiles stand, and a function of tiles over pictures of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Pair = int | tuple[int, int]


def tiled(function: Callable[[Any], Any], pictures: Any, tile: Pair, overlap: Pair = 0) -> Any:
    """Apply a function of pictures of one size to pictures of any size, tile after tile.

    It is a loop in the graph with static shapes inside: memory holds the activations of one tile of one picture, and
    the maps of all. Tiles that end at a border of the picture are flush with it, and each pixel comes from the tile in
    whose middle part it lies. The maps are those of the function on the whole picture where half of the overlap is at
    least as far as the function looks, and it is blind to where its tile stands: a network with strides sees another
    grid in a tile whose corner is no multiple of them, as that of the last tile may be. What is needed of each pixel
    alone, such as its best class, is best taken inside of the function, so that the maps are small.

    A picture that is smaller than a tile is padded below and to the right with zeros, and its maps are cut back: near
    those sides the function sees zeros, where in a smaller picture it would see a border.

    Args:
        function: pictures `[n, h, w, c]` of the size of a tile to maps `[n, h, w, ...]`: a tensor, or a dict of them.
        pictures: `[b, H, W, c]`; all but c may be unknown when the graph is made, and b may be 0.
        tile: height and width in pixels; a number is both.
        overlap: how far neighbours overlap at least, height and width in pixels, less than those of a tile.

    Returns:
        Maps `[b, H, W, ...]` as the function gives them, of its dtypes.
    """
    sides, overlaps = _pair(tile), _pair(overlap)
    if any(not 0 <= shared < side for side, shared in zip(sides, overlaps, strict=True)):
        raise ValueError(f"an overlap is from 0 to less than a tile. Received: tile={tile}, overlap={overlap}")
    pictures = tf.convert_to_tensor(pictures)
    size = tf.shape(pictures)[1:3]
    room = tf.maximum(tf.constant(sides) - size, 0)
    padded = tf.pad(pictures, [[0, 0], [0, room[0]], [0, room[1]], [0, 0]])
    maps = _maps(_of_one_tile(function, pictures, sides), padded, sides, overlaps)
    cut = tf.nest.map_structure(lambda one: one[:, : size[0], : size[1]], maps)
    return tf.nest.map_structure(lambda one: tf.ensure_shape(one, [*pictures.shape[:3], *one.shape[3:]]), cut)


def starts(side: Any, tile: int, overlap: int) -> Any:
    """The pixels at which tiles begin along a side of a picture, int32 `[n]`: the last one is flush with its end.

    Args:
        side: of the picture in pixels, at least that of a tile; an integer, or a tensor of one.
        tile: its side in pixels.
        overlap: pixels that neighbours share at least, fewer than a tile has.
    """
    step = tile - overlap
    count = tf.maximum((side - overlap + step - 1) // step, 1)
    return tf.minimum(tf.range(count) * step, side - tile)


def _pair(given: Pair) -> tuple[int, int]:
    height, width = (given, given) if isinstance(given, int) else given
    return height, width


def _of_one_tile(function: Callable[[Any], Any], pictures: Any, sides: tuple[int, int]) -> Any:
    """The function as a graph for one tile, which is made once and says which maps it gives."""
    spec = tf.TensorSpec([1, *sides, pictures.shape[-1]], pictures.dtype)
    found = tf.function(function, autograph=False).get_concrete_function(spec)
    for one in tf.nest.flatten(found.structured_outputs):
        shape = one.shape.as_list() if one.shape.rank is not None else None
        if shape is None or shape[1:3] != [*sides] or None in shape[3:]:
            wanted = f"maps [n, {sides[0]}, {sides[1]}, ...] of pictures of this size"
            raise ValueError(f"a function over tiles gives {wanted}. Received: {shape}")
    return found


def _maps(of_one_tile: Any, pictures: Any, sides: tuple[int, int], overlaps: tuple[int, int]) -> Any:
    """The maps of pictures that are no smaller than a tile, filled by the middle part of one tile after another."""
    batch, *size = tf.unstack(tf.shape(pictures)[:3])
    begins = [starts(*of) for of in zip(size, sides, overlaps, strict=True)]
    borders = [_borders(*of) for of in zip(begins, size, sides, strict=True)]
    rows, columns = (tf.size(begin) for begin in begins)

    def fill(number: Any, maps: Any) -> tuple[Any, Any]:
        picture, place = number // (rows * columns), [number // columns % rows, number % columns]
        corner = [begin[at] for begin, at in zip(begins, place, strict=True)]
        first = [border[at] for border, at in zip(borders, place, strict=True)]
        last = [border[at + 1] for border, at in zip(borders, place, strict=True)]
        found = of_one_tile(tf.slice(pictures, [picture, *corner, 0], [1, *sides, pictures.shape[-1]]))
        (top, left), (bottom, right) = ([a - b for a, b in zip(ends, corner, strict=True)] for ends in (first, last))
        middle = tf.nest.map_structure(lambda one: one[:, top:bottom, left:right], found)
        begin, end = [picture, *first], [picture + 1, *last]
        return number + 1, tf.nest.map_structure(lambda old, new: _filled(old, begin, end, new), maps, middle)

    blank = tf.nest.map_structure(
        lambda one: tf.zeros([batch, *size, *one.shape[3:]], one.dtype), of_one_tile.structured_outputs
    )
    count = batch * rows * columns
    # one tile at a time: by default some are computed at once
    _, maps = tf.while_loop(lambda number, _: number < count, fill, (tf.constant(0), blank), parallel_iterations=1)
    return maps


def _borders(begin: Any, side: Any, tile: int) -> Any:
    """The pixels at which middle parts of tiles meet, with both ends of the side: halfway through what tiles share."""
    halfway = (begin[1:] + begin[:-1] + tile) // 2
    return tf.concat([[0], halfway, [side]], axis=0)


def _filled(old: Any, begin: Any, end: Any, new: Any) -> Any:
    """A map with a part of one picture set, in place where the graph has no other use for it."""
    filled = tf.raw_ops.TensorStridedSliceUpdate(
        input=old, begin=tf.stack(begin), end=tf.stack(end), strides=[1, 1, 1], value=new
    )
    return tf.ensure_shape(filled, old.shape)
