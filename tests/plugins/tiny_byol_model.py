"""The Keras side of tiny_byol."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug import DataInfo, Field, FitInfo, Learner, Needs, Signature, SplitEvaluator
from kplug.authoring import Follower, Step, Stepped, views

ops = keras.ops


class Byol(Stepped):
    """An online network, its momentum copy, and a predictor."""

    def __init__(self, encoder: Any, projector: Any, predictor: Any, shape: tuple[int, ...]) -> None:
        super().__init__(name="byol")
        self.online = keras.Sequential([encoder(), projector()], name="online")
        self.target = keras.Sequential([encoder(), projector()], name="target")
        self.predictor = predictor
        images = keras.KerasTensor((None, *shape))
        self.predictor(self.online(images))
        self.target(images)

    def objective(self, name: str, x: Any, y: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        foretold = [self.predictor(self.online(view, training=training), training=training) for view in x]
        wanted = [ops.stop_gradient(self.target(view, training=training)) for view in reversed(x)]
        return sum(2 - 2 * ops.sum(unit(a) * unit(b), -1) for a, b in zip(foretold, wanted, strict=True)), {}


def unit(vectors: Any) -> Any:
    return ops.normalize(ops.cast(vectors, "float32"), axis=-1)


def make_learner(
    data: DataInfo,
    fit: FitInfo,
    encoder: Any,
    projector: Any,
    predictor: Any,
    augment: list[Any],
    momentum: float,
    optimizer: Any,
    image: str,
    evaluator: Any,
) -> Learner:
    codec = data.codecs[image]
    model = Byol(encoder, projector, predictor, codec.field.shape)
    network = model.online.layers[0]

    def of_step(step: Any) -> Any:
        done = tf.cast(step, tf.float32) / fit.steps
        return 1 - (1 - momentum) * (tf.cos(math.pi * done) + 1) / 2

    model.set_up([Step("byol", optimizer, [model.online, predictor])], [Follower(model.target, model.online, of_step)])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return (tuple(tf.cast(view[image], tf.float32) / 255 for view in views(data, batch, augment, seed, 2)),)

    def embed(**inputs: Any) -> dict[str, Any]:
        return {"features": unit(network(tf.cast(inputs[image], tf.float32) / 255, training=False))}

    features = Field((network.output.shape[-1],), "float32", "features of a picture, of length 1", averaged=True)
    serve = {"embed": Signature(embed, {image: codec}, {"features": features})}
    evaluators = [evaluator] if evaluator else []
    return Learner(model, prepare, serve, {"encoder": network}, model.learner_optimizers, "last", evaluators)


class NearestNeighbours(SplitEvaluator):
    """The class of most neighbours; the features of train are its gallery."""

    figures = ("knn_accuracy",)

    def __init__(self, label: str, neighbours: int, every: int | None) -> None:
        self.label, self.neighbours, self.every = label, neighbours, every
        self.needs = Needs(outputs=("features",), fields=(label,), splits=("train",))

    def begin_split(self, name: str) -> None:
        if name == "train":
            self.gallery: list[Any] = []
        self.is_gallery = name == "train"
        self.right: list[Any] = []

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        if self.is_gallery:
            self.gallery.append((answers["features"], truths[self.label]))
        if not self.is_gallery or self.evaluation.split == "train":
            features, labels = (np.concatenate(parts) for parts in zip(*self.gallery, strict=True))
            nearest = np.argsort(-answers["features"] @ features.T, axis=-1)[:, : self.neighbours]
            votes = np.apply_along_axis(lambda row: np.bincount(row).argmax(), -1, labels[nearest])
            self.right.append(votes == truths[self.label])

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        return {"knn_accuracy": float(np.concatenate(self.right).mean())}, {}
