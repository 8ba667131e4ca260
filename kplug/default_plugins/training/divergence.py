"""Guards against a training that diverges, and the smaller rates of one that has gone back."""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.default_plugins.training.epoch_callbacks import reported
from kplug.errors import BlownUp
from kplug.model.rates import slow_down
from kplug.storage.run_directory import RunDirectory
from kplug.training.rollback import good_checkpoint, lost_weight, rates

LOOK = 1.0  # seconds between two looks at a loss that another device computes: each look waits for that device


class StopOnBlowUp(keras.callbacks.Callback):
    """Raises BlownUp as soon as the loss is bad; nothing is written after that.

    Args:
        run: the run, whose last good checkpoint is named.
        monitor: name of the loss.
        factor: how many times the lowest value it may reach; None is no bound.
        go_back: (factor of the learning rates, how often) where the training then goes on; None is to stop.
    """

    def __init__(
        self, run: RunDirectory, monitor: str, factor: float | None, go_back: tuple[float, int] | None = None
    ) -> None:
        super().__init__()
        self.run, self.monitor, self.factor, self.go_back = run, monitor, factor, go_back
        self.first: float | None = None
        self.lowest = math.inf
        self.epoch = 0

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "lowest": self.lowest if math.isfinite(self.lowest) else None}

    def restore(self, state: dict[str, Any]) -> None:
        self.first = state["first"]
        self.lowest = math.inf if state["lowest"] is None else state["lowest"]

    def on_train_begin(self, logs: Any = None) -> None:
        self.first, self.lowest = None, math.inf

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if logs and self.monitor in logs:
            self._look(float(logs[self.monitor]), f"step {batch + 1} of epoch {self.epoch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._look(reported(self.monitor, logs or {}), f"the end of epoch {self.epoch}")

    def _look(self, value: float, when: str) -> None:
        if not math.isfinite(value):
            raise BlownUp(f"{self.monitor} is {value} at {when}; {advice(self.run)}", self.go_back)
        if self.first is None:
            self.first = value
        self.lowest = min(self.lowest, value)
        if self.factor and self.lowest > 0 and value > max(self.factor * self.lowest, self.first):
            much = f"over {self.factor:g} times its lowest, {self.lowest:.4g}"
            raise BlownUp(f"{self.monitor} is {value:.4g} at {when}, {much}; {advice(self.run)}", self.go_back)


class LossGuard(keras.callbacks.Callback):
    """Ends every training from which nothing can come any more: a loss is no number and a weight is lost.

    A loss that is no number while all weights are finite is said once, and the training goes on: mixed float16 skips
    such steps. On a CPU every step is looked at; a device that computes beside Python would be waited for, so that
    its losses are looked at once a second, and their mean at the end of the epoch.

    Args:
        run: the run, whose last good checkpoint is named.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run
        self.said: set[str] = set()
        self.looked = -math.inf
        self.epoch = 0
        self.is_ended = False

    def on_train_begin(self, logs: Any = None) -> None:
        # seconds between two looks
        self.every = 0.0 if {device.device_type for device in tf.config.list_logical_devices()} == {"CPU"} else LOOK

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.is_ended = self.model.stop_training  # as `terminate_on_nan` does: the training then ends as it is
        if logs and not self.is_ended and time.monotonic() - self.looked >= self.every:
            self._look(logs, f"step {batch + 1} of epoch {self.epoch}")
            self.looked = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.is_ended:
            return
        self._look(logs or {}, f"the end of epoch {self.epoch}")
        if lost := lost_weight(self.model):
            raise BlownUp(f"{lost} is not finite at the end of epoch {self.epoch}; {advice(self.run)}")

    def _look(self, logs: dict[str, Any], when: str) -> None:
        for name in logs:
            if name.rpartition("_")[2] != "loss" or name in self.said or math.isfinite(value := float(logs[name])):
                continue
            if lost := lost_weight(self.model):
                raise BlownUp(f"{name} is {value} at {when}, {lost} is not finite any more; {advice(self.run)}")
            log(f"{name} is {value} at {when}; all weights are finite still, so that the training goes on")
            self.said.add(name)


def advice(run: RunDirectory) -> str:
    """A sentence on the good checkpoint that is left of a training that diverged, and on what to do."""
    found = good_checkpoint(run)
    where = f"the last good checkpoint is {found.path}" if found else "there is no good checkpoint"
    callback = "{type: stop_on_blow_up, go_back: {}} in fit.callbacks go back and on with a smaller rate"
    return f"{where}; train anew with a smaller learning rate, a longer warm-up or global_clipnorm, or let {callback}"


class SlowedDown(keras.callbacks.Callback):
    """Multiplies the learning rates of a training that has gone back, by what the run's setbacks say.

    Schedules are computed anew, with all setbacks. A rate that is a variable is kept with a checkpoint, which may be
    from before the last setbacks: those alone are then made up for.

    Args:
        run: the run, which has a row for each setback.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run
        self.known = 0  # setbacks that the rates in the model are already lowered for

    def state(self) -> dict[str, Any]:
        return {"setbacks": self.known}

    def restore(self, state: dict[str, Any]) -> None:
        self.known = state["setbacks"]

    def on_train_begin(self, logs: Any = None) -> None:
        self.rates = rates(self.run)
        slow_down(self.model, schedules=math.prod(self.rates), variables=math.prod(self.rates))
        self.known = len(self.rates)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.known < len(self.rates):  # not sooner: the rate of a checkpoint is put back only now
            slow_down(self.model, schedules=1.0, variables=math.prod(self.rates[self.known :]))
            self.known = len(self.rates)
