"""The task of capsule networks: scores are lengths, and the picture is drawn again."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kplug import DataInfo, SpecError
from kplug.authoring import (
    Targets,
    answers,
    endpoints_of_classes,
    has_unknown,
    known_rows,
    metrics_argument,
    outputs_of_classes,
)
from kplug.kinds import Field, Learner

ops = keras.ops
TINY = 1e-6  # lengths are kept so far from 0 and 1, where logits would be infinite


class Margin(keras.losses.Loss):
    """One value per example; the parameters are those of the component `margin`."""

    def __init__(self, positive: float, negative: float, down_weight: float) -> None:
        super().__init__(name="margin")
        self.positive, self.negative, self.down_weight = positive, negative, down_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, lengths = ops.cast(y_true, y_pred.dtype), ops.sigmoid(y_pred)
        there = ops.square(ops.maximum(0.0, self.positive - lengths))
        absent = ops.square(ops.maximum(0.0, lengths - self.negative))
        return ops.sum(y_true * there + self.down_weight * (1 - y_true) * absent, axis=-1)


class Capsules(keras.Model):
    """Images in 0 to 255 to class capsules `[b, classes, size]`."""

    decoder: Any = None
    reconstruction = 0.0

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = super().compute_loss(x, y, logits_of(y_pred), sample_weight, training)
        if self.decoder is None:
            return loss
        drawn = draw(self.decoder, y_pred, ops.cast(y, y_pred.dtype), training)
        wanted = ops.reshape(ops.cast(x, "float32") / 255, ops.shape(drawn))
        # as Keras does with losses: a mean over all replicas' examples
        squares = keras.losses.MeanSquaredError()(wanted, drawn) * drawn.shape[-1]
        return loss + self.reconstruction * squares

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_metrics(x, y, shares_of(lengths_of(y_pred)), known_rows(y, sample_weight))


def make_learner(
    data: DataInfo,
    model: Any,
    loss: Any,
    decoder: Any,
    reconstruction: float,
    optimizer: Any,
    metrics: list[Any],
    image: str,
    label: str,
    report: Any,
) -> Learner:
    """The parameters are those of the component `capsules`."""
    if not data.classes or data.multi_label:
        raise SpecError("capsules need one label an example")
    codec = data.codecs[image]
    images = keras.Input(codec.field.shape, dtype="uint8", name="images")
    in_float32 = keras.layers.Activation("linear", dtype="float32", name="capsules")
    found = in_float32(model(keras.layers.Rescaling(1 / 255)(images)))
    if len(found.shape) != 3 or found.shape[1] != len(data.classes):
        shape = list(found.shape[1:])
        raise SpecError(f"{len(data.classes)} classes need as many capsules; model gave the shape {shape}")
    whole = Capsules(images, found, name="capsules")
    whole.decoder, whole.reconstruction = decoder, reconstruction
    if decoder is not None:
        decoder.build((None, found.shape[1] * found.shape[2]))
    whole.compile(optimizer=optimizer, loss=loss, **{metrics_argument(data, label): list(metrics)})
    targets = Targets(label, len(data.classes), has_unknown=has_unknown(data, label))

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return batch[image], *targets.of(batch, training)

    def classify(**inputs: Any) -> dict[str, Any]:
        capsules = whole(inputs[image], training=False)
        lengths = lengths_of(capsules)
        found = answers(shares_of(lengths), data.classes) | {"lengths": lengths}
        if decoder is not None:
            drawn = draw(decoder, capsules, tf.one_hot(tf.argmax(lengths, -1), len(data.classes)))
            found["reconstruction"] = tf.reshape(drawn, [-1, *codec.field.shape])
        return found

    count = len(data.classes)
    outputs = outputs_of_classes(count) | {"lengths": Field((count,), "float32", "lengths of the capsules, 0 to 1")}
    if decoder is not None:
        about = "the picture that the longest capsule draws, 0 to 1"
        outputs["reconstruction"] = Field(codec.field.shape, "float32", about)
    serve = endpoints_of_classes(classify, image, codec, outputs, data.classes)
    parts = {"model": model} | ({"decoder": decoder} if decoder is not None else {})
    return Learner(whole, prepare, serve, parts, evaluators=[report] if report else [])


def draw(decoder: Any, capsules: Any, chosen: Any, training: bool = False) -> Any:
    """The picture, flat, that the chosen capsules draw: `chosen` `[b, classes]` masks the others."""
    masked = capsules * chosen[..., None]
    return decoder(ops.reshape(masked, (-1, capsules.shape[1] * capsules.shape[2])), training=training)


def lengths_of(capsules: Any) -> Any:
    """The length of every capsule, `[b, classes]`, from capsules `[b, classes, size]`."""
    squares = ops.sum(ops.square(ops.cast(capsules, "float32")), axis=-1)
    return ops.sqrt(squares + keras.config.epsilon())


def logits_of(capsules: Any) -> Any:
    """The logits of capsules: their sigmoids are the lengths."""
    lengths = ops.clip(lengths_of(capsules), TINY, 1 - TINY)
    return ops.log(lengths) - ops.log1p(-lengths)


def shares_of(lengths: Any) -> Any:
    return lengths / ops.sum(lengths, axis=-1, keepdims=True)
