"""Examples that are mixed in pairs: shares of two pictures, or a part of one in the other, and their labels alike."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kplug.data.augment import Augment, fold_in
from kplug.data.geometry import frames_in, mix, size_of
from kplug.default_plugins.images.pure_layers import StepSeed
from kplug.errors import SpecError
from kplug.records import DataInfo


def shares(data: DataInfo, alpha: float) -> Augment:
    """Mix each example with another of its batch, by a share from a Beta distribution."""
    _refuse_without_classes(data)
    draws = StepSeed()

    def augment(batch: Any, seed: Any) -> Any:
        count = tf.shape(batch[frames_in(data, batch)[0]])[0]
        with draws.using(seed):  # drawn as by Keras's layer, so that what 0.1.0 began goes on as it would have
            order = keras.random.shuffle(tf.range(tf.cast(count, tf.int64)), seed=draws)
            share = keras.random.beta([count], alpha, alpha, seed=draws)
        return mix(data, batch, order, share)

    return augment


def pasted(data: DataInfo, alpha: float) -> Augment:
    """Paste a rectangle of another example of the batch, whose area comes from a Beta distribution."""
    _refuse_without_classes(data)

    def augment(batch: Any, seed: Any) -> Any:
        picture = batch[frames_in(data, batch)[0]]
        count, size = tf.shape(picture)[0], size_of(picture)
        area = 1 - beta(count, alpha, fold_in(seed, 1))
        places = tf.random.stateless_uniform([2, count], fold_in(seed, 2))
        rows, columns = (
            _inside(side, tf.sqrt(area), place) for side, place in zip(size, tf.unstack(places), strict=True)
        )
        kept = 1 - rows[:, :, tf.newaxis] * columns[:, tf.newaxis]
        return mix(data, batch, partners(count, fold_in(seed, 0)), kept)

    return augment


def _inside(side: Any, share: Any, place: Any) -> Any:
    """1 for the pixels of a side that lie in its part, else 0: float32 `[b, side]`.

    Args:
        side: pixels.
        share: of the side, `[b]`, which is rounded to whole pixels.
        place: of the part, `[b]`: 0 at the beginning, 1 at the end.
    """
    length = tf.cast(side, tf.float32)
    part = tf.round(share * length)
    first = tf.minimum(tf.floor(place * (length - part + 1)), length - part)
    at = tf.range(length)
    return tf.cast((at >= first[:, tf.newaxis]) & (at < (first + part)[:, tf.newaxis]), tf.float32)


def partners(count: Any, seed: Any) -> Any:
    """The rows of a batch in a drawn order, int32 `[b]`."""
    return tf.argsort(tf.random.stateless_uniform([count], seed))


def beta(count: Any, alpha: float, seed: Any) -> Any:
    """Draw shares from Beta(alpha, alpha), float32 `[b]`, as shares of two gammas."""
    both = tf.random.stateless_gamma([2, count], seed, tf.constant(alpha, tf.float64), dtype=tf.float64)
    one, other = tf.unstack(tf.maximum(both, 1e-300))  # a tiny alpha may make both of them vanish
    return tf.cast(one / (one + other), tf.float32)


def _refuse_without_classes(data: DataInfo) -> None:
    if not any(codec.mixes and not codec.is_frame for codec in data.codecs.values()):
        raise SpecError("it mixes labels, and this data has no field of classes")
