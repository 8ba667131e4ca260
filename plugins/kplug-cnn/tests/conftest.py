"""What the tests of the networks share."""

import json

import keras
import kplug_cnn
import numpy as np
import pytest

import kplug
from kplug.testing import plugged, tiny

SPEC = """
name: tiny
task: {{type: classification, model: {model}}}
data: {{source: {{type: tiny_pictures, examples: 20}}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""


@pytest.fixture
def spec_of():
    """Network as YAML to the text of a spec that trains it for one step."""
    return lambda model: SPEC.format(model=model)


@pytest.fixture
def train_a_step(tmp_path):
    def train(model, **settings):
        with plugged(kplug_cnn, tiny):
            run = kplug.train(kplug.loads(SPEC.format(model=model)).at(settings), tmp_path / "run")
        assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]
        assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)

    return train


@pytest.fixture
def with_top():
    """Network to a model of it with pooling and a classifier of 1000 classes."""

    def add_top(network, side=224):
        x = keras.Input((side, side, 3))
        features = network(x)
        if len(features.shape) > 2:
            features = keras.layers.GlobalAveragePooling2D()(features)
        return keras.Model(x, keras.layers.Dense(1000)(features))

    return add_top


@pytest.fixture
def fill():
    """Gives a model random weights that keep activations near 1, and moving statistics other than the initial ones."""

    def assign(model, seed=0):
        rng = np.random.default_rng(seed)
        for weight in model.weights:
            value = rng.normal(size=weight.shape).astype("float32")
            if weight.path.endswith("moving_variance"):
                value = 0.5 + np.abs(value)
            elif weight.path.endswith("gamma"):
                value = 1 + 0.1 * value
            elif value.ndim > 1:
                fan_in = np.prod(value.shape[:2]) if value.shape[-1] == 1 else np.prod(value.shape[:-1])
                value *= np.sqrt(1.5 / fan_in)
            else:
                value *= 0.1
            weight.assign(value)

    return assign


@pytest.fixture
def assert_equal():
    """Asserts that two networks give the same for random pictures `[2, side, side, 3]` in 0 to 1."""

    def compare(ours, theirs, side, their_scale=1):
        x = np.random.default_rng(1).random((2, side, side, 3), np.float32)
        expected, got = theirs(x * their_scale, training=False).numpy(), ours(x, training=False).numpy()
        assert expected.std() > 1e-3 and np.isfinite(expected).all()
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    return compare
