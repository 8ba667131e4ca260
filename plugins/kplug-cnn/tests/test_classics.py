"""AlexNet, VGG, Inception, DenseNet and EfficientNet: known parameter counts, keras.applications, small pictures."""

import json

import keras
import kplug_cnn
import numpy as np
import pytest
from kplug_cnn import alexnet, densenet, efficientnet, inception, vgg

import kplug
from kplug import SpecError, tiny
from kplug.testing import check, plugged

applications = keras.applications
REFERENCES = {
    "vgg16": (lambda: vgg(16, hidden=0), applications.VGG16, 64),
    "vgg19": (lambda: vgg(19, hidden=0), applications.VGG19, 64),
    "inception_v3": (lambda: inception("v3"), applications.InceptionV3, 107),
    "densenet121": (lambda: densenet(121), applications.DenseNet121, 96),
    "densenet169": (lambda: densenet(169), applications.DenseNet169, 64),
    "densenet201": (lambda: densenet(201), applications.DenseNet201, 64),
    "efficientnet_b0": (lambda: efficientnet("b0"), applications.EfficientNetB0, 75),
    "efficientnet_b1": (lambda: efficientnet("b1"), applications.EfficientNetB1, 64),
    "efficientnet_b4": (lambda: efficientnet("b4"), applications.EfficientNetB4, 64),
    "efficientnet_v2_s": (lambda: efficientnet("v2_s"), applications.EfficientNetV2S, 75),
}
SLOW = ("vgg19", "densenet169", "densenet201", "efficientnet_b1", "efficientnet_b4", "efficientnet_v2_s")
# with a classifier of 1000 classes: torchvision's AlexNet, the papers' or keras.applications' for the others
PARAMETERS = {
    "alexnet": (lambda: alexnet(), 61_100_840),
    "vgg16": (lambda: vgg(16), 138_357_544),
    "vgg19": (lambda: vgg(19), 143_667_240),
    "densenet121": (lambda: densenet(121), 8_062_504),
    "densenet169": (lambda: densenet(169), 14_307_880),
    "densenet201": (lambda: densenet(201), 20_242_984),
    "inception_v3": (lambda: inception("v3"), 23_851_784),
    "efficientnet_b0": (lambda: efficientnet("b0"), 5_330_564),
    "efficientnet_b7": (lambda: efficientnet("b7"), 66_658_680),
    "efficientnet_v2_s": (lambda: efficientnet("v2_s"), 21_612_360),
}


def with_top(network, side=224):
    x = keras.Input((side, side, 3))
    features = network(x)
    if len(features.shape) > 2:
        features = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(x, keras.layers.Dense(1000)(features))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    make, wanted = PARAMETERS[name]
    assert with_top(make()).count_params() == wanted


def fill(model, seed=0):
    """Random weights that keep activations near 1."""
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


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in REFERENCES])
def test_equals_keras_applications(name):
    make, reference, side = REFERENCES[name]
    options = {"include_preprocessing": False} if name == "efficientnet_v2_s" else {}
    theirs = reference(input_shape=(side, side, 3), include_top=False, weights=None, **options)
    fill(theirs)
    ours = make()
    ours(keras.Input((side, side, 3)))
    skipped = sum(len(layer.weights) for layer in theirs.layers if isinstance(layer, keras.layers.Normalization))
    weights = [w.numpy() for w in theirs.weights[skipped:]]
    assert [w.shape for w in ours.weights] == [w.shape for w in weights]
    ours.set_weights(weights)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization):  # scales the pictures, which ours leaves to its user
            layer.mean, layer.variance = np.zeros((1, 1, 1, 3), "float32"), np.ones((1, 1, 1, 3), "float32")
    x = np.random.default_rng(1).random((2, side, side, 3), np.float32)
    scale = 255 if name.startswith("efficientnet_b") else 1  # which keras.applications divides by
    expected, got = theirs(x * scale, training=False).numpy(), ours(x, training=False).numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


SMALL = {
    "alexnet": ("{type: alexnet, width_multiplier: 0.05, hidden: 8}", None),
    "vgg": ("{type: vgg, depth: 11, width: 2, batch_norm: true}", None),
    "inception_v1": ("{type: inception, version: v1, width_multiplier: 0.03}", 8),
    "inception_v3": ("{type: inception, width_multiplier: 0.03}", 4),
    "densenet": ("{type: densenet, depth: 40, growth: 2}", 4),
    "efficientnet": ("{type: efficientnet, width_multiplier: 0.1, momentum: 0.9}", 8),
    "efficientnet_v2": ("{type: efficientnet, version: v2_s, compound: 0, width_multiplier: 0.1}", 8),
}
SPEC = """
name: tiny
task: {{type: classification, model: {model}}}
data: {{source: {{type: tiny_pictures, examples: 20}}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""


@pytest.mark.parametrize("name", SMALL)
def test_a_spec_trains_a_step_on_small_pictures(name, tmp_path):
    with plugged(kplug_cnn, tiny):
        run = kplug.train(kplug.loads(SPEC.format(model=SMALL[name][0])), tmp_path / "run")
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]
    assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)


MADE = {
    "inception_v1": lambda stem: inception("v1", 0.05, stem),
    "inception_v3": lambda stem: inception("v3", 0.05, stem),
    "densenet": lambda stem: densenet(121, 4, stem=stem),
    "efficientnet": lambda stem: efficientnet(width_multiplier=0.1, stem=stem),
    "efficientnet_v2": lambda stem: efficientnet("v2_s", width_multiplier=0.1, stem=stem),
}


@pytest.mark.parametrize("name", MADE)
def test_pyramid_has_the_strides_its_names_say(name):
    for stem in ("small", "large"):
        if (name, stem) == ("inception_v3", "large"):
            continue  # it cuts its borders off
        network = MADE[name](stem)
        output = network(keras.Input((64, 128, 3)))
        for level, tensor in network.pyramid_outputs.items():
            stride = 2 ** int(level[1:])
            assert tensor.shape[1:3] == (64 // stride, 128 // stride), level
        assert output.shape[1:] == list(network.pyramid_outputs.values())[-1].shape[1:]


@pytest.mark.parametrize("size", [28, 32, 33])
def test_vgg_takes_small_pictures(size):
    assert vgg(16, width=2)(keras.Input((size, size, 1))).shape == (None, 16)


def test_pictures_that_are_too_small():
    for network, size, message in (
        (alexnet(stem="large"), 32, "alexnet needs pictures of 63 pixels at least, these have 32x32: take stem: small"),
        (inception("v3", stem="large"), 64, "needs pictures of 75 pixels at least"),
        (efficientnet("b0"), 4, "stride of 8 pixels, the picture only 4x4"),
        (efficientnet("b0", stem="large"), 16, "stem: small has a stride of 8"),
    ):
        with pytest.raises(SpecError, match=message):
            network(keras.Input((size, size, 3)))


def test_compound_scaling():
    parameters = [with_top(efficientnet("b0", compound=phi), 64).count_params() for phi in (0.0, 1.0, 2.0)]
    assert parameters[0] == PARAMETERS["efficientnet_b0"][1]
    assert 1.2 < parameters[1] / parameters[0] < 1.8 and 1.2 < parameters[2] / parameters[1] < 1.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "settings"),
    [
        (alexnet, {"width_multiplier": 0.05, "hidden": 8}),
        (vgg, {"depth": 11, "width": 2, "hidden": 8}),
        (inception, {"version": "v1", "width_multiplier": 0.03}),
        (inception, {"version": "v3", "width_multiplier": 0.03}),
        (densenet, {"depth": 40, "growth": 2, "dropout": 0.1}),
        (efficientnet, {"width_multiplier": 0.1}),
        (efficientnet, {"version": "v2_s", "width_multiplier": 0.1, "compound": 0.0}),
    ],
)
def test_the_contract(component, settings):
    check(component, **settings)
