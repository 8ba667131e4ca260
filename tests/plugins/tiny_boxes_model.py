"""The Keras side of tiny_boxes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw
from tiny_boxes import CLASSES, FEATURES

from kplug import Columns, DataInfo, Learner, Signature, Split
from kplug.authoring import Step, Stepped

STRIDE = 4


def drawn(examples: int, seed: int) -> dict[str, Split]:
    rng = np.random.default_rng(seed)
    counts = (("train", examples), ("test", examples // 2))
    return {name: _split([_example(rng) for _ in range(count)]) for name, count in counts}


def _example(rng: np.random.Generator) -> tuple[bytes, np.ndarray, np.ndarray]:
    width, height = (int(side) for side in rng.integers(30, 49, 2))
    picture, boxes, classes = Image.new("RGB", (width, height), (90, 90, 90)), [], []
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        number, side = int(rng.integers(2)), int(rng.integers(8, 13))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        shape, colour = ((draw.ellipse, (220, 60, 60)), (draw.rectangle, (60, 90, 220)))[number]
        shape((x, y, x + side - 1, y + side - 1), fill=colour)
        boxes.append((x, y, x + side, y + side))
        classes.append(number)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue(), np.array(boxes, np.float32), np.array(classes, np.int32)


def _split(examples: list[tuple[bytes, np.ndarray, np.ndarray]]) -> Split:
    files, boxes, classes = zip(*examples, strict=True)
    pictures, places, numbers = tf.constant(files), tf.ragged.stack(boxes), tf.ragged.stack(classes)

    def load(row: Any) -> dict[str, Any]:
        return {
            "image": tf.gather(pictures, row),
            "boxes": places[row].to_tensor(shape=[None, 4]),
            "boxes_class": numbers[row],
        }

    facts = {"image": {"channels": 3}, "boxes": {"classes": CLASSES}}
    return Split(Columns(len(examples)), load, FEATURES, facts)


def cells(size: tuple[int, int]) -> Any:
    """The middle of each cell, (x, y) in pixels `[h * w, 2]`."""
    xs, ys = tf.meshgrid(*(tf.range(STRIDE / 2, side, STRIDE) for side in size[::-1]))
    return tf.stack([tf.reshape(xs, [-1]), tf.reshape(ys, [-1])], -1)


def targets(boxes: Any, classes: Any, middles: Any, count: int) -> tuple[Any, Any, Any]:
    """The class of each cell in zeros and a one, how far the edges of its object are, and which cells count."""
    edges = tf.concat([middles - boxes[:, :, tf.newaxis, :2], boxes[:, :, tf.newaxis, 2:] - middles], -1)
    inside = tf.reduce_min(edges, -1) > 0  # [b, n, cells]
    area = tf.where(
        inside & (classes >= 0)[..., tf.newaxis],
        tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], -1)[..., tf.newaxis],
        1e9,
    )
    owner = tf.argmin(area, axis=1)
    is_object = tf.reduce_min(area, axis=1) < 1e9
    ignored = tf.reduce_any(inside & (classes == -2)[..., tf.newaxis], 1) & ~is_object
    numbers = tf.where(is_object, tf.gather(classes, owner, batch_dims=1), -1)
    sides = tf.gather(tf.transpose(edges, [0, 2, 1, 3]), owner[..., tf.newaxis], batch_dims=2)[:, :, 0]
    return tf.one_hot(numbers, count), tf.where(is_object[..., tf.newaxis], sides, 0.0), ~ignored


class Detector(Stepped):
    """The scores of each cell and its distances to the edges."""

    def __init__(self, network: Any) -> None:
        super().__init__(name="detector")
        self.network = network

    def objective(self, name: str, x: Any, y: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        found = self.network(x, training=training)
        scores, sides = found[..., :-4], keras.ops.softplus(found[..., -4:]) * STRIDE
        is_object = keras.ops.sum(y["class"], -1)
        wrong = keras.losses.binary_focal_crossentropy(y["class"], scores, True, from_logits=True)
        apart = keras.ops.mean(keras.ops.abs(sides - y["sides"]), -1) / STRIDE
        sums = keras.ops.sum(10 * wrong * keras.ops.cast(y["counts"], "float32") + apart * is_object, -1)
        return sums / keras.ops.maximum(keras.ops.sum(is_object, -1), 1.0), {}


def make_learner(data: DataInfo, network: Any, optimizer: Any, kept: int, image: str, boxes: str) -> Learner:
    codecs, count = data.codecs, len(data.facts[boxes]["classes"])
    size = codecs[image].field.shape[:2]
    pictures = keras.Input((*size, 3), dtype="uint8")
    features = network(keras.layers.Rescaling(1 / 255)(pictures))
    flat = keras.layers.Reshape((-1, features.shape[-1]))(features)
    head = keras.layers.Dense(count + 4, dtype="float32", bias_initializer=keras.initializers.Constant(-1.0))
    model = keras.Model(pictures, head(flat))
    detector = Detector(model)
    detector.set_up([Step("detector", optimizer, [model])])
    middles = cells(size)

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        found = targets(batch[boxes], batch[f"{boxes}_class"], middles, count)
        return batch[image], dict(zip(("class", "sides", "counts"), found, strict=True))

    def detect(**inputs: Any) -> dict[str, Any]:
        answers = model(inputs[image], training=False)
        scores, sides = tf.sigmoid(answers[..., :-4]), tf.math.softplus(answers[..., -4:]) * STRIDE
        places = tf.concat([middles - sides[..., :2], middles + sides[..., 2:]], -1)
        best = tf.image.combined_non_max_suppression(
            places[:, :, tf.newaxis], scores, kept, kept, 0.5, 0.2, clip_boxes=False
        )  # it names no order of x and y: overlaps are the same either way
        there = tf.range(kept) < best.valid_detections[:, tf.newaxis]
        found = tf.where(there[..., tf.newaxis], tf.clip_by_value(best.nmsed_boxes, 0.0, [*size[::-1]] * 2), 0.0)
        return {boxes: found, f"{boxes}_class": tf.where(there, tf.cast(best.nmsed_classes, tf.int32), -1)}

    outputs = {boxes: replace(codecs[boxes], most=kept)}
    signature = Signature(detect, {image: codecs[image]}, outputs)
    optimizers, best = detector.learner_optimizers, {"minimize": "val_detector_loss"}
    return Learner(detector, prepare, {"detect": signature}, optimizers=optimizers, best=best)
