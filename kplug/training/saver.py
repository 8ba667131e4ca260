"""The moments at which checkpoints of a training are written, and at which the state of one is put back."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kplug.console import heard
from kplug.errors import Problem, SpecError, Terminated
from kplug.spec.sections import CheckpointSection
from kplug.training.checkpoints import Checkpoint, Checkpoints
from kplug.training.recorder import Recorder
from kplug.training.rollback import lost_weight
from kplug.training.workers import Agreeing


class Saver(keras.callbacks.Callback):
    """Writes checkpoints, and puts back what one holds when a training goes on.

    It is the last of all callbacks, since it keeps what the others left. It knows nothing of the best epoch, whose
    weights the `Recorder` keeps.

    Args:
        recorder: the run's, which knows the stage; its state stands by itself.
        first_epoch: the epoch of the whole training that the stage begins with.
        steps: how many an epoch has.
        every: after how many steps, or seconds, one is written, and how many are kept.
        callbacks: those whose `state` is kept, in an order that a resumed training has too.
        found: the checkpoint to go on from.
        agreeing: has the workers save and stop together.
    """

    def __init__(
        self,
        recorder: Recorder,
        first_epoch: int,
        steps: int,
        every: CheckpointSection,
        callbacks: Sequence[Any],
        found: Checkpoint | None,
        agreeing: Agreeing,
    ) -> None:
        super().__init__()
        self.checkpoints, self.recorder, self.agreeing = Checkpoints(recorder.run, every.keep), recorder, agreeing
        self.first_epoch, self.steps, self.every, self.found = first_epoch, steps, every, found
        self.remembering = [callback for callback in callbacks if hasattr(callback, "state")]
        self.step = self.saved_at = found.state["step"] if found else 0
        self.saved_when = time.monotonic()
        self.epoch_start = 0
        self.asked_to_stop = self.is_stopping = False

    def on_train_begin(self, logs: Any = None) -> None:
        if self.found:
            self._restore_callbacks(self.found)  # now: Keras's callbacks forget all when a training begins
        elif self.recorder.stage:  # what was carried over from the stage before
            self._save()

    def _restore_callbacks(self, found: Checkpoint) -> None:
        states = found.state["callbacks"]
        if len(states) != len(self.remembering):
            what = f"it holds the states of {len(states)} callbacks, and this training has {len(self.remembering)}"
            raise SpecError([Problem(f"{what} that remember: install the plugins of then", where=str(found.path))])
        for callback, state in zip(self.remembering, states, strict=True):
            try:
                callback.restore(state)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                what = f"the state of {type(callback).__name__} is not what it kept: {type(error).__name__}: {error}"
                raise SpecError([Problem(what, where=str(found.path))]) from error

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_start = (epoch - self.first_epoch) * self.steps
        if self.found:  # only now: `fit` has just set the metrics back
            self.found.restore(self.model)
            if self.step % self.steps == 0:  # a checkpoint between epochs: its metrics are the last epoch's
                self.model.reset_metrics()
            self.found = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step = self.epoch_start + batch + 1
        # The last step of an epoch is left to on_epoch_end: a training that goes on from behind it makes no validation
        # of that epoch and writes no row, so that both must have been before the checkpoint.
        if batch + 1 < self.steps and self._agree_to_save():
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.step = self.epoch_start + self.steps
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if self._agree_to_save(at_epoch_end=True) or is_last:
            self._save(done=is_last)

    def _agree_to_save(self, at_epoch_end: bool = False) -> bool:
        """True where some worker wants a checkpoint now; sets `is_stopping` where one wants to stop after it."""
        step = None if at_epoch_end else self.step
        due, self.is_stopping = self.agreeing.any(step, self._is_due(), self.asked_to_stop)
        return due or self.is_stopping

    def _is_due(self) -> bool:
        steps, seconds = self.every.steps, self.every.seconds
        enough = steps is not None and self.step - self.saved_at >= steps
        return enough or (seconds is not None and time.monotonic() - self.saved_when >= seconds)

    def _save(self, done: bool = False) -> None:
        self.agreeing.average_statistics()
        if lost_weight(self.model):  # nobody could go on from it, and it would push out one that is good
            if self.is_stopping:
                raise Terminated
            return
        states = [callback.state() for callback in self.remembering]
        position = {"stage": self.recorder.stage, "first_epoch": self.first_epoch, "step": self.step, "done": done}
        position["epochs"] = self.params["epochs"] - self.first_epoch
        self.checkpoints.save(self.model, {**position, "keeper": self.recorder.state(), "callbacks": states})
        self.saved_at, self.saved_when = self.step, time.monotonic()
        if self.is_stopping:
            raise Terminated

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Have what ends a process wait for the end of the step and for a checkpoint."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask_to_stop) for number in heard()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, number: int, frame: Any) -> None:
        self.asked_to_stop = True
