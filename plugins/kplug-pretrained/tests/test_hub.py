"""Backbones of KerasHub, where it is installed."""

import importlib.util
import shutil

import keras
import kplug_pretrained
import numpy as np
import pytest
from kplug_pretrained import hub

import kplug
from kplug.testing import plugged, tiny

HERE = importlib.util.find_spec("keras_hub") is not None


@pytest.fixture
def backbone():
    keras_hub = pytest.importorskip("keras_hub")
    return keras_hub.models.ResNetBackbone(
        [64], [7], [64, 16], [1, 1], [1, 2], block_type="basic_block", image_shape=(None, None, 3)
    )


@pytest.fixture
def preset(backbone, tmp_path):
    backbone.save_to_preset(str(tmp_path / "preset"))
    return str(tmp_path / "preset")


@pytest.mark.skipif(HERE, reason="KerasHub is installed")
def test_without_keras_hub():
    with pytest.raises(kplug.SpecError, match=r"pip install 'kplug-pretrained\[hub\]'"):
        hub("resnet_50_imagenet")


def pictures(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def test_the_presets_features_and_pyramid(backbone, preset):
    images = pictures(2, 64, 64, 3)
    network = hub(preset)
    np.testing.assert_allclose(network(images, training=False), backbone(images, training=False), atol=1e-5)
    assert list(network.pyramid_outputs) == list(backbone.pyramid_outputs)
    assert network.weights[0].path.startswith("hub/")
    assert hub(preset, pooling="max")(images).shape == (2, 16)
    fresh = hub(preset, weights=False)
    assert not np.allclose(fresh(images, training=False), backbone(images, training=False))


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, None), ([1 / 50, 1 / 60, 1 / 70], [-1.0, -2.0, -3.0])])
def test_pictures_are_given_as_the_preset_converts_them(backbone, preset, scale, offset):
    import keras_hub

    converters = vars(keras_hub.layers)
    converter = converters["ResNetImageConverter"](scale=scale, offset=offset)
    converter.save_to_preset(preset)
    images = pictures(2, 32, 32, 3)
    wanted = backbone(converter(images * 255), training=False)
    np.testing.assert_allclose(hub(preset)(images, training=False), wanted, atol=1e-4)


def test_what_it_refuses(backbone, tmp_path):
    with pytest.raises(kplug.SpecError, match="the preset 'resnet_none' cannot be read: Unknown preset"):
        hub("resnet_none")(keras.Input((32, 32, 3)))
    import keras_hub

    fixed = keras_hub.models.ViTBackbone((32, 32, 3), 8, 1, 1, 8, 8)
    fixed.save_to_preset(str(tmp_path / "vit"))
    assert hub(str(tmp_path / "vit"), pooling="mean")(pictures(2, 32, 32, 3)).shape == (2, 8)
    with pytest.raises(
        kplug.SpecError, match=r"takes pictures of 32x32, received 48x32; set data.features.image.size: \[32, 3"
    ):
        hub(str(tmp_path / "vit"))(keras.Input((48, 32, 3)))


def test_a_run_has_its_own_weights(preset, tmp_path):
    spec = f"""
name: hub
task: {{type: classification, model: {{type: hub, preset: '{preset}', pooling: mean}}}}
data: {{source: {{type: tiny_pictures, examples: 32}}, sampler: {{type: shuffled, batch_size: 16}}, validation: 0}}
fit: {{epochs: 1, trainable: [linear/*]}}
"""
    with plugged(kplug_pretrained, tiny):
        run = kplug.train(kplug.loads(spec), tmp_path / "run")
        before = run.evaluate("test")
        assert list(run.read_json("found.json")) == [f"preset {preset}"]
        shutil.rmtree(preset)
        assert run.evaluate("test") == before
