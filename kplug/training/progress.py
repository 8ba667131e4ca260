"""A training as a person sees it: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import keras

from kplug.storage.metrics import in_order

SILENCE = 30  # seconds after which a training that writes lines says how far it is


class Reading(keras.callbacks.Callback):
    """Knows which split `fit` reads, so that an error of the input pipeline can name the examples that cause it."""

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
        steps: how many an epoch has.
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
