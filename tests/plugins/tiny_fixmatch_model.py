"""The Keras side of tiny_fixmatch."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kplug import DataInfo, Learner, Signature
from kplug.authoring import Step, Stepped, answers, outputs_of_classes, ranked, views

ops = keras.ops


class FixMatch(Stepped):
    """Scores of pictures; their views are made in the input pipeline."""

    def __init__(self, scores: Any, threshold: float, weight: float) -> None:
        super().__init__(name="fixmatch")
        self.scores, self.threshold, self.weight = scores, threshold, weight

    def objective(self, name: str, x: Any, y: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        weak, strong = (self.scores(x[view], training=training) for view in ("weak", "strong"))
        known = ops.cast(y >= 0, "float32")
        told = ops.sparse_categorical_crossentropy(ops.maximum(y, 0), weak, from_logits=True) * known
        guess = ops.stop_gradient(ops.softmax(weak))
        sure = ops.cast(ops.max(guess, -1) >= self.threshold, "float32") * (1 - known)
        guessed = ops.sparse_categorical_crossentropy(ops.argmax(guess, -1), strong, from_logits=True) * sure
        right = ops.cast(ops.equal(ops.argmax(weak, -1), ops.cast(y, "int64")), "float32")
        # both are means over their own examples, of which each replica has the same share
        values = told / ops.mean(known + 1e-9) + self.weight * guessed / (ops.mean(1 - known) + 1e-9)
        return values, {"sure": sure, "accuracy": ops.sum(right * known) / (ops.sum(known) + 1e-9)}


def make_learner(
    data: DataInfo,
    model: Any,
    head: Any,
    weak: list[Any],
    strong: list[Any],
    threshold: float,
    weight: float,
    optimizer: Any,
    image: str,
    label: str,
    report: Any,
) -> Learner:
    codec = data.codecs[image]
    pixels = keras.Input(codec.field.shape, dtype="uint8")
    logits = keras.layers.Activation("linear", dtype="float32")(head(model(keras.layers.Rescaling(1 / 255)(pixels))))
    scores = keras.Model(pixels, logits, name="scores")
    whole = FixMatch(scores, threshold, weight)
    whole.set_up([Step("fixmatch", optimizer, [scores])], reported=["sure", "accuracy"])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        if not training:
            return {"weak": batch[image], "strong": batch[image]}, batch[label]
        (first,) = views(data, batch, weak, tf.random.experimental.stateless_fold_in(seed, 0), 1)
        (second,) = views(data, batch, strong, tf.random.experimental.stateless_fold_in(seed, 1), 1)
        return {"weak": first[image], "strong": second[image]}, batch[label]

    def classify(**inputs: Any) -> dict[str, Any]:
        return answers(keras.ops.softmax(scores(inputs[image], training=False)), data.classes)

    signature = Signature(classify, {image: codec}, outputs_of_classes(len(data.classes)), answer=ranked(data.classes))
    best, reports = {"maximize": "val_accuracy"}, [report] if report else []
    parts = {"model": model, "head": head}
    return Learner(whole, prepare, {"classify": signature}, parts, whole.learner_optimizers, best, reports)
