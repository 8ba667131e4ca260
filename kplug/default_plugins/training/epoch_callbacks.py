"""Callbacks that keep weights of several epochs: their mean, and those of the best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError, did_you_mean, listed
from kplug.model.weights import weights_only
from kplug.records import Monitor
from kplug.storage.run_directory import RunDirectory
from kplug.training.averaging import Means, Pair, averaging_optimizers


def reported(name: str, logs: dict[str, Any]) -> float:
    """A number of an epoch.

    Raises:
        SpecError: there is none of this name.
    """
    if name not in logs:
        raise SpecError(f"'{name}' is not reported{did_you_mean(name, logs)}; this run reports {listed(sorted(logs))}")
    return float(logs[name])


# --- averages --------------------------------------------------------------------------------------------------------


def epoch_means(epochs: int) -> Means:
    """The mean of the weights at the ends of the training's last epochs, moving statistics of norms among them."""
    return Means("weight_averaging", _averaged_of, _add_epoch, epochs)


def _averaged_of(model: keras.Model) -> list[tuple[keras.Model, list[tf.Variable]]]:
    if averaging_optimizers(model):  # both would exchange the weights, not one inside the other
        raise SpecError("weight_averaging and an optimizer that averages (use_ema, schedule_free_adamw): keep one")
    return [(model, [weight.value for weight in model.weights if tf.as_dtype(weight.dtype).is_floating])]


def _add_epoch(model: keras.Model, pairs: Sequence[Pair], count: int) -> None:
    for weight, mean in pairs:
        mean.assign_add((weight - mean) / count)  # of the first epoch it is the weight already


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
        self.best = [(cost, epoch) for cost, epoch in state["best"] if (self.run.path / _name(epoch)).exists()]

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
        if (cost, epoch + 1) in self.best:
            with self.run.writing(_name(epoch + 1)) as path, weights_only(self.model):
                self.model.save_weights(path)
        for _, out in set(before) - set(self.best):
            (self.run.path / _name(out)).unlink(missing_ok=True)


def _name(epoch: int) -> str:
    return f"best/epoch-{epoch}.weights.h5"
