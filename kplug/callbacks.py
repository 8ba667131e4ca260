"""What every training does beside training: keep the best and the last weights, write rows, show progress."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras

from kplug.run import BEST, KEPT, LAST, Run

SILENCE = 30  # seconds after which a training that writes lines says how far it is


class Keeper(keras.callbacks.Callback):
    """Keeps the run directory: a row an epoch, the weights of the best epoch and of the last.

    Args:
        run: the directory.
        monitor: the metric that says which epoch is best, and "minimize" or "maximize"; none: the last is.
    """

    def __init__(self, run: Run, monitor: tuple[str, str] | None) -> None:
        super().__init__()
        self.run = run
        self.monitor = monitor
        self.best = math.inf
        self.best_metrics: dict[str, float] = {}
        self.stage = self.step = self.rows = self.first_batch = 0
        self.started = 0.0

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "best_metrics", "step", "rows")}

    def restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.first_batch = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += batch + 1 - self.first_batch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.started
        metrics = in_order(logs or {})
        metrics.setdefault("learning_rate", learning_rate(self.model))
        row = {"stage": self.stage, "epoch": epoch + 1, "step": self.step} | metrics
        cost = self.cost(metrics)
        if cost < self.best or not self.best_metrics:
            self.best = cost if not math.isnan(cost) else math.inf
            self.best_metrics = metrics | {"epoch": epoch + 1}
            self.keep(self.model, BEST)
        self.keep(self.model, LAST)
        self.rows += 1
        self.run.append("metrics.jsonl", row)
        self.run.append("timings.jsonl", {"epoch": epoch + 1, "seconds": round(seconds, 3)})

    def cost(self, metrics: dict[str, float]) -> float:
        """Of an epoch; the best has the least."""
        if self.monitor is None:
            return -float(self.rows)
        metric, direction = self.monitor
        return metrics[metric] * (1 if direction == "minimize" else -1)

    def keep(self, model: keras.Model, *names: str) -> None:
        for name in names:
            with self.run.writing(name) as path, weights_only(model):
                model.save_weights(path)
            if name == BEST:
                self.run.write_json(KEPT, {"stage": self.stage})


@contextlib.contextmanager
def weights_only(model: keras.Model) -> Iterator[None]:
    """A model without its optimizer, whose variables Keras would write and read too, twice the size again."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def in_order(logs: dict[str, Any]) -> dict[str, float]:
    """Keras's logs as numbers: training before validation, the loss first."""
    return {name: float(logs[name]) for name in sorted(logs, key=place)}


def place(name: str) -> tuple[bool, bool]:
    """By which the names of metrics are put in order."""
    return name.startswith("val_"), "loss" not in name


def learning_rate(model: keras.Model) -> float:
    """The rate of the step just made; that of the first optimizer where there are several."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class Reading(keras.callbacks.Callback):
    """Knows which split `fit` reads."""

    def __init__(self) -> None:
        super().__init__()
        self.split = "train"

    def on_test_begin(self, logs: Any = None) -> None:
        self.split = "validation"

    def on_test_end(self, logs: Any = None) -> None:
        self.split = "train"


class Progress(keras.callbacks.Callback):
    """A bar with the time left on a terminal, plain lines elsewhere; on stderr, since stdout is for results.

    Args:
        epochs: those of this stage, counted over the whole training.
        steps: in an epoch.
        first: the step of the stage that training goes on with.
        quiet: say nothing.
    """

    def __init__(self, epochs: range, steps: int, first: int = 0, quiet: bool = False) -> None:
        super().__init__()
        self.quiet = quiet
        self.epochs, self.steps, self.first = epochs, steps, first
        self.bar: Any = None
        self.spoke = self.started = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        self.spoke = self.started = time.monotonic()
        if sys.stderr.isatty() and not self.quiet:
            self.bar = _bar()
            self.task = self.bar.add_task("epoch", total=len(self.epochs) * self.steps, shown="", completed=self.first)
            self.bar.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.bar:
            done = (self.epoch - self.epochs.start) * self.steps + batch + 1
            self.bar.update(self.task, completed=done, shown=_shown({"loss": (logs or {}).get("loss", math.nan)}))
        elif time.monotonic() - self.spoke > SILENCE:
            self._say(f"epoch {self.epoch + 1}/{self.epochs.stop}  step {batch + 1}/{self.steps}  {_shown(logs or {})}")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        if self.bar:
            self.bar.update(self.task, description=f"epoch {epoch + 1}/{self.epochs.stop}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        done = epoch + 1 - self.epochs.start - self.first / self.steps
        left = (time.monotonic() - self.started) / done * (self.epochs.stop - epoch - 1)
        line = f"epoch {epoch + 1}/{self.epochs.stop}  {_shown(logs or {})}"
        self._say(line + (f"  {left:.0f} s left" if left and not self.bar else ""))

    def close(self) -> None:
        """Give the terminal back, however the training ended."""
        if self.bar:
            self.bar.stop()

    def _say(self, line: str) -> None:
        self.spoke = time.monotonic()
        if self.quiet:
            return
        if self.bar:
            self.bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    return Progress(*columns, TextColumn("{task.fields[shown]}"), console=Console(stderr=True), transient=True)


def _shown(logs: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in in_order(logs).items() if name != "learning_rate")
