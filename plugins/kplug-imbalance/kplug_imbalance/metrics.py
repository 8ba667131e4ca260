"""Metrics in which rare classes count as much as frequent ones."""

from __future__ import annotations

from typing import Any

import keras

from kplug import DataInfo, SpecError

ops = keras.ops


def balanced_accuracy(data: DataInfo) -> keras.metrics.Metric:
    if data.multi_label:
        raise SpecError("balanced_accuracy is for one label an example, and the source gives several")
    return BalancedAccuracy(len(data.classes))


class BalancedAccuracy(keras.metrics.Metric):
    """Mean recall of classes that have examples, of float targets and probabilities `[b, classes]`.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(name="balanced_accuracy")
        self.hits = self.add_weight((classes,), "zeros", name="hits")
        self.examples = self.add_weight((classes,), "zeros", name="examples")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        classes = self.hits.shape[0]
        labels = ops.one_hot(ops.argmax(y_true, -1), classes, dtype="float32")
        said = ops.one_hot(ops.argmax(y_pred, -1), classes, dtype="float32")
        if sample_weight is not None:
            labels = labels * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.hits.assign_add(ops.sum(labels * said, axis=0))
        self.examples.assign_add(ops.sum(labels, axis=0))

    def result(self) -> Any:
        there = ops.cast(self.examples > 0, "float32")
        recalls = self.hits / ops.maximum(self.examples, keras.config.epsilon())
        return ops.sum(recalls) / ops.maximum(ops.sum(there), 1.0)
