"""The Keras side of tiny_vqa."""

from __future__ import annotations

from typing import Any

import keras

from kplug import DataInfo, Learner, Signature
from kplug.authoring import Targets, answers, known_rows, outputs_of_classes, ranked


class Questions(keras.Model):
    """Scores of answers; metrics see probabilities."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_metrics(x, y, keras.ops.softmax(y_pred), known_rows(y, sample_weight))


def make_learner(
    data: DataInfo,
    eye: Any,
    reader: Any,
    head: Any,
    width: int,
    loss: Any,
    metrics: list[Any],
    optimizer: Any,
    fields: tuple[str, str, str],
    report: Any,
) -> Learner:
    image, question, answer = fields
    picture, words = (data.codecs[name] for name in (image, question))
    pixels, ids = keras.Input(picture.field.shape, dtype="uint8"), keras.Input(words.field.shape, dtype="int32")
    seen = keras.layers.Dense(width, activation="tanh")(eye(keras.layers.Rescaling(1 / 255)(pixels)))
    read = reader(keras.layers.Embedding(words.field.below, width, mask_zero=True)(ids))
    both = keras.layers.Multiply()([seen, keras.layers.Dense(width, activation="tanh")(read)])
    scores = keras.layers.Activation("linear", dtype="float32")(head(both))
    whole = Questions([pixels, ids], scores, name="questions")
    whole.compile(optimizer=optimizer, loss=loss, weighted_metrics=metrics)
    targets = Targets(answer, len(data.classes))

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return (batch[image], batch[question]), *targets.of(batch, training)

    def tell(**inputs: Any) -> dict[str, Any]:
        found = whole([inputs[image], inputs[question]], training=False)
        return answers(keras.ops.softmax(found), data.classes)

    inputs, outputs = {image: picture, question: words}, outputs_of_classes(len(data.classes))
    serve = {"answer": Signature(tell, inputs, outputs, answer=ranked(data.classes))}
    return Learner(whole, prepare, serve, evaluators=[report] if report else [])
