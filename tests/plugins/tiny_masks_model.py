"""The Keras side of tiny_masks."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw
from tiny_masks import CLASSES, FEATURES

from kplug import Columns, DataInfo, Learner, Signature, Split

NOT_KNOWN = 255


def drawn(examples: int, seed: int) -> dict[str, Split]:
    rng = np.random.default_rng(seed)
    return {
        name: _split([_example(rng) for _ in range(count)])
        for name, count in (("train", examples), ("test", examples // 2))
    }


def _example(rng: np.random.Generator) -> tuple[bytes, bytes]:
    width, height = (int(side) for side in rng.integers(20, 41, 2))
    picture, mask = Image.new("RGB", (width, height), (90, 90, 90)), Image.new("L", (width, height))
    for number, colour in ((1, (220, 60, 60)), (2, (60, 90, 220))):
        x, y = rng.integers(0, width - 9), rng.integers(0, height - 9)
        box = (int(x), int(y), int(x) + 8, int(y) + 8)
        for image, value in ((picture, colour), (mask, number)):
            draw = ImageDraw.Draw(image)
            (draw.ellipse if number == 1 else draw.rectangle)(box, fill=value)
    return _png(picture), _png(mask)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _split(examples: list[tuple[bytes, bytes]]) -> Split:
    pictures, masks = (tf.constant(files) for files in zip(*examples, strict=True))

    def load(row: Any) -> dict[str, Any]:
        return {"image": tf.gather(pictures, row), "mask": tf.gather(masks, row)}

    facts = {"image": {"channels": 3}, "mask": {"classes": CLASSES}}
    return Split(Columns(len(examples)), load, FEATURES, facts)


def make_learner(data: DataInfo, network: Any, optimizer: Any, image: str, mask: str) -> Learner:
    codecs, classes = data.codecs, len(data.facts[mask]["classes"])
    same = data.trained[image].shape == data.fields[image].shape
    pictures = keras.Input(data.fields[image].shape if same else (None, None, 3), dtype="uint8")
    features = network(keras.layers.Rescaling(1 / 255)(pictures))
    scores = keras.layers.Conv2D(classes, 1, dtype="float32", name="scores")(features)
    model = keras.Model(pictures, scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        known = batch[mask] != NOT_KNOWN
        return batch[image], tf.where(known, batch[mask], 0), tf.cast(known, tf.float32)

    def segment(**inputs: Any) -> dict[str, Any]:
        return {mask: tf.cast(tf.argmax(model(inputs[image]), -1), tf.uint8)}

    serve = {"segment": Signature(segment, {image: codecs[image]}, {mask: codecs[mask]})}
    return Learner(model, prepare, serve, {"network": model})
