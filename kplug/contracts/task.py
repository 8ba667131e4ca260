"""The contract of tasks: a learner trains, prepares without side effects, and exports what it predicts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, finite, same, weights_of
from kplug.data.pipeline import Data
from kplug.data.splits import open_data
from kplug.inference.endpoints import predictor
from kplug.inference.export import export_saved_model
from kplug.inference.verification import ExportError, example_inputs
from kplug.model.learner import build_learner
from kplug.model.weights import weights_only
from kplug.records import DataInfo, FitInfo, Learner, Rebuild
from kplug.spec import loads
from kplug.spec.build import build

BATCH = 8
SAMPLES = 5
SAMPLERS = {"sampler": "shuffled", "evaluate_with": "sequential"}
SOURCE = {"type": "kplug-testing/tiny_pictures", "examples": 2 * BATCH, "test": 13, "size": [16, 16]}


def check_task(subject: Subject) -> None:
    """Check a task; `inputs` is a source as in YAML, by default `tiny_pictures` of 16 by 16 pixels."""
    data = _open(subject)
    learner = _learner(data)
    _check_learner(learner)
    _check_prepare(data, learner)
    samples = next(iter(data.examples("test")))["image"].numpy()[:SAMPLES]
    before = _answers(data, learner, samples)
    _train(data, learner)
    if learner.serve:
        _check_serve(data, learner, samples, before)


def train_task(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train an epoch, then evaluate with a last batch that is smaller."""
    data = _open(subject)
    given = {DataInfo: data.info, FitInfo: _fit_info(data), Rebuild: Rebuild()}
    with scope:  # in which build_learner could not begin a new Keras session
        learner = build(data.spec, data.spec["task"], given)
    learner.model.fit(data.training(learner, 1), steps_per_epoch=data.steps, shuffle=False, verbose=0)
    values = learner.model.evaluate(data.evaluation(learner, "test"), verbose=0, return_dict=True)
    return weights_of(learner.model) | {f"{name} of the test split": value for name, value in values.items()}


def _open(subject: Subject) -> Data:
    samplers = {key: {"type": name, "batch_size": BATCH} for key, name in SAMPLERS.items()}
    section = {"source": subject.inputs or SOURCE, "validation": 0, **samplers}
    spec = {"name": "check", "task": subject.written, "data": section}
    return open_data(loads(json.dumps(spec), f"check({subject.component.name})"))


def _learner(data: Data) -> Learner:
    """A learner of the task, made in a new Keras session."""
    return build_learner(data.spec, data.info, _fit_info(data), "float32")


def _fit_info(data: Data) -> FitInfo:
    return FitInfo(steps=data.steps, epochs=1)


def _check_learner(learner: Learner) -> None:
    model = learner.model
    demand(isinstance(model, keras.Model), f"a Learner's model is a keras.Model; received {type(model).__name__}")
    demand(model.compiled, "a Learner's model is compiled; this one is not")
    for name, part in learner.parts.items():
        demand(isinstance(part, keras.Layer), f"a Learner's parts are Keras layers; '{name}' is {type(part).__name__}")


def _check_prepare(data: Data, learner: Learner) -> None:
    batches = data.examples("train")
    for training in (True, False):
        once, again = (_prepared(batches, learner, training, parallel) for parallel in (None, 2))
        demand(
            same(once, again),
            f"prepare is a function of batch, seed and training; with training={training} the same came out otherwise. "
            "Draw with tf.random.stateless_uniform(..., seed) and the like",
        )


def _prepared(batches: tf.data.Dataset, learner: Learner, training: bool, parallel: int | None) -> list[Any]:
    """The batches from the second on as `prepare` makes them, each with a seed of its own."""

    def prepared(step: Any, batch: Any) -> Any:
        return learner.prepare(batch, tf.stack([3, tf.cast(step, tf.int32)]), training)

    numbered = batches.enumerate().skip(1 if parallel else 0)
    found = [tf.nest.flatten(made) for made in numbered.map(prepared, parallel).as_numpy_iterator()]
    return found if parallel else found[1:]


def _train(data: Data, learner: Learner) -> None:
    """Train one epoch of a few steps, and demand that weights changed and stayed finite."""
    before = [weight.numpy() for weight in learner.model.trainable_variables]
    demand(before, "a Learner's model has weights to train; this one has none")
    learner.model.fit(data.training(learner, 1), steps_per_epoch=data.steps, shuffle=False, verbose=0)
    after = [weight.numpy() for weight in learner.model.trainable_variables]
    demand(all(map(finite, after)), "training keeps the weights finite; some are not")
    demand(not same(before, after), "training changes the model's weights; none changed")
    values = learner.model.evaluate(data.evaluation(learner, "test"), verbose=0, return_dict=True)
    demand(finite(list(values.values())), f"an evaluation gives finite numbers; received {values}")


# --- serve ---------------------------------------------------------------------------------------------------------


def _check_serve(data: Data, learner: Learner, samples: np.ndarray, before: Any) -> None:
    after = _answers(data, learner, samples)
    demand(
        not same(before, after),
        "what a task serves is computed with the weights of its model; training changed them, and every answer stayed",
    )
    restored = _learner(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.weights.h5")
        with weights_only(learner.model), weights_only(restored.model):
            learner.model.save_weights(path)
            restored.model.load_weights(path)
        _check_close(after, _answers(data, restored, samples))
        try:
            export_saved_model(restored, data.info, Path(folder, "export"), samples)
        except ExportError as error:
            raise AssertionError(f"a task exports what it predicts; {error}") from error


def _check_close(trained: Any, restored: Any) -> None:
    """Demand that two learners answer alike, numbers to some digits."""
    for endpoint, outputs in trained.items():
        for name, values in outputs.items():
            other = restored[endpoint][name]
            equal = np.allclose(values, other, 1e-5, 1e-6) if values.dtype.kind == "f" else same(values, other)
            demand(
                equal,
                "a learner made anew that loads the weights of the model answers as the trained one; output "
                f"'{name}' of '{endpoint}' differs. Exports are made so: all that is served is in the model's weights",
            )


def _answers(data: Data, learner: Learner, samples: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    return {
        name: predictor(learner, data.info, endpoint=name)(**example_inputs(signature, samples))
        for name, signature in learner.serve.items()
    }
