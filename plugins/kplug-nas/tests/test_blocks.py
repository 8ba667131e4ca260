"""The blocks: their contract, their parameters by hand, and that they keep the shape."""

import keras
import kplug_nas
import numpy as np
import pytest

from kplug import SpecError
from kplug.testing import check

C = 12  # channels that come in
NORM = 4 * C
PARAMETERS = {  # of which a normalization has four a channel
    ("residual", ()): 2 * (9 * C * C + NORM),
    ("residual", (("kernel", 5),)): 2 * (25 * C * C + NORM),
    ("inverted_residual", ()): C * 6 * C + 4 * 6 * C + 9 * 6 * C + 4 * 6 * C + 6 * C * C + NORM,
    ("inverted_residual", (("expansion", 1.5), ("kernel", 5))): C * 18 + 72 + 25 * 18 + 72 + 18 * C + NORM,
    ("inverted_residual", (("expansion", 1.0),)): 9 * C + NORM + C * C + NORM,
    ("separable", ()): 9 * C + C * C + NORM,
    ("separable", (("kernel", 7),)): 49 * C + C * C + NORM,
    ("convolution", (("kernel", 1),)): C * C + NORM,
    ("convolution", ()): 9 * C * C + NORM,
    ("pooling", ()): 0,
    ("pooling", (("mode", "mean"), ("kernel", 5))): 0,
    ("self_attention", ()): 4 * C * C + 2 * C,
    ("self_attention", (("heads", 3),)): 4 * C * C + 2 * C,
}


def test_every_block_is_checked():
    assert {name for name, _ in PARAMETERS} == {block.__name__ for block in kplug_nas.BLOCKS}


@pytest.mark.parametrize(("name", "settings"), PARAMETERS)
def test_parameters_and_shape(name, settings):
    block = getattr(kplug_nas, name)(**dict(settings))
    for height, width in ((5, 8), (None, None)):
        assert block(keras.Input((height, width, C))).shape == (None, height, width, C)
    assert block.count_params() == PARAMETERS[name, settings]


@pytest.mark.parametrize("name", [block.__name__ for block in kplug_nas.BLOCKS])
def test_contract(name):
    check(getattr(kplug_nas, name), (6, 6, 8))


def test_pooling_looks_at_each_window():
    x = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
    most, mean = kplug_nas.pooling("max")(x), kplug_nas.pooling("mean")(x)
    np.testing.assert_array_equal(most[0, :, :, 0], [[4, 5, 5], [7, 8, 8], [7, 8, 8]])
    np.testing.assert_array_equal(mean[0, 1, 1], [4])
    np.testing.assert_array_equal(mean[0, 0, 0], [2])  # of the four that are there


def test_a_block_has_no_shortcut():
    """With a last scale of zero nothing comes through."""
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype("float32")
    for name in ("residual", "inverted_residual", "separable", "convolution"):
        block = getattr(kplug_nas, name)()
        block(x)
        norms = [layer for layer in block.network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        norms[-1].gamma.assign(keras.ops.zeros_like(norms[-1].gamma))
        np.testing.assert_array_equal(block(x, training=False), np.zeros_like(x))


def test_self_attention_knows_no_positions():
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype("float32")
    block = kplug_nas.self_attention(heads=2)
    y = np.asarray(block(x))
    np.testing.assert_allclose(np.asarray(block(x[:, ::-1, ::-1])), y[:, ::-1, ::-1], atol=1e-6)
    assert np.abs(y[0, 0, 0] - y[0, 1, 2]).max() > 1e-3


def test_heads_divide_the_channels():
    with pytest.raises(SpecError, match="5 heads do not divide the 12 channels that come in"):
        kplug_nas.self_attention(heads=5)(keras.Input((4, 4, C)))
