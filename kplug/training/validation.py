"""The validation of a training: its batches, and the metrics by which the best epoch is known."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug.data.pipeline import BatchSlices, Data
from kplug.data.readable import explained
from kplug.model.memory import out_of_memory
from kplug.records import Learner
from kplug.storage import metrics as kept
from kplug.training.cluster import Cluster


def evaluated(data: Data, learner: Learner, cluster: Cluster, split: str, most: int | None = None) -> Any:
    """The batches of a split for `fit` and `evaluate`, `most` of them at most."""

    def make(shares: BatchSlices) -> tf.data.Dataset:
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
    with explained(data, split, out_of_memory):
        batch = data.evaluation(learner, split).element_spec
        step = tf.function(lambda batch: model.distribute_strategy.run(model.test_step, (batch,)))
        logs = step.get_concrete_function(batch).structured_outputs
    model.reset_metrics()
    # as Keras reports them: those of a metric with several values by themselves
    names = [inner for name, value in logs.items() for inner in (value if isinstance(value, dict) else [name])]
    names.sort(key=kept.place)
    return [*names, *(f"val_{name}" for name in names if split == "validation")]


def first_metrics(data: Data, learner: Learner, cluster: Cluster) -> dict[str, float]:
    """What weights that were never trained give on the validation split."""
    if "validation" not in data.splits:
        return {}
    batches, steps = evaluated(data, learner, cluster, "validation"), evaluation_steps(data, cluster, "validation")
    values = learner.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in kept.in_order(values).items()}
