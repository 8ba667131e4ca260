"""The Keras side of the task `classification`."""

from __future__ import annotations

from typing import Any

import keras

from kplug.errors import SpecError
from kplug.model.class_weights import class_weight_vector
from kplug.model.scores import (
    Targets,
    answers,
    endpoints_of_classes,
    has_unknown,
    known_rows,
    metrics_argument,
    outputs_of_classes,
)
from kplug.records import DataInfo, Learner


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
        # metrics go by the examples whose class is known, whatever the loss weighs
        return super().compute_metrics(x, y, self.activation(y_pred), known_rows(y, sample_weight))


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
    image: str = "image",
    label: str = "label",
    report: Any = None,
) -> Learner:
    """Make the learner of a network and its head; the parameters are those of the component `classification`."""
    if not data.classes:
        raise SpecError(f"the source gives no labels in '{label}'; classification needs them")
    weights = None if class_weights is None else class_weight_vector(class_weights, data)
    codec = data.codecs[image]
    pixels = keras.Input(codec.field.shape, dtype="uint8", name="images")
    features = model(keras.layers.Rescaling(1 / 255)(pixels))
    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(head(features))
    if tuple(logits.shape[1:]) != (len(data.classes),):
        shape = list(logits.shape[1:])
        raise SpecError(f"{len(data.classes)} classes need as many scores a picture; head gave the shape {shape}")
    whole = Classifier(pixels, logits, name="classifier")
    whole.activation = keras.ops.sigmoid if data.multi_label else keras.ops.softmax
    if label_smoothing and hasattr(loss, "with_label_smoothing"):
        loss = loss.with_label_smoothing(label_smoothing)
    else:
        whole.label_smoothing = label_smoothing
    for weight in whole.trainable_weights:
        if l2 and len(weight.shape) > 1:
            weight.regularizer = keras.regularizers.L2(l2 / 2)
    whole.compile(optimizer=optimizer, loss=loss, **{metrics_argument(data, label): list(metrics)})
    targets = Targets(label, len(data.classes), weights, has_unknown(data, label))

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return batch[image], *targets.of(batch, training)

    def classify(**inputs: Any) -> dict[str, Any]:
        return answers(whole.activation(whole(inputs[image], training=False)), data.classes)

    def scores(**inputs: Any) -> Any:
        return head(model(inputs[image]))

    serve = endpoints_of_classes(classify, image, codec, outputs_of_classes(len(data.classes)), data.classes)
    parts = {"model": model, "head": head}
    return Learner(whole, prepare, serve, parts, evaluators=[report] if report else [], scores=scores)
