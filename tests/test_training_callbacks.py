"""The built-in callbacks on real trainings: a guard against divergence, averaged weights, the best few epochs."""

import math
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import kplug
from kplug import RunDirectory
from kplug.contracts.interrupted import contents, killed_after, watched_by, weights_in
from kplug.default_plugins.training.callbacks import best_checkpoints, stop_on_blow_up, weight_averaging
from kplug.errors import BlownUp
from kplug.inference.run import Run
from kplug.testing import check
from kplug.training.fit import resume, train
from kplug.training.rollback import good_checkpoint

SPEC = """
name: watched
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 2, kernel_size: 3}, batch_normalization, relu]}
  optimizer: {type: sgd, learning_rate: 0.1, momentum: 0.9}
data:
  source: digits
  validation: 0.1
  sampler: {type: shuffled, batch_size: 250}
fit:
  epochs: 4
  steps_per_execution: 1
  precision: float32
  callbacks: [CALLBACK]
  checkpoint: {steps: 2, seconds: null, keep: 9}
"""
STEPS = 5  # in an epoch


def spec(callback, **changes):
    loaded = kplug.loads(SPEC.replace("CALLBACK", callback))
    return loaded.at({path.replace("__", "."): value for path, value in changes.items()}) if changes else loaded


def assert_equal_weights(file, other):
    found, wanted = weights_in(file), weights_in(other)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not np.array_equal(found[name], wanted[name])] == []


@pytest.mark.parametrize("component", [best_checkpoints, stop_on_blow_up, weight_averaging])
def test_the_contract(component):
    check(component)


# --- stop_on_blow_up -------------------------------------------------------------------------------------------------


class Poison(keras.callbacks.Callback):
    """Makes a weight NaN after a step, or multiplies all weights."""

    def __init__(self, step, factor=math.nan):
        super().__init__()
        self.left, self.factor = step, factor

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            for weight in self.model.trainable_weights:
                weight.assign(weight * self.factor)


def test_a_loss_that_is_no_number_stops_at_its_step_and_names_the_good_checkpoint(tmp_path):
    with watched_by(Poison(STEPS + 2)), pytest.raises(BlownUp) as error:
        train(spec("stop_on_blow_up", fit__checkpoint__steps=1), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    good, bad = (run.path / "checkpoints" / f"ckpt-0-{step}" for step in (STEPS + 1, STEPS + 2))
    assert not bad.exists()  # its weights were lost before the loss was
    assert good_checkpoint(run).path == good
    assert str(error.value).startswith(f"loss is nan at step 3 of epoch 2; the last good checkpoint is {good}; ")
    assert not run.finished and len(run.rows("metrics.jsonl")) == 1


def test_a_loss_far_above_its_lowest_stops(tmp_path):
    node = "{type: stop_on_blow_up, factor: 20}"
    with watched_by(Poison(STEPS, 1000.0)), pytest.raises(BlownUp) as error:
        train(spec(node), tmp_path / "run")
    message = r"loss is \S+ at step 1 of epoch 2, over 20 times its lowest, [\d.]+; the last good checkpoint is "
    assert re.match(message, str(error.value))


def test_a_training_that_goes_well_is_left_alone(tmp_path):
    assert train(spec("stop_on_blow_up"), tmp_path / "run").finished


def watched(values, **arguments):
    """What a guard says of losses, one a step."""
    guard = stop_on_blow_up(RunDirectory(Path("nowhere")), **arguments)
    guard.on_train_begin()
    guard.on_epoch_begin(0)
    for step, value in enumerate(values):
        guard.on_train_batch_end(step, {"loss": value})
    return guard


def test_the_bound_is_the_lowest_times_the_factor_and_no_less_than_the_first():
    watched([2.0, 0.01, 2.0])  # no worse than untrained
    watched([0.1, 0.05, 0.5])
    watched([1.0, -1.0, 50.0])  # no multiple of a number below 0
    watched([1.0, 1e30], factor=None)
    for losses, kind in (([0.1, 0.05, 0.51], {}), ([1.0, math.inf], {"factor": None}), ([math.nan], {})):
        with pytest.raises(BlownUp, match=f"at step {len(losses)} of epoch 1.*there is no good checkpoint"):
            watched(losses, **kind)


def test_the_bound_survives_a_resume():
    guard = stop_on_blow_up(RunDirectory(Path("nowhere")))
    guard.on_train_begin()
    guard.restore(watched([0.1, 0.05]).state())
    with pytest.raises(BlownUp, match=r"over 10 times its lowest, 0\.05"):
        guard.on_train_batch_end(0, {"loss": 0.51})


@pytest.mark.parametrize(
    "node", ["{type: stop_on_blow_up, monitor: los}", "{type: best_checkpoints, by: {minimize: los}}"]
)
def test_a_number_that_is_not_reported_is_named(tmp_path, node):
    with pytest.raises(kplug.SpecError, match="'los' is not reported; did you mean 'loss'"):
        train(spec(node), tmp_path / "run")


# --- without a callback in the spec -----------------------------------------------------------------------------------


def test_every_training_stops_when_a_loss_and_a_weight_are_no_numbers(tmp_path):
    with watched_by(Poison(STEPS + 2)), pytest.raises(BlownUp) as error:
        train(spec("reduce_lr_on_plateau", fit__checkpoint__steps=1), tmp_path / "run")
    good = tmp_path / "run" / "checkpoints" / f"ckpt-0-{STEPS + 1}"
    message = (
        rf"loss is nan at step 3 of epoch 2, \S+kernel is not finite any more; the last good checkpoint is {good}; "
    )
    assert re.match(message, str(error.value))


def test_weights_lost_in_the_last_step_of_an_epoch_are_not_kept(tmp_path):
    with (
        watched_by(Poison(2 * STEPS)),
        pytest.raises(BlownUp, match=r"\w+ is (nan|not finite) at the end of epoch 2"),
    ):
        train(spec("{type: early_stopping, monitor: loss, patience: 9}", data__validation=0.0), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert len(run.rows("metrics.jsonl")) == 1
    assert all(np.isfinite(values).all() for values in weights_in(run.path / "last.weights.h5").values())


class Blink(keras.callbacks.Callback):
    """Makes the reported loss of one step NaN: its mean stays so to the end of the epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            loss = next(metric for metric in self.model.metrics if metric.name == "loss")
            loss.total.assign(math.nan)


def test_a_loss_that_is_no_number_over_good_weights_is_said_once(tmp_path, capsys):
    with watched_by(Blink()):
        assert train(spec("reduce_lr_on_plateau"), tmp_path / "run").finished
    said = [line for line in capsys.readouterr().err.splitlines() if "weights are finite still" in line]
    assert len(said) == 1 and said[0].startswith("loss is nan at step 3 of epoch 1; ")


def test_a_training_that_its_spec_ends_is_left_alone(tmp_path):
    with watched_by(Poison(STEPS + 2)):
        assert train(spec("terminate_on_nan"), tmp_path / "run").finished


# --- weight_averaging ------------------------------------------------------------------------------------------------


class Trained(keras.callbacks.Callback):
    """Remembers the weights after the last step of each epoch."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == STEPS:
            self.ends.append([weight.numpy() for weight in self.model.weights])


def last_weights(run):
    """Of `last.weights.h5`, in the order of the model."""
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner
    from kplug.model.weights import weights_only

    model = build_learner(run.spec, run.info, FitInfo(1, 1), "float32").model
    with weights_only(model):
        model.load_weights(run.path / "last.weights.h5")
    return model, [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("validation", [0.1, pytest.param(0.0, marks=pytest.mark.slow)])
def test_the_mean_of_the_last_epochs_is_kept_and_training_does_not_notice(tmp_path, validation):
    plain, averaged = Trained(), Trained()
    with watched_by(plain):
        train(spec("terminate_on_nan", data__validation=validation), tmp_path / "plain")
    with watched_by(averaged):
        run = train(spec("{type: weight_averaging, last: 0.75}", data__validation=validation), tmp_path / "averaged")
    for one, other in zip(plain.ends, averaged.ends, strict=True):
        np.testing.assert_array_equal(
            np.concatenate([w.ravel() for w in one]), np.concatenate([w.ravel() for w in other])
        )
    for weight, *ends in zip(last_weights(run)[1], *averaged.ends[1:], strict=True):
        np.testing.assert_allclose(weight, np.mean(ends, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_kept_metrics_are_those_of_the_mean(tmp_path):
    from kplug.data.splits import open_data
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner

    run = train(spec("{type: weight_averaging, last: 0.5}"), tmp_path / "run")
    data = open_data(run.spec)
    model, _ = last_weights(run)
    batches = data.evaluation(build_learner(run.spec, run.info, FitInfo(1, 1), "float32"), "validation")
    found = model.evaluate(batches, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(run.rows("metrics.jsonl")[-1]["val_loss"], rel=1e-5)


AVERAGED = SPEC.replace("CALLBACK", "{type: weight_averaging, last: 0.75}")


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    return train(kplug.loads(AVERAGED), tmp_path_factory.mktemp("averaged") / "run")


@pytest.mark.parametrize(
    "step", [13, *(pytest.param(step, marks=pytest.mark.slow) for step in (4, 10, 11, 15, 16, 19, 20))]
)
def test_an_average_goes_on_after_a_kill(averaged, tmp_path, step):
    run = killed_after(step, kplug.loads(AVERAGED.replace("steps: 2,", "steps: 1,")), tmp_path / "run")
    assert contents(resume(run.path)) == contents(averaged)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["{0}, {1}", "{1}, {0}"])
def test_a_training_that_stops_early_ends_with_the_mean(tmp_path, order):
    stop = "{type: early_stopping, monitor: loss, min_delta: 1, patience: 1}"
    callbacks = order.format("{type: weight_averaging, last: 1}", stop)
    seen = Trained()
    with watched_by(seen):
        run = train(spec(callbacks, fit__epochs=8), tmp_path / "run")
    assert 1 <= len(seen.ends) < 8
    for weight, *ends in zip(last_weights(run)[1], *seen.ends, strict=True):
        np.testing.assert_allclose(weight, np.mean(ends, axis=0), rtol=1e-5, atol=1e-6)
    again = Run.open(shutil.copytree(run.path, tmp_path / "again"))
    (again.path / "result.json").unlink()  # killed between the last checkpoint and the result
    assert contents(resume(again.path)) == contents(run)


def test_a_finished_training_can_be_made_longer(averaged, tmp_path):
    more = Run.open(shutil.copytree(averaged.path, tmp_path / "more"))
    assert len(resume(more.path, {"fit.epochs": 6}).rows("metrics.jsonl")) == 6


# --- best_checkpoints ------------------------------------------------------------------------------------------------

BEST = SPEC.replace("CALLBACK", "{type: best_checkpoints, keep: 2}").replace("epochs: 4", "epochs: 6")


def kept(run):
    return sorted(int(re.findall(r"\d+", path.name)[0]) for path in (run.path / "best").iterdir())


def ranked(run, count, metric="val_loss", sign=1):
    rows = sorted(run.rows("metrics.jsonl"), key=lambda row: (sign * row[metric], row["epoch"]))
    return sorted(row["epoch"] for row in rows[:count])


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    return train(kplug.loads(BEST), tmp_path_factory.mktemp("best") / "run")


def test_the_best_epochs_are_kept(best):
    assert kept(best) == ranked(best, 2)
    first = min(best.rows("metrics.jsonl"), key=lambda row: row["val_loss"])["epoch"]
    assert_equal_weights(best.path / f"best/epoch-{first}.weights.h5", best.path / "model.weights.h5")


def test_the_best_by_a_metric_that_should_rise_or_without_validation(tmp_path):
    run = train(spec("{type: best_checkpoints, keep: 1, by: {maximize: accuracy}}"), tmp_path / "rise")
    assert kept(run) == ranked(run, 1, "accuracy", -1)
    run = train(spec("{type: best_checkpoints, keep: 1}", data__validation=0.0), tmp_path / "alone")
    assert kept(run) == ranked(run, 1, "loss")


@pytest.mark.parametrize("step", [12, *(pytest.param(step, marks=pytest.mark.slow) for step in (22, 29))])
def test_the_best_epochs_are_the_same_after_a_kill(best, tmp_path, step):
    run = killed_after(step, kplug.loads(BEST.replace("steps: 2,", "steps: 9,")), tmp_path / "run")
    run = resume(run.path)
    assert contents(run) == contents(best)
    assert kept(run) == kept(best)
    for epoch in kept(run):
        name = f"best/epoch-{epoch}.weights.h5"
        assert_equal_weights(run.path / name, best.path / name)


@pytest.mark.parametrize("optimizer", [{"type": "sgd", "use_ema": True}, "schedule_free_adamw"])
def test_two_averages_of_the_weights_exclude_each_other(tmp_path, optimizer):
    both = spec("weight_averaging").at({"task.optimizer": optimizer})
    with pytest.raises(kplug.SpecError, match="weight_averaging and an optimizer that averages"):
        train(both, tmp_path / "run")


# --- what callbacks watch --------------------------------------------------------------------------------------------

WATCHED = """
name: watched
task: {type: classification, model: {type: layers, layers: [flatten]}, metrics: METRICS}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 1, callbacks: [CALLBACK]}
"""


def spec_that_watches(callback, metrics="[accuracy]"):
    return kplug.loads(WATCHED.replace("CALLBACK", callback).replace("METRICS", metrics))


@pytest.mark.parametrize("callback", ["early_stopping", "reduce_lr_on_plateau"])
@pytest.mark.parametrize("monitor", ["val_balanced_accuracy", "val_loss", "accuracy"])
def test_the_direction_of_what_is_watched_is_known(callback, monitor, tmp_path):
    spec = spec_that_watches(f"{{type: {callback}, monitor: {monitor}}}", "[accuracy, balanced_accuracy]")
    run = kplug.train(spec, tmp_path / "run")
    assert monitor in run.metrics


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("{type: early_stopping, monitor: val_lss}", "monitor: 'val_lss' is not reported; did you mean 'val_loss'"),
        ("{type: stop_on_blow_up, monitor: lossy}", "monitor: 'lossy' is not reported"),
        ("{type: early_stopping, monitor: val_false_negatives}", "mode: nothing says whether 'val_false_negatives' "),
    ],
)
def test_what_nobody_reports_is_refused_before_the_first_step(callback, message, tmp_path):
    spec = spec_that_watches(callback, "[accuracy, false_negatives]")
    with pytest.raises(kplug.SpecError, match=f"fit.callbacks.0.{message}"):
        kplug.train(spec, tmp_path / "run")
    assert not (tmp_path / "run").exists()
