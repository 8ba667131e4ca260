"""`check` of architectures: a bad one for each promise."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import Architecture, Field
from kplug.testing import check


def failure(component, *arguments, **small):
    with pytest.raises(AssertionError) as error:
        check(component, *arguments, **small)
    return str(error.value)


SIZES = itertools.count()  # no two layers of the flaw `sizes` are alike


class Layer(keras.layers.Layer):
    """A dense layer with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw
        self.calls = 0
        self.constant = np.random.default_rng().random() if flaw == "outside" else 1.0

    def build(self, shape):
        units = 3 + (next(SIZES) if self.flaw == "sizes" else 0)
        self.kernel = self.add_weight((shape[-1], int(units)), dtype="float16" if self.flaw == "half" else None)
        self.lost = self.add_weight((1,), name="lost") if self.flaw == "gradient" else None

    def call(self, x, training=None):
        self.calls += 1
        y = tf.matmul(x, tf.cast(self.kernel, x.dtype)) * self.constant
        if self.flaw == "random":
            return y + tf.random.uniform(tf.shape(y), dtype=y.dtype)
        if self.flaw == "infinite":
            return y / 0.0
        if self.flaw == "integers":
            return tf.cast(y, tf.int32)
        if self.flaw == "rows":
            return tf.concat([y, y], 0)
        if self.flaw == "bfloat16":
            return y + tf.ones_like(y, tf.float32)
        return y

    def compute_output_shape(self, shape):
        return (*shape[:-1], 7 if self.flaw == "shape" else self.kernel.shape[-1])

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor(self.compute_output_shape(x.shape), "float32")


def flawed(flaw: str = "none") -> Architecture:
    """A dense layer.

    Args:
        flaw: what is wrong with it.
    """
    return Layer(flaw)


def two_inputs() -> Architecture:
    """The product of two features."""
    return keras.layers.Multiply()


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("random", "two calls differed"),
        ("infinite", "finite values"),
        ("integers", "gave int32"),
        ("rows", r"a row for each example; 2 examples gave the shape \(4, 3\)"),
        ("gradient", "none reaches layer.*/lost"),
        ("shape", r"promises \(None, 7\), part\(x\) gave \(2, 3\)"),
        ("sizes", "has the same weights"),
        ("outside", "loads the weights of the first gives the same"),
        ("half", "weights stay in float32"),
    ],
)
def test_architecture(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed, (4,), flaw=flaw)


def test_an_architecture_that_fails_in_half_precision():
    with pytest.raises(tf.errors.InvalidArgumentError):
        check(flawed, (4,), flaw="bfloat16")


def test_a_good_architecture_of_any_inputs():
    check(flawed, (4,))
    check(flawed)
    check(flawed, (4,), unreached=("*/lost",), flaw="gradient")
    check(two_inputs, [(4, 2), (4, 2)])
    assert "no trainable weight is called '*/other'" in failure(flawed, (4,), unreached=("*/other",))


# --- integers --------------------------------------------------------------------------------------------------------

TOKENS = Field((5,), "int32", below=4096)


class Words(keras.layers.Layer):
    """Words as vectors, with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw
        self.embedding = keras.layers.Embedding(4096, 4)

    def build(self, shape):
        self.embedding.build(shape)

    def call(self, ids):
        if self.flaw == "cast":  # as a layer of floats between input and embedding does
            ids = keras.ops.minimum(keras.ops.cast(keras.ops.cast(ids, self.compute_dtype), "int32"), 4095)
        return self.embedding(ids)


def words(flaw: str = "none") -> Architecture:
    """Words as vectors.

    Args:
        flaw: what is wrong with it.
    """
    return Words(flaw)


def told() -> Architecture:
    """Pictures and words together."""

    class Both(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.embedding = keras.layers.Embedding(7, 3)
            self.dense = keras.layers.Dense(3)

        def build(self, shapes):
            self.dense.build(shapes[0])
            self.embedding.build(shapes[1])

        def call(self, inputs):
            picture, ids = inputs
            return self.dense(picture) + keras.ops.mean(self.embedding(ids), 1)

    return Both()


def test_integers_stay_integers_in_half_precision():
    check(words, TOKENS)
    check(told, [(4,), Field((None,), "int32", below=7)])
    message = failure(words, TOKENS, flaw="cast")
    assert "under mixed_bfloat16 integer inputs stay integers" in message
