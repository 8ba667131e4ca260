"""`stages`: parameters by hand, skips and attention, compound scaling, the pyramid, and what it refuses."""

import keras
import kplug_nas
import numpy as np
import pytest
from kplug_nas.forms import scaled_depth, scaled_side, scaled_width

from kplug import SpecError
from kplug.testing import check

PICTURE = (12, 12, 3)


def stages_of(*stages, **more):
    return {"type": "stages", "stages": list(stages), **more}


def built(part, shape=PICTURE):
    part(keras.Input(shape))
    return part


def convolution(size, before, after):
    """Parameters, with its normalization."""
    return size * size * before * after + 4 * after


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_parameters(make):
    two = {"width": 8, "depth": 2, "stride": 2, "block": {"type": "separable", "kernel": 5}}
    part = built(make(stages_of({"width": 4}, two, {"width": 8, "depth": 0, "stride": 2})))
    stem, first = convolution(3, 3, 4), 2 * convolution(3, 4, 4)
    second = convolution(1, 4, 8) + 2 * (25 * 8 + convolution(1, 8, 8))
    assert part.count_params() == stem + first + second + convolution(1, 8, 8)
    assert part(keras.Input(PICTURE)).shape == (None, 3, 3, 8)


def test_a_stage_without_change_has_no_transition(make):
    one = built(make(stages_of({"width": 4, "depth": 2})))
    other = built(make(stages_of({"width": 4}, {"width": 4})))
    assert [w.shape for w in one.weights] == [w.shape for w in other.weights]


def test_attention_is_made_anew_for_each_block(make):
    stage = {"width": 8, "depth": 3, "block": "identity", "attention": {"type": "squeeze_excitation", "ratio": 4}}
    squeeze = (8 * 2 + 2) + (2 * 8 + 8)
    assert built(make(stages_of(stage))).count_params() == convolution(3, 3, 8) + 3 * squeeze


@pytest.mark.parametrize(("skip", "attention", "factor"), [(False, 1, 1), (True, 1, 2), (False, 3, 3), (True, 3, 4)])
def test_the_shortcut_is_around_block_and_attention(make, skip, attention, factor):
    stage = {"width": 4, "block": "identity", "skip": skip}
    if attention > 1:
        stage["attention"] = {"type": "rescaling", "scale": attention}
    part = make(stages_of(stage))
    x = np.random.default_rng(0).random((2, *PICTURE), np.float32)
    y = part(x, training=False)
    stem = keras.Model(part.network.inputs[0], part.network.get_layer("stem_relu").output)
    np.testing.assert_allclose(y, factor * np.asarray(stem(x, training=False)), rtol=1e-6)


def test_any_architecture_that_keeps_the_shape_is_a_block(make):
    layers = {"type": "layers", "layers": [{"type": "conv2d", "filters": 8, "kernel_size": 3, "padding": "same"}]}
    for block in ("transformer_block", layers, "self_attention", "pooling", {"type": "residual_block", "filters": 8}):
        assert built(make(stages_of({"width": 8, "block": block}))).count_params() > 0


def test_a_stem_of_ones_own(make):
    stem = {"type": "conv2d", "filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}
    part = built(make(stages_of({"width": 4, "depth": 0}, {"width": 4, "depth": 0, "stride": 2}, stem=stem)))
    assert part.count_params() == (27 * 6 + 6) + convolution(1, 6, 4) + convolution(1, 4, 4)
    assert {name: tensor.shape[1:] for name, tensor in part.pyramid_outputs.items()} == {
        "P1": (6, 6, 4),
        "P2": (3, 3, 4),
    }


def test_pyramid_has_the_strides_its_names_say(make):
    part = make(stages_of({"width": 4}, {"width": 6, "stride": 2}, {"width": 8}, {"width": 10, "stride": 2}))
    output = part(keras.Input((24, 40, 3)))
    assert {name: tensor.shape[1:] for name, tensor in part.pyramid_outputs.items()} == {
        "P0": (24, 40, 4),
        "P1": (12, 20, 8),
        "P2": (6, 10, 10),
    }
    assert output.shape[1:] == (6, 10, 10)


def test_a_stem_whose_stride_no_level_has_gives_no_pyramid(make):
    part = built(make(stages_of({"width": 4}, stem={"type": "conv2d", "filters": 4, "kernel_size": 3})))
    assert part.pyramid_outputs == {}


# --- compound scaling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("compound", "depths", "width", "side"), [(0, 5, 20, 100), (1, 6, 24, 115), (2, 8, 24, 132)])
def test_compound_scaling(make, compound, depths, width, side):
    part = make(stages_of({"width": 20, "depth": 5, "block": "identity"}, compound=float(compound)))
    assert part(keras.Input((100, 100, 3))).shape == (None, side, side, width)
    assert sum(isinstance(layer, keras.layers.Add) for layer in part.network.layers) == depths


def test_widths_are_rounded_as_the_authors_do():
    assert [scaled_width(width, 1) for width in (3, 16, 24, 32, 40, 80, 112, 192, 320)] == [
        8,
        16,
        24,
        32,
        48,
        88,
        120,
        208,
        352,
    ]
    assert scaled_width(13, 0) == 13
    assert [scaled_depth(depth, 1) for depth in (0, 1, 5, 10)] == [0, 2, 6, 12]
    assert [scaled_side(28, compound) for compound in (0, 0.5, 1, 2)] == [28, 30, 32, 37]


def test_a_resized_picture_is_the_bilinear_one(make):
    """In training and not, where Keras's own layer goes wrong before batch normalization."""
    part = make(stages_of({"width": 4, "depth": 0}, compound=2.0))
    x = np.random.default_rng(0).random((2, *PICTURE), np.float32)
    larger = keras.ops.image.resize(x, (16, 16), interpolation="bilinear")
    for training in (False, True):
        y = part(x, training=training)
        plain = keras.Model(part.network.get_layer("enlarged").output, part.network.output)
        np.testing.assert_allclose(y, plain(larger, training=training), rtol=1e-5, atol=1e-5)
    model = keras.Sequential([keras.Input(PICTURE), part])
    np.testing.assert_allclose(model(x, training=False), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (stages_of(), r"task\.model\.stages: a network needs at least one stage"),
        (stages_of({"width": 4, "stride": 3}), r"task\.model\.stages\.0\.stride: 3 is not one of 1, 2"),
        (stages_of({"depth": 1}), r"task\.model\.stages\.0\.width: missing"),
        (stages_of({"width": 4, "block": "residul"}), r"no architecture named 'residul'.*did you mean 'residual'"),
        (stages_of({"width": 4, "dept": 1}), r"did you mean 'depth'"),
        (stages_of({"width": 4}, compound=-1), r"task\.model\.compound: -1 is less than 0"),
    ],
)
def test_what_a_check_refuses(load, model, message):
    with pytest.raises(SpecError, match=message):
        load(model)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            stages_of({"width": 4}, {"width": 8, "block": {"type": "vgg_block", "filters": 8}}),
            PICTURE,
            r"task\.model: stages\.1\.block changes the shape \[12, 12, 8\] to \[6, 6, 8\]; a block keeps the shape",
        ),
        (
            stages_of({"width": 4, "attention": {"type": "conv2d", "filters": 5, "kernel_size": 1}}),
            PICTURE,
            r"task\.model: stages\.0\.attention changes the shape \[12, 12, 4\] to \[12, 12, 5\]",
        ),
        (stages_of({"width": 6, "block": "self_attention"}), PICTURE, r"stages\.0\.block: 4 heads do not divide the 6"),
        (stages_of({"width": 4}, stem="flatten"), PICTURE, r"the stem gives the shape \[432\], not that of a feature"),
        (stages_of({"width": 4}), (7,), r"stages gets the shape \[7\], not that of a feature map"),
        (
            stages_of({"width": 4}, compound=1.0),
            (None, None, 3),
            r"pictures of one size: set data\.features\.image\.size",
        ),
    ],
)
def test_what_building_refuses(make, model, shape, message):
    with pytest.raises(SpecError, match=message):
        make(model)(keras.Input(shape))


# --- contract --------------------------------------------------------------------------------------------------------

SMALL = [
    {"width": 4, "block": "inverted_residual"},
    {"width": 8, "stride": 2, "block": "separable", "skip": False, "attention": {"type": "cbam", "kernel_size": 3}},
    {"width": 8, "block": "self_attention", "depth": 1},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"compound": 1.0}, {"stages": SMALL}])
def test_contract(settings):
    check(kplug_nas.stages, (8, 8, 3), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_spec_trains_a_step(train_a_step, precision):
    train_a_step(stages_of(*SMALL, compound=0.5), **{"fit.precision": precision})
