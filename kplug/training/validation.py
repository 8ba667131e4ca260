"""The validation of a training: its batches, and the names of the metrics that an epoch will report.

Which of these says what is best is asked in `kplug.storage.metrics`; which epoch is, `Recorder` finds.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.model.memory import out_of_memory
from kplug.records import Learner
from kplug.storage import metrics
from kplug.training.cluster import Cluster


def validation_batches(data: Data, learner: Learner, cluster: Cluster) -> tuple[Any, int | None]:
    """The batches by which `fit` validates, and their number where they are endless: a cluster's are.

    Both are None where nothing validates.
    """
    if "validation" not in data.splits:
        return None, None
    steps = data.evaluation_steps("validation", cluster.slices) if cluster.is_multi_worker else None
    return cluster.batches(lambda slices: data.evaluation(learner, "validation", slices)), steps


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
    names.sort(key=metrics.place)
    return [*names, *(f"val_{name}" for name in names if split == "validation")]


def first_metrics(data: Data, learner: Learner, cluster: Cluster) -> dict[str, float]:
    """The metrics of weights that were never trained, on the validation split where there is one."""
    batches, steps = validation_batches(data, learner, cluster)
    if batches is None:
        return {}
    values = learner.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in metrics.in_order(values).items()}
