"""The executor of a Ray cluster: places for trainings on its nodes, and what becomes of them where a node dies.

Two things end before their time. A training that crashes is a process beside the actor that watches it, and ends as it
does on one machine: failed, with its signal. An actor that is gone took its training with it, whatever it was: the
node died, lost its network, or ended Ray; the training is started again elsewhere. One case is neither: where a node
runs out of memory, Ray ends an actor of its choice, and the training that went with it failed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from kplug.authoring import log
from kplug.errors import SpecError
from kplug.tuning.executor import BROKEN, FAILED, PAUSED, REFUSED, Ended, Event, Job, TrialExecutor
from kplug_ray.place import LOOK, Place, of_trainings

MOST_LOSSES = 5  # nodes that may die under a training without an epoch in between
PATIENT = 5.0  # seconds between two looks at the nodes, where no training has a place
STORE = 100 * 2**20  # bytes of shared memory for Ray's objects on a cluster of our own; there are hardly any
REACHED_WITHIN = 10.0  # seconds
MOMENT = 5.0  # seconds that a place may take to say something from aside


@dataclass
class _Training:
    job: Job
    epoch: int = 0  # the furthest that was reported
    numbers: Mapping[str, float] = field(default_factory=dict)  # counted before the first
    told_to_end: str = ""  # how, where it was told so
    losses: int = 0  # since that was
    anew: bool = False  # begins with its first step, whatever its run has


@dataclass
class _Place:
    actor: Any
    call: concurrent.futures.Future[Any] | None  # under way: the first says that it is there
    node: str = ""
    training: _Training | None = None
    is_to_leave: bool = False  # once its call has returned


class RayCluster(TrialExecutor):
    """Trainings on a Ray cluster; `kplug_ray.ray_cluster` says the parameters."""

    def __init__(self, workers: int, address: str | None, cpus: float, gpus: float, memory: float | None) -> None:
        self.workers, self.address = workers, address
        self.resources = {"CPU": cpus, "GPU": gpus, "memory": float(int((memory or 0) * 2**30))}
        self.trainings: dict[str, _Training] = {}
        self.waiting: deque[_Training] = deque()  # for a place
        self.places: list[_Place] = []
        self.is_connected = self.is_ours = self.said_that_none_fits = False
        self.looked = 0.0

    def start(self, job: Job) -> None:
        self._connect()
        job = replace(job, run=os.path.abspath(job.run), log=os.path.abspath(job.log))
        self.trainings[job.name] = _Training(job)
        self.waiting.append(self.trainings[job.name])
        self._fill()

    def wait(self, seconds: float) -> list[Event]:
        until = time.monotonic() + seconds
        while True:
            events = [event for place in list(self.places) for event in self._happened(place)]
            self._fill()
            left = until - time.monotonic()
            if events or left <= 0:
                return events
            self._say_that_none_fits()
            calls = [place.call for place in self.places if place.call]
            concurrent.futures.wait(calls, min(left, PATIENT), concurrent.futures.FIRST_COMPLETED)
            if not calls:
                time.sleep(min(left, LOOK))

    def answer(self, name: str, go_on: bool) -> None:
        training = self.trainings.get(name)
        if training is None:  # it crashed when it had reported
            return
        if not go_on:
            training.told_to_end = PAUSED if training.epoch else REFUSED
        for place in self._places_of(training):
            place.call = place.actor.answer.remote(name, go_on).future()

    def kill(self, name: str) -> None:
        training = self.trainings.pop(name)
        if training in self.waiting:
            self.waiting.remove(training)
        for place in self._places_of(training):
            self._drop(place)

    def interrupt(self) -> Collection[str]:
        for training in self.waiting:
            del self.trainings[training.job.name]
        self.waiting.clear()
        for place in list(self.places):
            if place.training and place.call:
                place.is_to_leave = True
                place.actor.interrupt.remote()
            elif place.training:
                self.kill(place.training.job.name)
        return list(self.trainings)

    def stop(self) -> None:
        if not self.is_connected:
            return
        for place in list(self.places):
            self._drop(place)
        self.trainings.clear()
        self.waiting.clear()
        if self.is_ours:
            ray.shutdown()
        self.is_connected = self.is_ours = False

    def memory(self, name: str) -> int:
        for place in self._places_of(self.trainings[name]):
            with contextlib.suppress(RayError):
                return int(ray.get(place.actor.memory.remote(name), timeout=MOMENT))
        return 0

    # --- places ------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give free places to trainings that wait, and have Ray make places for the others."""
        for place in self.places:
            if place.node and place.training is None and self.waiting:
                place.training = self.waiting.popleft()
                place.call = place.actor.train.remote(place.training.job, place.training.anew).future()
        while self.is_connected and len(self.places) < min(self.workers, len(self.trainings)):
            cpus, gpus, memory = self.resources.values()
            options = {"num_cpus": cpus, "num_gpus": gpus, "memory": memory or None, "scheduling_strategy": "SPREAD"}
            kind: Any = ray.remote(concurrency_groups={"aside": 1}, max_restarts=0, max_task_retries=0)(Place)
            actor = kind.options(**options).remote(of_trainings(), os.getcwd())
            self.places.append(_Place(actor, actor.node.remote().future()))

    def _places_of(self, training: _Training) -> Iterator[_Place]:
        return (place for place in list(self.places) if place.training is training)

    def _drop(self, place: _Place) -> None:
        self.places.remove(place)
        with contextlib.suppress(RayError):
            ray.kill(place.actor)

    def _say_that_none_fits(self) -> None:
        """Log once that no node has what a training takes, where that is so."""
        if any(place.node for place in self.places) or not self.waiting:
            self.said_that_none_fits, self.looked = False, time.monotonic()
            return
        if self.said_that_none_fits or time.monotonic() - self.looked < PATIENT:
            return
        self.looked = time.monotonic()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= need for name, need in self.resources.items()) for node in nodes):
            needs = ", ".join(f"{name} {need:g}" for name, need in self.resources.items() if need)
            log(f"none of the {len(nodes)} nodes of the Ray cluster has {needs} for a training; waiting for one")
            self.said_that_none_fits = True

    # --- what happens on them ----------------------------------------------------------------------------------------

    def _happened(self, place: _Place) -> list[Event]:
        """The events of a place's call, where it has ended."""
        if place.call is None or not place.call.done():
            return []
        call, place.call = place.call, None
        if (error := call.exception()) is not None:
            self._drop(place)
            return self._lost(place.training, error)
        if not place.node:
            place.node = call.result()
            return []
        if place.is_to_leave and place.training and not call.result():
            place.is_to_leave, place.call = False, place.actor.leave.remote().future()
            return []
        for event in call.result():
            self._note(place, event)
        return call.result()

    def _note(self, place: _Place, event: Event) -> None:
        training = place.training
        assert training is not None
        if isinstance(event, Ended):
            place.training = None
            del self.trainings[event.name]
        else:
            training.losses = training.losses if event.epoch <= training.epoch else 0
            training.numbers = training.numbers if event.epoch else event.metrics
            training.epoch = max(training.epoch, event.epoch)
            training.anew = False

    def _lost(self, training: _Training | None, error: BaseException) -> list[Event]:
        """Decide what becomes of a training whose place is gone, or that waits where none can be made at all."""
        if isinstance(error, RayTaskError) or (isinstance(error, RayActorError) and error.actor_init_failed):
            if training is None and self.waiting:
                training = self.waiting.popleft()
            return self._end(training, BROKEN, str(error)) if training else []
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        if training is None:
            log(f"a place for trainings on the Ray cluster was gone before it had one: {said}")
            return []
        if training.told_to_end and not training.job.measures:  # it had nothing more to say
            return self._end(training, training.told_to_end, "", training.numbers)
        if isinstance(error, OutOfMemoryError):
            return self._end(training, FAILED, f"its node ran out of memory, and Ray ended it: {said}")
        training.losses += 1
        if training.losses > MOST_LOSSES:
            return self._end(training, FAILED, f"{training.losses} nodes died under it, with no epoch between: {said}")
        if training.told_to_end:  # what stopped cannot be gone on with to be measured
            training.told_to_end, training.anew = "", True
        log(f"training {training.job.name} lost its node, and goes on elsewhere: {said}")
        self.waiting.appendleft(training)
        return []

    def _end(
        self, training: _Training, how: str, reason: str, numbers: Mapping[str, float] | None = None
    ) -> list[Event]:
        del self.trainings[training.job.name]
        return [Ended(training.job.name, how, numbers or {}, reason)]

    # --- the cluster -------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self.is_connected:
            return
        if not ray.is_initialized():
            with _signal_handler_kept():
                _open(self.address)
            self.is_ours = True
        self.is_connected = True


def _open(address: str | None) -> None:
    """Connect to a cluster, or begin one on this machine."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    named = address or os.environ.get("RAY_ADDRESS")
    try:
        if named:
            _reach(named)
        ray.init(named or "auto", **quiet)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        if named:
            raise SpecError(f"the Ray cluster at {named} cannot be reached: {error}") from error
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers that it was begun
        ray.init("local", include_dashboard=False, object_store_memory=STORE, **quiet)
        # it cannot be told to listen on loopback alone: `ray.init` takes the machine's own address for 127.0.0.1
        what = "a Ray cluster of this machine is up; it runs code for whoever reaches its ports, on every interface"
        log(f"{what}: search in a network that you trust")


def _reach(address: str) -> None:
    """Raise OSError where nobody answers at host:port; Ray would try for minutes, deaf to signals."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN).close()


@contextlib.contextmanager
def _signal_handler_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; on it a search has its trainings write checkpoints."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)
