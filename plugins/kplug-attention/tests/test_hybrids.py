"""CCT, BoTNet, squeeze-and-excitation, CBAM and convolutions read by a recurrent network."""

import json

import keras
import kplug_attention
import kplug_cnn
import numpy as np
import pytest
from kplug_attention import botnet, cbam, cct, cnn_rnn, squeeze_excitation

import kplug
from kplug import SpecError
from kplug.testing import check, no_tensorflow, plugged, tiny

SMALL = {
    "cct": (cct, {"width": 8, "depth": 2, "heads": 2}),
    "botnet": (botnet, {"depth": 18, "width": 2, "heads": 2}),
    "botnet50": (botnet, {"depth": 50, "width": 2, "heads": 2, "last_stride": 2}),
    "squeeze_excitation": (squeeze_excitation, {"ratio": 2}),
    "cbam": (cbam, {"ratio": 2, "kernel_size": 3}),
    "cnn_rnn": (cnn_rnn, {"filters": [4, 8], "units": 6}),
    "cnn_rnn_lstm": (cnn_rnn, {"filters": [4], "units": 6, "cell": "lstm", "bidirectional": False, "read": "columns"}),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "botnet" in n else n for n in SMALL])
def test_the_contract(name):
    component, settings = SMALL[name]
    check(component, **settings)


def test_cct_has_the_papers_parameters():
    """CCT-7/3x1 for CIFAR-10: 3.76 million by the authors' code."""
    x = keras.Input((32, 32, 3))
    model = keras.Model(x, keras.layers.Dense(10)(cct()(x)))
    assert abs(model.count_params() / 3.76e6 - 1) < 0.01


def test_cct_pools_by_attention():
    from kplug_attention.compact import pool_by_attention

    x = keras.Input((5, 4))
    model = keras.Model(x, pool_by_attention(x, "pool"))
    tokens = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    kernel, bias = model.get_weights()
    scores = np.exp(tokens @ kernel + bias)
    wanted = (tokens * scores / scores.sum(1, keepdims=True)).sum(1)
    np.testing.assert_allclose(model(tokens), wanted, rtol=1e-5, atol=1e-6)


def test_botnet_attends_by_content_and_place():
    """Against attention written out pixel by pixel."""
    from kplug_attention.bottleneck import PlaceAttention

    height, width, channels, heads = 3, 2, 4, 2
    layer = PlaceAttention(heads, name="attention")
    x = np.random.default_rng(0).normal(size=(1, height, width, channels)).astype("float32")
    found = np.asarray(layer(x))[0]
    size = channels // heads
    parts = (x[0] @ np.asarray(layer.kernel)).reshape(height, width, 3, heads, size)
    rows, columns = np.asarray(layer.rows), np.asarray(layer.columns)
    for n in range(heads):
        for h in range(height):
            for w in range(width):
                q = parts[h, w, 0, n] * size**-0.5
                logits = np.array(
                    [
                        [
                            q @ (parts[i, j, 1, n] + rows[i - h + height - 1] + columns[j - w + width - 1])
                            for j in range(width)
                        ]
                        for i in range(height)
                    ]
                )
                weights = np.exp(logits) / np.exp(logits).sum()
                wanted = (weights[..., None] * parts[:, :, 2, n]).sum((0, 1))
                np.testing.assert_allclose(found[h, w, n * size : (n + 1) * size], wanted, rtol=1e-4, atol=1e-5)


def test_botnet_has_the_pyramid_its_strides_say():
    for last_stride, last in ((1, "P2"), (2, "P3")):
        network = botnet(18, width=2, heads=2, last_stride=last_stride)
        output = network(keras.Input((32, 48, 3)))
        for level, tensor in network.pyramid_outputs.items():
            stride = 2 ** int(level[1:])
            assert tensor.shape[1:3] == (32 // stride, 48 // stride)
        assert list(network.pyramid_outputs)[-1] == last
        assert output.shape == network.pyramid_outputs[last].shape


def test_botnet_has_fewer_parameters_than_its_resnet():
    """The paper: BoTNet-50 has 20.8 million, ResNet-50 25.5, both with a classifier."""
    x = keras.Input((224, 224, 3))
    features = keras.layers.GlobalAveragePooling2D()(botnet(50)(x))
    assert abs(keras.Model(x, keras.layers.Dense(1000)(features)).count_params() / 20.8e6 - 1) < 0.02


def test_squeeze_excitation_and_cbam_against_their_formulas():
    def relu(x):
        return np.maximum(x, 0)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype("float32")
    block = squeeze_excitation(ratio=2)
    found = np.asarray(block(x))
    a, b, c, d = block.get_weights()
    wanted = x * sigmoid(relu(x.mean((1, 2)) @ a + b) @ c + d)[:, None, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    block = cbam(ratio=2, kernel_size=1)
    found = np.asarray(block(x))
    a, b, c, d, places = block.get_weights()
    both = [relu(pooled @ a + b) @ c + d for pooled in (x.mean((1, 2)), x.max((1, 2)))]
    y = x * sigmoid(sum(both))[:, None, None]
    by_place = np.stack([y.mean(-1), y.max(-1)], -1) @ places[0, 0]
    np.testing.assert_allclose(found, y * sigmoid(by_place), rtol=1e-4, atol=1e-5)


def test_a_sequence_of_rows_columns_or_pixels():
    from kplug_attention.recurrent import as_sequence

    x = np.arange(2 * 3 * 4 * 5, dtype="float32").reshape(2, 3, 4, 5)
    for read, wanted in (
        ("rows", x.reshape(2, 3, 20)),
        ("columns", x.transpose(0, 2, 1, 3).reshape(2, 4, 15)),
        ("pixels", x.reshape(2, 12, 5)),
    ):
        np.testing.assert_array_equal(as_sequence(keras.ops.convert_to_tensor(x), read), wanted)


def test_what_does_not_fit():
    with pytest.raises(SpecError, match="3 heads do not divide the 16 filters"):
        botnet(18, width=2, heads=3)(keras.Input((32, 32, 3)))
    for network in (cct(), botnet(18, width=2, heads=2)):
        with pytest.raises(SpecError, match=r"set data\.features\.image\.size"):
            network(keras.Input((None, None, 3)))
    text = "{name: a, task: {type: classification, model: {type: cct, heads: 5}}, data: {source: digits}}"
    with plugged(kplug_attention), pytest.raises(SpecError, match="5 heads do not divide a width of 256"):
        kplug.loads(text)


SPEC = """
name: tiny
task: {{type: classification, model: {model}}}
data: {{source: {{type: tiny_pictures, examples: 20}}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""
MODELS = (
    "{type: cct, width: 8, depth: 2, heads: 2}",
    pytest.param("{type: botnet, depth: 18, width: 2, heads: 2}", marks=pytest.mark.slow),
    pytest.param("{type: cnn_rnn, filters: [4, 8], units: 6}", marks=pytest.mark.slow),
    "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, cbam, squeeze_excitation]}",
)


@pytest.mark.parametrize("model", MODELS)
def test_a_spec_trains_a_step(model, tmp_path):
    with plugged(kplug_attention, kplug_cnn, tiny):
        run = kplug.train(kplug.loads(SPEC.format(model=model)), tmp_path / "run")
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]
    assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)


def test_it_is_light():
    assert no_tensorflow(code="import kplug_attention").returncode == 0


def test_a_check_knows_pictures_that_are_too_small():
    with plugged(kplug_attention):
        text = "{name: a, task: {type: classification, model: MODEL}, data: {source: digits}}"
        with pytest.raises(SpecError, match="botnet has a stride of 8 pixels, the picture only 6x6"):
            kplug.loads(text.replace("MODEL", "{type: botnet, last_stride: 2}")).at(
                {"data.features.image.size": [6, 6]}
            )
        with pytest.raises(
            SpecError, match="a patch of 16 pixels does not divide a picture of 8x8; those of 1, 2, 4, 8"
        ):
            kplug.loads(text.replace("MODEL", "vit"))
