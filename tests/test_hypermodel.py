"""Keras Tuner drives a spec's space by itself; folds cut the training examples."""

import keras
import keras_tuner
import numpy as np
import pytest

import kplug
from kplug.data.splits import open_data
from kplug.errors import SpecError
from kplug.testing import plugged
from kplug.tuning.oracle_space import declare, point_of

SPEC = """
name: tuned
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2}}
data: {source: digits, sampler: {type: shuffled, batch_size: 128}}
fit: {epochs: 1}
search:
  space:
    task.model.layers.0.filters: {int: [2, 8]}
    task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}
    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}
    task.label_smoothing: {choice: [0, 0.1]}
    data.augment: {choice: {none: [], shifts: [random_translation]}}
    fit.jit: {choice: [auto, false]}
"""


def test_keras_tuner_searches_it(tmp_path):
    tuner = keras_tuner.RandomSearch(
        kplug.hypermodel(kplug.loads(SPEC)), objective="val_accuracy", max_trials=3, directory=tmp_path, seed=1
    )
    tuner.search(verbose=0)
    best = tuner.oracle.get_best_trials()[0]
    assert 0 < best.score <= 1
    names = {one.name for one in tuner.oracle.get_space().space}
    assert names == set(kplug.loads(SPEC)["search"].arguments["space"])
    model = tuner.hypermodel.build(best.hyperparameters)
    assert model.count_params() > 0


def test_the_schedule_of_a_promoted_trial_goes_on(tmp_path):
    """Hyperband of Keras Tuner loads the weights of a trial into a model that `build` makes."""
    rates = []

    class Noting(keras_tuner.Hyperband):
        def run_trial(self, trial, *args, **options):
            values = trial.hyperparameters.values

            class Rates(keras.callbacks.Callback):  # Keras Tuner trains with a copy of it
                def on_epoch_end(self, epoch, logs=None):
                    rates.append((values["tuner/initial_epoch"], epoch, float(self.model.optimizer.learning_rate)))

            return super().run_trial(trial, *args, callbacks=[Rates()], **options)

    text = SPEC[: SPEC.index("search:")].replace("epochs: 1", "epochs: 3")
    text += "search: {space: {task.label_smoothing: {choice: [0, 0.1, 0.2]}}}"
    tuner = Noting(
        kplug.hypermodel(kplug.loads(text)),
        objective="val_accuracy",
        max_epochs=3,
        factor=3,
        directory=tmp_path,
        seed=1,
    )
    tuner.search(verbose=0)
    by_epoch = {epoch: {rate for _, at, rate in rates if at == epoch} for epoch in range(3)}
    assert any(begun > 0 for begun, _, _ in rates), "no trial was promoted"
    assert all(len(found) == 1 for found in by_epoch.values()), by_epoch
    assert min(by_epoch[0]) > min(by_epoch[1]) > min(by_epoch[2]) >= 0


def test_values_of_keras_tuner_are_points():
    space = kplug.loads(SPEC).space()
    hyperparameters = declare(space)
    for seed in range(20):
        oracle = keras_tuner.oracles.RandomSearchOracle("loss", 9, seed=seed + 1, hyperparameters=hyperparameters)
        values = oracle.populate_space("0")["values"]
        point = point_of(space, values)
        assert set(point) == set(values)
        assert point["fit.jit"] in ("auto", False)
        assert type(point["task.model.layers.0.filters"]) is int
        is_cosine = point["task.optimizer.learning_rate"] == "cosine"
        assert ("task.optimizer.learning_rate[cosine].peak" in point) == is_cosine


def test_a_spec_without_a_search_has_no_space():
    with pytest.raises(SpecError, match="the spec has no search"):
        kplug.hypermodel(kplug.loads(SPEC[: SPEC.index("search:")]))


# --- folds -----------------------------------------------------------------------------------------------------------

BASE = SPEC[: SPEC.index("search:")]


def test_folds_cut_the_training_examples_once_each():
    parts = []
    for fold in range(5):
        data = open_data(kplug.loads(BASE).at({"data.validation": {"fold": fold, "of": 5}}))
        assert len(data.splits["train"]) + len(data.splits["validation"]) == 1438
        rows = np.concatenate([batch["image"].numpy().reshape(-1, 64) for batch in data.examples("validation")])
        parts.append(rows)
    assert [len(part) for part in parts] == [288, 287, 288, 287, 288]
    every = np.unique(np.concatenate(parts), axis=0)
    whole = open_data(kplug.loads(BASE).at({"data.validation": 0}))
    rows = np.concatenate([batch["image"].numpy().reshape(-1, 64) for batch in whole.examples("train")])
    assert len(every) == len(np.unique(rows, axis=0))


def test_a_share_is_the_first_fold_of_as_many():
    one = open_data(kplug.loads(BASE).at({"data.validation": 0.25}))
    other = open_data(kplug.loads(BASE).at({"data.validation": {"fold": 0, "of": 4}}))
    for mine, its in zip(one.examples("validation"), other.examples("validation"), strict=True):
        np.testing.assert_array_equal(mine["image"], its["image"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"fold": 5, "of": 5}, "fold 5 is not there: 5 folds are numbered 0 to 4"),
        ({"fold": 0, "of": 1}, "1 is less than 2"),
        ({"fold": 0}, "missing"),
        (
            1.5,
            "1.5 is not a number >= 0 and < 1, a mapping (keys: share, by, key) or a mapping (keys: fold, of, by, key)",
        ),
    ],
)
def test_a_wrong_fold(written, said):
    with pytest.raises(SpecError) as caught:
        kplug.loads(BASE).at({"data.validation": written})
    assert said in str(caught.value)


def test_a_source_with_a_validation_split_has_no_folds():
    def split() -> kplug.Source:
        """Digits with a validation split."""
        from kplug.default_plugins.sources import digits

        found = digits()
        return {**found, "validation": found["test"]}

    with plugged(split):
        spec = kplug.loads(BASE.replace("source: digits", "source: split"))
        assert len(open_data(spec).splits["validation"]) > 0
        with pytest.raises(SpecError, match="has a validation split of its own, so that no fold of train validates"):
            open_data(spec.at({"data.validation": {"fold": 0, "of": 5}}))
