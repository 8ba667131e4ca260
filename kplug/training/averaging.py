"""Weights that an optimizer averages while it trains: they are what is validated and kept, and what training ends with.

Keras puts the averages into a model when `fit` ends, after the last epoch was validated and its weights were kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kplug.model.variables import optimizers_of


def averaging(model: keras.Model) -> list[AveragedWeights]:
    """The callback that a model with averages needs, to be the first of all callbacks; none for others."""
    return [AveragedWeights()] if averaging_optimizers(model) else []


def averaging_optimizers(model: keras.Model) -> list[Any]:
    """Those that are reachable from a model and average: by `use_ema`, or since they are free of a schedule."""
    return [optimizer for optimizer in optimizers_of(model) if optimizer.use_ema or _is_schedule_free(optimizer)]


def finish(model: keras.Model) -> None:
    """Put the averages into a model for good, as at the end of `fit`."""
    for optimizer in averaging_optimizers(model):
        for variable, mean in _means(optimizer):
            variable.assign(mean)


class AveragedWeights(keras.callbacks.Callback):
    """Puts the averages into the model when the steps of an epoch are done, and takes them out for the next step.

    The weights that training goes on with are kept meanwhile in `optimizer.trained_weights`, from where checkpoints
    take them. The last checkpoint of a training holds them in the model again, since `finish` follows: a training
    that is made longer goes on from there as if it had not ended.

    Statistics of batch normalization are the model's own and stay what they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.is_mean_in_model = False

    def state(self) -> dict[str, Any]:
        if self.model.stop_training or self.epoch + 1 == self.params["epochs"]:
            self._take_mean_out()
        return {"is_mean_in_model": self.is_mean_in_model}

    def restore(self, state: dict[str, Any]) -> None:
        self.is_mean_in_model = state["is_mean_in_model"]
        if self.is_mean_in_model:
            for optimizer in averaging_optimizers(self.model):
                self._keep_trained(optimizer)  # whose values are put back with those of the model

    def on_train_begin(self, logs: Any = None) -> None:
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._take_mean_out()  # not sooner: a resumed training has its weights back only now

    def on_test_begin(self, logs: Any = None) -> None:
        self._put_mean_in()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._put_mean_in()  # where nothing validates

    def on_train_end(self, logs: Any = None) -> None:
        self._take_mean_out()
        finish(self.model)

    def _put_mean_in(self) -> None:
        if self.is_mean_in_model:
            return
        for optimizer in averaging_optimizers(self.model):
            self._keep_trained(optimizer)
        finish(self.model)
        self.is_mean_in_model = True

    def _take_mean_out(self) -> None:
        if not self.is_mean_in_model:
            return
        for optimizer in averaging_optimizers(self.model):
            for variable, trained in zip(_averaged(optimizer), optimizer.trained_weights, strict=True):
                variable.assign(trained)
        self._forget()

    def _keep_trained(self, optimizer: Any) -> None:
        with self.model.distribute_strategy.scope():
            optimizer.trained_weights = [
                tf.Variable(tf.identity(variable), trainable=False) for variable in _averaged(optimizer)
            ]

    def _forget(self) -> None:
        self.is_mean_in_model = False
        for optimizer in averaging_optimizers(self.model):
            if hasattr(optimizer, "trained_weights"):
                del optimizer.trained_weights


def _averaged(optimizer: Any) -> list[tf.Variable]:
    """The weights that an optimizer trains; none before they are known."""
    return [getattr(variable, "value", variable) for variable in optimizer._trainable_variables]


def _means(optimizer: Any) -> Iterator[tuple[tf.Variable, tf.Tensor]]:
    """Each weight with its average; none before the first step, when Keras's averages are 0."""
    if not optimizer.built or not int(optimizer._iterations):
        return
    others = optimizer._model_variables_moving_average if optimizer.use_ema else optimizer._momentums
    for variable, other in zip(_averaged(optimizer), others, strict=True):
        if other is not None:
            yield variable, other.value if optimizer.use_ema else _evaluated(optimizer, variable, other.value)


def _evaluated(optimizer: Any, y: tf.Variable, z: tf.Variable) -> tf.Tensor:
    """The mean x of a schedule-free path, from y = (1 - beta) z + beta x, where its gradients are taken."""
    beta = tf.cast(optimizer.beta_1, y.dtype)
    return (y - (1 - beta) * z) / beta


def _is_schedule_free(optimizer: Any) -> bool:
    return isinstance(optimizer, keras.optimizers.ScheduleFreeAdamW)
