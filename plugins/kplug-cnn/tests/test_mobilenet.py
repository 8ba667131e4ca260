"""MobileNet against keras.applications at paper size, its small form and its pyramid."""

import keras
import kplug_cnn
import numpy as np
import pytest
from kplug_cnn import mobilenet

import kplug
from kplug import SpecError
from kplug.testing import check, plugged

REFERENCES = {
    "v1": (keras.applications.MobileNet, {}),
    "v2": (keras.applications.MobileNetV2, {}),
    "v3_small": (keras.applications.MobileNetV3Small, {"include_preprocessing": False}),
    "v3_large": (keras.applications.MobileNetV3Large, {"include_preprocessing": False}),
}
# of keras.applications with its classifier of 1000 classes
PARAMETERS = {"v1": 4_253_864, "v2": 3_538_984, "v3_small": 2_554_968, "v3_large": 5_507_432}


def rarely(*versions):
    return [pytest.param(version, marks=pytest.mark.slow) for version in versions]


def reference(version, side, multiplier=1.0, top=False):
    made, more = REFERENCES[version]
    return made(input_shape=(side, side, 3), alpha=multiplier, weights=None, include_top=top, **more)


def copy_weights(theirs, ours):
    """Theirs into ours, in order; a dense layer takes the kernel of a 1x1 convolution."""
    ours.set_weights([np.reshape(w, own.shape) for w, own in zip(theirs.get_weights(), ours.weights, strict=True)])


SIZES = [*((version, 64, 0.75) for version in REFERENCES), ("v2", 64, 1.4)]
LARGE_SIZES = [pytest.param(version, 224, 1.0, marks=pytest.mark.slow) for version in REFERENCES]


@pytest.mark.parametrize(("version", "side", "multiplier"), [*SIZES, *LARGE_SIZES])
def test_equals_keras_applications(version, side, multiplier, fill, assert_equal):
    ours = mobilenet(version, width_multiplier=multiplier, stem="large")
    ours(keras.Input((side, side, 3)))
    theirs = reference(version, side, multiplier)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    fill(theirs)
    copy_weights(theirs, ours)
    assert_equal(ours, theirs, side)


@pytest.mark.parametrize("version", [*rarely("v2", "v3_large"), "v3_small"])
def test_pads_an_odd_size_as_keras_applications_does(version, fill, assert_equal):
    ours, theirs = mobilenet(version, width_multiplier=0.35, stem="large"), reference(version, 75, 0.35)
    ours(keras.Input((75, 75, 3)))
    fill(theirs)
    copy_weights(theirs, ours)
    assert_equal(ours, theirs, 75)


@pytest.mark.parametrize("version", PARAMETERS)
def test_with_a_classifier_it_has_the_known_parameters(version, with_top):
    assert with_top(mobilenet(version, hidden=version.startswith("v3"))).count_params() == PARAMETERS[version]


@pytest.mark.parametrize("version", ["v3_small", *rarely("v3_large")])
def test_the_hidden_layer_of_v3_equals_keras_applications(version, with_top, fill, assert_equal):
    theirs = reference(version, 224, top=True)
    scores = keras.Model(theirs.input, theirs.get_layer("logits").output[:, 0, 0])
    ours = with_top(mobilenet(version, hidden=True))
    fill(scores)
    copy_weights(scores, ours)
    assert_equal(ours, scores, 224)


@pytest.mark.parametrize("version", ["v3_small", *rarely("v1", "v2", "v3_large")])
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


@pytest.mark.parametrize("version", ["v1", "v3_small", *rarely("v2", "v3_large")])
def test_pyramid_has_the_strides_its_names_say(version):
    for stem, least, most in (("large", 2, 5), ("small", 0, 3)):
        network = mobilenet(version, width_multiplier=0.1, stem=stem)
        network(keras.Input((64, 96, 3)))
        levels = [int(name[1:]) for name in network.pyramid_outputs]
        assert levels == list(range(min(levels), most + 1)) and min(levels) <= least
        for level, tensor in zip(levels, network.pyramid_outputs.values(), strict=True):
            assert tensor.shape[1:3] == (64 // 2**level, 96 // 2**level)


@pytest.mark.parametrize("version", ["v1", "v3_small", *rarely("v2", "v3_large")])
def test_the_small_form_differs_in_strides_alone(version):
    small, large = mobilenet(version, width_multiplier=0.25), mobilenet(version, width_multiplier=0.25)
    assert small(keras.Input((32, 32, 3))).shape[1:3] == (4, 4)
    assert large(keras.Input((64, 64, 3))).shape[1:3] == (2, 2)
    assert [w.shape for w in small.weights] == [w.shape for w in large.weights]


def test_only_v3_has_a_hidden_layer():
    text = "{name: a, task: {type: classification, model: {type: mobilenet, hidden: true}}, data: {source: digits}}"
    with plugged(kplug_cnn), pytest.raises(SpecError, match="mobilenet v2 has no hidden layer"):
        kplug.loads(text)


@pytest.mark.slow
@pytest.mark.parametrize("version", REFERENCES)
def test_contract_of_mobilenet(version):
    check(mobilenet, version=version, width_multiplier=0.1, hidden=version == "v3_small")


@pytest.mark.slow
def test_a_spec_trains_a_step(train_a_step):
    train_a_step("{type: mobilenet, version: v3_small, width_multiplier: 0.1, hidden: true}")
