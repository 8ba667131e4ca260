"""The validation of a training: its batches, and the names of the metrics that an epoch will report.

Which of these says what is best is asked in `kplug.storage.metrics`; which epoch is, `Recorder` finds.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.tables import ALL, BatchSlices
from kplug.inference.evaluators import Showing, evaluation_of, evaluators_of
from kplug.model.memory import out_of_memory
from kplug.model.network import placed
from kplug.model.patches import is_written, loss_tracker_of
from kplug.records import Learner, SplitEvaluator
from kplug.storage import metrics
from kplug.training.cluster import Cluster


def validation_batches(data: Data, learner: Learner, cluster: Cluster) -> tuple[Any, int | None]:
    """The batches by which `fit` validates, and their number where they are endless: those that are dealt are.

    Both are None where nothing validates.
    """
    if "validation" not in data.splits:
        return None, None
    block = data.order("validation").block
    steps = data.evaluation_steps("validation", cluster.slices) if cluster.deals(block) else None
    return cluster.batches(lambda slices: data.evaluation(learner, "validation", slices), block), steps


class EpochEvaluators(keras.callbacks.Callback):
    """Shows the validation split to evaluators after epochs, so that their figures stand in the row as `val_NAME`.

    In an epoch in which an evaluator does not look, its figures are not in the row, and are no best ones. Workers
    share the rows where an evaluator has a state; else the chief asks the model and tells the others.

    Args:
        data: the data.
        learner: the learner.
        evaluators: those with `every`.
        cluster: the workers, which all get the figures.
    """

    def __init__(self, data: Data, learner: Learner, evaluators: Sequence[SplitEvaluator], cluster: Cluster) -> None:
        super().__init__()
        self.data, self.learner, self.evaluators, self.cluster = data, learner, evaluators, cluster
        self.shown: dict[int, Showing] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        is_last = epoch + 1 == self.params["epochs"]
        due = [one for one in self.evaluators if one.every and (is_last or (epoch + 1) % one.every == 0)]
        if due:
            together = [one for one in due if self._is_shared(one)]
            alone = [one for one in due if one not in together]
            self._count_together(together)
            figures = self._figures(alone, together) if self.cluster.is_chief else {}
            told = json.loads(self.cluster.broadcast(json.dumps(figures).encode()))
            logs |= {f"val_{name}": value for name, value in told.items()}

    def _is_shared(self, evaluator: SplitEvaluator) -> bool:
        order = self.data.order("validation")
        is_enough = len(order.rows) // order.block >= self.cluster.workers
        has_state = type(evaluator).state is not SplitEvaluator.state
        is_split = evaluator.needs.rows and not evaluator.needs.splits
        return self.cluster.is_multi_worker and is_enough and has_state and is_split

    def _count_together(self, evaluators: Sequence[SplitEvaluator]) -> None:
        """Show each worker its rows, and bring together what they count."""
        if evaluators:
            self._show(evaluators, BatchSlices(range(self.cluster.index, self.cluster.index + 1), self.cluster.workers))
        for one in evaluators:
            file = io.BytesIO()
            np.savez(file, **(one.state() or {}))
            states = []
            for content in self.cluster.gather(file.getvalue()):
                with np.load(io.BytesIO(content), allow_pickle=False) as found:
                    states.append(dict(found))
            one.merge(states)

    def _figures(self, alone: Sequence[SplitEvaluator], together: Sequence[SplitEvaluator]) -> dict[str, float]:
        if alone:
            self._show(alone, ALL)
        return {name: float(value) for one in (*alone, *together) for name, value in one.end(None)[0].items()}

    def _show(self, evaluators: Sequence[SplitEvaluator], shares: BatchSlices) -> None:
        # the same evaluators are due together again and again, so that an endpoint is traced once for them
        showing = self.shown.setdefault(hash(tuple(map(id, evaluators))), Showing(self.learner, evaluators))
        evaluation = evaluation_of(self.learner, self.data, "validation", "validation")
        showing.show(self.data, evaluation, shares=shares)


def epoch_evaluators(data: Data, learner: Learner) -> list[SplitEvaluator]:
    """The evaluators that look at validation while training; none where nothing validates."""
    if "validation" not in data.splits:
        return []
    return [one for one in evaluators_of(data, learner) if one.every]


def reported_names(data: Data, learner: Learner, evaluators: Sequence[SplitEvaluator] = ()) -> list[str]:
    """The numbers that an epoch will report: the metrics of a step of evaluation, which is traced and not run.

    Args:
        data: the data.
        learner: compiled, its optimizers built.
        evaluators: those that look at validation while training, whose figures are reported too.

    Raises:
        TypeError: the step reports a loss that it never computes, as Keras does of a model without a compiled loss.
    """
    split = "validation" if "validation" in data.splits else "train"
    model = learner.model
    with explained(data, split, out_of_memory), placed():
        batch = data.evaluation(learner, split).element_spec
        step = tf.function(lambda batch: model.distribute_strategy.run(model.test_step, (batch,)))
        traced = step.get_concrete_function(batch)
    logs = traced.structured_outputs
    if "loss" in logs and model.loss is None and not is_written(traced.graph, loss_tracker_of(model)):
        message = "test_step reports a `loss` that nobody computes and that stays 0: report your own under other names"
        raise TypeError(f"{message} (the property `metrics` says which are reported), or update it")
    model.reset_metrics()
    # as Keras reports them: those of a metric with several values by themselves
    names = [inner for name, value in logs.items() for inner in (value if isinstance(value, dict) else [name])]
    names.sort(key=metrics.place)
    figures = [f"val_{name}" for one in evaluators for name in one.figures]
    return [*names, *(f"val_{name}" for name in names if split == "validation"), *figures]


def first_metrics(data: Data, learner: Learner, cluster: Cluster) -> dict[str, float]:
    """The metrics of weights that were never trained, on the validation split where there is one."""
    batches, steps = validation_batches(data, learner, cluster)
    if batches is None:
        return {}
    values = learner.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in metrics.in_order(values).items()}
