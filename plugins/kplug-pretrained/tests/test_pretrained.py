"""Networks of keras.applications: the same outputs, the file's weights and no others, and a training with them."""

import shutil
import sys
import typing
from pathlib import Path

import h5py
import keras
import kplug_pretrained
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from kplug_pretrained import WITH_WIDTHS, Application, pretrained
from kplug_pretrained.preprocessing import RGB_DEVIATION, RGB_MEAN, preprocess
from kplug_pretrained.pyramid import pyramid_levels

import kplug
from kplug.model.from_run import trained_part
from kplug.model.learner import restored_learner
from kplug.records import Rebuild
from kplug.testing import check, plugged, tiny, tiny_info
from kplug.training.fit import resume, train

WEIGHTS = Path(__file__).parents[3] / "../shared/data/weights"
real = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the weights are not beside the repository")
WHOLE = str(WEIGHTS / "mobilenet_v2_1.0_224_imagenet.weights.h5")
NARROW = str(WEIGHTS / "mobilenet_v2_0.35_224_imagenet_notop.weights.h5")
NAMES = typing.get_args(Application)
INFO = tiny_info((224, 224, 3), tuple(str(n) for n in range(1000)))
TEN = tiny_info((224, 224, 3), tuple("abcdefghij"))


def built(*arguments, size=32, channels=3, **options):
    network = pretrained(*arguments, **options)
    network(keras.Input((size, size, channels)))
    return network


def pictures(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


# --- what keras.applications has -------------------------------------------------------------------------------------


def test_the_names_are_those_of_keras():
    functions = [name for name, item in vars(keras.applications).items() if callable(item)]
    assert sorted(functions) == list(NAMES)
    assert set(WITH_WIDTHS) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_given_as_the_network_wants_them(name):
    images = np.round(pictures(2, 5, 4, 3) * 255).astype(np.float32)
    module = sys.modules[getattr(keras.applications, name).__module__]
    wanted = module.preprocess_input(images.copy())
    np.testing.assert_allclose(preprocess(name, images / 255), wanted, atol=2e-4, rtol=1e-5)


@real
def test_the_same_scores_as_keras():
    images = pictures(2, 224, 224, 3)
    theirs = keras.applications.MobileNetV2(weights=WHOLE, classifier_activation=None)
    wanted = theirs(keras.applications.mobilenet_v2.preprocess_input(images * 255), training=False)
    given = pretrained(INFO, "MobileNetV2", WHOLE, include_top=True)(images, training=False)
    np.testing.assert_allclose(given, wanted, atol=1e-4)


@real
def test_features_of_a_narrow_one_pooled_and_gray():
    gray = pictures(2, 64, 64, 1)
    options = {"alpha": 0.35, "include_top": False, "input_shape": (64, 64, 3), "weights": NARROW, "pooling": "max"}
    wanted = keras.applications.MobileNetV2(**options)(np.repeat(gray, 3, -1) * 2 - 1, training=False)
    given = pretrained(INFO, "MobileNetV2", NARROW, pooling="max", width_multiplier=0.35)(gray, training=False)
    np.testing.assert_allclose(given, wanted, atol=1e-4)


@pytest.mark.slow
def test_it_keeps_the_contract():
    check(pretrained, name="MobileNetV2", weights=None, width_multiplier=0.35)


@pytest.mark.parametrize("size", [96, 97])
@pytest.mark.parametrize("name", ["MobileNet", "VGG16"])
def test_pyramid_has_the_strides_its_names_say(name, size):
    network = built(INFO, name, None, size=size)
    assert tuple(network.pyramid_outputs) == ("P2", "P3", "P4", "P5")
    for level, tensor in network.pyramid_outputs.items():
        assert abs(tensor.shape[1] - size / 2 ** int(level[1:])) <= 1
    assert network.pyramid_outputs["P5"].shape == network.network.outputs[0].shape


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pyramid_and_files_of_every_network(name, tmp_path):
    size = 299 if name.startswith("Inception") else 128  # it pads nothing, and much of a small picture is lost
    model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(size, size, 3))
    levels = pyramid_levels(model)
    assert tuple(levels) == ("P2", "P3", "P4", "P5")
    for level, tensor in levels.items():
        assert 0.6 < tensor.shape[1] * 2 ** int(level[1:]) / size < 1.3
    model.save_weights(tmp_path / "of.weights.h5")
    network = built(INFO, name, str(tmp_path / "of.weights.h5"), size=size)
    for mine, theirs in zip(network.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@real
def test_features_of_a_file_with_a_classifier():
    images = pictures(2, 64, 64, 3)
    theirs = keras.applications.MobileNetV2(weights=WHOLE)
    features = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))
    features.set_weights(theirs.get_weights()[:-2])
    given = pretrained(INFO, "MobileNetV2", WHOLE)(images, training=False)
    np.testing.assert_allclose(given, features(images * 2 - 1, training=False), atol=1e-4)


def test_a_file_with_more_than_a_classifier_is_of_another_network(small, tmp_path):
    x = keras.layers.Dense(4)(keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(small.output)))
    keras.Model(small.input, x).save_weights(tmp_path / "more.weights.h5")
    said = refused(INFO, "MobileNet", str(tmp_path / "more.weights.h5"), width_multiplier=0.25)
    assert "layers/dense/0 (256, 4) is in the file alone" in said


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small():
    """A network whose every weight is random, running statistics too."""
    model = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1, weight.shape) for weight in model.weights])
    return model


@pytest.fixture
def small_file(small, tmp_path):
    small.save_weights(tmp_path / "small.weights.h5")
    return str(tmp_path / "small.weights.h5")


def small_network(file, name="MobileNet", **options):
    return built(INFO, name, str(file), **{"width_multiplier": 0.25, **options})


def refused(*arguments, **options):
    with pytest.raises(kplug.SpecError) as error:
        built(*arguments, **options)
    return str(error.value)


def test_files_of_keras_2_too(small, tmp_path):
    for wrapped in (False, True):
        file = tmp_path / f"{wrapped}.h5"
        with h5py.File(file, "w") as group:
            legacy_h5_format.save_weights_to_hdf5_group(
                group.create_group("model_weights") if wrapped else group, small
            )
        for mine, theirs in zip(small_network(file).weights, small.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        said = refused(INFO, "MobileNet", str(file), width_multiplier=0.5)
        assert "layer conv1/kernel is (3, 3, 3, 8) in the file, (3, 3, 3, 16) in the model" in said


@real
@pytest.mark.parametrize(
    ("name", "file", "options", "wanted"),
    [
        (
            "MobileNetV2",
            NARROW,
            {},
            "is not of MobileNetV2 without its classifier: layer Conv1/kernel is (3, 3, 3, 16) in the file, "
            "(3, 3, 3, 32) in the model; layer bn_Conv1/gamma is (16,) in the file, (32,) in the model; ",
        ),
        ("MobileNetV2", NARROW, {}, "; 251 more differ"),
        ("MobileNet", NARROW, {"width_multiplier": 0.35}, "is not of MobileNet without its classifier: layer conv1/"),
        (
            "MobileNetV2",
            NARROW,
            {"width_multiplier": 0.35, "include_top": True},
            "the file has no classifier: it is for include_top: false",
        ),
        (
            "MobileNetV2",
            WHOLE,
            {"include_top": True},
            "layer predictions/kernel is (1280, 1000) in the file, (1280, 10) in the model; layer predictions/bias is "
            "(1000,) in the file, (10,) in the model; only the classifier differs: the file tells 1000 classes, the "
            "source has 10",
        ),
    ],
)
def test_weights_of_another_network(name, file, options, wanted):
    said = refused(TEN, name, file, **options)
    assert wanted in said and file in said


def test_files_that_are_none(tmp_path, small_file):
    assert "did you mean 'imagenet'?" in refused(INFO, "MobileNet", str(tmp_path / "imagnet"))
    (tmp_path / "text.h5").write_text("weights")
    assert "is no HDF5 file" in refused(INFO, "MobileNet", str(tmp_path / "text.h5"))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(Path(small_file).read_bytes()[:5000])
    assert "is damaged" in refused(INFO, "MobileNet", str(cut), width_multiplier=0.25)


def test_a_file_cannot_point_to_another(tmp_path, small_file):
    linked = tmp_path / "linked.weights.h5"
    shutil.copy(small_file, linked)
    with h5py.File(linked, "a") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = h5py.ExternalLink(small_file, "layers/conv2d/vars/0")
    assert "layer conv1/kernel (3, 3, 3, 8) is missing" in refused(
        INFO, "MobileNet", str(linked), width_multiplier=0.25
    )
    with h5py.File(linked, "a") as file:
        del file["layers/conv2d/vars/0"]
        layout = h5py.VirtualLayout((3, 3, 3, 8), "float32")
        layout[:] = h5py.VirtualSource(small_file, "layers/conv2d/vars/0", (3, 3, 3, 8))
        file.create_virtual_dataset("layers/conv2d/vars/0", layout)
    assert "lies in another file" in refused(INFO, "MobileNet", str(linked), width_multiplier=0.25)


def test_without_a_network_the_weights_are_asked_for_as_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # where none were fetched before
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    said = refused(INFO, "MobileNet", width_multiplier=0.25)
    assert "the ImageNet weights of MobileNet could not be fetched: URL fetch failure on https://" in said
    assert said.endswith("give its path as weights")


def test_efficientnet_divides_by_the_deviation(tmp_path):
    model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    normalization = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    normalization.weights[0].assign(np.reshape(RGB_MEAN, normalization.weights[0].shape))
    normalization.weights[1].assign(np.reshape(RGB_DEVIATION, normalization.weights[1].shape))
    model.save_weights(tmp_path / "b0.weights.h5")
    network = built(INFO, "EfficientNetB0", str(tmp_path / "b0.weights.h5"))
    found = network._flatten_layers()
    images = pictures(1, 4, 4, 3)
    given = next(layer for layer in found if isinstance(layer, keras.layers.Normalization))(images)
    np.testing.assert_allclose(given, (images - RGB_MEAN) / RGB_DEVIATION, atol=1e-5)


# --- specs -----------------------------------------------------------------------------------------------------------

SPEC = """
name: transfer
task:
  type: classification
  model: {type: pretrained, name: MobileNet, weights: null, width_multiplier: 0.25, pooling: mean}
  optimizer: {type: adam, learning_rate: 1e-2}
data: {source: {type: tiny_pictures, examples: 48}, sampler: {type: shuffled, batch_size: 16}, validation: 0}
fit: {epochs: 1, best: last, trainable: [linear/*]}
"""


@pytest.fixture
def host():
    with plugged(kplug_pretrained, tiny):
        yield


def spec(**values):
    return kplug.loads(SPEC).at({path.replace("__", "."): value for path, value in values.items()})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"task__model__name": "MobileNetV4"}, "did you mean 'MobileNetV2'?"),
        ({"task__model__name": "VGG16"}, "VGG16 has one width"),
        ({"task__model__include_top": True}, "pooling: mean would not change"),
    ],
)
def test_what_a_check_refuses(host, values, wanted):
    with pytest.raises(kplug.SpecError, match=r"task\.model") as error:
        spec(**values)
    assert wanted in str(error.value)


def test_what_a_build_refuses(host, tmp_path):
    wanted = "spec:5:10: task.model: pictures of 16x16 are too small for MobileNet, which takes 32x32 at least; "
    for values, said in (
        ({"data__source__size": [16, 16]}, wanted + "set data.features.image.size: [32, 32] or larger"),
        ({"data__image__channels": 4, "data__source": "digits", "data__image__size": [32, 32]}, "channels"),
        (
            {"task__model__weights": "imagenet", "task__model__include_top": True, "task__model__pooling": None},
            "MobileNet with weights: imagenet tells 1000 classes, the source has 3; include_top: false",
        ),
    ):
        with pytest.raises(kplug.SpecError) as error:
            train(spec(**values), tmp_path / "run")
        assert said in str(error.value)
    assert not (tmp_path / "run").exists()


# --- a training ------------------------------------------------------------------------------------------------------


def values_of(run):
    return {weight.path: weight.numpy() for weight in restored_learner(run).model.weights}


@pytest.mark.slow
def test_features_then_fine_tuning_and_the_file_is_not_needed_again(host, small, small_file, tmp_path, capsys):
    stages = [{"epochs": 1, "set": {"fit.trainable": ["*"], "task.optimizer.learning_rate": 1e-4}}]
    begun = spec(task__model__weights=small_file)
    frozen = train(begun, tmp_path / "frozen")
    tuned = train(begun.at({"fit.stages": stages}), tmp_path / "tuned")
    Path(small_file).unlink()

    theirs = {f"pretrained/{weight.path}": weight.numpy() for weight in small.weights}
    first, second = values_of(frozen), values_of(tuned)
    assert set(theirs) < set(first) == set(second)
    for path, value in theirs.items():  # running statistics of normalization are among them
        np.testing.assert_array_equal(first[path], value)
        assert not np.array_equal(second[path], value), path
    assert "not carried over" not in capsys.readouterr().err

    assert tuned.evaluate("test")


@pytest.mark.slow
def test_all_that_a_run_is_good_for_without_the_file(host, small_file, tmp_path):
    run = train(spec(task__model__weights=small_file), tmp_path / "run")
    Path(small_file).unlink()
    assert run.export(tmp_path / "served")
    assert trained_part(str(run.path), "model", Rebuild())(pictures(2, 32, 32, 3)).shape == (2, 256)
    assert resume(run.path, {"fit.epochs": 2}).rows("metrics.jsonl")[-1]["epoch"] == 2


@pytest.mark.slow
def test_a_run_that_has_no_checkpoint_needs_the_file(host, small_file, tmp_path):
    run = train(spec(task__model__weights=small_file), tmp_path / "run")
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "result.json").unlink()
    Path(small_file).unlink()
    with pytest.raises(kplug.SpecError, match=r"task\.model: weights: there is no file"):
        resume(run.path)


@pytest.mark.slow
def test_a_stage_that_brings_another_network_reads_its_weights(host, small, small_file, tmp_path):
    stages = [{"epochs": 1, "set": {"task.model.weights": small_file, "task.model.width_multiplier": 0.25}}]
    run = train(spec(task__model__width_multiplier=0.5, fit__epochs=0, fit__stages=stages), tmp_path / "run")
    found = values_of(run)
    for weight in small.weights:
        np.testing.assert_array_equal(found[f"pretrained/{weight.path}"], weight)


def test_a_check_knows_what_does_not_fit():
    data = "{source: digits, features: {image: {size: SIZE}}}"
    text = f"{{name: a, task: {{type: classification, model: MODEL}}, data: {data}}}"
    with plugged(kplug_pretrained):
        small = text.replace("MODEL", "{type: pretrained, name: Xception}").replace("SIZE", "[64, 99]")
        with pytest.raises(kplug.SpecError, match="pictures of 64x99 are too small for Xception"):
            kplug.loads(small)
        top = text.replace("MODEL", "{type: pretrained, name: VGG16, include_top: true}").replace("SIZE", "[224, 224]")
        with pytest.raises(kplug.SpecError, match="weights: imagenet tells 1000 classes, the source has 10"):
            kplug.loads(top)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_least_size_is_that_of_keras(name):
    """What `kplug check` refuses, Keras refuses too."""
    least = kplug_pretrained.LEAST.get(name, 32)
    with pytest.raises(ValueError, match=r"at least|negative dimension|too small"):
        getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(least - 1, least - 1, 3))
