"""The record of every epoch in a run: a row of metrics, the weights of the last epoch and of the best by `fit.best`."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

from kplug.inference.run import Run
from kplug.model.learner import learning_rates
from kplug.model.weights import weights_only
from kplug.records import Learner, Monitor
from kplug.storage.metrics import in_order
from kplug.storage.run_directory import BEST, LAST, METRICS, TIMINGS
from kplug.training.checkpoints import Checkpoint


class Recorder(keras.callbacks.Callback):
    """Keeps the run directory: a row an epoch, the weights of the best epoch and of the last.

    Args:
        run: the run.
        monitor: the metric that says which epoch is best; None: the last is.
    """

    def __init__(self, run: Run, monitor: Monitor | None) -> None:
        super().__init__()
        self.run = run
        self.monitor = monitor
        self.learner: Learner | None = None  # the stage's
        self.best = math.inf
        self.best_metrics: dict[str, float] = {}
        self.stage = self.step = self.rows = self.first_batch = 0
        self.started = 0.0
        self.kept: dict[str, Any] | None = None  # the record of the weights that it kept last

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "best_metrics", "step", "rows")}

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("best", "best_metrics", "step", "rows"):
            setattr(self, name, state.get(name, getattr(self, name)))

    def begin_at(self, found: Checkpoint | None) -> None:
        """Take what a checkpoint knows, and cut off the rows that were written after it; None is the first step."""
        if found:
            self.restore(found.state["keeper"])
        for name in (METRICS, TIMINGS):
            self.run.cut(name, self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.first_batch = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += batch + 1 - self.first_batch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.started
        metrics = in_order(logs or {})
        if self.learner is not None:
            metrics = metrics | {key: rate for key, rate in learning_rates(self.learner).items() if key not in metrics}
        row = {"stage": self.stage, "epoch": epoch + 1, "step": self.step} | metrics
        # where the last epoch is to be kept, each costs less than all before it
        cost = self.monitor.cost(metrics) if self.monitor else -float(self.rows)
        if cost < self.best or not self.best_metrics:
            self.best = cost
            self.best_metrics = metrics | {"epoch": epoch + 1}
            self.keep(self.model, BEST)
        self.keep(self.model, LAST)
        self.rows += 1
        self.run.append(METRICS, row)
        self.run.append(TIMINGS, {"epoch": epoch + 1, "seconds": round(seconds, 3)})

    def keep(self, model: keras.Model, *names: str) -> None:
        """Write the weights as they are to files of the run."""
        for name in names:
            with self.run.writing(name) as path:
                with weights_only(model):
                    model.save_weights(path)
                if name == BEST:
                    self.kept = self.run.announce_weights(self.stage, path, self.kept)
