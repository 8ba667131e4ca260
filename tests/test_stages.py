"""Stages: the model built anew with some values changed, its weights carried over."""

import numpy as np
import pytest

import kplug
from kplug.model.learner import restored_learner
from kplug.training.fit import train

SPEC = """
name: staged
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3, activation: relu}]}
  optimizer: {type: adam, learning_rate: 1e-2}
data: {source: digits, sampler: {type: shuffled, batch_size: 200}}
fit: {epochs: 1, best: {minimize: loss}, stages: STAGES}
"""


def staged(stages, **values):
    return kplug.loads(SPEC.replace("STAGES", stages)).at({p.replace("__", "."): v for p, v in values.items()})


@pytest.mark.slow
def test_rows_name_their_stage_and_count_on(tmp_path):
    run = train(staged("[{epochs: 2, set: {task.optimizer.learning_rate: 1e-3}}, {epochs: 1}]"), tmp_path / "run")
    rows = run.rows("metrics.jsonl")
    assert [row["stage"] for row in rows] == [0, 1, 1, 2]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows] == [6, 12, 18, 24]
    assert [round(row["learning_rate"], 6) for row in rows] == [0.01, 0.001, 0.001, 0.01]


def test_weights_are_carried_over_and_frozen_ones_stay(tmp_path, capsys):
    run = train(staged("[{epochs: 2, set: {fit.trainable: [linear/*]}}]"), tmp_path / "run")
    first = train(staged("[]"), tmp_path / "first")
    convolution, *_ = restored_learner(run).model.get_weights()
    np.testing.assert_array_equal(convolution, restored_learner(first).model.get_weights()[0])
    assert run.metrics["loss"] < first.metrics["loss"]
    assert "not carried over" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_stage_may_change_the_model_and_says_what_it_does_not_take(tmp_path, capsys):
    run = train(staged("[{epochs: 1, set: {task.model.layers.0.filters: 5}}]"), tmp_path / "run")
    assert "not carried over: layers/conv2d/kernel" in capsys.readouterr().err
    rows = run.rows("metrics.jsonl")
    kept = min(rows, key=lambda row: row["loss"])["stage"]
    assert restored_learner(run).model.get_weights()[0].shape == (3, 3, 1, 5 if kept else 4)
    assert run.evaluate("test") and run.export(tmp_path / "served")


def test_no_epochs_and_then_a_stage(tmp_path):
    run = train(staged("[{epochs: 1}]", fit__epochs=0), tmp_path / "run")
    assert [row["stage"] for row in run.rows("metrics.jsonl")] == [1]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            "[{epochs: 1, set: {task.modle: flatten}}]",
            r"spec:8:\d+: task.modle: unknown parameter; did you mean 'model'",
        ),
        ("[{epochs: 1, set: {task.model.layers.7: relu}}]", r"spec:8:\d+: task.model.layers.7: there is no item"),
        ("[{epochs: 0}]", r"fit.stages.0.epochs: 0 is less than 1"),
        ("[{set: {}}]", r"fit.stages.0.epochs: missing"),
        ("[{epochs: 1, set: {data.source: digits}}]", r"a stage cannot change data.source, which belongs to the run"),
        ("[{epochs: 1, set: {fit.best: {minimize: loss}}}]", r"a stage cannot change fit.best"),
        ("[{epochs: 1, set: {seed: 3}}]", r"a stage cannot change seed"),
    ],
)
def test_a_wrong_stage_is_refused_by_check(stages, message):
    with pytest.raises(kplug.SpecError, match=message):
        staged(stages)


def test_normalization_computes_with_the_weights_that_are_carried_over_or_restored(tmp_path):
    """The layer keeps copies of them, which an assignment does not reach."""
    import keras

    from kplug.model.weights import carry_over, finalize
    from kplug.training.checkpoints import Checkpoint

    def made():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Normalization(name="normalization")], name="m")
        return model

    x = np.random.default_rng(0).normal(3, 2, (8, 3)).astype("float32")
    trained = made()
    trained.layers[0].adapt(x)
    wanted = trained(x).numpy()
    assert abs(wanted.mean()) < 1e-5
    fresh = made()
    carry_over({weight.path: weight.numpy() for weight in trained.weights}, fresh)
    np.testing.assert_allclose(fresh(x), wanted, atol=1e-6)
    fresh = made()
    for mine, theirs in zip(fresh.weights, trained.weights, strict=True):
        mine.assign(theirs)
    assert not np.allclose(fresh(x), wanted), "Keras does it itself by now: finalize can go"
    finalize(fresh)
    np.testing.assert_allclose(fresh(x), wanted, atol=1e-6)
    assert Checkpoint.restore.__code__.co_names.count("finalize") == 1
