"""The validation of a training: its batches, and the metrics by which the best epoch is known."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug import callbacks as kept
from kplug.cluster import Cluster
from kplug.data import Data
from kplug.errors import SpecError, did_you_mean
from kplug.evaluate import explained
from kplug.kinds import Learner
from kplug.shares import Shares
from kplug.spec import Spec


def evaluated(data: Data, learner: Learner, cluster: Cluster, split: str, most: int | None = None) -> Any:
    """The batches of a split for `fit` and `evaluate`, `most` of them at most."""

    def make(shares: Shares) -> tf.data.Dataset:
        batches = data.evaluation(learner, split, shares)
        return batches if most is None else batches.take(most * len(shares.mine))

    return cluster.batches(make)


def evaluation_steps(data: Data, cluster: Cluster, split: str) -> int | None:
    """How many batches these are, where the dataset itself does not say."""
    return data.evaluation_steps(split, cluster.shares) if cluster.is_multi_worker else None


def reported_names(data: Data, learner: Learner) -> list[str]:
    """The metrics that an epoch will report: those of a step of evaluation, which is traced and not run."""
    split = "validation" if "validation" in data.splits else "train"
    model = learner.model
    with explained(data, split):
        batch = data.evaluation(learner, split).element_spec
        step = tf.function(lambda batch: model.distribute_strategy.run(model.test_step, (batch,)))
        logs = step.get_concrete_function(batch).structured_outputs
    model.reset_metrics()
    # as Keras reports them: those of a metric with several values by themselves
    names = [inner for name, value in logs.items() for inner in (value if isinstance(value, dict) else [name])]
    names.sort(key=kept.place)
    return [*names, *(f"val_{name}" for name in names if split == "validation")]


def best_metric(spec: Spec, names: list[str]) -> tuple[str, str] | None:
    """(metric, minimize or maximize) of `fit.best`, checked against what will be reported; none for the last epoch."""
    if spec["fit.best"] == "last":
        return None
    ((direction, name),) = spec["fit.best"].items()
    if name in names:
        return name, direction
    if name == "val_loss" and not any(n.startswith("val_") for n in names):
        return "loss", direction  # the default, where nothing validates
    path = ("fit", "best", direction)
    hint = did_you_mean(name, names) or f"; this run reports {', '.join(names)}"
    raise SpecError(f"'{name}' is not reported{hint}").located(path, spec.where(path))


def first_metrics(data: Data, learner: Learner, cluster: Cluster) -> dict[str, float]:
    """What weights that were never trained give on the validation split."""
    if "validation" not in data.splits:
        return {}
    batches, steps = evaluated(data, learner, cluster, "validation"), evaluation_steps(data, cluster, "validation")
    values = learner.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in kept.in_order(values).items()}
