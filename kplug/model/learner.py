"""The learner that a spec's task makes, and its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kplug.console import refuse_other_globals
from kplug.errors import listed
from kplug.model.from_run import rebuild_of
from kplug.model.network import dtype_policy, raise_placed
from kplug.model.patches import clip_over_replicas, fuse_batch_normalization
from kplug.model.variables import optimizers_of
from kplug.model.weights import load_kept_weights, refuse_without_weights
from kplug.records import DataInfo, FitInfo, Learner, Rebuild
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.storage.run_directory import RunDirectory

if TYPE_CHECKING:
    from kplug.data.pipeline import Data


def build_learner(
    spec: Spec, info: DataInfo, fit: FitInfo, precision: str, strategy: Any = None, rebuild: Rebuild | None = None
) -> Learner:
    """Build the task's learner, the same each time: Keras's names and seeds start afresh.

    Args:
        spec: the experiment.
        info: the facts about its data.
        fit: steps and epochs of its training.
        precision: the Keras dtype policy to build under.
        strategy: the `tf.distribute.Strategy` whose devices hold the weights; None is TensorFlow's default.
        rebuild: what its parts may know of the run that it is built for; None is no run.
    """
    refuse_other_globals()
    fuse_batch_normalization()
    keras.utils.clear_session()  # not within a scope, which it would end
    keras.utils.set_random_seed(spec["seed"])
    with strategy.scope() if strategy else contextlib.nullcontext(), dtype_policy(precision):
        try:
            learner = build(spec, spec["task"], {DataInfo: info, FitInfo: fit, Rebuild: rebuild or Rebuild()})
        except Exception as error:
            raise_placed(error)
    if not isinstance(learner, Learner):
        raise TypeError(f"task '{spec['task'].name}' returned {type(learner).__name__}, not a Learner")
    for state in ("built", "compiled"):
        if not getattr(learner.model, state):
            raise TypeError(f"task '{spec['task'].name}' returned a model that is not {state}; a Learner's is")
    return learner


def restored_learner(run: RunDirectory) -> Learner:
    """A run's learner in the precision of its export, with the weights it kept; nothing of its source is touched."""
    refuse_without_weights(run)
    spec = run.kept_spec
    fit = FitInfo(steps=1, epochs=1)
    learner = build_learner(spec, run.info, fit, spec["export.precision"], rebuild=rebuild_of(run))
    load_kept_weights(run, learner.model)
    return learner


def refuse_other_sizes(data: Data, learner: Learner) -> None:
    """Refuse augmentations that give pictures a size which the model does not take."""
    if not data.info.resized:
        return
    inputs = data.training(learner, 1).element_spec[0]
    symbolic = tf.nest.map_structure(lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), inputs)
    try:
        learner.model(symbolic)
    except ValueError as error:
        sizes = listed(f"{name} {list(one.shape)}" for name, one in data.info.resized.items())
        said = str(error).strip().splitlines()[0]
        what = f"it gives {sizes}, which this model does not take: {said}"
        raise data.spec.error("data.augment", f"{what}; take a model for pictures of any size") from None


def optimizers_by_name(learner: Learner) -> dict[str, tuple[Any, list[Any]]]:
    """Return each optimizer of a learner with the weights that it trains; the compiled one has the name "".

    Only what is trained is among the weights: `fit.trainable` may freeze some that a task trains.
    """
    given = learner.optimizers
    if not given and learner.model.optimizer is not None:
        given = {"": (learner.model.optimizer, learner.model.trainable_variables)}
    return {name: (one, [weight for weight in weights if weight.trainable]) for name, (one, weights) in given.items()}


def build_optimizers(learner: Learner) -> None:
    """Make the variables of all optimizers before `fit` does, once it is settled which weights are trained.

    ScheduleFreeAdamW of Keras 3.15 copies the weights when it is built, and under `fit` that is a trace which never
    runs: its first step would set all weights to nearly 0. One that is first built in its first step is missing from
    the model that a finished training is loaded into.

    Raises:
        TypeError: the model has an optimizer that the learner does not name.
    """
    model, named = learner.model, optimizers_by_name(learner)
    with model.distribute_strategy.scope():
        for optimizer, weights in named.values():
            if not optimizer.built:
                optimizer.build(weights)
                for one in with_inner(optimizer):
                    clip_over_replicas(one)
    known = {id(inner) for optimizer, _ in named.values() for inner in with_inner(optimizer)}
    for optimizer in optimizers_of(model):
        if id(optimizer) not in known and not optimizer.built:
            what = f"the optimizer '{optimizer.name}' belongs to the model, and nobody has built it"
            raise TypeError(f"{what}: name it in Learner.optimizers, with the weights that it trains")
    left = [name for name, (optimizer, _) in named.items() if all(optimizer is not one for one in optimizers_of(model))]
    if left:
        raise TypeError(f"the optimizer '{left[0]}' cannot be reached from the model: checkpoints would not keep it")


def with_inner(optimizer: Any) -> Iterator[Any]:
    """Yield an optimizer and those that it wraps."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def learning_rates(learner: Learner) -> dict[str, float]:
    """Return the rate of the step just made: `learning_rate`, or `NAME/learning_rate` of each of several optimizers."""
    found = {}
    for name, (optimizer, _) in optimizers_by_name(learner).items():
        *_, inner = with_inner(optimizer)
        rate = float(keras.ops.convert_to_numpy(inner.learning_rate))
        found[f"{name}/learning_rate" if name else "learning_rate"] = rate
    return found
