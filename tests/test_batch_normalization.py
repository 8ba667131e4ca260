"""BatchNormalization trains as Keras's own does, and faster: see kplug/model/patches.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug.model import patches

patches.fuse_batch_normalization()
CONFIGURATIONS = {
    "plain": {},
    "axis 3, small epsilon": {"axis": 3, "epsilon": 1e-5, "momentum": 0.9},
    "without scale": {"scale": False},
    "without center": {"center": False},
}


def trained(inputs, call=None, steps=3, dtype="float32", **options):
    """Outputs, gradients and statistics of a layer after some steps; `call` instead of that in place."""
    layer = keras.layers.BatchNormalization(dtype=dtype, **options)
    layer.build(inputs.shape)
    for variable, value in zip(layer.trainable_variables, (1.5, -0.5), strict=False):
        variable.assign(value * tf.linspace(0.5, 1.0, inputs.shape[layer.axis]))
    apply = layer if call is None else lambda *args, **kwargs: call(layer, *args, **kwargs)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
        return y, *tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    for number in range(steps):
        found = step(tf.cast(inputs + number, layer.compute_dtype))
    moving = [layer.moving_mean, layer.moving_variance]
    return [tf.cast(value, tf.float32).numpy() for value in (*found, *moving)]


def pictures(*shape):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(1.0, 2.0, shape) * rng.uniform(0.1, 3.0, shape[-1]), tf.float32)


@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("shape", [(8, 6, 5, 3), (1, 2, 3, 4), (33, 7, 7, 16)])
def test_it_equals_keras(shape, options):
    ours, keras_own = (trained(pictures(*shape), call, **options) for call in (None, patches._originals["normalize"]))
    for found, wanted in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-5 + 2e-4 * np.abs(wanted).max())


def test_in_bfloat16_it_is_as_near_to_float32_as_keras():
    exact, ours, keras_own = (
        trained(pictures(16, 8, 8, 8), call, steps=1, dtype=dtype)
        for call, dtype in (
            (None, "float32"),
            (None, "mixed_bfloat16"),
            (patches._originals["normalize"], "mixed_bfloat16"),
        )
    )
    for wanted, found, other in zip(exact, ours, keras_own, strict=True):
        assert np.abs(found - wanted).max() <= 1.5 * np.abs(other - wanted).max() + 1e-4


OTHERS = {
    "a mask": ((4, 5, 3), {}, {"mask": tf.sequence_mask([5, 2, 3, 1], 5)}),
    "a vector": ((6, 3), {}, {}),
    "a volume": ((2, 3, 3, 3, 2), {}, {}),
    "another axis": ((4, 5, 5, 3), {"axis": 1}, {}),
    "renormalization": ((4, 5, 5, 3), {"renorm": True}, {}),
    "frozen": ((4, 5, 5, 3), {"trainable": False}, {}),
}


@pytest.mark.parametrize(("shape", "options", "more"), OTHERS.values(), ids=OTHERS)
def test_what_is_not_fused_is_as_it_was(shape, options, more):
    layer = keras.layers.BatchNormalization(**options)
    x = pictures(*shape)
    layer.build(x.shape)
    graph = tf.function(lambda x: layer(x, training=True, **more)).get_concrete_function(x).graph
    assert "FusedBatchNormV3" not in {operation.type for operation in graph.get_operations()}


def operations(call):
    layer = keras.layers.BatchNormalization()
    layer.build((None, 5, 5, 3))
    traced = tf.function(lambda x: call(layer, x)).get_concrete_function(tf.TensorSpec([None, 5, 5, 3]))
    return {operation.type for operation in traced.graph.get_operations()}


def test_keras_does_not_fuse_yet():
    """When it does, the patch can go."""
    original = patches._originals["normalize"]
    assert "FusedBatchNormV3" not in operations(lambda layer, x: original(layer, x, training=True))
    assert "FusedBatchNormV3" in operations(lambda layer, x: layer(x, training=True))
    assert "FusedBatchNormV3" not in operations(lambda layer, x: layer(x, training=False))


def test_a_gradient_of_a_gradient():
    x = pictures(4, 3, 3, 2)

    def penalty(call):
        layer = keras.layers.BatchNormalization()
        layer.build(x.shape)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(call(layer, x) ** 3)
            squared = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(squared, x).numpy()

    original = patches._originals["normalize"]
    ours = penalty(lambda layer, x: layer(x, training=True))
    wanted = penalty(lambda layer, x: original(layer, x, training=True))
    np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
