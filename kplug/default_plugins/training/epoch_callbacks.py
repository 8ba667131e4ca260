"""Callbacks that keep weights of several epochs: their mean, and those of the best."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError, did_you_mean, listed
from kplug.model.weights import weights_only
from kplug.records import Monitor
from kplug.storage.run_directory import RunDirectory
from kplug.training.averaging import averaging_optimizers


def reported(name: str, logs: dict[str, Any]) -> float:
    """A number of an epoch.

    Raises:
        SpecError: there is none of this name.
    """
    if name not in logs:
        raise SpecError(f"'{name}' is not reported{did_you_mean(name, logs)}; this run reports {listed(sorted(logs))}")
    return float(logs[name])


# --- averages --------------------------------------------------------------------------------------------------------


class WeightAveraging(keras.callbacks.Callback):
    """Puts the mean of the weights into the model when the steps of an epoch are done, and takes it out for the next.

    What is not in the model at the time, the mean or the trained weights, is kept in `model.weight_averaging`, from
    where checkpoints take it.

    Args:
        epochs: how many are averaged, the last of the training.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs
        self.epoch = self.count = 0
        self.is_mean_in_model = False

    def state(self) -> dict[str, Any]:
        if self.is_mean_in_model and (self.model.stop_training or self.epoch + 1 == self.params["epochs"]):
            self._forget()  # the training is over: its last checkpoint is that of a plain model
        return {"count": self.count, "is_mean_in_model": self.is_mean_in_model}

    def restore(self, state: dict[str, Any]) -> None:
        self.count, self.is_mean_in_model = state["count"], state["is_mean_in_model"]
        if self.count and self.model:
            self._make_room()  # whose values are put back with those of the model

    def on_train_begin(self, logs: Any = None) -> None:
        if averaging_optimizers(self.model):  # both would exchange the weights, not one inside the other
            raise SpecError("weight_averaging and an optimizer that averages (use_ema, schedule_free_adamw): keep one")
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.is_mean_in_model:  # not sooner: a resumed training has its weights back only now
            self._exchange()

    def on_test_begin(self, logs: Any = None) -> None:
        self._put_mean_in()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._put_mean_in()  # where nothing validates

    def _put_mean_in(self) -> None:
        first = self.params["epochs"] - self.epochs
        if self.is_mean_in_model or self.epoch < first:
            return
        if self.epoch == first or not self.count:
            self.count = 0
            self._make_room()
        self.count += 1
        for weight, mean in self._pairs():
            mean.assign_add((weight - mean) / self.count)
        self._exchange()

    def _exchange(self) -> None:
        for weight, other in self._pairs():
            kept = tf.identity(weight)
            weight.assign(other)
            other.assign(kept)
        self.is_mean_in_model = not self.is_mean_in_model

    def _pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """Weights, moving statistics among them, each with what is kept beside it."""
        return list(zip(_averaged(self.model), self.model.weight_averaging, strict=True))

    def _make_room(self) -> None:
        with self.model.distribute_strategy.scope():
            self.model.weight_averaging = [
                tf.Variable(tf.zeros_like(weight), trainable=False) for weight in _averaged(self.model)
            ]

    def _forget(self) -> None:
        self.count, self.is_mean_in_model = 0, False
        if hasattr(self.model, "weight_averaging"):
            del self.model.weight_averaging


def _averaged(model: keras.Model) -> list[tf.Variable]:
    return [weight.value for weight in model.weights if tf.as_dtype(weight.dtype).is_floating]


# --- the best epochs -------------------------------------------------------------------------------------------------


class BestCheckpoints(keras.callbacks.Callback):
    """Keeps the weights of some epochs in the run's folder `best`.

    Args:
        run: the run.
        keep: how many epochs.
        monitor: says how good an epoch is; without validation data `val_loss` is `loss`.
    """

    def __init__(self, run: RunDirectory, keep: int, monitor: Monitor) -> None:
        super().__init__()
        self.run, self.keep, self.monitor = run, keep, monitor
        self.best: list[tuple[float, int]] = []  # cost, epoch; the best first

    def state(self) -> dict[str, Any]:
        return {"best": [list(pair) for pair in self.best]}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = [(cost, epoch) for cost, epoch in state["best"] if self._file(epoch).exists()]

    def on_train_begin(self, logs: Any = None) -> None:
        self.best = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for path in (self.run.path / "best").glob("epoch-*.weights.h5"):  # a killed process may have been further
            if int(re.findall(r"\d+", path.name)[0]) > epoch:
                path.unlink()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = logs or {}
        monitor = self.monitor.among(metrics)
        reported(monitor.name, metrics)
        cost, before = monitor.cost(metrics), self.best
        if not math.isfinite(cost):
            return
        self.best = sorted([*before, (cost, epoch + 1)])[: self.keep]
        if (cost, epoch + 1) not in self.best:
            return
        with self.run.writing(_name(epoch + 1)) as path, weights_only(self.model):
            self.model.save_weights(path)
        for _, out in set(before) - set(self.best):
            self._file(out).unlink(missing_ok=True)

    def _file(self, epoch: int) -> Path:
        return self.run.path / _name(epoch)


def _name(epoch: int) -> str:
    return f"best/epoch-{epoch}.weights.h5"
