"""From a spec to a finished run and what it answers, on tiny data."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug.inference.run import Run
from kplug.spec.plugins import using

SPEC = """
name: tiny
task:
  type: classification
  model:
    type: layers
    layers: [{type: conv2d, filters: 4, kernel_size: 3, activation: relu}, {type: dropout, rate: 0.2}]
  optimizer: {type: adam, learning_rate: 1e-2}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 200}
  augment: [{type: random_translation}]
fit: {epochs: 2}
"""


def spec(**values):
    return kplug.loads(SPEC).at({path.replace("__", "."): value for path, value in values.items()})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kplug.train(spec(), tmp_path_factory.mktemp("runs") / "tiny")


def weights(run, name="model.weights.h5"):
    from kplug.model.learner import restored_learner
    from kplug.model.weights import weights_only

    learner = restored_learner(run)
    with weights_only(learner.model):
        learner.model.load_weights(run.path / name)
    return learner.model.get_weights()


def test_a_run_holds_everything(run):
    files = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    wanted = "spec.yaml data.json environment.json metrics.jsonl timings.jsonl result.json model.weights.h5"
    assert files >= {*wanted.split(), "last.weights.h5", "plots/curves.png", "samples/image/00.png"}
    assert any(name.startswith("tensorboard/validation/") for name in files)
    assert not any("/." in f"/{name}" for name in files), "a temporary file was left"
    assert run.finished and run.result["run"] == str(run.path)
    assert kplug.load(run.path / "spec.yaml") == run.spec.filled()
    environment = run.read_json("environment.json")
    assert environment["distributions"]["keras"] and environment["chosen"]["precision"] in ("float32", "mixed_bfloat16")
    assert all(len(plugin["sha256"]) == 64 for plugin in environment["plugins"])


def test_rows_have_metrics_and_no_times(run):
    rows = run.rows("metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2] and [row["step"] for row in rows] == [6, 12]
    assert set(rows[0]) == {"stage", "epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert [set(row) for row in run.rows("timings.jsonl")] == [{"epoch", "seconds"}] * 2


def test_the_result_is_the_best_epoch(run):
    rows = run.rows("metrics.jsonl")
    best = min(rows, key=lambda row: row["val_loss"])
    assert run.metrics["epoch"] == best["epoch"] and run.metrics["val_accuracy"] == best["val_accuracy"]
    assert run.evaluate("validation")["loss"] == pytest.approx(best["val_loss"], rel=1e-5)


def test_the_same_spec_gives_the_same_run(run, tmp_path):
    again = kplug.train(spec(), tmp_path / "again")
    assert again.rows("metrics.jsonl") == run.rows("metrics.jsonl")
    for one, other in zip(weights(run, "last.weights.h5"), weights(again, "last.weights.h5"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_moves_and_answers_from_where_it_is(run, tmp_path):
    import shutil

    moved = Run.open(shutil.copytree(run.path, tmp_path / "moved"))
    assert moved.evaluate("test") == run.evaluate("test")
    assert json.loads((moved.path / "evaluation-test.json").read_text())["metrics"] == moved.evaluate("test")


def test_predictions_for_files(run, tmp_path):
    (tmp_path / "not.png").write_text("no picture")
    files = [run.path / "samples/image/00.png", tmp_path / "not.png", run.path / "samples/image/01.png"]
    found = run.predict(files, top=3)
    assert [answer["file"] for answer in found] == [str(file) for file in files]
    assert [answer["valid"] for answer in found] == [True, False, True]
    assert set(found[1]) == {"file", "valid", "reason"} and "a picture file" in found[1]["reason"]
    for answer in (found[0], found[2]):
        assert answer["class"] == answer["top"][0][0] and answer["score"] == answer["top"][0][1]
        assert len(answer["top"]) == 3 and answer["class"] in run.info.classes
    alone = run.predict([files[2]], top=3)[0]
    assert alone["top"][0][1] == pytest.approx(found[2]["top"][0][1], abs=1e-5)


def test_a_missing_file_is_named(run):
    with pytest.raises(kplug.SpecError, match=r"00.pn: no such file or directory; did you mean '00.png'"):
        run.predict([run.path / "samples/image/00.pn"])


@pytest.mark.slow
def test_an_export_says_what_the_run_says(run, tmp_path):
    first, second = run.export(tmp_path / "served"), run.export(tmp_path / "served")
    assert (first.name, second.name) == ("1", "2")
    files = sorted((run.path / "samples/image").glob("*.png"))
    served = tf.saved_model.load(str(second)).signatures["serving_default"]
    answers = served(image_bytes=tf.constant([f.read_bytes() for f in files]))
    expected = run.predict(files, top=1)
    assert [name.decode() for name in answers["classes"].numpy()] == [answer["class"] for answer in expected]
    np.testing.assert_allclose(answers["probabilities"].numpy().max(1), [a["score"] for a in expected], atol=1e-5)


def test_no_epochs_make_a_run_of_the_first_weights(tmp_path):
    first = kplug.train(spec(fit__epochs=0), tmp_path / "zero")
    assert first.finished and not first.rows("metrics.jsonl") and "val_loss" in first.metrics
    assert first.evaluate("test")["accuracy"] < 0.5


def test_trainable_freezes_the_rest(tmp_path):
    frozen = kplug.train(spec(fit__trainable=["linear/*"], fit__epochs=1), tmp_path / "frozen")
    start = kplug.train(spec(fit__epochs=0), tmp_path / "start")
    changed = [not np.array_equal(a, b) for a, b in zip(weights(frozen), weights(start), strict=True)]
    assert changed == [False, False, True, True]


def test_a_pattern_that_matches_no_layer(tmp_path):
    with pytest.raises(kplug.SpecError, match=r"fit.trainable.0: 'lineer/\*' matches no layer; there are .*linear/"):
        kplug.train(spec(fit__trainable=["lineer/*"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name, hint", [("val_acc", r"; did you mean 'val_accuracy'\?"), ("mAP", r"; this run reports loss, acc")]
)
def test_a_metric_that_is_not_reported(tmp_path, name, hint):
    with pytest.raises(kplug.SpecError, match=f"fit.best.maximize: '{name}' is not reported{hint}"):
        kplug.train(spec(fit__best={"maximize": name}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_best_may_be_the_last(tmp_path):
    """Whatever the loss says: with a rate of this size it rises."""
    values = {"fit__best": "last", "fit__epochs": 3, "task__optimizer": {"type": "sgd", "learning_rate": 30.0}}
    run = kplug.train(spec(**values), tmp_path / "run")
    assert run.result["metrics"]["epoch"] == 3
    assert run.rows("metrics.jsonl")[-1]["val_loss"] > run.rows("metrics.jsonl")[0]["val_loss"]
    best, last = ((run.path / f"{name}.weights.h5").read_bytes() for name in ("model", "last"))
    assert best == last


def test_best_may_be_the_largest(tmp_path):
    values = {"fit__best": {"maximize": "val_accuracy"}, "fit__epochs": 3}
    made = kplug.train(spec(**values), tmp_path / "run")
    assert made.metrics["val_accuracy"] == max(row["val_accuracy"] for row in made.rows("metrics.jsonl"))


def test_without_validation_the_training_loss_says_what_is_best(tmp_path):
    made = kplug.train(spec(data__validation=0.0), tmp_path / "run")
    assert "val_loss" not in made.metrics
    assert made.metrics["loss"] == min(row["loss"] for row in made.rows("metrics.jsonl"))


def test_mixed_precision_trains_in_bfloat16_and_answers_in_float32(tmp_path):
    from kplug.model.learner import restored_learner

    made = kplug.train(spec(fit__precision="mixed_bfloat16"), tmp_path / "run")
    assert made.metrics["loss"] < 2.4
    model = restored_learner(made).model
    assert {layer.compute_dtype for layer in model._flatten_layers()} <= {"float32", "uint8"}


def test_callbacks_of_the_spec_and_of_plugins(tmp_path):
    class Plugin:
        @kplug.hookimpl
        def callbacks(self, run):
            import keras

            return [keras.callbacks.LambdaCallback(on_train_end=lambda logs: run.write("theirs.txt", "was here"))]

    values = {"fit__epochs": 9, "fit__callbacks": [{"type": "early_stopping", "monitor": "loss", "min_delta": 9.0}]}
    with using([Plugin()]):
        made = kplug.train(spec(**values), tmp_path / "run")
    assert len(made.rows("metrics.jsonl")) == 2, "the spec's own callback stops after the second epoch"
    assert (made.path / "theirs.txt").read_text() == "was here"


def test_a_plugin_reports_further_metrics(run):
    class Plugin:
        @kplug.hookimpl
        def evaluated(self, run, split, predictions, columns):
            right = predictions["probabilities"].argmax(1) == columns["label"]
            return {"worst_class": min(right[columns["label"] == c].mean() for c in range(10)), "again": right.mean()}

    with using([Plugin()]):
        metrics = run.evaluate("test")
    assert metrics["again"] == pytest.approx(metrics["accuracy"])
    assert 0 <= metrics["worst_class"] <= metrics["accuracy"]


def test_a_plugin_adds_files_to_an_export(run, tmp_path):
    class Plugin:
        @kplug.hookimpl
        def exported(self, run, path):
            (path / "assets.extra" / "card.txt").write_text(run.spec.name)

    with using([Plugin()]):
        assert (run.export(tmp_path / "served") / "assets.extra" / "card.txt").read_text() == "tiny"


def test_an_error_in_a_plugin_keeps_its_type_and_names_the_node(tmp_path):
    class Plugin:
        distribution = "kplug-broken"

        @staticmethod
        @kplug.hookimpl
        def components():
            return [wrong]

    def wrong(scale: kplug.Positive = 1.0) -> kplug.Loss:
        raise KeyError("gamma")

    with using([Plugin]):
        broken = kplug.loads(SPEC.replace("  optimizer", "  loss: {type: wrong, scale: 2}\n  optimizer"), "broken.yaml")
        with pytest.raises(KeyError, match="gamma") as caught:
            kplug.train(broken, tmp_path / "run")
    assert caught.value.__notes__ == ["broken.yaml:8:9: while building task.loss: loss 'wrong' of kplug-broken 0"]


def test_several_labels_an_example(tmp_path):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (60, 3))
    images = np.repeat(labels[:, None, :] * 200, 8, 1)[:, :, None, :].repeat(8, 2).astype(np.uint8)
    np.savez(tmp_path / "many.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    made = kplug.train(
        spec(
            data__source={"type": "arrays", "path": str(tmp_path / "many.npz")},
            data__sampler={"type": "shuffled", "batch_size": 8},
            fit__epochs=12,
        ),
        tmp_path / "run",
    )
    assert made.info.multi_label and made.evaluate("test")["accuracy"] > 0.9


def test_label_smoothing_changes_the_loss_and_not_the_metrics(run, tmp_path):
    smooth = kplug.train(spec(fit__epochs=0, task__label_smoothing=0.5), tmp_path / "smooth")
    sharp = kplug.train(spec(fit__epochs=0), tmp_path / "sharp")
    assert smooth.metrics["val_accuracy"] == sharp.metrics["val_accuracy"]
    assert smooth.metrics["val_loss"] != pytest.approx(sharp.metrics["val_loss"])
