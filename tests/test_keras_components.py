"""The components that tools/keras_components/write makes: documented, typed, and what their kinds promise."""

import dataclasses
import importlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import Geometry, kinds
from kplug.default_plugins.keras_components import types as keras_types
from kplug.errors import SpecError
from kplug.kinds import DataInfo, Field, FitInfo
from kplug.spec.check import Checker, Problems
from kplug.spec.component import form_of, read_component
from kplug.spec.registry import Registry
from kplug.testing import tiny_info

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "architecture": "keras_components.layers",
    "augmentation": "images.keras_augmentations",
    "loss": "keras_components.losses",
    "metric": "keras_components.metrics",
    "optimizer": "keras_components.optimizers",
    "schedule": "keras_components.schedules",
    "callback": "keras_components.callbacks",
}
ALL = {
    kind: {f.__name__: f for f in importlib.import_module(f"kplug.default_plugins.{module}").COMPONENTS}
    for kind, module in PARTS.items()
}
# The augmentations that are compiled: one in three by default, others than those that test_contract.py takes.
COMPILED = sorted(ALL["augmentation"])[slice(None) if os.environ.get("KPLUG_TEST_ALL") == "1" else slice(1, None, 3)]
EVERY = [(kind, name) for kind, functions in ALL.items() for name in functions]
CLASSES = 4
SIZE = (8, 12)
DATA = tiny_info((*SIZE, 3), ("a", "b", "c", "d"), counts=(3, 3, 3, 3))
INJECTED = {DataInfo: DATA, FitInfo: FitInfo(steps=100, epochs=2)}

# what has no default
SAMPLES = {
    "activation": "relu",
    "axes": -1,
    "boundaries": (2, 4),
    "decay_rate": 0.9,
    "decay_steps": 10,
    "dims": (2, 1),
    "equation": "abc,cd->abd",
    "filters": 4,
    "first_decay_steps": 10,
    "head_dim": 2,
    "initial_learning_rate": 0.1,
    "input_dim": 7,
    "kernel_size": 3,
    "key_dim": 2,
    "mean": 0.5,
    "n": 2,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "num_query_heads": 2,
    "output_dim": 3,
    "output_shape": (None, 5),
    "output_size": 2,
    "pool_size": 2,
    "precision": 0.5,
    "rate": 0.1,
    "recall": 0.5,
    "scale": 0.5,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "stddev": 0.1,
    "target_class_ids": (0, 1),
    "target_shape": (-1,),
    "units": 3,
    "values": (0.1, 0.01, 0.001),
    "variance": 0.25,
}
WRAPPED_NODE = {"type": "dense", "units": 3}
WRAPPED = {"bidirectional": "lstm", "time_distributed": "dense", "spectral_normalization": "dense"}


def arguments_for(component):
    given = {name: SAMPLES[name] for name in component.required if name in SAMPLES}
    if component.name in WRAPPED:
        given["layer"] = build("architecture", WRAPPED[component.name])
    return given | {name: INJECTED[kind] for name, kind in component.injected.items()}


def build(kind, name, **arguments):
    component = read_component(ALL[kind][name])
    return component.function(**(arguments_for(component) | arguments))


@pytest.fixture(scope="module")
def script():
    file = ROOT / "tools" / "keras_components" / "write"
    loader = importlib.machinery.SourceFileLoader("keras_components_write", str(file))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


# --- all -----------------------------------------------------------------------------------------------------------


def test_the_files_are_what_the_script_writes(script):
    assert script.differing() == []


def test_the_check_names_a_file_that_differs(script, tmp_path, monkeypatch, capsys):
    for module in script.MODULES:
        text = (script.OUT / module.file).read_text()
        (tmp_path / module.file).parent.mkdir(exist_ok=True)
        (tmp_path / module.file).write_text(text.replace("def adam(", "def eve("))
    monkeypatch.setattr(script, "OUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write", "--check"])
    assert script.main() == 1
    assert capsys.readouterr().err.endswith(": keras_components/optimizers.py\n")


def test_a_class_or_a_parameter_that_the_table_does_not_know_stops_the_script(script):
    modules = {module.kind: module for module in script.MODULES}
    losses = modules["Loss"]
    fewer = {name: entry for name, entry in losses.table.items() if name != "Huber"}
    with pytest.raises(SystemExit, match="neither in the table nor left out: Huber"):
        script.classes_of(dataclasses.replace(losses, table=fewer))
    with pytest.raises(SystemExit, match=r"Huber: no type for 'delta'"):
        script.parameters_of(keras.losses.Huber, script.Entry("A loss."), losses)


def test_the_modules_import_without_tensorflow_keras_and_numpy():
    program = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "numpy"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocker())
import importlib
for name in {[*PARTS.values(), "keras_components.types"]}:
    importlib.import_module("kplug.default_plugins." + name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_component_is_documented_and_of_its_kind(kind, name):
    component = read_component(ALL[kind][name])
    summary, documented = component.documentation
    assert component.kind.name == kind
    assert summary.endswith(".") and "\n" not in summary
    assert list(documented) == list(component.parameters)
    assert all(text.endswith(".") and "`" not in text for text in documented.values())


def test_every_component_passes_the_check_of_a_spec():
    registry = Registry()
    registry.add([f for functions in ALL.values() for f in functions.values()])
    problems = Problems(SimpleNamespace(where=lambda *_: ""))
    for kind, name in EVERY:
        required = read_component(ALL[kind][name]).required
        given = {p: WRAPPED_NODE if p == "layer" else SAMPLES[p] for p in required}
        if kind == "architecture" and name in ("dense", "conv2d"):
            given |= {"kernel_regularizer": {"l2": 1e-4}}
        Checker(registry, problems).check(form_of(getattr(kinds, kind.title())), {"type": name} | given, (kind, name))
    assert problems.found == []


# --- layers --------------------------------------------------------------------------------------------------------

SEQUENCE, IMAGE, VOLUME, VECTOR = (6, 4), (8, 8, 4), (8, 8, 8, 4), (4,)
RECURRENT = {"lstm", "gru", "simple_rnn", "bidirectional", "time_distributed", "masking"}
ATTENTION = {"attention", "additive_attention", "multi_head_attention", "grouped_query_attention"}
OF_SEQUENCES = RECURRENT | ATTENTION | {"einsum_dense", "permute"}
SEVERAL = {"add", "average", "multiply", "maximum", "minimum", "subtract", "concatenate", "dot"}


def input_shape(name):
    if name.startswith("conv_lstm"):
        return {"1d": (3, 8, 4), "2d": (3, 8, 8, 4), "3d": (3, 8, 8, 8, 4)}[name[-2:]]
    if name == "repeat_vector":
        return VECTOR
    axes = [shape for text, shape in {"1d": SEQUENCE, "2d": IMAGE, "3d": VOLUME}.items() if text in name]
    return axes[0] if axes else SEQUENCE if name in OF_SEQUENCES else IMAGE


@pytest.mark.parametrize("name", ALL["architecture"])
def test_a_layer_builds_and_is_called_with_x(name):
    more = {"groups": 2} if name == "group_normalization" else {}
    layer = build("architecture", name, **more)
    x = keras.Input((6,), dtype="int32") if name == "embedding" else keras.Input(input_shape(name))
    pair = name in SEVERAL or name in ("attention", "additive_attention")
    y = layer([x, x] if pair else x)
    model = keras.Model(x, y)
    values = np.ones((2, *x.shape[1:]), x.dtype)
    outputs = model(values, training=True)
    assert outputs.shape[0] == 2 and np.all(np.isfinite(outputs))
    assert all(known in (None, length) for known, length in zip(y.shape[1:], outputs.shape[1:], strict=True))


def test_a_regularizer_record_becomes_a_penalty():
    record = keras_types.Regularizer(l1=0.5, l2=2.0)
    layer = build("architecture", "dense", use_bias=False, kernel_initializer="ones", kernel_regularizer=record)
    layer(np.ones((1, 4), "float32"))
    assert float(layer.losses[0]) == pytest.approx(12 * 0.5 + 12 * 2.0)


@pytest.mark.parametrize(
    ("alias", "get"),
    [
        (keras_types.ActivationName, keras.activations.get),
        (keras_types.InitializerName, keras.initializers.get),
        (keras_types.ConstraintName, keras.constraints.get),
    ],
)
def test_names_are_names_of_keras(alias, get):
    assert all(callable(get(name)) for name in alias.__args__)


def test_no_activation_of_keras_is_missing():
    known = {name for name in dir(keras.activations) if name[0] != "_"} - {"deserialize", "get", "serialize"}
    aliases = {"swish", "hard_swish"}
    need_more = {"glu", "threshold"}  # half the channels; two arguments
    assert known - aliases - need_more == set(keras_types.ActivationName.__args__)


def test_attention_attends_to_its_input_or_to_another():
    for name in ("multi_head_attention", "grouped_query_attention"):
        layer = build("architecture", name, causal=True)
        x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
        changed = np.concatenate([x[:, :3], x[:, 3:] + 1], axis=1)
        assert np.allclose(layer(x)[:, :3], layer(changed)[:, :3], atol=1e-6)  # nothing comes from later steps
        assert layer([x[:, :2], x]).shape == (2, 2, 4)


def test_rules_refuse_what_keras_refuses_later():
    def refused(check, *arguments):
        with pytest.raises(ValueError) as error:
            check(*arguments)
        return str(error.value)

    assert "clipnorm and clipvalue" in refused(keras_types.one_clipping, 1.0, 1.0, None)
    assert "2 boundaries need 3 values" in refused(keras_types.values_between, [1, 2], [0.1])
    assert "increase" in refused(keras_types.values_between, [2, 1], [0.1, 0.2, 0.3])
    assert "same length" in refused(keras_types.same_length, [1.0, 2.0], 1.0)
    assert "strides" in refused(keras_types.stride_or_dilation, [2, 1], 2)
    assert "multiple" in refused(keras_types.groups_divide, 3, 2)
    keras_types.one_clipping(None, 1.0, None)
    keras_types.values_between([1], [0.1, 0.2])
    keras_types.same_length(1.0, 2.0)
    keras_types.stride_or_dilation(1, 2)


# --- losses --------------------------------------------------------------------------------------------------------

LOGITS = np.array([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, 0.3, -2.0], [-1.0, 3.0, 0.0, 1.0]], "float32")
ONE_HOT = np.eye(CLASSES, dtype="float32")[[0, 2, 1]]


@pytest.mark.parametrize("name", ALL["loss"])
def test_a_loss_gives_one_value_per_example_and_a_gradient(name):
    loss = build("loss", name)
    with tf.GradientTape() as tape:
        logits = tf.Variable(LOGITS)
        values = loss.call(tf.constant(ONE_HOT), logits)
    gradient = tape.gradient(values, logits)
    assert values.shape == (3,)
    assert np.all(np.isfinite(values)) and np.all(np.isfinite(gradient)) and np.any(gradient.numpy() != 0)
    alone = loss.call(tf.constant(ONE_HOT[1:2]), tf.constant(LOGITS[1:2]))
    assert np.allclose(alone, values[1:2], atol=1e-6)  # no example changes another's


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_losses_of_overlap_count_within_an_example_of_any_shape(name):
    masks = tf.cast(np.random.default_rng(0).random((2, 5, 5, 3)) > 0.5, tf.float32)
    assert build("loss", name, activation="sigmoid").call(masks, masks).shape == (2,)


def test_focal_without_gamma_is_cross_entropy():
    focal = build("loss", "categorical_focal_crossentropy", gamma=0.0)
    plain = build("loss", "categorical_crossentropy")
    assert np.allclose(focal.call(ONE_HOT, LOGITS), plain.call(ONE_HOT, LOGITS), rtol=1e-4)


def test_tversky_alpha_weighs_false_positives():
    target, too_much = tf.constant([[1.0, 0.0]]), tf.constant([[30.0, 30.0]])
    forgiving = build("loss", "tversky", alpha=0.1, beta=0.9, activation="sigmoid")
    strict = build("loss", "tversky", alpha=0.9, beta=0.1, activation="sigmoid")
    assert float(forgiving.call(target, too_much)[0]) == pytest.approx(1 - 1 / 1.1, abs=1e-4)
    assert float(strict.call(target, too_much)[0]) == pytest.approx(1 - 1 / 1.9, abs=1e-4)


def test_generalized_cross_entropy_lies_between_cross_entropy_and_absolute_error():
    p = tf.nn.softmax(LOGITS).numpy()[ONE_HOT > 0]
    almost = build("loss", "categorical_generalized_cross_entropy", q=1e-3)
    one = build("loss", "categorical_generalized_cross_entropy", q=1.0)
    assert np.allclose(almost.call(ONE_HOT, LOGITS), -np.log(p), rtol=1e-2)
    assert np.allclose(one.call(ONE_HOT, LOGITS), 1 - p, rtol=1e-5)


# --- metrics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL["metric"])
def test_a_metric_takes_probabilities_and_reports_one_number(name):
    metric = build("metric", name)
    metric.update_state(ONE_HOT, tf.nn.softmax(LOGITS))
    assert np.shape(metric.result()) == () and np.isfinite(metric.result())
    assert metric.name == build("metric", name).name == name  # a second build is called the same


def test_iou_of_perfect_predictions_is_one():
    for name in ("iou", "mean_iou"):
        metric = build("metric", name)
        metric.update_state(ONE_HOT, ONE_HOT)
        assert float(metric.result()) == pytest.approx(1.0)


# --- optimizers, schedules, callbacks ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL["optimizer"])
def test_an_optimizer_steps_with_a_number_and_with_a_schedule(name):
    for rate in (0.01, build("schedule", "cosine_decay")):
        weight = keras.Variable(np.eye(3, dtype="float32"))
        optimizer = build("optimizer", name, learning_rate=rate)
        optimizer.apply([np.ones((3, 3), "float32")], [weight])
        assert np.all(np.isfinite(weight)) and not np.allclose(weight, np.eye(3))


@pytest.mark.parametrize("name", ALL["schedule"])
def test_a_schedule_falls(name):
    schedule = build("schedule", name)
    assert float(schedule(0)) > float(schedule(9)) > 0


def test_schedules_reach_their_end_with_the_training():
    assert float(build("schedule", "cosine_decay")(100)) == pytest.approx(0)
    assert float(build("schedule", "cosine_decay")(99)) > 0
    rising = build("schedule", "cosine_decay", initial_learning_rate=0.0, warmup_target=0.1, warmup_steps=20)
    assert float(rising(20)) == pytest.approx(0.1) and float(rising(100)) == pytest.approx(0)
    assert float(build("schedule", "polynomial_decay")(100)) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("early_stopping", {"patience": 3}), ("reduce_lr_on_plateau", {"patience": 3, "cooldown": 1})],
)
def test_a_restored_callback_goes_on_as_if_nothing_had_happened(name, arguments):
    losses = [1.0, 0.9, 0.95, 0.96, 0.97, 0.5, 0.6, 0.7, 0.8, 0.9]

    def follow(callback, epochs):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        callback.set_model(model)
        callback.on_train_begin()
        for epoch in epochs:
            callback.on_epoch_end(epoch, {"val_loss": losses[epoch]})
        return callback

    whole = follow(build("callback", name, mode="min", **arguments), range(10))
    first = follow(build("callback", name, mode="min", **arguments), range(4))
    second = build("callback", name, mode="min", **arguments)
    second.restore(first.state())
    assert first.state() != whole.state()
    assert follow(second, range(4, 10)).state() == whole.state()


def test_a_training_ends_at_a_loss_that_is_no_number():
    callback = build("callback", "terminate_on_nan")
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    callback.on_batch_end(0, {"loss": float("nan")})
    assert callback.model.stop_training


# --- augmentations -------------------------------------------------------------------------------------------------

COLOR = {"random_color_degeneration", "random_color_jitter", "random_grayscale", "random_hue", "random_saturation"}
MIXES = ("cut_mix", "mix_up")
BATCH = 16


def pictures(seed=0, channels=3):
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (BATCH, SIZE[0] // 4, SIZE[1] // 4, channels), dtype=np.uint8)
    return rough.repeat(4, axis=1).repeat(4, axis=2)


def batch(seed=0, channels=3):
    labels = tf.constant(np.arange(BATCH) % CLASSES, tf.int32)
    return {"image": tf.constant(pictures(seed, channels)), "label": labels, "row": tf.range(BATCH)}


def step_seed(step):
    return tf.constant([7, step], tf.int32)


@pytest.mark.parametrize("name", COMPILED)
def test_an_augmentation_is_pure_in_the_seed_however_it_is_mapped(name):
    augment = build("augmentation", name)
    steps = tf.data.Dataset.range(12)

    def mapped(dataset, calls):
        def load(step):
            return augment(batch(), tf.stack([7, tf.cast(step, tf.int32)]))

        return [b["image"].numpy() for b in dataset.map(load, num_parallel_calls=calls)]

    in_turn, parallel = mapped(steps, 1), mapped(steps, 4)
    assert all(np.array_equal(a, b) for a, b in zip(in_turn, parallel, strict=True))
    later = mapped(steps.skip(5), 4)  # from any step on
    assert all(np.array_equal(a, b) for a, b in zip(in_turn[5:], later, strict=True))
    assert np.allclose(augment(batch(), step_seed(3))["image"], in_turn[3], atol=1e-2)  # eager too
    assert any(not np.array_equal(in_turn[0], other) for other in in_turn[1:])


@pytest.mark.parametrize("name", COMPILED)
def test_an_augmentation_does_not_need_a_static_batch_size(name):
    augment = build("augmentation", name)
    signature = {key: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for key, value in batch().items()}
    traced = tf.function(augment, input_signature=[signature, tf.TensorSpec([2], tf.int32)])
    for height in (BATCH, 3):
        given = {key: value[:height] for key, value in batch().items()}
        got, expected = traced(given, step_seed(2)), augment(given, step_seed(2))
        assert all(np.allclose(got[key], expected[key], atol=1e-2) for key in expected)


@pytest.mark.parametrize("name", ALL["augmentation"])
def test_an_augmentation_keeps_shape_range_and_all_other_keys(name):
    before, given = batch(), pictures()
    after = build("augmentation", name)(before, step_seed(0))
    image = after["image"].numpy()
    assert set(after) == {"image", "label", "row"} and np.array_equal(after["row"], before["row"])
    assert image.shape == given.shape and np.all(np.isfinite(image)) and not np.array_equal(image, given)
    assert image.min() >= -1 and image.max() <= 256
    assert np.array_equal(before["image"], given)  # the batch that came is untouched
    if name not in MIXES:
        assert after["label"] is before["label"]


@pytest.mark.parametrize("name", ALL["augmentation"])
def test_an_augmentation_takes_gray_pictures_or_says_what_to_do(name):
    augment = build("augmentation", name)
    if name in COLOR:
        with pytest.raises(
            SpecError, match=r"needs 3 channels, these pictures have 1: set data\.features\.image\.chann"
        ):
            augment(batch(channels=1), step_seed(0))
    else:
        assert augment(batch(channels=1), step_seed(0))["image"].shape == (BATCH, *SIZE, 1)


@pytest.mark.parametrize("name", COMPILED)
def test_an_augmentation_computes_in_float32_under_any_policy(name):
    expected = build("augmentation", name)(batch(), step_seed(0))["image"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = build("augmentation", name)(batch(), step_seed(0))["image"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.array_equal(image, expected)


# its strength is drawn once for a batch, and may be next to nothing
STRONG = {"random_gaussian_blur": {"sigma": (1.0, 2.0)}}


@pytest.mark.parametrize(
    "name", [name for name, f in ALL["augmentation"].items() if "probability" in f.__annotations__]
)
def test_probability_is_the_share_of_changed_pictures(name):
    def changed(probability):
        augment = build("augmentation", name, probability=probability, **STRONG.get(name, {}))
        images = augment(batch(), step_seed(1))["image"]
        return [not np.allclose(a, b, atol=0.6) for a, b in zip(images, pictures(), strict=True)]

    assert not any(changed(0.0))
    assert sum(changed(1.0)) >= 0.75 * BATCH  # a few have nothing to change
    assert 0 < sum(changed(0.5)) < BATCH


@pytest.mark.parametrize("name", MIXES)
def test_mixing_mixes_labels_in_the_same_shares(name):
    flat = tf.constant(np.repeat(np.arange(CLASSES) * 80, BATCH // CLASSES), tf.uint8)
    image = tf.tile(flat[:, None, None, None], [1, *SIZE, 3])
    label = tf.repeat(tf.range(CLASSES), BATCH // CLASSES)
    mixed = build("augmentation", name, alpha=1.0)({"image": image, "label": label}, step_seed(0))
    rows = mixed["label"].numpy()
    assert rows.dtype == np.float32 and rows.shape == (BATCH, CLASSES)
    assert np.allclose(rows.sum(axis=1), 1, atol=1e-5) and np.any((rows > 0.01) & (rows < 0.99))
    tolerance = 1e-2 if name == "mix_up" else 80 * 3 * 0.15  # cut_mix cuts whole pixels
    assert np.allclose(mixed["image"].numpy().mean(axis=(1, 2, 3)), rows @ (np.arange(CLASSES) * 80), atol=tolerance)
    again = build("augmentation", name)(mixed, step_seed(1))  # and one after the other
    assert again["label"].shape == (BATCH, CLASSES)


@pytest.mark.parametrize("name", MIXES)
def test_mixing_takes_several_labels_and_needs_some(name):
    several = {"image": tf.constant(pictures()), "label": tf.ones((BATCH, CLASSES), tf.int32)}
    assert np.allclose(build("augmentation", name)(several, step_seed(0))["label"], 1)
    with pytest.raises(SpecError, match="mixes labels, and this data has no field of classes"):
        build("augmentation", name, data=DataInfo({"image": Field((8, 8, 3), "uint8")}))


def test_random_flip_is_horizontal_and_its_two_ways_are_independent():
    given = pictures().astype("float32")
    ways = {
        "horizontal": [given, given[:, :, ::-1]],
        "vertical": [given, given[:, ::-1]],
        "horizontal_and_vertical": [given, given[:, :, ::-1], given[:, ::-1], given[:, ::-1, ::-1]],
    }
    assert read_component(ALL["augmentation"]["random_flip"]).parameters["mode"].default == "horizontal"
    for mode, results in ways.items():
        flipped = build("augmentation", "random_flip", mode=mode)(batch(), step_seed(5))["image"].numpy()
        which = [{k for k, r in enumerate(results) if np.array_equal(f, r[i])} for i, f in enumerate(flipped)]
        assert all(which) and set.union(*which) == set(range(len(results)))


def test_random_crop_shifts_each_picture_by_itself():
    image = np.zeros((BATCH, 9, 9, 1), np.uint8)
    image[:, 4, 4] = 255
    moved = build("augmentation", "random_crop", padding=2)({"image": tf.constant(image)}, step_seed(0))[
        "image"
    ].numpy()
    places = {tuple(place) for place in np.argwhere(moved[..., 0])[:, 1:]}
    assert moved.dtype == np.uint8 and moved.shape == image.shape and len(places) > 4
    assert all(2 <= row <= 6 and 2 <= column <= 6 for row, column in places)


def test_elastic_moves_pixels_both_ways_a_little_and_not_along_the_diagonal():
    from kplug.data.geometry import warp
    from kplug.default_plugins.images.motions import smooth

    noise = tf.random.stateless_normal([4, 32, 32, 2], step_seed(0))
    field = smooth(noise, 3.0).numpy()[:, 8:-8, 8:-8]
    assert 0.5 < field.std() < 2 and abs(np.corrcoef(field[..., 0].ravel(), field[..., 1].ravel())[0, 1]) < 0.5
    ramp = tf.constant(np.tile(np.arange(9, dtype="float32")[None, :, None, None], [1, 1, 5, 1]))
    half = Geometry((9, 5), (9, 5), field=tf.tile(tf.constant([[[[0.0, 0.5]]]]), [1, 9, 5, 1]), fill="nearest")
    moved = warp(ramp, half, "bilinear", 0.0)
    assert np.allclose(moved[0, :, 2, 0], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.0])


def test_equalization_looks_at_each_picture_alone():
    augment = build("augmentation", "equalization", probability=1.0)
    both = augment(batch(), step_seed(0))["image"]
    one = augment({"image": tf.constant(pictures()[:1])}, step_seed(0))["image"]
    assert np.array_equal(both[:1], one)


# --- facts about Keras that the table leans on: when one of these fails, an exception in the table can go -----------


def test_fact_tversky_has_alpha_and_beta_exchanged():
    too_much = keras.losses.tversky(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]), alpha=0.1, beta=0.9, axis=-1)
    assert float(too_much[0]) == pytest.approx(1 - 1 / 1.9, abs=1e-4)


def test_fact_overlap_losses_take_the_batch_as_one_example():
    assert keras.losses.Dice().call(ONE_HOT, ONE_HOT).shape == ()
    assert keras.losses.Tversky().call(ONE_HOT, ONE_HOT).shape == ()


def test_fact_focal_is_a_quarter_of_cross_entropy():
    focal = keras.losses.CategoricalFocalCrossentropy(gamma=0.0, from_logits=True).call(ONE_HOT, LOGITS)
    assert np.allclose(4 * focal, build("loss", "categorical_crossentropy").call(ONE_HOT, LOGITS), rtol=1e-4)


def test_fact_generalized_cross_entropy_takes_class_numbers():
    loss = keras.losses.CategoricalGeneralizedCrossEntropy()
    assert loss.call(np.array([0, 2, 1]), tf.nn.softmax(LOGITS)).shape == (3,)
    with pytest.raises(tf.errors.InvalidArgumentError):
        loss.call(ONE_HOT, tf.nn.softmax(LOGITS))


def test_fact_random_flip_flips_both_ways_by_one_draw():
    layer = keras.layers.RandomFlip(seed=1)
    assert layer.mode == "horizontal_and_vertical"
    given = pictures().astype("float32")
    flipped = layer(given, training=True).numpy()
    assert all(np.array_equal(f, g) or np.array_equal(f, g[::-1, ::-1]) for f, g in zip(flipped, given, strict=True))


def test_fact_random_crop_cuts_a_batch_at_one_place():
    same = np.repeat(np.arange(64, dtype="float32").reshape(1, 8, 8, 1), 16, axis=0)
    cut = keras.layers.RandomCrop(4, 4, seed=1)(same, training=True).numpy()
    assert all(np.array_equal(cut[0], other) for other in cut)


def test_fact_elastic_moves_along_the_diagonal_only():
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    image = (128 + x - y).astype("float32")[None, :, :, None]  # a move by the same amount both ways changes nothing
    layer = keras.layers.RandomElasticTransform((1.0, 1.0), scale=(1.0, 1.0), seed=1)
    moved = layer(image, training=True).numpy()
    assert np.allclose(moved[:, 10:-10, 10:-10], image[:, 10:-10, 10:-10], atol=1e-2)
    assert not np.allclose(moved, image, atol=1e-2)


def test_fact_elastic_puts_the_first_picture_everywhere_without_a_static_batch_size():
    layer = keras.layers.RandomElasticTransform((1.0, 1.0), scale=(0.01, 0.01), seed=1)
    traced = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec([None, *SIZE, 3])])
    given = pictures().astype("float32")
    assert np.allclose(traced(given)[5], given[0], atol=1) and not np.allclose(given[5], given[0], atol=1)


def test_fact_equalization_counts_over_the_batch():
    layer = keras.layers.Equalization(dtype="float32")
    assert not np.array_equal(layer(pictures(), training=True)[:1], layer(pictures()[:1], training=True))


def test_fact_a_factor_that_is_a_probability_is_drawn_from_zero():
    assert keras.layers.RandomErasing(1.0).factor == (0, 1.0)
    assert keras.layers.RandomInvert(1.0).factor == (0, 1.0)


def test_fact_contrast_sorts_its_two_ways():
    assert keras.layers.RandomContrast((0.5, 0.2)).factor == (0.2, 0.5)


def test_fact_f1_reports_one_number_for_each_class():
    metric = keras.metrics.F1Score()
    metric.update_state(ONE_HOT, tf.nn.softmax(LOGITS))
    assert metric.result().shape == (CLASSES,)
