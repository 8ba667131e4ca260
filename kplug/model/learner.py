"""The learner that a spec's task makes, and its optimizer."""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from kplug.model.network import dtype_policy
from kplug.model.patches import fuse_batch_normalization
from kplug.records import DataInfo, FitInfo, Learner, Rebuild
from kplug.spec import Spec
from kplug.spec.build import build


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
    fuse_batch_normalization()
    keras.utils.clear_session()  # not within a scope, which it would end
    keras.utils.set_random_seed(spec["seed"])
    with strategy.scope() if strategy else contextlib.nullcontext(), dtype_policy(precision):
        learner = build(spec, spec["task"], {DataInfo: info, FitInfo: fit, Rebuild: rebuild or Rebuild()})
    if not isinstance(learner, Learner):
        raise TypeError(f"task '{spec['task'].name}' returned {type(learner).__name__}, not a Learner")
    return learner


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables before `fit` does, once it is settled which weights are trained.

    ScheduleFreeAdamW of Keras 3.15 copies the weights when it is built, and under `fit` that is a trace which never
    runs: its first step would set all weights to nearly 0.
    """
    if model.optimizer is not None and not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
