"""The networks of pixels: sizes, what they see, what tiles of them give."""

import keras
import kplug_cnn
import kplug_segment
import numpy as np
import pytest
import tensorflow as tf
from kplug_segment import deeplab_v3_plus, fpn, unet, unet_plus_plus
from kplug_segment.sizes import margin_of

import kplug
from kplug import SpecError
from kplug.authoring import Network, tiled
from kplug.testing import check, plugged, tiny

ENCODER = {"type": "resnet", "depth": 18, "width": 4, "stem": "small", "version": "v1"}
SMALL = {
    "unet": (unet, {"width": 4, "depth": 2}),
    "group": (unet, {"width": 4, "depth": 2, "norm": "group", "groups": 2, "up": "resize", "dropout": 0.2}),
    "gates": (unet, {"width": 4, "depth": 2, "attention_gates": True, "norm": "none"}),
    "valid": (unet, {"width": 4, "depth": 1, "padding": "valid", "norm": "none"}),
    "encoder": (unet, {"width": 4, "depth": 3, "encoder": ENCODER}),
    "unet_plus_plus": (unet_plus_plus, {"width": 4, "depth": 2}),
    "fpn": (fpn, {"encoder": ENCODER, "levels": ["P1", "P2", "P3"], "width": 8, "further": 1}),
    "deeplab": (deeplab_v3_plus, {"encoder": ENCODER, "high": "P3", "low": "P1", "rates": [1, 2], "width": 8}),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_contract(name):
    component, settings = SMALL[name]
    check(component, **settings)


def made(layer, shape):
    x = keras.Input(shape)
    return keras.Model(x, layer(x))


def test_unet_has_the_papers_parameters():
    """31.03 million, by every implementation that keeps the paper's layers and has no normalization."""
    model = made(unet(padding="valid", norm="none"), (572, 572, 1))
    assert abs(model.count_params() / 31.03e6 - 1) < 1e-3
    assert model.output_shape[1:] == (572, 572, 64)


def test_a_picture_of_388_pixels_takes_572_with_its_mirror_image():
    model = made(unet(width=4, padding="valid", norm="none"), (388, 388, 1))
    mirrored = next(layer for layer in _layers(model) if layer.name == "mirrored")
    assert mirrored.output.shape[1:3] == (572, 572)
    assert model.output_shape[1:3] == (388, 388)


def _layers(model):
    for layer in model.layers:
        yield from _layers(layer.network) if isinstance(layer, Network) else [layer]


@pytest.mark.parametrize(("depth", "size", "tile"), [(2, 96, 64), (3, 136, 104)])
def test_tiles_of_a_valid_unet_are_the_whole_picture(depth, size, tile):
    keras.utils.set_random_seed(0)
    layer = unet(width=4, depth=depth, convolutions=1, padding="valid", norm="none")
    model = made(layer, (None, None, 1))
    margin = margin_of(depth, 1)
    picture = np.random.default_rng(0).random((1, size, size, 1)).astype(np.float32)
    whole = model(picture)
    assert size > tile > 2 * margin
    steps = [step for step in range(8, tile - 2 * margin + 1, 8) if (size - tile) % step == 0]
    found = tiled(lambda one: model(one), picture, tile, tile - steps[-1])
    np.testing.assert_allclose(found, whole, atol=1e-4)


def test_unet_plus_plus_averages_the_depths_and_has_them_as_levels():
    layer = unet_plus_plus(width=4, depth=3)
    x = keras.Input((16, 16, 3))
    whole, levels = kplug.authoring.pyramid_of(layer, x)
    assert list(levels) == ["D1", "D2", "D3"]
    model = keras.Model(x, [whole, *levels.values()])
    mean, *depths = model(np.random.default_rng(0).random((2, 16, 16, 3)))
    np.testing.assert_allclose(mean, tf.add_n(depths) / 3, atol=1e-6)


def test_a_pyramid_of_odd_sizes_fits():
    encoder = Network(lambda x: _strided(x), "odd")
    levels = kplug.authoring.pyramid_of(fpn(encoder, ["P1", "P2"], 8), keras.Input((30, 37, 3)))[1]
    assert [tuple(level.shape[1:3]) for level in levels.values()] == [(15, 19), (8, 10)]


def _strided(x):
    levels = {}
    for level in (1, 2):
        x = levels[f"P{level}"] = keras.layers.Conv2D(4, 3, 2, "same")(x)
    return x, levels


def test_what_has_no_pyramid_is_refused():
    layer = fpn(Network(lambda x: keras.layers.Flatten()(x), "flat"), ["P1"], 8)
    with pytest.raises(SpecError, match="'flat' has no pyramid of features"):
        layer(keras.Input((8, 8, 3)))
    layer = fpn(Network(_strided, "odd"), ["P5"], 8)
    with pytest.raises(SpecError, match=r"no level P5 \(levels: P1, P2\)"):
        layer(keras.Input((8, 8, 3)))


SPEC = """
name: sizes
task: {{type: segmentation, model: {model}}}
data: {{source: {{type: tiny_masks, size: {size}}}, sampler: {{type: shuffled, batch_size: 8}}}}
fit: {{epochs: 1}}
"""


@pytest.mark.parametrize(
    ("model", "size", "said"),
    [
        ("{type: unet, depth: 3}", "[36, 32]", "task.model: unet halves pictures until 8 pixels are one, and 36x32"),
        ("{type: unet, depth: 3, padding: valid}", "[36, 32]", "adds 44 mirrored pixels to each side"),
        ("{type: unet_plus_plus, depth: 3}", "[36, 32]", "data.features.image.size: [40, 32]"),
        ("{type: unet, norm: group, width: 12}", "[32, 32]", "task.model.groups: 12 channels are no multiple of 8"),
        ("{type: fpn, encoder: resnet, levels: [P3, P3]}", "[32, 32]", "task.model.levels.1: P3 stands here twice"),
        ("{type: fpn, encoder: resnet, levels: [top]}", "[32, 32]", "'top' is no level"),
    ],
)
def test_what_does_not_fit_is_said_at_check_or_when_it_is_built(model, size, said, tmp_path):
    with plugged(tiny, kplug_segment, kplug_cnn), pytest.raises(SpecError) as caught:
        spec = kplug.loads(SPEC.format(model=model, size=size))
        kplug.train(spec, tmp_path / "run")
    assert said in str(caught.value)
