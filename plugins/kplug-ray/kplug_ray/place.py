"""The actor on a node: a place for one training at a time. Free of TensorFlow, which the trainings load."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import ray

from kplug.authoring import Processes, inherited_environment
from kplug.tuning.executor import BROKEN, FAILED, Ended, Event, Job

# What bears on a training is on every node as it is where the search runs. Ray, for one, sets OMP_NUM_THREADS.
_OF_TRAININGS = re.compile(r"(GRPC|KERAS|KPLUG|TF|TFDS|XLA)_.*|.*_NUM_THREADS|PYTHONPATH")
_OF_THIS_MACHINE = frozenset({"TF_CONFIG"})
LOOK = 1.0  # seconds between two looks whether the training is to stop
LOCK_PATIENCE = 30.0  # seconds in which a process that lost its node is gone, and with it its lock


class Place:
    """An actor of Ray; each training is forked from a process beside it, and a crash of one is told as what it is.

    A call that trains lasts until something happens, and one follows the other; calls "aside" do not wait for it. Where
    the actor ends, whatever ends it, its training is killed.

    Args:
        environment: of the search, as far as it bears on trainings.
        folder: the search's working directory.
    """

    def __init__(self, environment: Mapping[str, str], folder: str) -> None:
        self.environment = dict(environment)
        paths = [
            path for of in (environment, os.environ) for path in of.get("PYTHONPATH", "").split(os.pathsep) if path
        ]
        self.environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        self.folder = folder
        self.processes = Processes(1)
        if not ray.get_gpu_ids():
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves it as it is where an actor takes none
        self.stopping = threading.Event()

    def node(self) -> str:
        """The name of this node, for a person; the first answer of a place."""
        return socket.gethostname()

    def train(self, job: Job, anew: bool) -> list[Event]:
        """Begin a training, or go on with it unless it is to begin anew; what happened first."""
        if not Path(job.run).parent.is_dir():
            reason = f"the node {self.node()} has no {Path(job.run).parent}; a search's directory is one that all share"
            return [Ended(job.name, BROKEN, reason=reason)]
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        wait_until_free(job.run)
        if anew:
            shutil.rmtree(job.run, ignore_errors=True)
        self._set_environment()
        self.processes.start(job)
        return self._next()

    def answer(self, name: str, go_on: bool) -> list[Event]:
        """Answer a training that reported; what happened next."""
        self._set_environment()
        self.processes.answer(name, go_on)
        return self._next()

    def leave(self) -> list[Event]:
        """Have the training write a checkpoint and end; what happened first."""
        self.stopping.clear()
        names = list(self.processes.trainings)
        if self.processes.interrupt():
            return self._next()
        return [Ended(name, FAILED, reason="it was terminated") for name in names]  # before it had a process

    @ray.method(concurrency_group="aside")
    def interrupt(self) -> None:
        """Have the call that trains return, so that `leave` is next."""
        self.stopping.set()

    @ray.method(concurrency_group="aside")
    def memory(self, name: str) -> int:
        """Bytes that the training takes now."""
        return self.processes.memory(name) if name in self.processes.trainings else 0

    def _next(self) -> list[Event]:
        events: list[Event] = []
        while not events and not self.stopping.is_set():
            events = self.processes.wait(LOOK)
        return events

    def _set_environment(self) -> None:
        """Give this process the search's environment: Ray sets its own number of threads before each call."""
        for name in of_trainings(os.environ):
            if name not in self.environment:
                del os.environ[name]
        os.environ.update(self.environment)


def of_trainings(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that bear on trainings; by default those of this process."""
    variables = inherited_environment() if environment is None else environment
    return {k: v for k, v in variables.items() if _OF_TRAININGS.fullmatch(k) and k not in _OF_THIS_MACHINE}


def wait_until_free(run: str, patience: float = LOCK_PATIENCE) -> None:
    """Wait for a process that trained the run elsewhere and is about to end; after that, the training says it."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            with open(Path(run) / "lock", "r+") as file:  # that of `kplug.storage.files.owned`
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except FileNotFoundError:  # nobody has begun it
            return
        except BlockingIOError:
            time.sleep(0.2)
