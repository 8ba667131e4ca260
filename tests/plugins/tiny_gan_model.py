"""The Keras side of tiny_gan."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug import DataInfo, Field, Learner, Needs, Signature, SplitEvaluator
from kplug.authoring import Step, Stepped


class Gan(Stepped):
    """The two networks; values of a picture are in 0 to 1."""

    def __init__(self, generator: Any, discriminator: Any, shape: tuple[int, ...], latent: int) -> None:
        super().__init__(name="gan")
        self.generator, self.discriminator, self.shape, self.latent = generator, discriminator, shape, latent
        self.discriminator(self.draw(keras.KerasTensor((None, latent))))

    def draw(self, noise: Any) -> Any:
        flat = keras.ops.sigmoid(keras.ops.cast(self.generator(noise), "float32"))
        return keras.ops.reshape(flat, (-1, *self.shape))

    def objective(self, name: str, x: Any, y: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        fake = self.discriminator(self.draw(x["noise"]), training=training)[:, 0]
        if name == "generator":
            return keras.ops.softplus(-fake), {}
        real = self.discriminator(x["real"], training=training)[:, 0]
        return keras.ops.softplus(-real) + keras.ops.softplus(fake), {"real_score": real}


def make_learner(
    data: DataInfo, generator: Any, discriminator: Any, latent: int, optimizers: Any, image: str, evaluator: Any
) -> Learner:
    codec = data.codecs[image]
    model = Gan(generator, discriminator, codec.field.shape, latent)
    networks = {"discriminator": discriminator, "generator": generator}
    steps = [Step(name, one, [network]) for (name, network), one in zip(networks.items(), optimizers, strict=True)]
    model.set_up(steps, reported=["real_score"])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        noise = tf.random.stateless_normal([tf.shape(batch[image])[0], latent], seed)
        return ({"real": tf.cast(batch[image], tf.float32) / 255, "noise": noise},)

    def generate(noise: Any) -> dict[str, Any]:
        return {image: tf.cast(tf.round(model.draw(noise) * 255), tf.uint8)}

    serve = {"generate": Signature(generate, {"noise": Field((latent,), "float32")}, {image: codec})}
    evaluators = [evaluator] if evaluator else []
    return Learner(model, prepare, serve, networks, model.learner_optimizers, "last", evaluators)


class Spread(SplitEvaluator):
    """How different drawn pictures are."""

    needs, figures = Needs(rows=False), ("spread",)

    def __init__(self, count: int, every: int | None) -> None:
        self.count, self.every = count, every

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        evaluation = self.evaluation
        rng = np.random.default_rng(evaluation.seed)
        noise = rng.standard_normal((self.count, *evaluation.inputs()["noise"].shape)).astype("float32")
        (drawn,) = evaluation.ask(noise=noise).values()
        return {"spread": float(drawn.std(axis=0).mean())}, {}
