"""The blocks as architectures: what they compute, their contract, networks written with them."""

import json
import re
from pathlib import Path

import keras
import kplug_cnn
import numpy as np
import pytest
import yaml
from kplug_cnn import blocks

import kplug
from kplug import SpecError
from kplug.testing import check, no_tensorflow, plugged

README = Path(__file__).parents[1] / "README.md"
INCEPTION = {"filters_1x1": 2, "reduce_3x3": 3, "filters_3x3": 4, "reduce_5x5": 1, "filters_5x5": 2}
INCEPTION |= {"pool_projection": 1}
SETTINGS = [
    ("vgg_block", {"filters": 4}),
    ("vgg_block", {"filters": 4, "convolutions": 1, "batch_norm": True}),
    ("inception_block", INCEPTION),
    ("residual_block", {"filters": 4}),
    ("residual_block", {"filters": 8, "stride": 2, "bottleneck": True, "drop_path": 0.1}),
    ("residual_block", {"filters": 8, "stride": 2, "version": "v2"}),
    ("residual_block", {"filters": 8, "bottleneck": True, "version": "v2", "drop_path": 0.1}),
    ("dense_block", {"layers": 2, "growth": 3, "dropout": 0.1}),
    ("dense_transition", {}),
    ("depthwise_separable_block", {"filters": 4, "stride": 2}),
    ("inverted_residual_block", {"filters": 4}),
    (
        "inverted_residual_block",
        {"filters": 8, "stride": 2, "expansion": 1, "kernel_size": 5, "squeeze": True, "activation": "hard_silu"},
    ),
    ("fused_inverted_residual_block", {"filters": 4, "drop_path": 0.1}),
    ("fused_inverted_residual_block", {"filters": 6, "stride": 2, "expansion": 2, "kernel_size": 5, "squeeze": True}),
    ("fused_inverted_residual_block", {"filters": 4, "expansion": 1}),
]


def test_every_block_is_checked():
    assert {name for name, _ in SETTINGS} == {block.__name__ for block in kplug_cnn.BLOCKS}


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_contract(name, settings):
    check(getattr(blocks, name), (8, 8, 4), **settings)


# --- what they compute -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "norm"),
    [
        ("inverted_residual_block", {"expansion": 2}, "block_project_norm"),
        ("fused_inverted_residual_block", {"expansion": 2}, "block_project_norm"),
        ("fused_inverted_residual_block", {"expansion": 1}, "block_project_norm"),
    ],
)
def test_an_inverted_residual_has_its_shortcut_where_shapes_allow(name, settings, norm):
    x = np.random.default_rng(0).random((2, 8, 8, 4), np.float32)
    for more, added in ({"filters": 4}, True), ({"filters": 5}, False), ({"filters": 4, "stride": 2}, False):
        block = getattr(blocks, name)(**settings, **more)
        block(x)
        for weight in block.network.get_layer(norm).weights[:2]:
            weight.assign(keras.ops.zeros_like(weight))
        y = block(x, training=False).numpy()
        np.testing.assert_array_equal(y, x if added else np.zeros_like(y))


def test_googlenets_first_module_has_the_weights_of_the_papers_table():
    block = blocks.inception_block(64, 96, 128, 16, 32, 32)
    assert block(keras.Input((28, 28, 192))).shape == (None, 28, 28, 256)
    kernels = sum(int(np.prod(w.shape)) for w in block.weights if w.path.endswith("kernel"))
    assert kernels // 1024 == 159  # "159K"


def test_a_dense_block_keeps_what_came_in_and_a_transition_halves_it():
    x = np.random.default_rng(0).random((2, 9, 8, 4), np.float32)
    y = blocks.dense_block(layers=3, growth=5)(x)
    assert y.shape == (2, 9, 8, 4 + 3 * 5)
    np.testing.assert_array_equal(y[..., :4], x)
    assert blocks.dense_transition()(y).shape == (2, 5, 4, 9)
    assert blocks.dense_transition(compression=0.01)(y).shape == (2, 5, 4, 1)


def test_a_residual_bottleneck_has_a_quarter_of_its_filters_inside():
    block = blocks.residual_block(8, bottleneck=True)
    block(keras.Input((8, 8, 8)))
    assert [layer.filters for layer in block.network.layers if isinstance(layer, keras.layers.Conv2D)] == [2, 2, 8]


def test_a_vgg_block_halves_the_picture():
    block = blocks.vgg_block(4, convolutions=3)
    assert block(keras.Input((8, 9, 2))).shape == (None, 4, 5, 4)
    assert block.count_params() == (9 * 2 * 4 + 4) + 2 * (9 * 4 * 4 + 4)


# --- specs -----------------------------------------------------------------------------------------------

EVERY_BLOCK = {
    "type": "layers",
    "layers": [
        {"type": "vgg_block", "filters": 4},
        {"type": "depthwise_separable_block", "filters": 4},
        {"layer": {"type": "inverted_residual_block", "filters": 4, "squeeze": True}, "repeat": 2},
        {"type": "fused_inverted_residual_block", "filters": 4, "stride": 2},
        {"type": "residual_block", "filters": 8, "bottleneck": True, "version": "v2", "drop_path": 0.1},
        {"type": "residual_block", "filters": 8, "stride": 2},
        {"type": "inception_block", **INCEPTION},
        {"type": "dense_block", "layers": 2, "growth": 3},
        "dense_transition",
    ],
}


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"])
def test_a_spec_trains_a_step(precision, train_a_step):
    train_a_step(json.dumps(EVERY_BLOCK), **{"fit.precision": precision})


def test_a_spec_is_checked_without_tensorflow(tmp_path, spec_of):
    path = tmp_path / "spec.yaml"
    path.write_text(spec_of(json.dumps(EVERY_BLOCK)).replace("{type: tiny_pictures, examples: 20}", "digits"))
    done = no_tensorflow("check", str(path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{type: residual_block, filters: 6, bottleneck: true}", "a bottleneck has a quarter of its filters inside"),
        ("{type: fused_inverted_residual_block, filters: 6, expansion: 1, squeeze: true}", "expands nothing"),
        ("{type: residual_block, filters: 6, stride: 3}", "task.model.stride: 3 is not one of 1, 2"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(model, message, spec_of):
    with plugged(kplug_cnn), pytest.raises(SpecError, match=message):
        kplug.loads(spec_of(model).replace("{type: tiny_pictures, examples: 20}", "digits"))


def test_the_readmes_specs_are_right(spec_of):
    models = [
        yaml.safe_load(found)["model"] for found in re.findall(r"(?:^    .*\n)+", README.read_text(), re.MULTILINE)
    ]
    assert len(models) >= 3
    with plugged(kplug_cnn):
        for model in models:
            kplug.loads(spec_of(json.dumps(model)).replace("{type: tiny_pictures, examples: 20}", "digits"))


def test_the_readme_names_every_component():
    named = re.findall(r"`(\w+)`", README.read_text())
    assert {component.__name__ for component in kplug_cnn.components()} <= set(named)
