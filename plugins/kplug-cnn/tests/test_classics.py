"""AlexNet, VGG, Inception, DenseNet and EfficientNet: known parameter counts, keras.applications, small pictures."""

import keras
import numpy as np
import pytest
from kplug_cnn import alexnet, densenet, efficientnet, inception, vgg

from kplug.testing import check

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
SLOW = ["vgg16", "vgg19", "densenet169", "densenet201", "efficientnet_b1", "efficientnet_b4", "efficientnet_b7"]
SLOW += ["efficientnet_v2_s", "inception_v1_small", "inception_v3_small", "densenet_small", "efficientnet_small"]
SLOW += ["efficientnet_v2_small", "inception_v3", "efficientnet_b0", "efficientnet_v2"]
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


def marked(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", marked(PARAMETERS))
def test_parameters(name, with_top):
    make, wanted = PARAMETERS[name]
    assert with_top(make()).count_params() == wanted


@pytest.mark.parametrize("name", marked(REFERENCES))
def test_equals_keras_applications(name, fill, assert_equal):
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
    # keras.applications divides by 255
    assert_equal(ours, theirs, side, their_scale=255 if name.startswith("efficientnet_b") else 1)


SMALL = {
    "alexnet_small": "{type: alexnet, width_multiplier: 0.05, hidden: 8}",
    "vgg_small": "{type: vgg, depth: 11, width: 2, batch_norm: true}",
    "inception_v1_small": "{type: inception, version: v1, width_multiplier: 0.03}",
    "inception_v3_small": "{type: inception, width_multiplier: 0.03}",
    "densenet_small": "{type: densenet, depth: 40, growth: 2}",
    "efficientnet_small": "{type: efficientnet, width_multiplier: 0.1, momentum: 0.9}",
    "efficientnet_v2_small": "{type: efficientnet, version: v2_s, compound: 0, width_multiplier: 0.1}",
}


@pytest.mark.parametrize("name", marked(SMALL))
def test_a_spec_trains_a_step_on_small_pictures(name, train_a_step):
    train_a_step(SMALL[name])


MADE = {
    "inception_v1": lambda stem: inception("v1", 0.05, stem),
    "inception_v3": lambda stem: inception("v3", 0.05, stem),
    "densenet": lambda stem: densenet(121, 4, stem=stem),
    "efficientnet": lambda stem: efficientnet(width_multiplier=0.1, stem=stem),
    "efficientnet_v2": lambda stem: efficientnet("v2_s", width_multiplier=0.1, stem=stem),
}


@pytest.mark.parametrize("name", marked(MADE))
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


@pytest.mark.slow
def test_compound_scaling(with_top):
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
