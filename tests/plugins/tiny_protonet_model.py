"""The Keras side of tiny_protonet."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kplug import DataInfo, Field, Learner, Signature
from kplug.authoring import Step, Stepped

ops = keras.ops


def nearness(features: Any, support: Any, place: Any, weight: Any, places: int) -> Any:
    """Minus the squared distance of features [q, n] to the mean of each place's support [s, n]; -inf without any."""
    shows = ops.one_hot(place, places) * ops.cast(weight, "float32")[:, None]
    count = ops.sum(shows, 0)
    means = ops.matmul(ops.transpose(shows), support) / ops.maximum(count, 1.0)[:, None]
    distance = ops.sum(ops.square(features[:, None] - means[None]), -1)
    return ops.where(count > 0, -distance, -1e9)


class Prototypes(Stepped):
    """An encoder, judged by where it puts the examples that ask."""

    def __init__(self, encoder: Any) -> None:
        super().__init__(name="prototypes")
        self.encoder = encoder

    def objective(self, name: str, x: Any, y: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        features = ops.cast(self.encoder(x, training=training), "float32")
        place, support = y["place"], ops.cast(y["is_support"], "float32")
        scores = nearness(features, features, place, support, features.shape[0] or 64)
        asks = (1 - support) / ops.mean(1 - support)
        right = ops.cast(ops.equal(ops.argmax(scores, -1), ops.cast(place, "int64")), "float32")
        return ops.sparse_categorical_crossentropy(place, scores, from_logits=True) * asks, {"accuracy": right * asks}


def make_learner(data: DataInfo, encoder: Any, optimizer: Any, image: str) -> Learner:
    codec = data.codecs[image]
    encoder(keras.KerasTensor((None, *codec.field.shape)))
    model = Prototypes(encoder)
    model.set_up([Step("prototypes", optimizer, [encoder])], reported=["accuracy"])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        roles = {name: tf.cast(batch[name], tf.int32) for name in ("place", "is_support")}
        return tf.cast(batch[image], tf.float32) / 255, roles

    def embed(pictures: Any) -> Any:
        return ops.cast(encoder(tf.cast(pictures, tf.float32) / 255, training=False), "float32")

    def classify(support: Any, place: Any, query: Any) -> dict[str, Any]:
        scores = nearness(embed(query), embed(support), place, ops.ones_like(place), 64)
        return {"place": ops.argmax(scores, -1)}

    pixels = Field(codec.field.shape, "uint8", like=image)
    answer = {"place": Field((), "int64", "the place whose support is nearest", below=64)}
    axes = {"support": "supports", "place": "supports", "query": "queries", "nearest": "queries"}
    serve = {
        "classify": Signature(
            lambda support, place, query: {"nearest": classify(support, place, query)["place"]},
            {"support": pixels, "place": Field((), "int32", "a number for each class", below=64), "query": pixels},
            {"nearest": answer["place"]},
            axes,
        )
    }
    best = {"maximize": "val_accuracy"}
    return Learner(model, prepare, serve, {"encoder": encoder}, model.learner_optimizers, best)
