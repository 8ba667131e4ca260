"""A picture smaller than a network allows is refused, and the smallest that is allowed works."""

import keras
import kplug_cnn
import pytest

import kplug
from kplug import SpecError
from kplug.testing import plugged, tiny

LEAST = {  # pixels with the small and with the large stem
    "alexnet": ({"width_multiplier": 0.05, "hidden": 8}, 8, 63),
    "vgg": ({"depth": 11, "width": 2}, 17, 17),  # it has one stem
    "inception_v1": ({"version": "v1", "width_multiplier": 0.03}, 4, 32),
    "inception_v3": ({"version": "v3", "width_multiplier": 0.03}, 4, 75),
    "resnet_v1": ({"depth": 18, "width": 2}, 8, 32),
    "resnet_v2": ({"depth": 18, "width": 2, "version": "v2"}, 8, 32),
    "densenet_40": ({"depth": 40, "growth": 2}, 4, 16),
    "densenet_121": ({"depth": 121, "growth": 2}, 8, 32),
    "mobilenet_v1": ({"version": "v1", "width_multiplier": 0.1}, 8, 32),
    "mobilenet_v2": ({"version": "v2", "width_multiplier": 0.1}, 8, 32),
    "mobilenet_v3_small": ({"version": "v3_small", "width_multiplier": 0.1}, 8, 32),
    "mobilenet_v3_large": ({"version": "v3_large", "width_multiplier": 0.1}, 8, 32),
    "efficientnet_b0": ({"width_multiplier": 0.1}, 8, 32),
    "efficientnet_v2_s": ({"version": "v2_s", "width_multiplier": 0.1}, 8, 32),
}


def test_every_network_is_listed():
    assert {name.partition("_")[0] for name in LEAST} == {network.__name__ for network in kplug_cnn.NETWORKS}


def network_of(name, stem):
    """The network as a function that makes it, and its least picture in pixels."""
    settings, small, large = LEAST[name]
    settings = settings if name == "vgg" else {**settings, "stem": stem}
    return lambda: getattr(kplug_cnn, name.partition("_")[0])(**settings), small if stem == "small" else large


@pytest.mark.parametrize("stem", ["small", "large"])
@pytest.mark.parametrize("name", LEAST)
def test_a_picture_that_is_too_small_is_refused(name, stem):
    make, least = network_of(name, stem)
    for height, width in ((least - 1, 2 * least), (2 * least, least - 1)):
        with pytest.raises(
            SpecError, match=rf"{least} pixels.*{height}x{width}.*data\.features\.image\.size"
        ) as refused:
            make()(keras.Input((height, width, 3)))
        assert ("stem: small" in str(refused.value)) == (stem == "large" and name != "vgg")


FAST = ("alexnet", "vgg", "resnet_v1", "resnet_v2", "mobilenet_v1")


@pytest.mark.parametrize("stem", ["small", "large"])
@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in LEAST])
def test_the_smallest_picture_works(name, stem):
    make, least = network_of(name, stem)
    assert 0 not in make()(keras.Input((least, least, 3))).shape[1:]


def test_a_picture_of_unknown_size_is_taken():
    assert kplug_cnn.resnet(18, width=2)(keras.Input((None, None, 3))).shape == (None, None, None, 16)


def test_the_message_names_the_place_in_the_spec(spec_of, tmp_path):
    with plugged(kplug_cnn, tiny):
        spec = kplug.loads(spec_of("{type: resnet, depth: 18}")).at({"data.source.size": (7, 32)})
        with pytest.raises(SpecError, match=r"task\.model: resnet has a stride of 8 pixels, the picture only 7x32"):
            kplug.train(spec, tmp_path / "run")


def test_a_check_knows_it_before_the_data_is_opened(spec_of):
    """Where `data.features.image.size` or the source says how large the pictures are."""
    from kplug_cnn import NETWORKS

    with plugged(kplug_cnn, tiny):
        for network in NETWORKS:
            good = kplug.loads(spec_of(f"{{type: {network.__name__}}}"))
            with pytest.raises(SpecError, match=r"task\.model: .* pixels.*3x3"):
                good.at({"data.features.image.size": [3, 3]})
            with pytest.raises(SpecError, match=r"task\.model: .* pixels"):
                good.at({"data.source": "digits", "data.features.image.size": [2, 2]})


def test_without_a_height_nothing_is_refused_beforehand():
    from kplug_cnn.pictures import fit_alexnet, fit_stride, pictures_of

    data = kplug.Known(sees=(None, 28, 1))
    assert fit_stride(pictures_of(data), "auto", "resnet") is False
    assert fit_alexnet(pictures_of(data), "auto") is False
