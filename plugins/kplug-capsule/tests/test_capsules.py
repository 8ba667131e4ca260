"""CapsNet against the paper: routing written out, parameters, the margin loss, the drawing."""

import json

import keras
import kplug_capsule
import numpy as np
import pytest
import tensorflow as tf
from kplug_capsule import capsnet, capsule_decoder, capsules, margin
from kplug_capsule.picture import routed_layer, routing_of
from kplug_capsule.routing import RoutedCapsules, squash

import kplug
from kplug import SpecError
from kplug.kinds import FitInfo
from kplug.testing import check, no_tensorflow, plugged, tiny, tiny_info

FIT = FitInfo(steps=20, epochs=2)
TINY = {"filters": 4, "kernel_size": 3, "primary": 2, "primary_size": 3, "size": 4}


def info(side=28, classes=10):
    return tiny_info((side, side, 1), tuple(str(n) for n in range(classes)))


def test_the_contract_of_the_network():
    check(capsnet, **TINY)


def test_the_contract_of_the_decoder():
    check(capsule_decoder, (12,), hidden=[4, 4])


def test_the_contract_of_the_loss():
    check(margin)


@pytest.mark.slow
def test_the_contract_of_the_task():
    with plugged(kplug_capsule):
        check(capsules, model={"type": "capsnet", **TINY}, decoder={"type": "capsule_decoder", "hidden": [4, 4]})


def test_it_has_the_papers_parameters():
    """8.2 million with the decoder, 6.8 without, on MNIST."""
    network, decoder = capsnet(info()), capsule_decoder(info())
    network(keras.Input((28, 28, 1)))
    decoder(keras.Input((160,)))
    assert network.count_params() == 81 * 256 + 256 + 81 * 256 * 256 + 256 + 1152 * 10 * 8 * 16
    assert decoder.count_params() == 160 * 512 + 512 + 512 * 1024 + 1024 + 1024 * 784 + 784
    assert 8.15e6 < network.count_params() + decoder.count_params() < 8.25e6


def squashed(s):
    n = (s**2).sum(-1, keepdims=True)
    return n / (1 + n) * s / np.sqrt(n)


@pytest.mark.parametrize("iterations", [1, 3])
def test_routing_is_the_papers_procedure(iterations):
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    layer = RoutedCapsules(4, 5, iterations, name="routed")
    found = np.asarray(layer(x))
    kernel = np.asarray(layer.kernel)  # [classes, n, d, size]
    for example in range(2):
        votes = np.einsum("nd,cnds->ncs", x[example], kernel)
        b = np.zeros((6, 4))
        for _ in range(iterations):
            c = np.exp(b) / np.exp(b).sum(1, keepdims=True)
            v = squashed((c[:, :, None] * votes).sum(0))
            b = b + (votes * v).sum(-1)
        np.testing.assert_allclose(found[example], v, rtol=1e-3, atol=1e-4)


def test_what_a_capsule_sends_sums_to_one():
    layer = RoutedCapsules(4, 5, 3, name="routed")
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    layer(x)
    above, shares = layer.route(tf.constant(x))
    assert shares.shape == (2, 4, 6) and above.shape == (2, 4, 5)
    np.testing.assert_allclose(tf.reduce_sum(shares, 1), 1, rtol=1e-5)


def test_the_steps_of_the_routing_end_with_what_it_gives():
    layer = RoutedCapsules(4, 5, 3, name="routed")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32"))
    layer(x)
    steps = list(layer.steps(x))
    assert len(steps) == 3
    np.testing.assert_array_equal(steps[0][1], np.full((2, 4, 6), 0.25, "float32"))
    for one, other in zip(steps[-1], layer.route(x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradients_pass_through_the_last_step_alone():
    """With the last shares taken as constants, the gradient is the same."""
    layer = RoutedCapsules(4, 5, 3, name="routed")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32"))
    layer(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        above, shares = layer.route(x)
        votes = tf.einsum("bnd,cnds->bcns", x, layer.kernel)
        plain = squash(tf.einsum("bcn,bcns->bcs", tf.constant(shares.numpy()), votes))
    np.testing.assert_allclose(tape.gradient(above, x), tape.gradient(plain, x), rtol=1e-4, atol=1e-6)


def test_squash_keeps_directions_and_has_a_gradient_at_zero():
    x = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = squash(x)
    np.testing.assert_allclose(y[0], [25 / 26 * 0.6, 25 / 26 * 0.8], rtol=1e-4)
    assert np.isfinite(tape.gradient(y, x).numpy()).all()


def test_margin_against_the_paper():
    lengths = np.array([[0.95, 0.05, 0.3], [0.2, 0.6, 0.1]])
    y = np.eye(3)[[0, 1]]
    logits = np.log(lengths / (1 - lengths)).astype("float32")
    wanted = [0.5 * 0.2**2, 0.3**2 + 0.5 * 0.1**2]
    np.testing.assert_allclose(margin().call(y, logits), wanted, rtol=1e-4, atol=1e-6)


SPEC = """
name: tiny
task:
  type: capsules
  model: {type: capsnet, filters: 8, kernel_size: 3, primary: 2, primary_size: 4, size: 6}
  decoder: DECODER
data: {source: digits, sampler: {type: shuffled, batch_size: 100}}
fit: {epochs: 2}
"""


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["{type: capsule_decoder, hidden: [16, 16]}", "null"])
def test_a_spec_trains_and_draws(decoder, tmp_path):
    with plugged(kplug_capsule, tiny):
        run = kplug.train(kplug.loads(SPEC.replace("DECODER", decoder)), tmp_path / "run")
        rows = run.rows("metrics.jsonl")
        assert rows[-1]["loss"] < rows[0]["loss"], json.dumps(rows)
        from kplug.model.learner import restored_learner

        learner = restored_learner(run)
        answer = learner.serve["images"].function(tf.zeros((3, 8, 8, 1), tf.uint8))
        np.testing.assert_allclose(tf.reduce_sum(answer["probabilities"], -1), 1, rtol=1e-5)
        assert ("reconstruction" in answer) == (decoder != "null")
        if decoder != "null":
            assert answer["reconstruction"].shape == (3, 8, 8, 1)
        assert run.export().is_dir()


def test_a_training_leaves_a_picture_of_its_routing(tmp_path):
    with plugged(kplug_capsule):
        spec = kplug.loads(SPEC.replace("DECODER", "{type: capsule_decoder, hidden: [16, 16]}"))
        run = kplug.train(spec.at({"fit.epochs": 1}), tmp_path / "run")
    picture = tf.io.decode_png((run.path / "plots/routing.png").read_bytes())
    assert min(picture.shape[:2]) > 500 and len(np.unique(picture)) > 50


@pytest.mark.parametrize("decoder", [True, False])
def test_the_numbers_of_the_picture(decoder):
    """Against the paper's procedure in NumPy, from the primary capsules on."""
    drawer = capsule_decoder(info(12), (4, 4)) if decoder else None
    keras.utils.set_random_seed(0)
    network = capsnet(info(12), **TINY | {"filters": 16})  # no primary capsule is all zeros
    task = capsules(info(12), FIT, network, margin(), drawer, 0.01, keras.optimizers.Adam(), [])
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1)).astype("uint8")
    layer = routed_layer(task.model)
    layer.kernel.assign(layer.kernel * 100)  # so that the shares differ
    found = routing_of(task.model, layer, images)
    assert found.shares.shape == (3, 3, 10, 4, 4) and layer.seen is None

    inside = network.network
    grid = keras.Model(inside.inputs[0], inside.get_layer("primary").output)(images / np.float32(255)).numpy()
    kernel = np.asarray(layer.kernel)
    for example in range(3):
        below = squashed(grid[example].reshape(-1, TINY["primary_size"]))  # rows, columns, kinds
        votes = np.einsum("nd,cnds->ncs", below, kernel)
        b = np.zeros((len(below), 10))
        for iteration in range(3):
            c = np.exp(b) / np.exp(b).sum(1, keepdims=True)
            v = squashed((c[:, :, None] * votes).sum(0))
            b = b + (votes * v).sum(-1)
            for row, column in np.ndindex(4, 4):
                kinds = c.reshape(4, 4, TINY["primary"], 10)[row, column]
                sent = found.shares[iteration, example, :, row, column]
                np.testing.assert_allclose(sent, kinds.mean(0), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(found.lengths[iteration, example], np.linalg.norm(v, axis=-1), atol=1e-3)
        assert found.winners[example] == np.linalg.norm(v, axis=-1).argmax()
    assert np.ptp(found.shares[-1]) > 0.01
    served = task.serve["images"].function(tf.constant(images))
    np.testing.assert_allclose(found.lengths[-1], served["lengths"], rtol=1e-4)
    if decoder:
        np.testing.assert_allclose(found.drawn, served["reconstruction"], rtol=1e-4)
    else:
        assert found.drawn is None


def test_a_network_without_capsules_has_no_such_picture(tmp_path):
    with plugged(kplug_capsule):
        spec = (
            SPEC[: SPEC.index("task:")] + "task: {type: classification, model: flatten}\n" + SPEC[SPEC.index("data:") :]
        )
        run = kplug.train(kplug.loads(spec), tmp_path / "run")
    assert (run.path / "plots/curves.png").exists() and not (run.path / "plots/routing.png").exists()


def test_the_drawing_is_in_the_loss():
    from kplug_capsule.learner import draw

    task = capsules(
        info(8),
        FIT,
        capsnet(info(8), **TINY),
        margin(),
        capsule_decoder(info(8), (4, 4)),
        0.01,
        keras.optimizers.Adam(),
        [],
    )
    x = tf.constant(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)), tf.uint8)
    y = tf.one_hot([1, 2, 3, 4], 10)
    found = task.model(x)
    loss = float(task.model.compute_loss(x, y, found))
    drawn = draw(task.model.decoder, found, y)
    wanted = np.mean(np.sum((np.asarray(x).reshape(4, -1) / 255 - np.asarray(drawn)) ** 2, 1)) * 0.01
    task.model.decoder = None
    np.testing.assert_allclose(loss, float(task.model.compute_loss(x, y, found)) + wanted, rtol=1e-4)


def test_pictures_that_are_too_small():
    with pytest.raises(SpecError, match="two convolutions of 9x9 need pictures of 17 pixels at least"):
        capsnet(info(16))(keras.Input((16, 16, 1)))


def test_it_is_light():
    assert no_tensorflow(code="import kplug_capsule").returncode == 0


def test_a_decoder_is_trained_in_training_and_not_beyond():
    seen = []

    class Watched(keras.layers.Layer):
        def call(self, x, training=None):
            seen.append(training)
            return keras.ops.sigmoid(x[:, :1] + keras.ops.zeros((1, 64)))

    task = capsules(info(8), FIT, capsnet(info(8), **TINY), margin(), Watched(), 0.01, keras.optimizers.Adam(), [])
    x, y = tf.zeros((4, 8, 8, 1), tf.uint8), tf.one_hot([1, 2, 3, 4], 10)
    task.model.train_on_batch(x, y)
    assert seen[-1] is True
    task.model.test_on_batch(x, y)
    assert seen[-1] is False
    task.serve["images"].function(x)
    assert seen[-1] is False
