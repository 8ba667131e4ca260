"""A trained part of another run in a new model: its weights, its names, and the copy that keeps the new run whole."""

import json
import os
import shutil

import h5py
import keras
import numpy as np
import pytest

import kplug
from kplug.contracts.interrupted import killed_after
from kplug.data.splits import open_data
from kplug.inference.run import Run
from kplug.kinds import DataInfo, FitInfo
from kplug.model.from_run import find_parts, keep_parts, rebuild_of
from kplug.model.learner import build_learner, build_optimizers, restored_learner
from kplug.model.weights import freeze
from kplug.spec.yaml12 import parse
from kplug.testing import check, no_tensorflow, plugged, tiny_info

FIRST = """
name: first
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, batch_normalization, relu]}
  optimizer: {type: adam, learning_rate: 1e-2}
data: {source: digits, sampler: {type: shuffled, batch_size: 200}}
fit: {epochs: 1, best: {minimize: loss}}
"""
SECOND = """
name: second
task:
  type: classification
  model: {type: from_run, run: RUN, part: model}
  optimizer: {type: adamw, learning_rate: 1e-2, weight_decay: 0.1, use_ema: true}
data: {source: digits, sampler: {type: shuffled, batch_size: 100}, augment: [random_translation]}
fit:
  epochs: 1
  best: {minimize: loss}
  trainable: ["*"]
  checkpoint: {steps: 5, seconds: null}
  steps_per_execution: 1
"""
PATHS = [
    "layers/conv2d/kernel",
    "layers/conv2d/bias",
    *(f"layers/batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    "linear/scores/kernel",
    "linear/scores/bias",
]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return kplug.train(kplug.loads(FIRST), tmp_path_factory.mktemp("first") / "run")


@pytest.fixture
def mine(first, tmp_path):
    """A copy of the first run, to be spoilt."""
    return Run.open(shutil.copytree(first.path, tmp_path / "first"))


def second(run, **values):
    spec = kplug.loads(SECOND.replace("RUN", str(run.path)))
    return spec.at({path.replace("__", "."): value for path, value in values.items()})


def info(image=(8, 8, 1), classes=10):
    return tiny_info(image, tuple(str(n) for n in range(classes)))


def learner_of(spec, data=None, precision="float32", run=None):
    """The learner of a spec, within the run that it is of where there is one."""
    rebuild = rebuild_of(run) if run else None
    return build_learner(spec, data or info(), FitInfo(steps=10, epochs=1), precision, rebuild=rebuild)


def values_of(layer):
    return {weight.path: weight.numpy() for weight in layer.weights}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for path, value in one.items():
        np.testing.assert_array_equal(value, other[path], err_msg=path)


def trained_values(run):
    """The arrays of the run's weights file."""
    found = []
    with h5py.File(run.path / "model.weights.h5") as file:
        file.visititems(lambda path, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


# --- the weights -----------------------------------------------------------------------------------------------------


def test_a_part_has_the_values_of_the_file(first):
    kept = trained_values(first)
    part = learner_of(second(first)).parts["model"]
    assert len(part.weights) == 6
    for weight in part.weights:
        assert any(np.array_equal(weight.numpy(), value) for value in kept), weight.path
    assert_same(values_of(part), values_of(restored_learner(first).parts["model"]))
    fresh = learner_of(kplug.loads(FIRST)).parts["model"]
    assert not np.array_equal(fresh.weights[0].numpy(), part.weights[0].numpy())


def test_a_part_computes_what_it_computed(first):
    x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    expected = restored_learner(first).parts["model"](x, training=False).numpy()
    np.testing.assert_array_equal(learner_of(second(first)).parts["model"](x, training=False), expected)


def test_every_build_has_the_same_paths_and_beginning(first):
    once, again = (values_of(learner_of(second(first)).model) for _ in range(2))
    assert list(once) == PATHS
    assert_same(once, again)
    assert keras.config.dtype_policy().name == "float32"


def test_a_head_is_taken_and_the_model_is_new(first):
    spec = second(first).at({"task.model": {"type": "conv2d", "filters": 4, "kernel_size": 3}})
    spec = spec.at({"task.head": {"type": "from_run", "run": str(first.path), "part": "head"}})
    learner = learner_of(spec)
    assert list(values_of(learner.model)) == ["conv2d/kernel", "conv2d/bias", *PATHS[-2:]]
    assert_same(values_of(learner.parts["head"]), values_of(restored_learner(first).parts["head"]))


def test_several_parts_have_paths_of_their_own(first):
    node = {"type": "from_run", "run": str(first.path), "part": "model"}
    convolution = {"type": "conv2d", "filters": 4, "kernel_size": 1}
    branches = [
        *({"layer": node, "inputs": ["input"], "name": name} for name in ("a", "b")),
        {"layer": convolution, "inputs": ["b"], "name": "c"},
        {"layer": "add", "inputs": ["a", "c"]},
    ]
    spec = second(first).at({"task.model": {"type": "layers", "layers": branches}})
    once, again = (values_of(learner_of(spec).model) for _ in range(2))
    assert len(once) == len(learner_of(spec).model.weights) == 16
    assert_same(once, again)
    kernels = [value for path, value in once.items() if path.endswith("kernel") and value.shape == (3, 3, 1, 4)]
    assert len(kernels) == 2
    np.testing.assert_array_equal(*kernels)


def test_a_part_computes_in_the_precision_of_the_new_run(first):
    learner = learner_of(second(first), precision="mixed_bfloat16")
    assert learner.parts["model"](np.zeros((2, 8, 8, 1), np.float32)).dtype == "bfloat16"
    assert_same(values_of(learner.parts["model"]), values_of(restored_learner(first).parts["model"]))


def trained(spec, steps=8):
    data = open_data(spec)
    learner = learner_of(spec, data.info)
    freeze(spec, learner.model)
    build_optimizers(learner)
    learner.model.fit(data.training(learner, 1).take(steps), shuffle=False, verbose=0)
    return learner


def test_a_frozen_part_stays_to_the_bit(first):
    learner = trained(second(first, fit__trainable=["linear/*"]))
    assert_same(values_of(learner.parts["model"]), values_of(restored_learner(first).parts["model"]))


def test_training_goes_on_from_the_part(first):
    before = values_of(restored_learner(first).parts["model"])
    after = values_of(trained(second(first), steps=1).parts["model"])
    for path, value in after.items():
        assert not np.array_equal(value, before[path]), path
        assert np.abs(value - before[path]).max() < 0.1, path


def test_its_contract(first):
    check(
        kplug.spec.plugins.host().registry.find("architecture", "from_run").function,
        (8, 8, 1),
        run=str(first.path),
        part="model",
    )


# --- other data ------------------------------------------------------------------------------------------------------


def test_pictures_of_another_size_and_other_classes(first):
    learner = learner_of(second(first), info((20, 12, 1), 3))
    assert learner.model.output_shape == (None, 3)
    assert_same(values_of(learner.parts["model"]), values_of(restored_learner(first).parts["model"]))
    x = np.random.default_rng(0).random((2, 20, 12, 1), np.float32)
    y = learner.parts["model"](x, training=False).numpy()
    assert y.shape == (2, 18, 10, 4)
    small = restored_learner(first).parts["model"](x[:, 4:12, :8], training=False).numpy()
    np.testing.assert_allclose(y[:, 4:10, :6], small, atol=1e-5)


def test_other_channels_are_refused(first):
    with pytest.raises(
        kplug.SpecError, match=r"'model' of the run '.*', which was trained on 8x8x1, cannot be .* 8x8x3: .*axis -1"
    ):
        learner_of(second(first), info((8, 8, 3)))


def test_other_classes_do_not_fit_a_trained_head(first):
    spec = second(first).at({"task.head": {"type": "from_run", "run": str(first.path), "part": "head"}})
    with pytest.raises(
        kplug.SpecError, match=r"task: 3 classes need as many scores a picture; head gave the shape \[10\]"
    ):
        learner_of(spec, info(classes=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("flatten, {type: dense, units: 3}", r"trained on 8x8x1, cannot be applied to 8x12x1: .*axis -1.*64"),
        ("{type: reshape, target_shape: [64]}, {type: dense, units: 3}", r"cannot be applied to 8x12x1"),
        ("flat_tokens, {type: dense, units: 3}", r"its layers hold to the size of then; 2 examples gave \(3, 64, 3\)"),
    ],
)
def test_layers_that_need_the_size(layers, message, tmp_path):
    def flat_tokens() -> kplug.Architecture:
        """A pixel is a token; how many there are is fixed when it is built."""
        from kplug.model.network import Network

        def apply(x):
            return keras.ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

        return Network(apply, name="tokens")

    with plugged(flat_tokens):
        text = FIRST.replace("epochs: 1", "epochs: 0")
        spec = kplug.loads(text).at({"task.model": parse(f"{{type: layers, layers: [{layers}]}}", "x")[0]})
        run = kplug.train(spec, tmp_path / "run")
        assert learner_of(second(run)).model.count_params()
        with pytest.raises(kplug.SpecError, match=message):
            learner_of(second(run), info((8, 12, 1)))


def test_the_levels_of_a_pyramid_come_with_a_part(tmp_path):
    def stages() -> kplug.Architecture:
        """Two strides."""
        from kplug.model.network import Network

        def apply(x):
            two = keras.layers.Conv2D(3, 3, 2, padding="same")(x)
            return keras.layers.Conv2D(5, 3, 2, padding="same")(two), {"P1": two}

        return Network(apply, name="stages")

    with plugged(stages):
        spec = kplug.loads(FIRST.replace("epochs: 1", "epochs: 0")).at({"task.model": "stages"})
        run = kplug.train(spec, tmp_path / "run")
        part = learner_of(second(run), info((16, 16, 1))).parts["model"]
    levels = keras.Model(part.network.inputs[0], part.pyramid_outputs)
    x = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    assert levels(x)["P1"].shape == (2, 8, 8, 3)
    assert part(x).shape == (2, 4, 4, 5)
    kernel, bias = part.weights[:2]
    expected = keras.ops.conv(x, kernel, 2, "same") + bias
    np.testing.assert_allclose(levels(x)["P1"], expected, atol=1e-5)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_check_needs_neither_the_run_nor_tensorflow(tmp_path):
    (tmp_path / "good.yaml").write_text(SECOND.replace("RUN", "nowhere/1"))
    (tmp_path / "bad.yaml").write_text(SECOND.replace("part: model", 'part: ""').replace("RUN", "3"))
    assert no_tensorflow("check", str(tmp_path / "good.yaml")).returncode == 0
    done = no_tensorflow("check", str(tmp_path / "bad.yaml"))
    assert done.returncode == 2
    assert "task.model.run: 3 is not" in done.stderr and "task.model.part: ''" in done.stderr


def spoilt(run, name):
    if name == "nowhere":
        shutil.rmtree(run.path)
    elif name == "no run":
        (run.path / "spec.yaml").unlink()
    elif name == "unfinished":
        (run.path / "model.weights.h5").unlink()
        (run.path / "kept.json").unlink()
    elif name == "damaged":
        content = (run.path / "model.weights.h5").read_bytes()
        (run.path / "model.weights.h5").write_bytes(content[: len(content) // 2])
    elif name == "another":
        text = (run.path / "spec.yaml").read_text()
        (run.path / "spec.yaml").write_text(text.replace("filters: 4", "filters: 5"))
    elif name == "strange":
        text = (run.path / "spec.yaml").read_text()
        (run.path / "spec.yaml").write_text(text.replace("type: relu", "type: reluu"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such directory"),
        ("no run", r"no run: it has no spec\.yaml"),
        ("unfinished", r"model\.weights\.h5 is missing: the run did not get through its first epoch"),
        ("damaged", r"model\.weights\.h5 is damaged"),
        ("another", r"model\.weights\.h5 does not fit the model"),
        ("strange", r"spec\.yaml:\d+:\d+: .*no architecture named 'reluu'; did you mean 'relu'"),
    ],
)
def test_a_run_that_cannot_be_used(mine, name, message):
    spec = second(mine)
    spoilt(mine, name)
    with pytest.raises(kplug.SpecError, match=rf"spec:5:\d+: task\.model: cannot take 'model' from .*{message}"):
        learner_of(spec)


def test_a_part_that_is_not_there(first):
    message = (
        r"task\.model: cannot take 'modle' .* no part 'modle'; did you mean 'model'\? \(its parts are model, head\)"
    )
    with pytest.raises(kplug.SpecError, match=message):
        learner_of(second(first, task__model__part="modle"))


def test_a_part_whose_weights_no_run_keeps(tmp_path):
    def aside(data: DataInfo, fit: FitInfo) -> kplug.Task:
        """A task that offers a layer which its model does not hold."""
        learner = kplug.spec.plugins.host().registry.find("task", "classification").function
        made = learner(data, fit, keras.layers.Flatten(), keras.layers.Dense(len(data.classes)), "mse", "sgd", [], 0.0)
        beside = keras.layers.Dense(3)
        beside.build((None, 4))
        return kplug.Learner(made.model, made.prepare, made.serve, {"beside": beside})

    with plugged(aside):
        spec = kplug.loads(FIRST.replace("epochs: 1", "epochs: 0")).at({"task": "aside"})
        run = kplug.train(spec, tmp_path / "run")
        with pytest.raises(kplug.SpecError, match="'beside' is no layer of the run's model"):
            learner_of(second(run, task__model__part="beside"))


def test_a_stage_that_takes_from_a_run_that_is_not_there(first):
    spec = second(first).at({"fit.stages": [{"epochs": 1, "set": {"task.model.run": "/nowhere"}}]})
    with pytest.raises(kplug.SpecError, match=r"task\.model\.run: /nowhere: no such directory"):
        find_parts(spec)


# --- the copy --------------------------------------------------------------------------------------------------------


def made_run(spec, path):
    """A run as `train` begins one."""
    run = Run.create(spec, path)
    keep_parts(run, find_parts(spec))
    return run


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


NEEDED = ["data.json", "kept.json", "model.weights.h5", "spec.yaml"]


def test_the_copy_stands_for_the_run(mine, tmp_path):
    spec = second(mine)
    expected = values_of(learner_of(spec).model)
    run = made_run(spec, tmp_path / "second")
    assert files(run.path / "parts") == [*(f"1/{name}" for name in NEEDED), "parts.json"]
    shutil.rmtree(mine.path)
    run = Run.open(shutil.move(run.path, tmp_path / "moved"))
    assert_same(values_of(learner_of(run.spec, run=run).model), expected)
    with pytest.raises(kplug.SpecError, match="no such directory"):
        learner_of(run.spec)


def test_parts_of_one_run_share_a_copy(first, mine, tmp_path):
    os.symlink(mine.path, tmp_path / "link")
    spec = second(mine).at({"task.head": {"type": "from_run", "run": str(tmp_path / "link"), "part": "head"}})
    spec = spec.at({"fit.stages": [{"epochs": 1, "set": {"task.model.run": str(first.path)}}]})
    run = made_run(spec, tmp_path / "second")
    index = json.loads((run.path / "parts/parts.json").read_text())
    found = {path: entry["folder"] for path, entry in index.items()}
    assert found == {str(mine.path): "1", str(tmp_path / "link"): "1", str(first.path): "2"}
    assert sorted(path.name for path in (run.path / "parts").iterdir()) == ["1", "2", "parts.json"]


def test_a_run_without_parts_keeps_none(tmp_path):
    assert files(made_run(kplug.loads(FIRST), tmp_path / "run").path) == ["spec.yaml"]


def test_parts_of_parts(mine, tmp_path):
    middle = made_run(second(mine), tmp_path / "middle")
    learner = learner_of(middle.spec, run=middle)
    middle.write_json("data.json", info().to_json())
    middle.write_json("kept.json", {"stage": 0})
    learner.parts["model"].weights[0].assign_add(np.ones((3, 3, 1, 4)))
    learner.model.save_weights(middle.path / "model.weights.h5")
    expected = values_of(learner.parts["model"])
    last = made_run(second(middle), tmp_path / "last")
    for run in (mine, middle):
        shutil.rmtree(run.path)
    assert {*(f"1/parts/1/{name}" for name in NEEDED), "1/parts/parts.json"} < set(files(last.path / "parts"))
    assert_same(values_of(learner_of(last.spec, run=last).parts["model"]), expected)


def test_a_copy_that_was_changed_is_refused(first, tmp_path):
    run = made_run(second(first), tmp_path / "second")
    file = run.path / "parts/1/model.weights.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(kplug.SpecError, match=r"parts/1: model\.weights\.h5 is not as it was copied"):
        learner_of(run.spec, run=run)


def test_another_path_than_the_one_that_was_copied_is_refused(first, mine, tmp_path):
    run = made_run(second(first), tmp_path / "second")
    with pytest.raises(kplug.SpecError, match=r"second has no copy of it, .*\(of: .*run\)"):
        learner_of(run.spec.at({"task.model.run": str(mine.path)}), run=run)


def test_a_folder_outside_is_refused(first, tmp_path):
    run = made_run(second(first), tmp_path / "second")
    index = json.loads((run.path / "parts/parts.json").read_text())
    index[str(first.path)]["folder"] = "../../first"
    (run.path / "parts/parts.json").write_text(json.dumps(index))
    with pytest.raises(kplug.SpecError, match="not a number"):
        learner_of(run.spec, run=run)


def test_a_copy_is_whole_or_not_there(first, tmp_path, monkeypatch):
    run = Run.create(second(first), tmp_path / "second")
    sources = find_parts(run.spec)
    (run.path / ".parts").mkdir()
    (run.path / ".parts/left").write_text("by a process that was killed")

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(kplug.SpecError, match=r"parts: cannot be written: No space"):
        patch.setattr(shutil, "copyfile", full)
        keep_parts(run, sources)
    assert files(run.path) == ["spec.yaml"]
    keep_parts(run, sources)
    assert files(run.path / "parts") == [*(f"1/{name}" for name in NEEDED), "parts.json"]


# --- whole trainings -------------------------------------------------------------------------------------------------


STAGED = {"fit__trainable": ["linear/*"], "fit__stages": [{"epochs": 1, "set": {"fit.trainable": ["*"]}}]}


@pytest.fixture(scope="module")
def whole(first, tmp_path_factory):
    return kplug.train(second(first, **STAGED), tmp_path_factory.mktemp("second") / "run")


@pytest.mark.slow
def test_a_run_is_whole_without_the_one_it_took_from(mine, tmp_path):
    trained_model = values_of(restored_learner(mine).parts["model"])
    made = kplug.train(second(mine, fit__trainable=["linear/*"]), tmp_path / "second")
    before = made.evaluate("test")
    shutil.rmtree(mine.path)
    run = Run.open(shutil.move(made.path, tmp_path / "moved"))
    assert_same(values_of(restored_learner(run).parts["model"]), trained_model)
    assert run.evaluate("test") == before
    assert run.predict([run.path / "samples/image/00.png"])[0]["class"] in run.info.classes
    assert run.export().name == "1"


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 12, 20])
def test_a_killed_run_goes_on_without_the_one_it_took_from(whole, first, tmp_path, step):
    from kplug.training.fit import resume

    source = Run.open(shutil.copytree(first.path, tmp_path / "first"))
    stopped = killed_after(step, second(source, **STAGED), tmp_path / "second")
    shutil.rmtree(source.path)
    run = resume(shutil.move(stopped.path, tmp_path / "moved"))
    assert run.rows("metrics.jsonl") == whole.rows("metrics.jsonl")
    assert_same(values_of(restored_learner(run).model), values_of(restored_learner(whole).model))


@pytest.mark.slow
def test_a_part_of_a_run_that_took_a_part(whole, first, tmp_path):
    middle = Run.open(shutil.copytree(whole.path, tmp_path / "middle"))
    last = kplug.train(second(middle, fit__epochs=0), tmp_path / "last")
    shutil.rmtree(middle.path)
    assert_same(values_of(restored_learner(last).parts["model"]), values_of(restored_learner(whole).parts["model"]))


def test_nothing_is_made_where_a_later_stage_has_no_run(first, tmp_path):
    stages = [{"epochs": 1, "set": {"task.model.run": str(tmp_path / "nowhere")}}]
    with pytest.raises(kplug.SpecError, match=r"task\.model\.run: .*nowhere: no such directory"):
        kplug.train(second(first, fit__stages=stages), tmp_path / "second")
    assert not (tmp_path / "second").exists()


def distilled(rebuild: kplug.Rebuild, run: kplug.RunPath) -> kplug.Architecture:
    """A component of a stranger that uses a run.

    Args:
        run: the other run.
    """
    from kplug.model.from_run import trained_part

    return trained_part(run, "model", rebuild)


def test_a_strangers_component_that_names_a_run_is_kept_whole_too(first, tmp_path):
    with plugged(distilled):
        loaded = second(first).at({"task.model": {"type": "distilled", "run": str(first.path)}})
        assert [run.path for run in find_parts(loaded).values()] == [first.path]
        missing = loaded.at({"task.model.run": str(tmp_path / "none")})
        with pytest.raises(kplug.SpecError, match=r"task\.model\.run: .*no such directory"):
            find_parts(missing)
