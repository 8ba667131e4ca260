"""`check` of tasks: a bad one for each promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import DataInfo, Field, Learner, Signature, Task
from kplug.testing import check


class ScalarLoss(keras.Model):
    """A model that takes the mean over its batch itself."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean(keras.losses.categorical_crossentropy(y, y_pred, from_logits=True))


def telling(data: DataInfo, flaw: str = "none") -> Task:
    """Tell which class a picture shows.

    Args:
        flaw: what is wrong with it.
    """
    images = keras.Input(data.image_shape, dtype="uint8")
    dense = keras.layers.Dense(len(data.classes), trainable=flaw != "frozen")
    logits = dense(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images)))
    model = (ScalarLoss if flaw == "scalar" else keras.Model)(images, logits)
    if flaw != "compile":
        model.compile("sgd", None if flaw == "scalar" else keras.losses.CategoricalCrossentropy(from_logits=True))
    copy = dense.kernel.numpy()
    memory = tf.Variable(np.random.default_rng().random(), dtype=tf.float32)

    def prepare(batch, seed, training):
        image = tf.cast(batch["image"], tf.float32)
        if flaw == "prepare":
            image += tf.random.uniform(tf.shape(image), 0, 9)
        return image, tf.one_hot(batch["label"], len(data.classes))

    def serve(images):
        scores = model(images, training=False)
        if flaw == "copy":  # the weights as they were when the learner was made
            scores = tf.matmul(tf.reshape(tf.cast(images, tf.float32), [-1, copy.shape[0]]), copy)
        if flaw == "noise":
            scores += tf.random.uniform(tf.shape(scores))
        if flaw == "memory":  # a variable that no weights file holds
            scores += memory
        return {"scores": scores}

    signature = Signature(serve, {"images": Field(data.image_shape, "uint8")}, {"scores": "score of each class"})
    served = {} if flaw in ("nothing", "scalar") else {"images": signature}
    return Learner(model, prepare, served, {"dense": dense})


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("compile", "is compiled"),
        ("frozen", "has weights to train; this one has none"),
        ("prepare", "prepare is a function of batch, seed and training"),
        ("copy", "training changed them, and every answer stayed"),
        ("noise", "exports what it predicts; the saved model differs from the live one"),
        ("memory", "output 'scores' of 'images' differs"),
        ("scalar", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_task(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(telling, flaw=flaw)


@pytest.mark.slow  # as every task of test_contract.py
def test_a_good_task():
    check(telling)
