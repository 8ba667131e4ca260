"""Keras's random image layers, made pure functions `(batch, seed) -> batch`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kplug.data.augment import Augment, Batch, fold_in
from kplug.errors import SpecError


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


def _draw_from_step(*layers: Any) -> StepSeed:
    draws = StepSeed()
    for layer in layers:
        if hasattr(layer, "generator"):
            layer.generator = draws
    return draws
