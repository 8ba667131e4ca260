"""One training of a search: `run_job` trains in this process, and asks after each epoch whether to go on.

An executor calls it in a process that it started for this training.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import BlownUp, NoMemory, Problem, SpecError, Terminated, dotted
from kplug.hookspecs import hookimpl
from kplug.inference.latency import latency_ms
from kplug.inference.run import Run
from kplug.model.operations import counted
from kplug.spec import loads
from kplug.spec.plugins import host
from kplug.storage.metrics import in_order
from kplug.training.fit import train
from kplug.tuning.executor import BROKEN, FAILED, FINISHED, PAUSED, REFUSED, Ended, Job

Ask = Callable[[int, Mapping[str, float]], bool]


class _NotWanted(BaseException):
    """The training was told before its first step not to go on."""


class Reporter(keras.callbacks.Callback):
    """Asks whether the training goes on; where not, has it write a checkpoint and end, as SIGTERM does.

    Args:
        job: the training, whose numbers are counted.
        ask: called with (epoch, metrics), returns True where the training goes on.
    """

    def __init__(self, job: Job, ask: Ask) -> None:
        super().__init__()
        self.job, self.ask = job, ask
        self.numbers: dict[str, float] | None = None
        self.is_pausing = False

    @hookimpl
    def callbacks(self, run: Run) -> list[Any]:
        return [self]

    def on_train_begin(self, logs: Any = None) -> None:
        if self.numbers is None:  # once, whatever the stage
            self.numbers = counted(self.model, self.job.wanted)
            if not self.ask(0, self.numbers):
                raise _NotWanted

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.ask(epoch + 1, in_order(logs or {})):
            self.is_pausing = True
            os.kill(os.getpid(), signal.SIGTERM)


def run_job(job: Job, ask: Ask) -> Ended:
    """Train a job's spec in this process.

    Args:
        job: the training.
        ask: called with (epoch, metrics) once before the first epoch and after each; True: it goes on.
    """
    reporter = Reporter(job, ask)
    manager = host().manager
    manager.register(reporter)
    try:
        try:
            train(loads(job.spec, Path(job.run).name), job.run, go_on=True)
        except Terminated:
            if not reporter.is_pausing:
                raise
        numbers = dict(reporter.numbers or {})
        if "latency_ms" in job.wanted:
            numbers["latency_ms"] = latency_ms(Run.open(job.run))
        return Ended(job.name, PAUSED if reporter.is_pausing else FINISHED, numbers)
    except Terminated:
        return Ended(job.name, FAILED, reporter.numbers or {}, "it was terminated")
    except _NotWanted:
        return Ended(job.name, REFUSED, reporter.numbers or {})
    except (NoMemory, MemoryError, tf.errors.ResourceExhaustedError, BlownUp) as error:
        return Ended(job.name, FAILED, reporter.numbers or {}, _first_line(error))
    except SpecError as error:
        problems = tuple((dotted(problem.path), _whole(problem)) for problem in error.problems)
        return Ended(job.name, REFUSED, reporter.numbers or {}, _first_line(error), problems)
    except Exception:
        return Ended(job.name, BROKEN, reporter.numbers or {}, traceback.format_exc())
    finally:
        manager.unregister(reporter)


def _whole(problem: Problem) -> str:
    """The message of a problem, with its file where it is not of the spec, such as a full disk."""
    return problem.message if problem.path or not problem.where else f"{problem.where}: {problem.message}"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
