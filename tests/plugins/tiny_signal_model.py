"""The Keras side of tiny_signal."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug import DataInfo, Field, Learner, Needs, Signature, SplitEvaluator


def make_learner(
    data: DataInfo, model: Any, kernel_size: int, optimizer: Any, wave: str, shape: str, report: Any
) -> Learner:
    codec = data.codecs[wave]
    samples = keras.Input(codec.field.shape, name="samples")
    features = keras.layers.Conv1D(8, kernel_size, strides=2, activation="relu")(samples[..., None])
    scores = keras.layers.Dense(len(data.classes), dtype="float32", name="scores")(model(features))
    whole = keras.Model(samples, scores, name="waves")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")
    whole.compile(optimizer=optimizer, loss=loss)

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return batch[wave], batch[shape]

    def tell(**inputs: Any) -> dict[str, Any]:
        return {"scores": tf.nn.softmax(whole(inputs[wave], training=False))}

    def answer(outputs: Any, top: int) -> dict[str, Any]:
        best = np.argsort(-outputs["scores"])[:top]
        return {"shapes": [[data.classes[i], round(float(outputs["scores"][i]), 4)] for i in best]}

    outputs = {"scores": Field((len(data.classes),), "float32", "probability of each class", averaged=True)}
    serve = {"tell": Signature(tell, {wave: codec}, outputs, answer=answer)}
    best = {"minimize": "val_mean_rank"} if report and report.every else None
    return Learner(whole, prepare, serve, best=best, evaluators=[report] if report else [])


class MeanRank(SplitEvaluator):
    """The place of the true class, summed over the examples."""

    figures = ("mean_rank",)

    def __init__(self, label: str, every: int | None) -> None:
        self.label, self.every = label, every
        self.needs = Needs(outputs=("scores",), fields=(label,))

    def begin(self, evaluation: Any) -> None:
        super().begin(evaluation)
        self.places, self.count = 0, 0

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        true = np.take_along_axis(answers["scores"], truths[self.label][:, None], -1)
        self.places += int((answers["scores"] >= true).sum())
        self.count += len(rows)

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        return {"mean_rank": self.places / self.count}, {}
