"""Averages of a model's weights that are validated and kept in the place of those that training goes on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kplug.model.patches import moving_averages, path_ends, steps_made, trained_by
from kplug.model.variables import optimizers_of

Pair = tuple[tf.Variable, tf.Variable]  # a weight of the model, and the variable beside it


@dataclass(frozen=True)
class Means:
    """A source of averages, for `SwappedWeights`.

    Args:
        beside: attribute of a holder that keeps what is not in the model; part of the paths in checkpoints.
        holders: gives, of a model, the objects below it that averages belong to, each with its weights.
        update: gives each variable beside a weight the average of now, from a holder, its pairs, and how many epochs
            are averaged with this one; a variable has the average of before, at first a copy of the weight.
        epochs: how many of the training's last epochs are averaged into one mean, with which the training ends; None
            where each epoch has an average of its own.
    """

    beside: str
    holders: Callable[[keras.Model], list[tuple[Any, list[tf.Variable]]]]
    update: Callable[[Any, Sequence[Pair], int], None]
    epochs: int | None = None


class SwappedWeights(keras.callbacks.Callback):
    """Puts averages into the model when the steps of an epoch are done, and takes them out for the next step.

    So validation, the kept weights and later callbacks see the averages, and training does not notice. What is not in
    the model at the time, averages or trained weights, is in variables beside them, from where checkpoints take it.

    Args:
        means: gives the averages.
    """

    def __init__(self, means: Means) -> None:
        super().__init__()
        self.means = means
        self.epoch = 0
        self.count = 0  # epochs in the averages that are there
        self.is_mean_in_model = False

    def state(self) -> dict[str, Any]:
        # This changes the model where the training ends: the saver, the last of all callbacks, asks for the state right
        # before it writes, and what it writes then is to be a plain model (see `_end`).
        if self.is_mean_in_model and (self.model.stop_training or self.epoch + 1 == self.params["epochs"]):
            self._end()
        return {"count": self.count, "is_mean_in_model": self.is_mean_in_model}

    def restore(self, state: dict[str, Any]) -> None:
        self.is_mean_in_model = state["is_mean_in_model"]
        self.count = state.get("count", int(self.is_mean_in_model))  # 0.1.0 had none of averages of single epochs
        if self.count and self.model:
            self._make_room()  # the values come with those of the model, which are restored later than callbacks

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
        self._end()
        finish(self.model)

    def _put_mean_in(self) -> None:
        first = self.params["epochs"] - (self.means.epochs or self.params["epochs"])
        if self.is_mean_in_model or self.epoch < first:
            return
        if self.epoch == first or not self.count:
            self.count = 0
            self._make_room()
        self.count += 1
        for holder, pairs in self._pairs():
            self.means.update(holder, pairs, self.count)
        self._exchange()

    def _take_mean_out(self) -> None:
        if self.is_mean_in_model:
            self._exchange()
            if self.means.epochs is None:
                self._forget()

    def _end(self) -> None:
        """Leave a plain model, for the last checkpoint: a training that is made longer goes on from it.

        A mean of several epochs stays in the model. The trained weights come back where each epoch has an average of
        its own, as if there were no end, and `finish` follows.
        """
        if self.means.epochs is None:
            self._take_mean_out()
        elif self.is_mean_in_model:
            self._forget()

    def _exchange(self) -> None:
        for _, pairs in self._pairs():
            for weight, other in pairs:
                kept = tf.identity(weight)
                weight.assign(other)
                other.assign(kept)
        self.is_mean_in_model = not self.is_mean_in_model

    def _pairs(self) -> list[tuple[Any, list[Pair]]]:
        found = self.means.holders(self.model)
        return [(holder, list(zip(own, getattr(holder, self.means.beside), strict=True))) for holder, own in found]

    def _make_room(self) -> None:
        for holder, weights in self.means.holders(self.model):
            with self.model.distribute_strategy.scope():
                room = [tf.Variable(tf.identity(weight), trainable=False) for weight in weights]
            setattr(holder, self.means.beside, room)

    def _forget(self) -> None:
        self.count, self.is_mean_in_model = 0, False
        for holder, _ in self.means.holders(self.model):
            if hasattr(holder, self.means.beside):
                delattr(holder, self.means.beside)


# --- averages that an optimizer makes while it trains ----------------------------------------------------------------
#
# Keras puts them into a model when `fit` ends, after the last epoch was validated and its weights were kept. Statistics
# of batch normalization are the model's own and stay what they are.


def averaging(model: keras.Model) -> list[SwappedWeights]:
    """Return the callback that a model with averages needs; none for others.

    It comes before all others of the spec and of plugins, which see the averages from then on. `Agreeing` comes before
    it: the moving statistics are averaged among replicas first.
    """
    if not averaging_optimizers(model):
        return []
    return [SwappedWeights(Means("trained_weights", _weights_by_optimizer, _update_from_optimizer))]


def averaging_optimizers(model: keras.Model) -> list[Any]:
    """Return the optimizers reachable from a model that average: by `use_ema`, or since they are free of a schedule."""
    free = keras.optimizers.ScheduleFreeAdamW
    return [optimizer for optimizer in optimizers_of(model) if optimizer.use_ema or isinstance(optimizer, free)]


def finish(model: keras.Model) -> None:
    """Put the averages of optimizers into a model for good, as at the end of `fit`."""
    for optimizer, weights in _weights_by_optimizer(model):
        _update_from_optimizer(optimizer, [(weight, weight) for weight in weights])


def _weights_by_optimizer(model: keras.Model) -> list[tuple[Any, list[tf.Variable]]]:
    return [(optimizer, trained_by(optimizer)) for optimizer in averaging_optimizers(model)]


def _update_from_optimizer(optimizer: Any, pairs: Sequence[Pair], count: int = 1) -> None:
    if not optimizer.built or not steps_made(optimizer):
        return  # before the first step Keras's averages are 0
    means = moving_averages(optimizer) if optimizer.use_ema else path_ends(optimizer)
    for (weight, other), mean in zip(pairs, means, strict=True):
        if mean is not None:
            other.assign(mean.value if optimizer.use_ema else _path_mean(optimizer, weight, mean.value))


def _path_mean(optimizer: Any, y: tf.Variable, z: tf.Variable) -> tf.Tensor:
    """Return the mean x of a schedule-free path, from y = (1 - beta) z + beta x, where its gradients are taken."""
    beta = tf.cast(optimizer.beta_1, y.dtype)
    return (y - (1 - beta) * z) / beta
