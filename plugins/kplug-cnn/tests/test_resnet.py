"""ResNet v1 and v2: known parameter counts, keras.applications, stochastic depth, pyramid."""

import re

import keras
import numpy as np
import pytest
from kplug_cnn import resnet
from kplug_cnn.blocks import residual_block

from kplug.testing import check

applications = keras.applications
REFERENCES = {
    ("v1", 50): applications.ResNet50,
    ("v1", 101): applications.ResNet101,
    ("v1", 152): applications.ResNet152,
    ("v2", 50): applications.ResNet50V2,
    ("v2", 101): applications.ResNet101V2,
    ("v2", 152): applications.ResNet152V2,
}
# trainable, with a classifier of 1000 classes: v1 as torchvision counts; v2 as keras.applications does (25_568_360,
# 44_577_896, 60_236_904) less the biases of the stem, of the projections and of each block's last convolution
PARAMETERS = {
    **{("v1", 18): 11_689_512, ("v1", 34): 21_797_672, ("v1", 50): 25_557_032},
    **{("v1", 101): 44_549_160, ("v1", 152): 60_192_808},
    **{("v2", 50): 25_549_352, ("v2", 101): 44_541_480, ("v2", 152): 60_185_128},
}


def marked(keys):
    """The deep ones are slow."""
    return [pytest.param(*key, marks=[pytest.mark.slow] if key[1] > 50 else []) for key in keys]


@pytest.mark.parametrize(("version", "depth"), marked(PARAMETERS))
def test_parameters(version, depth, with_top):
    model = with_top(resnet(depth, version=version), 64)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == PARAMETERS[version, depth]


# --- keras.applications -----------------------------------------------------------------------------------------------


def their_name(name):
    """The name in keras.applications of a layer of ours."""
    name = re.sub(r"^stage(\d)", lambda found: f"conv{int(found[1]) + 1}", name.replace("stem", "conv1"))
    return name.replace("norm", "bn")


def folded_biases(theirs, version):
    """Name of a normalization to the biases in what it reads: of the convolution before it, or in v2, where the
    biases of projections and of last convolutions add up along the shortcuts, of all since the last projection."""
    norms = [layer.name for layer in theirs.layers if layer.name.endswith("_bn")]
    if version == "v1":
        return {name: theirs.get_layer(name.replace("_bn", "_conv")).bias.numpy() for name in norms}
    named = {layer.name: layer for layer in theirs.layers}
    found, along = {}, 0
    for name in norms:
        if name.endswith("_preact_bn"):
            found[name], block = along, name.removesuffix("_preact_bn")
            if f"{block}_0_conv" in named:
                along = named[f"{block}_0_conv"].bias.numpy()
            along = along + named[f"{block}_3_conv"].bias.numpy()
    return found | {"post_bn": along}


def copy_weights(theirs, ours, version):
    """Theirs into ours, which has no biases: they go into the moving means of what reads them."""
    folded, copied = folded_biases(theirs, version), set()
    for layer in ours.network.layers:
        if not layer.weights:
            continue
        their = theirs.get_layer(their_name(layer.name))
        copied.add(their.name)
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights(their.get_weights()[:1])
        else:
            gamma, beta, mean, variance = their.get_weights()
            layer.set_weights([gamma, beta, mean - folded.get(their.name, 0), variance])
    assert copied == {layer.name for layer in theirs.layers if layer.weights}


@pytest.mark.parametrize(("version", "depth"), marked(REFERENCES))
def test_equals_keras_applications(version, depth, fill, assert_equal):
    theirs = REFERENCES[version, depth](input_shape=(64, 64, 3), include_top=False, weights=None)
    fill(theirs)
    for layer in theirs.layers:
        if layer.name.endswith("_3_bn" if version == "v1" else "_3_conv"):  # else what is added grows beyond bounds,
            layer.set_weights([layer.get_weights()[0] * 0.3, *layer.get_weights()[1:]])  # and no bias shows
    if version == "v2":  # pooling pads the stem's output with zeros, so that no moving mean makes up for its bias
        stem = theirs.get_layer("conv1_conv")
        stem.bias.assign(np.zeros_like(stem.bias))
    ours = resnet(depth, version=version)
    ours(keras.Input((64, 64, 3)))
    biases = sum(int(np.prod(w.shape)) for w in theirs.weights if w.path.endswith("bias"))
    assert ours.count_params() == theirs.count_params() - biases
    copy_weights(theirs, ours, version)
    assert_equal(ours, theirs, 64)


# --- forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "depth"), [("v1", 18), ("v2", 18), ("v2", 50)])
def test_pyramid_has_the_strides_its_names_say(version, depth):
    for stem, levels in (("large", ("P2", "P3", "P4", "P5")), ("small", ("P0", "P1", "P2", "P3"))):
        network = resnet(depth, width=4, stem=stem, version=version)
        output = network(keras.Input((64, 96, 3)))
        assert tuple(network.pyramid_outputs) == levels
        for name, tensor in network.pyramid_outputs.items():
            stride = 2 ** int(name[1:])
            assert tensor.shape[1:3] == (64 // stride, 96 // stride)
        assert output.shape[1:] == tensor.shape[1:]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_stem_goes_by_the_picture(version):
    for height, stride in ((32, 8), (64, 32)):
        assert resnet(18, width=4, version=version)(keras.Input((height, height, 1))).shape[1] == height // stride


def test_a_block_starts_as_the_identity():
    network = resnet(18, width=4, stem="small")
    x = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    network(x)
    inner = network.network
    first = keras.Model(
        inner.inputs, [inner.get_layer("stem_relu").output, inner.get_layer("stage1_block1_out").output]
    )
    before, after = first.predict(x, verbose=0)
    np.testing.assert_allclose(before, after)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_nothing_stands_in_the_way_of_a_shortcut_of_v2(bottleneck, stride):
    block = residual_block(4, stride, bottleneck, "v2")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    block(x)
    last = block.network.get_layer("block_3_conv" if bottleneck else "block_2_conv").kernel
    last.assign(keras.ops.zeros_like(last))
    np.testing.assert_array_equal(block(x, training=False), x[:, ::stride, ::stride])


# --- stochastic depth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_last_block_is_passed_by_most_often(version):
    network = resnet(18, width=4, version=version, drop_path=0.7)
    network(keras.Input((32, 32, 3)))
    drops = {layer.name: layer for layer in network.network.layers if isinstance(layer, keras.layers.Dropout)}
    blocks = [f"stage{stage}_block{block}_drop_path" for stage in (1, 2, 3, 4) for block in (1, 2)]
    assert sorted(drops) == blocks[1:]
    np.testing.assert_allclose([drops[name].rate for name in blocks[1:]], np.arange(1, 8) / 10)


def test_an_example_passes_by_a_whole_block_or_not_at_all():
    block = residual_block(4, version="v2", drop_path=0.25)
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 4)).astype("float32")
    block(x)
    for layer in block.network.layers:  # so that a batch's own statistics, as in training, do not matter
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    branch = block(x, training=False).numpy() - x
    trained = block(x, training=True).numpy() - x
    passed = (trained == 0).all((1, 2, 3))
    assert 4 <= passed.sum() <= 30
    np.testing.assert_allclose(trained[~passed], branch[~passed] / 0.75, rtol=0, atol=1e-5)


# --- contract -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"depth": 18}, {"depth": 50}, {"depth": 18, "version": "v2", "drop_path": 0.2}, {"version": "v2"}]
)
def test_contract(settings):
    check(resnet, width=4, **settings)


@pytest.mark.slow
def test_a_spec_trains_a_step(train_a_step):
    train_a_step("{type: resnet, depth: 18, width: 4, version: v2, drop_path: 0.2}")
