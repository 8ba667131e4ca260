"""Keras's random image layers, made pure functions `(batch, seed) -> batch`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kplug.data.augment import Augment, Batch, fold_in
from kplug.errors import SpecError
from kplug.records import DataInfo

LARGE = 48 * 48  # pixels from which on pictures are cut faster one by one (measured)


class StepSeed(keras.random.SeedGenerator):
    """A seed generator whose draws depend on the step's seed and the draws before in that step, not on the process."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.seed_of_step: Any = None
        self.drawn = 0

    @contextmanager
    def using(self, seed: Any) -> Iterator[None]:
        """Inside, every draw comes from `seed` (int32 `[2]`), counted from the first again."""
        self.seed_of_step, self.drawn = seed, 0
        try:
            yield
        finally:
            self.seed_of_step = None

    def next(self, ordered: bool = True) -> Any:
        if self.seed_of_step is None:
            raise RuntimeError("an augmentation drew a random number without a seed")
        self.drawn += 1
        return fold_in(self.seed_of_step, self.drawn)


def image_layers(
    *layers: Any, color: bool = False, probability: float = 1.0, unit_values: bool = False, one_by_one: bool = False
) -> Augment:
    """An augmentation that takes `image` through Keras image layers, one after another.

    Args:
        layers: made once, outside the mapped function.
        color: the layers need three channels.
        probability: share of the pictures that are changed.
        unit_values: the layers work on 0 to 1.
        one_by_one: for a layer that would take its statistics over the whole batch.
    """
    draws = _draw_from_step(*layers)
    scale = 255.0 if unit_values else 1.0

    def through(image: Any) -> Any:
        for layer in layers:
            image = layer(image, training=True)
        return image

    def augment(batch: Batch, seed: Any) -> Batch:
        image = tf.cast(batch["image"], tf.float32)
        if color and image.shape[-1] != 3:
            what = f"{', '.join(type(layer).__name__ for layer in layers)} needs 3 channels"
            raise SpecError(f"{what}, these pictures have {image.shape[-1]}: set data.features.image.channels to 3")
        with draws.using(seed):
            changed = (tf.map_fn(through, image) if one_by_one else through(image / scale)) * scale
            if probability < 1:
                chances = tf.random.stateless_uniform([tf.shape(image)[0], 1, 1, 1], draws.next())
                changed = tf.where(chances < probability, changed, image)
        return batch | {"image": tf.ensure_shape(changed, image.shape)}

    return augment


def color_jitter(brightness: float, contrast: float, saturation: float, hue: float) -> Augment:
    """An augmentation of four changes in a row, in the terms of the field; a strength of 0 leaves its change out."""
    options = {"value_range": (0, 1), "dtype": "float32"}
    layers: list[Any] = []
    if brightness:  # Keras adds a share of white instead
        layers.append(RandomGain(brightness))
    if contrast:
        layers.append(keras.layers.RandomContrast((contrast, contrast), **options))
    if saturation:  # Keras multiplies by f / (1 - f)
        factors = tuple(m / (1 + m) for m in (1 - saturation, 1 + saturation))
        layers.append(keras.layers.RandomSaturation(factors, **options))
    if hue:  # Keras turns by half its factor
        layers.append(keras.layers.RandomHue((0, 2 * hue), **options))
    return image_layers(*layers, color=bool(saturation or hue), unit_values=True)


class RandomGain:
    """A factor that multiplies pictures of 0 to 1, drawn from 1 - strength to 1 + strength; called like a layer."""

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.generator: Any = None

    def __call__(self, image: Any, training: bool) -> Any:
        shape = [tf.shape(image)[0], 1, 1, 1]
        gain = tf.random.stateless_uniform(shape, self.generator.next(), 1 - self.strength, 1 + self.strength)
        return tf.clip_by_value(image * gain, 0.0, 1.0)


def elastic(scale: tuple[float, float], probability: float) -> Augment:
    """Move every pixel along a smooth random field; at strength 1 by 3 percent of the size (standard deviation)."""

    def augment(batch: Batch, seed: Any) -> Batch:
        image = tf.cast(batch["image"], tf.float32)
        count, height, width = tf.shape(image)[0], image.shape[1], image.shape[2]
        seeds = [fold_in(seed, n) for n in range(3)]
        strength = tf.random.stateless_uniform([count, 1, 1, 1], seeds[0], min(scale), max(scale))
        noise = tf.random.stateless_normal([count, height, width, 2], seeds[1])
        field = _smooth(noise, 0.05 * min(height, width)) * strength * 0.03 * tf.constant([height, width], tf.float32)
        chosen = tf.random.stateless_uniform([count, 1, 1, 1], seeds[2]) < probability
        return batch | {"image": tf.where(chosen, _sample(image, field), image)}

    return augment


def _smooth(noise: Any, sigma: float) -> Any:
    """Blur white noise [b, h, w, 2] by a Gaussian; its standard deviation is 1 as before."""
    sigma = max(sigma, 1.0)
    reach = math.ceil(3 * sigma)
    kernel = tf.exp(-0.5 * (tf.range(-reach, reach + 1, dtype=tf.float32) / sigma) ** 2)
    kernel /= tf.norm(kernel)
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        one_way = tf.tile(tf.reshape(kernel, shape), [1, 1, 2, 1])
        noise = tf.nn.depthwise_conv2d(noise, one_way, [1, 1, 1, 1], "SAME")
    return noise


def _sample(image: Any, field: Any) -> Any:
    """Read [b, h, w, c] bilinearly at each pixel's place plus field [b, h, w, 2]; the border goes on outside."""
    last = tf.constant([image.shape[1] - 1, image.shape[2] - 1], tf.float32)
    grid = tf.stack(tf.meshgrid(tf.range(last[0] + 1), tf.range(last[1] + 1), indexing="ij"), axis=-1)
    place = tf.clip_by_value(grid + field, 0.0, last)
    low = tf.floor(place)
    share = place - low
    sampled = tf.zeros_like(image)
    for corner in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        weight = tf.reduce_prod(tf.abs(1 - tf.constant(corner) - share), axis=-1, keepdims=True)
        at = tf.cast(tf.minimum(low + tf.constant(corner), last), tf.int32)
        sampled += weight * tf.gather_nd(image, at, batch_dims=1)
    return sampled


def mixing_layer(layer: keras.layers.Layer, data: DataInfo) -> Augment:
    """An augmentation that mixes pictures and, in the same shares, their labels: float one-hot `[batch, classes]`."""
    if "label" not in data.fields:
        raise SpecError("it mixes labels, and this data has no field 'label'")
    draws = _draw_from_step(layer)

    def augment(batch: Batch, seed: Any) -> Batch:
        label = batch["label"]
        if label.shape.rank == 1:
            label = tf.one_hot(label, len(data.classes))
        pairs = {"images": tf.cast(batch["image"], tf.float32), "labels": tf.cast(label, tf.float32)}
        with draws.using(seed):
            mixed = layer(pairs, training=True)
        image = tf.ensure_shape(mixed["images"], batch["image"].shape)
        return batch | {"image": image, "label": tf.ensure_shape(mixed["labels"], label.shape)}

    return augment


def flips(mode: str) -> Augment:
    """Mirror pictures, each with probability one half; without the way through float32 that Keras's layer takes."""
    axes = [{"horizontal": 2, "vertical": 1}[direction] for direction in mode.split("_and_")]

    def augment(batch: Batch, seed: Any) -> Batch:
        image = batch["image"]
        draws = tf.random.stateless_uniform([len(axes), tf.shape(image)[0]], seed)
        for axis, draw in zip(axes, tf.unstack(draws), strict=True):
            both, count = tf.concat([image, tf.reverse(image, [axis])], axis=0), tf.shape(image)[0]
            # whole pictures are copied; `tf.where` on pictures would spread the condition over every pixel
            image = tf.gather(both, tf.range(count) + tf.where(draw < 0.5, count, 0))
        return batch | {"image": image}

    return augment


def shifted_crop(padding: int, fill: str) -> Augment:
    """Pad every side, then cut a window of the old size at a place drawn for each picture."""

    def augment(batch: Batch, seed: Any) -> Batch:
        image = batch["image"]
        sides = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        padded = tf.pad(image, sides, mode=fill.upper())
        corners = tf.random.stateless_uniform([2, tf.shape(image)[0]], seed, 0, 2 * padding + 1, tf.int32)
        cut = _cut_one_by_one if image.shape[1] * image.shape[2] > LARGE else _cut_at_once
        return batch | {"image": tf.ensure_shape(cut(padded, corners, image.shape[1:]), image.shape)}

    return augment


def _cut_at_once(padded: Any, corners: Any, shape: Any) -> Any:
    """Cut windows of `shape` at corners `[2, b]`: rows, then pixels of them."""
    rows = tf.gather(padded, corners[0][:, tf.newaxis] + tf.range(shape[0]), axis=1, batch_dims=1)
    return tf.gather(rows, corners[1][:, tf.newaxis] + tf.range(shape[1]), axis=2, batch_dims=1)


def _cut_one_by_one(padded: Any, corners: Any, shape: Any) -> Any:
    """Cut the same windows row by row instead of pixel by pixel, at some cost for each picture."""
    corners = tf.stack([*tf.unstack(corners), tf.zeros_like(corners[0])], axis=-1)  # [b, 3]
    return tf.map_fn(
        lambda pair: tf.slice(*pair, shape), (padded, corners), fn_output_signature=tf.TensorSpec(shape, padded.dtype)
    )


def _draw_from_step(*layers: Any) -> StepSeed:
    draws = StepSeed()
    for layer in layers:
        if hasattr(layer, "generator"):
            layer.generator = draws
    return draws
