"""Workers of one cluster as processes of this machine: started, watched, ended together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from kplug.console import heard, log
from kplug.default_plugins.launch.private_network import leave_the_network
from kplug.errors import WORKER_LOST

# Seconds in which those that are left notice that one is lost and end by themselves. They hear of it after the
# HEARTBEAT of default_plugins/training/devices.py, 20 seconds, and must have time beyond it: one that is killed before
# does not say why.
GRACE = 60
TURN = 0.1  # seconds between two looks at the workers


@dataclass
class LocalCluster:
    """Workers that train one run.

    Args:
        count: how many.
        words: what each is told: the command of `kplug` and its arguments.
        run: the run's directory; beside it stand the logs of all workers but the first.
        signals: those that came for the launcher, and were sent on.
    """

    count: int
    words: list[str]
    run: Path
    signals: list[int] = field(default_factory=list)

    def train(self, restarts: int) -> int:
        """Train to the end, again from the last checkpoint where a worker is lost; return the exit code."""
        for attempt in range(restarts + 1):
            codes, failed = self._train_once()
            if not failed:
                return 0
            if self.signals:
                return 128 + self.signals[0]
            # one that breaks is gone for the others, and they may end sooner than it does
            first = min(failed, key=lambda index: codes[index] == WORKER_LOST)
            if codes[first] >= 0 and codes[first] != WORKER_LOST:  # its spec is wrong, or it broke
                if first:  # the words of worker 0 were seen
                    log(f"worker {first} ended with exit code {codes[first]}; {self._log_of(first)} has its words")
                return codes[first]
            log(f"a worker was lost (exit codes {codes}); attempt {attempt + 1} is over")
        return WORKER_LOST

    def _log_of(self, index: int) -> Path:
        return self.run.with_name(f"{self.run.name}.worker-{index}.log")

    def _train_once(self) -> tuple[list[int], list[int]]:
        """Start all workers and wait for all; return their exit codes, and which failed, in the order of time."""
        hosts = [f"127.0.0.1:{port}" for port in free_ports(self.count)]
        workers: list[subprocess.Popen[bytes]] = []
        self.run.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack, self._sending_on(workers):
            for index in range(self.count):
                log_file = stack.enter_context(open(self._log_of(index), "a")) if index else None
                workers.append(self._start(index, hosts, log_file))
            return _watch(workers)

    def _start(self, index: int, hosts: list[str], output: IO[str] | None) -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own: a terminal sends Ctrl-C to the launcher's alone."""
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        command = [sys.executable, "-m", "kplug", *self.words]
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )

    @contextmanager
    def _sending_on(self, workers: list[subprocess.Popen[bytes]]) -> Iterator[None]:
        """Send Ctrl-C, SIGTERM and SIGHUP on to the workers inside, which keep a checkpoint; the second kills them."""

        def send_on(number: int, frame: FrameType | None) -> None:
            for worker in workers:
                worker.send_signal(signal.SIGKILL if self.signals else number)
            self.signals.append(signal.SIGTERM if number == signal.SIGHUP else number)

        # a shell has its background jobs ignore SIGINT, and so do their children
        before = {number: signal.signal(number, send_on) for number in heard(signal.SIGINT)}
        try:
            yield
        finally:
            for worker in workers:  # none is left, but where one could not be started
                worker.kill()
            for number, handler in before.items():
                signal.signal(number, handler)


def _watch(workers: list[subprocess.Popen[bytes]]) -> tuple[list[int], list[int]]:
    """Wait for all; once one has failed, those that do not notice it in time are killed."""
    failed: list[int] = []
    deadline = float("inf")
    while len(failed) < len(workers):
        alive = [worker for worker in workers if worker.poll() is None]
        failed += [index for index, worker in enumerate(workers) if worker.poll() and index not in failed]
        if not alive:
            break
        if failed:
            deadline = min(deadline, time.monotonic() + GRACE)
        if time.monotonic() > deadline:
            for worker in alive:
                worker.kill()
        time.sleep(TURN)
    return [worker.wait() for worker in workers], failed


def keep_to_themselves() -> None:
    """Take this process and the workers to come out of the machine's network, or say that they stay in it."""
    if not leave_the_network():
        log("the system allows no network of the workers' own: they listen on all interfaces of this machine")


def free_ports(count: int) -> list[int]:
    """Find ports of this machine on which nobody listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
