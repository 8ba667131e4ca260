"""Parts of the training callbacks: how they know their run, averaged weights, the best epochs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError, did_you_mean, listed
from kplug.inference.run import Run
from kplug.model.weights import weights_only
from kplug.training.averaging import Means, Pair, averaging_optimizers


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
