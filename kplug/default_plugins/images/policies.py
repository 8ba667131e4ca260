"""Policies that draw operations for every picture: how many of them, how strong, and how they are mixed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.augment import Augment, Batch, fold_in
from kplug.data.codecs import pixels
from kplug.data.geometry import fields_in, frames_in, move_field, size_of
from kplug.default_plugins.images.operations import Operation, Space
from kplug.errors import SpecError
from kplug.records import DataInfo, Geometry


def draw_operations(
    data: DataInfo, space: Callable[[Any], Space], strength: Callable[[Any], Any], count: int
) -> Augment:
    """An augmentation that takes every picture through `count` operations, each drawn evenly from the space.

    What lives in a picture is moved once, by the matrices of its operations one after another.

    Args:
        data: knows which fields are pictures and which live in them.
        space: a picture to the operations that may be drawn.
        strength: a number drawn evenly from 0 to 1 to the strength of an operation, 0 to 1.
        count: operations for a picture.
    """

    def change(image: Any, seed: Any) -> Any:
        if image.shape.rank == 4:  # the pictures of a clip, by the same operations
            return tf.map_fn(lambda picture: change(picture, seed), image)
        return _chain(image, seed, list(space(image).values()), strength, count)

    def augment(batch: Batch, seed: Any) -> Batch:
        changed, seeds = dict(batch), dict[str, Any]()
        for number, name in enumerate(frames_in(data, batch)):
            linked = data.codecs[name].linked  # pictures that show the same are changed alike
            if linked in seeds and size_of(batch[name]) != size_of(batch[linked]):
                raise SpecError(f"'{name}' is linked to '{linked}' and of another size, for which amounts differ")
            seeds[name] = seeds[linked] if linked in seeds else fold_in(seed, number) if number else seed
            changed[name] = _each_picture(batch[name], seeds[name], change)
            fields = fields_in(data, name)  # no `:=`, of which AutoGraph would warn in each training
            if fields:
                picture = batch[name][0] if batch[name].shape.rank == 4 else batch[name][0, 0]
                operations = list(space(picture).values())
                matrix = _matrices(tf.shape(batch[name])[0], seeds[name], operations, strength, count)
                size = size_of(batch[name])
                for field in fields:
                    changed |= move_field(data, batch, field, Geometry(size, size, matrix))
        return changed

    return augment


def mix_chains(
    space: Callable[[Any], Space], strength: Callable[[Any], Any], width: int, depth: int, alpha: float
) -> Augment:
    """An augmentation that mixes every picture with `width` chains of operations on it, each `depth` long.

    A depth of -1 is drawn from 1 to 3 for each chain. The other parameters are those of `draw_operations`, and alpha of
    `mixing_shares`.
    """

    def mix(image: Any, seed: Any) -> Any:
        operations = list(space(image).values())
        shares, original = mixing_shares(fold_in(seed, width), width, alpha)
        drawn = tf.random.stateless_uniform([width], fold_in(seed, width + 1), 1, 4, tf.int32)
        depths = drawn if depth == -1 else tf.fill([width], depth)

        def add(number: Any, mixed: Any) -> tuple[Any, Any]:
            changed = _chain(image, fold_in(seed, number), operations, strength, depths[number])
            return number + 1, mixed + shares[number] * tf.cast(changed, tf.float32)

        start = original * tf.cast(image, tf.float32)
        return pixels.to_uint8(tf.while_loop(lambda number, _: number < width, add, (0, start))[1])

    return _each(mix)


def mixing_shares(seed: Any, width: int, alpha: float) -> tuple[Any, Any]:
    """Draw the shares of the chains `[width]` (Dirichlet, less by Beta) and of the picture itself; they sum to 1."""
    gammas = tf.random.stateless_gamma([width + 2], seed, tf.constant(alpha, tf.float64), dtype=tf.float64)
    gammas = tf.maximum(gammas, 1e-300)  # a tiny alpha may make all of them vanish
    original = gammas[-1] / (gammas[-1] + gammas[-2])
    chains = (1 - original) * gammas[:width] / tf.reduce_sum(gammas[:width])
    return tf.cast(chains, tf.float32), tf.cast(original, tf.float32)


def _each(change: Callable[[Any, Any], Any]) -> Augment:
    """An augmentation of every picture by itself, with a seed folded by its number."""
    return lambda batch, seed: batch | {"image": _each_picture(batch["image"], seed, change)}


def _each_picture(pictures: Any, seed: Any, change: Callable[[Any, Any], Any]) -> Any:
    images = pixels.to_uint8(pictures)

    def change_one(pair: tuple[Any, Any]) -> Any:
        return change(pair[0], fold_in(seed, pair[1]))

    one = tf.TensorSpec(images.shape[1:], tf.uint8)
    changed = tf.map_fn(change_one, (images, tf.range(tf.shape(images)[0])), fn_output_signature=one)
    return tf.ensure_shape(changed, images.shape)


def _chain(image: Any, seed: Any, operations: list[Operation], strength: Callable[[Any], Any], length: Any) -> Any:
    """Take a picture through `length` operations; only those drawn are computed."""
    branches = [pixels.noinline(operation) for operation in operations]

    def change(number: Any, changed: Any) -> Any:
        choice, level, sign = _drawn(seed, number, strength, len(operations))
        calls = [functools.partial(operation, changed, level, sign) for operation in branches]
        return tf.ensure_shape(tf.switch_case(choice, calls), image.shape)

    if isinstance(length, int):  # a loop that is written out is faster
        return functools.reduce(lambda changed, number: change(number, changed), range(length), image)
    return tf.while_loop(lambda n, _: n < length, lambda n, changed: (n + 1, change(n, changed)), (0, image))[1]


def _drawn(seed: Any, number: Any, strength: Callable[[Any], Any], count: int) -> tuple[Any, Any, Any]:
    """The choice of an operation among `count`, its strength and its sign, by its number in the chain of a picture."""
    choice, level, side = tf.unstack(tf.random.stateless_uniform([3], fold_in(seed, number)))
    return tf.cast(choice * count, tf.int32), strength(level), tf.where(side < 0.5, -1.0, 1.0)


def _matrices(
    pictures: Any, seed: Any, operations: list[Operation], strength: Callable[[Any], Any], length: int
) -> Any:
    """The moves of `length` operations on each picture, drawn as `_chain` draws them: float32 `[pictures, 3, 3]`."""

    def one(picture: Any) -> Any:
        matrix = tf.eye(3)
        for number in range(length):
            choice, level, sign = _drawn(fold_in(seed, picture), number, strength, len(operations))
            matrix @= tf.gather(tf.stack([operation.matrix(level, sign) for operation in operations]), choice)
        return matrix

    return tf.map_fn(one, tf.range(pictures), fn_output_signature=tf.TensorSpec([3, 3]))
