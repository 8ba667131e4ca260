"""Policies that draw operations for every picture: how many of them, how strong, and how they are mixed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kplug.data.augment import Augment, Batch, fold_in
from kplug.data.codecs import pixels
from kplug.default_plugins.images.operations import Operation, Space


def draw_operations(space: Callable[[Any], Space], strength: Callable[[Any], Any], count: int) -> Augment:
    """An augmentation that takes every picture through `count` operations, each drawn evenly from the space.

    Args:
        space: a picture to the operations that may be drawn.
        strength: a number drawn evenly from 0 to 1 to the strength of an operation, 0 to 1.
        count: operations for a picture.
    """
    return _each(lambda image, seed: _chain(image, seed, list(space(image).values()), strength, count))


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

    def augment(batch: Batch, seed: Any) -> Batch:
        images = pixels.to_uint8(batch["image"])

        def change_one(pair: tuple[Any, Any]) -> Any:
            return change(pair[0], fold_in(seed, pair[1]))

        one = tf.TensorSpec(images.shape[1:], tf.uint8)
        changed = tf.map_fn(change_one, (images, tf.range(tf.shape(images)[0])), fn_output_signature=one)
        return batch | {"image": tf.ensure_shape(changed, images.shape)}

    return augment


def _chain(image: Any, seed: Any, operations: list[Operation], strength: Callable[[Any], Any], length: Any) -> Any:
    """Take a picture through `length` operations; only those drawn are computed."""
    branches = [pixels.noinline(operation) for operation in operations]

    def change(number: Any, changed: Any) -> Any:
        choice, level, side = tf.unstack(tf.random.stateless_uniform([3], fold_in(seed, number)))
        sign = tf.where(side < 0.5, -1.0, 1.0)
        calls = [functools.partial(operation, changed, strength(level), sign) for operation in branches]
        return tf.ensure_shape(tf.switch_case(tf.cast(choice * len(operations), tf.int32), calls), image.shape)

    if isinstance(length, int):  # a loop that is written out is faster
        return functools.reduce(lambda changed, number: change(number, changed), range(length), image)
    return tf.while_loop(lambda n, _: n < length, lambda n, changed: (n + 1, change(n, changed)), (0, image))[1]
