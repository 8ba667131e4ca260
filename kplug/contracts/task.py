"""The contract of tasks: a learner trains as `kplug train` does, goes on after a kill, exports what it predicts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.interrupted import Kill, Killed, beside, weights_in
from kplug.contracts.subject import Subject, demand, finite, same, weights_of
from kplug.contracts.two_replicas import NORMALIZATIONS
from kplug.data.pipeline import Data
from kplug.data.splits import open_data
from kplug.data.values import Arrays
from kplug.errors import SpecError, listed
from kplug.inference.endpoints import from_arrays, predictor
from kplug.inference.export import export_saved_model
from kplug.inference.run import Run
from kplug.inference.samples import keep_samples
from kplug.inference.verification import ExportError, example_inputs
from kplug.model.learner import build_learner, build_optimizers, restored_learner
from kplug.model.machine import Hardware
from kplug.model.patches import layers_of
from kplug.model.weights import freeze
from kplug.records import DataInfo, FitInfo, Learner, Rebuild
from kplug.spec import Spec, loads
from kplug.spec.build import build
from kplug.spec.data_rules import field_of
from kplug.spec.tree import Node
from kplug.storage.run_directory import LAST
from kplug.training.fit import prepare, resume, run_stages, train
from kplug.training.plan import Plan
from kplug.training.workers import join

BATCH = 8
SAMPLES = 5
EPOCHS = 2
SOURCE = {"type": "kplug-testing/tiny_pictures", "examples": 2 * BATCH, "test": 13, "size": [16, 16]}
SAMPLERS = {
    "sampler": {"type": "shuffled", "batch_size": BATCH},
    "evaluate_with": {"type": "sequential", "batch_size": BATCH},
}
# every step is kept, so that a kill in the second finds a checkpoint of the first; the last weights are those of the
# learner that was trained
FIT = {"epochs": EPOCHS, "best": "last", "precision": "float32", "checkpoint": {"steps": 1}}
# A scale begins at 2^15 and is halved at every step whose gradients are not finite; so many epochs bring it to 1.
SCALED_EPOCHS = 10
# The part of its way in float32 that a weight goes at least: a loss that is not scaled makes it 1/32768, rounding and
# steps that were left out change it by some times at most.
LEAST = 0.01


def check_task(subject: Subject) -> None:
    """Check a task on tiny data; `data` or `inputs` say which, by default pictures of 16 by 16 pixels."""
    data = open_data(_spec(subject))
    _check_defaults(subject, data)
    learner = _learner(data)
    _check_learner(learner)
    _check_outputs(subject.component.gives, data.spec["task"], learner)
    _check_prepare(data, learner)
    with tempfile.TemporaryDirectory() as folder:
        run, learner, moved = _check_training(data, Path(folder, "run"))
        if learner.serve:
            _check_serve(run, data, learner)
        _check_evaluation(run, data)
        _check_going_on(run, data.spec, Path(folder, "killed"))
    _check_half_precision(data, moved)


def train_task(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train an epoch, then evaluate with a last batch that is smaller."""
    data = open_data(_spec(subject))
    given = {DataInfo: data.info, FitInfo: _fit_info(data), Rebuild: Rebuild()}
    with scope:  # in which build_learner could not begin a new Keras session
        learner = build(data.spec, data.spec["task"], given)
    model = learner.model
    freeze(data.spec, model)
    normalizations = [one for one in layers_of(model) if isinstance(one, keras.layers.BatchNormalization)]
    if subject.at_rest:
        for layer in normalizations:
            layer.trainable = False
    build_optimizers(learner)
    model.fit(data.training(learner, 1), steps_per_epoch=data.steps, shuffle=False, verbose=0)
    split = _looked_at(data)
    values = model.evaluate(data.evaluation(learner, split), verbose=0, return_dict=True)
    evaluated = {f"{name} of the {split} split": value for name, value in values.items()}
    return weights_of(model) | evaluated | {NORMALIZATIONS: float(len(normalizations))}


# --- data ----------------------------------------------------------------------------------------------------------


def _spec(subject: Subject, task: Any = None) -> Spec:
    written = {"source": subject.inputs or SOURCE, "validation": 0, **SAMPLERS, **(subject.data or {})}
    spec = {"name": "check", "task": task or subject.written, "data": written, "fit": FIT}
    return loads(json.dumps(spec), f"check({subject.component.name})")


def _looked_at(data: Data) -> str:
    """The split that is evaluated."""
    return next(name for name in ("test", "validation", "train") if name in data.splits)


def _fit_info(data: Data) -> FitInfo:
    return FitInfo(steps=data.steps, epochs=1)


def _learner(data: Data, precision: str = "float32", spec: Spec | None = None) -> Learner:
    """A learner of the task, made in a new Keras session."""
    try:
        return build_learner(spec or data.spec, data.info, _fit_info(data), precision)
    except TypeError as error:
        raise AssertionError(str(error)) from error


# --- the learner ---------------------------------------------------------------------------------------------------


def _check_defaults(subject: Subject, data: Data) -> None:
    """Build the task from its defaults on the same data, which may be no data for them."""
    needed = {name: subject.small[name] for name in subject.component.required if name in subject.small}
    if needed != dict(subject.small):
        try:
            _learner(data, spec=_spec(subject, {"type": subject.written["type"], **needed}))
        except SpecError:
            return


def _check_learner(learner: Learner) -> None:
    model = learner.model
    demand(isinstance(model, keras.Model), f"a Learner's model is a keras.Model; received {type(model).__name__}")
    demand(model.compiled, "a Learner's model is compiled; this one is not")
    demand(model.trainable_weights, "a Learner's model has weights to train; this one has none")
    for name, part in learner.parts.items():
        demand(isinstance(part, keras.Layer), f"a Learner's parts are Keras layers; '{name}' is {type(part).__name__}")


def _check_prepare(data: Data, learner: Learner) -> None:
    batches = data.examples("train")
    once, again = (_prepared(batches, learner, parallel) for parallel in (None, 2))
    _demand_purity(once, again, training=False)
    tf.random.set_seed(1)  # two global seeds: what draws without the seed that it is given comes out otherwise
    whole = _batches(data.training(learner, EPOCHS))[1:]
    tf.random.set_seed(2)
    _demand_purity(whole, _batches(data.training(learner, EPOCHS, first_step=1)), training=True)


def _demand_purity(once: Any, again: Any, training: bool) -> None:
    demand(
        same(once, again),
        f"prepare is a function of batch, seed and training; with training={training} the same came out otherwise. "
        "Draw with tf.random.stateless_uniform(..., seed) and the like",
    )


def _batches(batches: tf.data.Dataset) -> list[Any]:
    return [tf.nest.flatten(batch) for batch in batches.as_numpy_iterator()]


def _prepared(batches: tf.data.Dataset, learner: Learner, parallel: int | None) -> list[Any]:
    """The batches from the second on as `prepare` makes them for an evaluation, each with a seed of its own."""

    def prepared(step: Any, batch: Any) -> Any:
        return learner.prepare(batch, tf.stack([3, tf.cast(step, tf.int32)]), False)

    numbered = batches.enumerate().skip(1 if parallel else 0)
    found = _batches(numbered.map(prepared, parallel))
    return found if parallel else found[1:]


# --- training ------------------------------------------------------------------------------------------------------


def _check_training(data: Data, folder: Path) -> tuple[Run, Learner, dict[int, float]]:
    """Train a run and demand that weights changed and stayed finite.

    Returns:
        The run, the trained learner, and the numbers of the weights that moved, with how far.
    """
    plan = Plan(data, join(data.spec), Hardware.here(1))
    prepared = prepare(plan, plan.stages[0], Rebuild())
    model = prepared.learner.model
    before = [weight.numpy() for weight in model.trainable_weights]
    run = Run.create(data.spec.filled(), folder)  # as `train` begins one
    run.write_json("data.json", data.info.to_json())
    keep_samples(run, data)
    run.describe_environment(prepared.choices | {"cluster": plan.cluster.to_json()})
    run = run_stages(run, plan, prepared)
    after = [weight.numpy() for weight in model.trainable_weights]
    demand(all(map(finite, after)), "training keeps the weights finite; some are not")
    demand(not same(before, after), "training changes the model's weights; none changed")
    return run, prepared.learner, _moved(before, after)


def _moved(before: list[Any], after: list[Any]) -> dict[int, float]:
    """The numbers of the weights that moved, with how far."""
    far = {number: _distance(old, new) for number, (old, new) in enumerate(zip(before, after, strict=True))}
    return {number: distance for number, distance in far.items() if distance}


def _distance(old: Any, new: Any) -> float:
    return float(np.abs(new - old).max(initial=0.0))


def _check_evaluation(run: Run, data: Data) -> None:
    values = run.evaluate(_looked_at(data))
    demand(finite(list(values.values()) or [0.0]), f"an evaluation gives finite numbers; received {values}")


def _check_going_on(run: Run, spec: Spec, folder: Path) -> None:
    """Demand that a training which was killed in its second step goes on, in a learner made anew, to the same end."""
    try:
        with beside(Kill(2)):
            train(spec, folder)
        raise AssertionError("a training of two epochs has two steps at least; this one ended before")
    except Killed:
        try:
            resumed = resume(folder)
        except SpecError as error:
            raise AssertionError(
                f"a learner made anew takes the checkpoint of the one that was killed; {error}"
            ) from error
    whole, gone_on = (weights_in(one.path / LAST) for one in (run, resumed))
    different = [name for name, values in whole.items() if not _close(values, gone_on.get(name))]
    demand(
        not different,
        "a training that goes on from a checkpoint ends as one that was never stopped; these weights differ: "
        f"{listed(different)}. What a step reads beside its batch stands in variables below the model",
    )


def _check_half_precision(data: Data, moved: Mapping[int, float]) -> None:
    learner = _learner(data, "mixed_float16")
    model = learner.model
    freeze(data.spec, model)
    build_optimizers(learner)
    before = [weight.numpy() for weight in model.trainable_weights]
    for _ in range(SCALED_EPOCHS):
        model.fit(data.training(learner, 1), steps_per_epoch=data.steps, shuffle=False, verbose=0)
        if not moved.keys() - _moved(before, [weight.numpy() for weight in model.trainable_weights]).keys():
            break
    after = [weight.numpy() for weight in model.trainable_weights]
    demand(all(map(finite, after)), "under mixed_float16 the weights stay finite; some did not")
    still = [
        model.trainable_weights[number].path
        for number, distance in moved.items()
        if _distance(before[number], after[number]) < LEAST * distance
    ]
    demand(
        not still,
        f"under mixed_float16 a step moves every weight as in float32; {listed(still)} stayed, or nearly. A "
        "`train_step` that computes gradients by itself scales its loss: optimizer.scale_loss(loss)",
    )


# --- serve ---------------------------------------------------------------------------------------------------------


def _check_outputs(gives: Sequence[str] | None, task: Node, learner: Learner) -> None:
    """Demand that the main endpoint has the outputs of `@gives`, which `kplug check` believes."""
    wanted = {field_of(name, task.arguments) for name in gives or ()}
    answered = learner.serve[next(iter(learner.serve))].outputs if learner.serve else {}
    lost = wanted - set(answered)
    found = f"it has {listed(answered) or 'none'}, and no {listed(sorted(lost))}"
    demand(not lost, f"@gives names outputs of the main endpoint; {found}")


def _check_serve(run: Run, data: Data, learner: Learner) -> None:
    batch = next(iter(data.examples(_looked_at(data))))
    samples = {name: values.numpy()[:SAMPLES] for name, values in batch.items()}
    after = _answers(learner, samples)
    before = _answers(_learner(data), samples)
    demand(
        not same(before, after),
        "what a task serves is computed with the weights of its model; training changed them, and every answer stayed",
    )
    try:
        restored = restored_learner(run)
    except SpecError as error:
        raise AssertionError(f"a learner made anew loads the weights that a run kept; {error}") from error
    _check_close(after, _answers(restored, samples))
    try:
        export_saved_model(restored, data.info, run.path / "export", samples)
    except ExportError as error:
        raise AssertionError(f"a task exports what it predicts; {error}") from error


def _check_close(trained: Mapping[str, Arrays], restored: Mapping[str, Arrays]) -> None:
    """Demand that two learners answer alike, numbers to some digits."""
    for endpoint, outputs in trained.items():
        for name, values in outputs.items():
            demand(
                _close(values, restored[endpoint][name]),
                "a learner made anew that loads the weights of the model answers as the trained one; output "
                f"'{name}' of '{endpoint}' differs. Exports are made so: all that is served is in the model's weights",
            )


def _close(one: Any, other: Any) -> bool:
    if other is None or one.shape != other.shape:
        return False
    return np.allclose(one, other, 1e-5, 1e-6, equal_nan=True) if one.dtype.kind == "f" else same(one, other)


def _answers(learner: Learner, samples: Arrays) -> dict[str, Arrays]:
    return {
        name: predictor(learner, name)(**example_inputs(from_arrays(name, signature), samples)[0])
        for name, signature in learner.serve.items()
    }
