"""MobileNet against keras.applications at paper size, its small form, its pyramid and its blocks."""

import json

import keras
import kplug_cnn
import numpy as np
import pytest
from kplug_cnn import depthwise_separable_block, inverted_residual_block, mobilenet

import kplug
from kplug import SpecError, tiny
from kplug.testing import check, no_tensorflow, plugged

REFERENCES = {
    "v1": (keras.applications.MobileNet, {}),
    "v2": (keras.applications.MobileNetV2, {}),
    "v3_small": (keras.applications.MobileNetV3Small, {"include_preprocessing": False}),
    "v3_large": (keras.applications.MobileNetV3Large, {"include_preprocessing": False}),
}
# of keras.applications with its classifier of 1000 classes
PARAMETERS = {"v1": 4_253_864, "v2": 3_538_984, "v3_small": 2_554_968, "v3_large": 5_507_432}


def reference(version, side, multiplier=1.0, top=False):
    made, more = REFERENCES[version]
    return made(input_shape=(side, side, 3), alpha=multiplier, weights=None, include_top=top, **more)


def with_top(version):
    """A MobileNet and its classifier, as a model."""
    network = mobilenet(version, hidden=version.startswith("v3"))
    x = keras.Input((224, 224, 3))
    features = network(x)
    if not version.startswith("v3"):
        features = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(x, keras.layers.Dense(1000)(features))


def fill(model, seed=0):
    """Random weights that keep activations near 1, with moving statistics that are not their initial ones."""
    rng = np.random.default_rng(seed)
    weights = []
    for weight in model.weights:
        value = rng.normal(size=weight.shape).astype("float32")
        if weight.path.endswith("moving_variance"):
            value = 0.5 + np.abs(value)
        elif weight.path.endswith("gamma"):
            value = 1 + 0.1 * value
        elif value.ndim > 1:
            fan_in = np.prod(value.shape[:2]) if value.shape[-1] == 1 else np.prod(value.shape[:-1])
            value /= np.sqrt(fan_in)
        else:
            value *= 0.1
        weights.append(value)
    model.set_weights(weights)


def assert_equal(ours, theirs, side):
    fill(theirs)
    ours.set_weights(
        [np.reshape(theirs_, own.shape) for theirs_, own in zip(theirs.get_weights(), ours.weights, strict=True)]
    )
    x = np.random.default_rng(1).random((2, side, side, 3), np.float32)
    expected, got = theirs(x, training=False).numpy(), ours(x, training=False).numpy()
    assert expected.std() > 0.05
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("version", "side", "multiplier"),
    [
        *((version, 224, 1.0) for version in REFERENCES),
        *((version, 64, 0.75) for version in REFERENCES),
        ("v2", 64, 1.4),
    ],
)
def test_equals_keras_applications(version, side, multiplier):
    ours = mobilenet(version, width_multiplier=multiplier, stem="large")
    ours(keras.Input((side, side, 3)))
    theirs = reference(version, side, multiplier)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    assert_equal(ours, theirs, side)


@pytest.mark.parametrize("version", ["v2", "v3_small", "v3_large"])
def test_pads_an_odd_size_as_keras_applications_does(version):
    ours = mobilenet(version, width_multiplier=0.35, stem="large")
    ours(keras.Input((75, 75, 3)))
    assert_equal(ours, reference(version, 75, 0.35), 75)


@pytest.mark.parametrize("version", PARAMETERS)
def test_with_a_classifier_it_has_the_known_parameters(version):
    model = with_top(version)
    assert model.count_params() == PARAMETERS[version]


@pytest.mark.parametrize("version", ["v3_small", "v3_large"])
def test_the_hidden_layer_of_v3_equals_keras_applications(version):
    theirs = reference(version, 224, top=True)
    scores = keras.Model(theirs.input, theirs.get_layer("logits").output[:, 0, 0])
    assert_equal(with_top(version), scores, 224)


@pytest.mark.parametrize("version", REFERENCES)
def test_normalization_is_that_of_keras_applications(version):
    """Momentum does not show in a copy's outputs, and epsilon hardly where variances are large."""

    def settings(model):
        found = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        return [(layer.momentum, layer.epsilon) for layer in found]

    ours = mobilenet(version)
    ours(keras.Input((224, 224, 3)))
    assert settings(ours.network) == settings(reference(version, 224))
    ours = mobilenet(version, momentum=0.9)
    ours(keras.Input((32, 32, 3)))
    assert {momentum for momentum, _ in settings(ours.network)} == {0.9}


@pytest.mark.parametrize("version", REFERENCES)
def test_pyramid_has_the_strides_its_names_say(version):
    for stem, least, most in (("large", 2, 5), ("small", 0, 3)):
        network = mobilenet(version, width_multiplier=0.1, stem=stem)
        network(keras.Input((64, 96, 3)))
        levels = [int(name[1:]) for name in network.pyramid_outputs]
        assert levels == list(range(min(levels), most + 1)) and min(levels) <= least
        for level, tensor in zip(levels, network.pyramid_outputs.values(), strict=True):
            assert tensor.shape[1:3] == (64 // 2**level, 96 // 2**level)


@pytest.mark.parametrize("version", REFERENCES)
def test_the_small_form_differs_in_strides_alone(version):
    small, large = mobilenet(version, width_multiplier=0.25), mobilenet(version, width_multiplier=0.25)
    assert small(keras.Input((32, 32, 3))).shape[1:3] == (4, 4)
    assert large(keras.Input((64, 64, 3))).shape[1:3] == (2, 2)
    assert [w.shape for w in small.weights] == [w.shape for w in large.weights]


def test_a_picture_smaller_than_the_stride_is_refused():
    with pytest.raises(SpecError, match=r"stride of 32 pixels, the picture only 28x28: .*image\.size; stem: small"):
        mobilenet(stem="large")(keras.Input((28, 28, 1)))
    with pytest.raises(SpecError, match="stride of 8 pixels, the picture only 7x40"):
        mobilenet()(keras.Input((7, 40, 1)))
    assert mobilenet(width_multiplier=0.1)(keras.Input((None, None, 3))).shape == (None, None, None, 1280)


def test_only_v3_has_a_hidden_layer():
    text = "{name: a, task: {type: classification, model: {type: mobilenet, hidden: true}}, data: {source: digits}}"
    with plugged(kplug_cnn), pytest.raises(SpecError, match="mobilenet v2 has no hidden layer"):
        kplug.loads(text)


@pytest.mark.slow
@pytest.mark.parametrize("version", REFERENCES)
def test_contract_of_mobilenet(version):
    check(mobilenet, version=version, width_multiplier=0.1, hidden=version == "v3_small")


def test_contract_of_the_blocks():
    check(depthwise_separable_block, filters=4, stride=2)
    check(inverted_residual_block, (8, 8, 4), filters=4)
    check(
        inverted_residual_block, filters=8, stride=2, expansion=1, kernel_size=5, squeeze=True, activation="hard_silu"
    )


def test_an_inverted_residual_has_its_shortcut_where_shapes_allow():
    x = np.random.default_rng(0).random((2, 8, 8, 4), np.float32)
    for settings, added in ({"filters": 4}, True), ({"filters": 5}, False), ({"filters": 4, "stride": 2}, False):
        block = inverted_residual_block(**settings)
        block(x)
        for weight in block.network.get_layer("block_project_norm").weights[:2]:
            weight.assign(keras.ops.zeros_like(weight))
        y = block(x, training=False).numpy()
        np.testing.assert_array_equal(y, x if added else np.zeros_like(y))


SPEC = """
name: tiny
task:
  type: classification
  model: {model}
data: {{source: {{type: tiny_pictures, examples: 20}}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""
MODELS = (
    "{type: mobilenet, version: v3_small, width_multiplier: 0.1, hidden: true}",
    "{type: layers, layers: [{type: depthwise_separable_block, filters: 4, stride: 2}, "
    "{layer: {type: inverted_residual_block, filters: 4, squeeze: true}, repeat: 2}]}",
)


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_spec_trains_a_step(model, precision, tmp_path):
    with plugged(kplug_cnn, tiny):
        run = kplug.train(kplug.loads(SPEC.format(model=model)).at({"fit.precision": precision}), tmp_path / "run")
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]
    assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)


def test_a_spec_is_checked_without_tensorflow(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(model=MODELS[0]).replace("{type: tiny_pictures, examples: 20}", "digits"))
    done = no_tensorflow("check", str(path))
    assert done.returncode == 0, done.stderr
