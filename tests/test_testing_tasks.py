"""`check` of tasks: a bad one for each promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import Columns, DataInfo, Field, Learner, Sampler, Signature, Source, SpecError, Split, Task, gives, hookimpl
from kplug.kinds import Count, Seed
from kplug.testing import check, plugged


class ScalarLoss(keras.Model):
    """A model that takes the mean over its batch itself."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean(keras.losses.categorical_crossentropy(y, y_pred, from_logits=True))


class Unscaled(keras.Model):
    """A model with a step of its own, which forgets to scale its loss."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(y, scores, from_logits=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}


ELSEWHERE = []  # variables that no model holds


class Growing(keras.Model):
    """A model whose loss grows with every step, by a number that no checkpoint has."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss * ELSEWHERE[-1].assign_add(1.0)


MODELS = {"scalar": ScalarLoss, "unscaled": Unscaled, "grows": Growing}


def telling(data: DataInfo, flaw: str = "none") -> Task:
    """Tell which class a picture shows.

    Args:
        flaw: what is wrong with it.
    """
    images = keras.Input(data.fields["image"].shape, dtype="uint8")
    dense = keras.layers.Dense(len(data.classes), trainable=flaw != "frozen")
    ELSEWHERE.append(tf.Variable(0.0))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    if flaw == "normalized":  # no flaw, and different on two replicas
        flat = keras.layers.BatchNormalization()(flat)
    model = MODELS.get(flaw, keras.Model)(images, keras.layers.Activation("linear", dtype="float32")(dense(flat)))
    if flaw != "compile":
        model.compile("sgd", None if flaw == "scalar" else keras.losses.CategoricalCrossentropy(from_logits=True))
    copy = dense.kernel.numpy()
    memory = tf.Variable(np.random.default_rng().random(), dtype=tf.float32)

    def prepare(batch, seed, training):
        image = tf.cast(batch["image"], tf.float32)
        if flaw == "prepare":
            image += tf.random.uniform(tf.shape(image), 0, 9)
        return image, tf.one_hot(batch["label"], len(data.classes))

    def serve(image):
        scores = model(image, training=False)
        if flaw == "copy":  # the weights as they were when the learner was made
            scores = tf.matmul(tf.reshape(tf.cast(image, tf.float32), [-1, copy.shape[0]]), copy)
        if flaw == "noise":
            scores += tf.random.uniform(tf.shape(scores))
        if flaw == "memory":  # a variable that no weights file holds
            scores += memory
        return {"scores": scores}

    signature = Signature(serve, {"image": data.codecs["image"]}, {"scores": Field((3,), "float32", "of each class")})
    served = {} if flaw in ("nothing", "scalar") else {"classify": signature}
    return Learner(model, prepare, served, {"dense": dense})


@gives("guess")
def promising(data: DataInfo) -> Task:
    """Tell which class a picture shows, as an output that it says it has."""
    return telling(data)


def test_a_task_has_the_outputs_that_it_says():
    with pytest.raises(AssertionError, match="outputs of the main endpoint; it has scores, and no guess"):
        check(promising)


def slow(*arguments):
    """A case that is found at the end of all that is checked, as of every task of test_contract.py."""
    return pytest.param(*arguments, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("compile", "a model that is not compiled"),
        ("frozen", "has weights to train; this one has none"),
        ("prepare", "prepare is a function of batch, seed and training"),
        ("copy", "training changed them, and every answer stayed"),
        ("noise", "exports what it predicts; the saved model differs from the live one"),
        ("memory", "output 'scores' of 'classify' differs"),
        slow("grows", "goes on from a checkpoint ends as one that was never stopped; these weights differ: "),
        slow("unscaled", "under mixed_float16 a step moves every weight as in float32"),
        ("scalar", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_task(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(telling, flaw=flaw)


@pytest.mark.slow
def test_a_good_task():
    check(telling)


@pytest.mark.slow
def test_batch_normalization_is_no_fault(capfd):
    check(telling, flaw="normalized")
    assert "'telling': the model has batch normalization, which counts on each replica alone" in capfd.readouterr().err


# --- other data ------------------------------------------------------------------------------------------------------


def lines(seed: Seed = 0) -> Source:
    """Points on a line, in groups; no picture.

    Args:
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(24, 2)).astype(np.float32)
    columns = Columns(24, {"x": x, "y": (x @ [1.0, -2.0]).astype(np.float32), "side": np.arange(24) % 2})
    return {"train": Split(columns, lambda row: {}, {"x": "tensor"}, batched=True)}


def one_side(columns: Columns) -> Sampler:
    """The rows of one side alone, four at a time."""
    rows = np.flatnonzero(columns["side"] == 1)
    return lambda rng: rng.permutation(rows).reshape(-1, 4)


def fitting(data: DataInfo, power: Count = 2) -> Task:
    """Fit a line.

    Args:
        power: of the distance; 2 fits these data.
    """
    if "x" not in data.fields or power > 2:
        raise SpecError(f"there are no points of the power {power} here (fields: {', '.join(data.fields)})")
    points = keras.Input(data.fields["x"].shape)
    model = keras.Model(points, keras.layers.Dense(1)(points))
    model.compile("sgd", "mse")

    def fit(x):
        return {"y": model(x)[:, 0]}

    serve = {"fit": Signature(fit, {"x": data.fields["x"]}, {"y": Field((), "float32", "on the line")})}
    return Learner(model, lambda batch, seed, training: (batch["x"], batch["y"][:, None]), serve)


DATA = {"source": {"type": "lines", "seed": 3}, "features": {"x": {"type": "tensor"}}, "sampler": "one_side"}


class Lines:
    @staticmethod
    @hookimpl
    def components():
        return [lines, one_side]


def test_a_task_on_data_of_its_own():
    with plugged(Lines):
        check(fitting, data=DATA)
        with pytest.raises(SpecError, match="there are no points of the power 3"):
            check(fitting, data=DATA, power=3)
    with pytest.raises(SpecError, match=r"there are no points .* here .fields: "):
        check(fitting)
    with pytest.raises(TypeError, match="`data` is the data of a task, in the place of `inputs`"):
        check(fitting, "digits", data=DATA)
    with pytest.raises(TypeError, match="`data` is the data of a task"):
        check(one_side, data=DATA)
