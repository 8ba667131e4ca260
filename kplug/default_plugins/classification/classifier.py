"""The Keras side of the task `classification`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError
from kplug.model.class_weights import class_weight_vector, example_weights
from kplug.records import DataInfo, Field, Learner, Signature

OUTPUTS = {
    "probabilities": "probability of each class, float32 [batch, classes]",
    "classes": "name of the most probable class, string [batch]",
}


class Classifier(keras.Model):
    """A model that gives logits; its loss sees logits and, smoothed, the targets; its metrics see probabilities.

    Keras's metrics take logits without a word and return numbers that mean nothing.
    """

    activation: Any = staticmethod(keras.ops.softmax)
    label_smoothing = 0.0

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **more: Any
    ) -> Any:
        if self.label_smoothing:
            spread = 0.5 if self.activation is keras.ops.sigmoid else 1.0 / y.shape[-1]
            y = y * (1.0 - self.label_smoothing) + self.label_smoothing * spread
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **more)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_metrics(x, y, self.activation(y_pred), sample_weight)


def classifier(
    data: DataInfo,
    model: Any,
    head: Any,
    loss: Any,
    optimizer: Any,
    metrics: list[Any],
    label_smoothing: float,
    class_weights: Any = None,
    l2: float = 0.0,
) -> Learner:
    """Make the learner of a network and its head; the parameters are those of the component `classification`."""
    if not data.classes:
        raise SpecError("the source gives no labels; classification needs them")
    weights = None if class_weights is None else class_weight_vector(class_weights, data)
    images = keras.Input(data.image_shape, dtype="uint8", name="images")
    features = model(keras.layers.Rescaling(1 / 255)(images))
    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(head(features))
    if tuple(logits.shape[1:]) != (len(data.classes),):
        shape = list(logits.shape[1:])
        raise SpecError(f"{len(data.classes)} classes need as many scores a picture; head gave the shape {shape}")
    whole = Classifier(images, logits, name="classifier")
    whole.activation = keras.ops.sigmoid if data.multi_label else keras.ops.softmax
    if label_smoothing and hasattr(loss, "with_label_smoothing"):
        loss = loss.with_label_smoothing(label_smoothing)
    else:
        whole.label_smoothing = label_smoothing
    for weight in whole.trainable_weights:
        if l2 and len(weight.shape) > 1:
            weight.regularizer = keras.regularizers.L2(l2 / 2)
    whole.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        label = batch["label"]
        one_hot = tf.one_hot(label, len(data.classes)) if label.shape.rank == 1 else tf.cast(label, tf.float32)
        if weights is None or not training:
            return batch["image"], one_hot
        return batch["image"], one_hot, example_weights(one_hot, weights)

    def serve(images: Any) -> dict[str, Any]:
        probabilities = whole.activation(whole(images, training=False))
        names = tf.gather(tf.constant(data.classes), tf.argmax(probabilities, -1))
        return {"probabilities": probabilities, "classes": names}

    signature = Signature(serve, {"images": Field(data.image_shape, "uint8")}, OUTPUTS)
    return Learner(whole, prepare, {"images": signature}, {"model": model, "head": head})
