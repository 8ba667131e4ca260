"""What training_callbacks are made of: who tells them of the run, averaged weights, the best epochs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError, did_you_mean, listed
from kplug.inference.run import Run
from kplug.model.weights import weights_only
from kplug.training.averaging import averaging_optimizers


class Telling(keras.callbacks.Callback):
    """Tells the other callbacks of a training which run it is: `params["run"]`."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        params["run"] = self.run  # every callback of a training is given the same params


def run_of(callback: keras.callbacks.Callback) -> Run | None:
    """The run that is trained, None where `fit` was called without one."""
    return (callback.params or {}).get("run")


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
    """Keeps the weights of some epochs in the run's folder `best`; in a training without a run it keeps none.

    Args:
        keep: how many.
        metric: says how good an epoch is; without validation data `val_loss` is `loss`.
        direction: minimize or maximize.
    """

    def __init__(self, keep: int, metric: str, direction: str) -> None:
        super().__init__()
        self.keep, self.metric, self.sign = keep, metric, 1 if direction == "minimize" else -1
        self.best: list[tuple[float, int]] = []  # cost, epoch; the best first

    def state(self) -> dict[str, Any]:
        return {"best": [list(pair) for pair in self.best]}

    def restore(self, state: dict[str, Any]) -> None:
        run = run_of(self)
        pairs = [(cost, epoch) for cost, epoch in state["best"]]
        self.best = [pair for pair in pairs if run is None or (run.path / _name(pair[1])).exists()]

    def on_train_begin(self, logs: Any = None) -> None:
        self.best = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for path in self._files():  # a killed process may have been further than this one
            if int(re.findall(r"\d+", path.name)[0]) > epoch:
                path.unlink()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        is_validated = any(name.startswith("val_") for name in logs)
        name = "loss" if self.metric == "val_loss" and not is_validated else self.metric
        cost = self.sign * reported(name, logs)
        if not math.isfinite(cost):
            return
        before = self.best
        self.best = sorted([*before, (cost, epoch + 1)])[: self.keep]
        run = run_of(self)
        if run is None or (cost, epoch + 1) not in self.best:
            return
        with run.writing(_name(epoch + 1)) as path, weights_only(self.model):
            self.model.save_weights(path)
        for _, out in set(before) - set(self.best):
            (run.path / _name(out)).unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        run = run_of(self)
        return list((run.path / "best").glob("epoch-*.weights.h5")) if run else []


def _name(epoch: int) -> str:
    return f"best/epoch-{epoch}.weights.h5"
