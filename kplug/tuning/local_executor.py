"""The executor of one machine: each training a process, which `kplug.tuning.fork_server` forks on demand."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kplug.console import inherited_environment
from kplug.tuning.executor import FAILED, Ended, Event, Job, Reported, TrialExecutor

ATTEMPTS = 2  # tries to hand a job over: the process that forks may be gone, and another one takes its place
# Bytes of one read. What a process said before it ended is read at once, so that this must be more than a socket holds,
# 208 KiB on Linux unless somebody raised it; while it lives, more comes with the next read.
READ_AT_ONCE = 1 << 20


@dataclass
class _Training:
    """A training that was handed over, and what is known of its process."""

    job: Job
    channel: socket.socket
    pid: int = 0
    asks: bool = False  # has reported, and waits
    read: bytes = b""
    ended: Ended | None = None
    code: int | None = None


class Processes(TrialExecutor):
    """Runs trainings in processes of this machine, which it has a fork server start: one that has TensorFlow loaded.

    Args:
        workers: how many at once.
    """

    is_here = True

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.trainings: dict[str, _Training] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket
        self.heard = b""

    def start(self, job: Job) -> None:
        mine, its = socket.socketpair()
        Path(job.log).parent.mkdir(parents=True, exist_ok=True)
        message = json.dumps(asdict(job)).encode() + b"\n"
        for attempt in range(ATTEMPTS):
            # One that is gone is heard out before another takes its place, and its channel's: with it ended trainings
            # whose ends nobody would hear of.
            if self.server is not None and self.server.poll() is not None:
                self._hear_all()
            self._serve()
            try:
                sent = socket.send_fds(self.channel, [message], [its.fileno()])
                self.channel.sendall(message[sent:])
                break
            except (BrokenPipeError, ConnectionResetError):
                if attempt + 1 == ATTEMPTS:
                    raise
                self._hear_all()
        its.close()
        self.trainings[job.name] = _Training(job, mine)

    def wait(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        until = time.monotonic() + seconds
        while not events and (left := until - time.monotonic()) > 0:
            by_channel = {t.channel: t for t in self.trainings.values() if t.channel.fileno() >= 0}
            ready, _, _ = select.select([self.channel, *by_channel], [], [], left)
            for channel in ready:
                if channel is self.channel:
                    self._hear()
                else:
                    events += _read(by_channel[channel])
            events += self._ends()
        return events

    def answer(self, name: str, go_on: bool) -> None:
        with contextlib.suppress(OSError, KeyError):  # it is gone; its end is heard of next, or was
            self.trainings[name].asks = False
            self.trainings[name].channel.sendall(json.dumps({"go_on": go_on}).encode() + b"\n")

    def kill(self, name: str) -> None:
        training = self.trainings.pop(name)
        training.channel.close()
        _signal(training, signal.SIGKILL)

    def interrupt(self) -> Collection[str]:
        for name, training in list(self.trainings.items()):
            if training.pid and not training.asks:
                _signal(training, signal.SIGTERM)
            else:
                self.kill(name)  # it waits, or its process is not there yet: it would not write anything
        return list(self.trainings)

    def stop(self) -> None:
        if self.server is None:
            return
        for name in list(self.trainings):
            self.kill(name)
        self.channel.close()
        self.server.kill()  # one that still loads TensorFlow is not waited for
        self.server.wait()
        self.server = None

    def memory(self, name: str) -> int:
        return sum(map(_private_memory, _group(self.trainings[name].pid)))

    # --- the process that forks --------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Start the process that forks, where there is none."""
        if self.server is not None and self.server.poll() is None:
            return
        self.channel, its = socket.socketpair()
        files = (its.fileno(), *self.held)
        command = [sys.executable, "-m", "kplug.tuning.fork_server", str(its.fileno())]
        self.server = subprocess.Popen(
            command, pass_fds=files, stdin=subprocess.DEVNULL, start_new_session=True, env=inherited_environment()
        )
        its.close()
        self.heard = b""

    def _hear_all(self) -> None:
        """Read what the process that forked said before it was gone, so that its trainings are known to have ended."""
        gone = self.server
        while self.server is gone:
            self._hear()

    def _hear(self) -> None:
        """Read what the process that forks says: who began, who ended; where it is gone, all ended."""
        try:
            received = self.channel.recv(READ_AT_ONCE)
        except ConnectionResetError:  # it is gone, with a job that it had not read
            received = b""
        *lines, self.heard = (self.heard + received).split(b"\n")
        for line in map(json.loads, lines):
            if (training := self.trainings.get(line.get("name"))) is None:
                continue
            training.pid = line.get("pid", training.pid)
            training.code = line.get("code")
        if not received:
            self.channel.close()
            assert self.server is not None
            code = self.server.wait()
            self.server = None
            for training in self.trainings.values():
                _signal(training, signal.SIGKILL)
                training.code = code if code else 1
            self._serve()

    def _ends(self) -> list[Event]:
        """The ends of the trainings whose processes are gone."""
        events: list[Event] = []
        for name, training in list(self.trainings.items()):
            if training.code is None:
                continue
            if training.channel.fileno() >= 0:
                _read(training)  # its last words
                training.channel.close()
            del self.trainings[name]
            events.append(training.ended or _crashed(training))
        return events


def _read(training: _Training) -> list[Event]:
    """The events in the whole lines that a training has sent; its last words are kept until its process is gone."""
    try:
        training.channel.setblocking(False)
        received = training.channel.recv(READ_AT_ONCE)
    except OSError:
        received = b""
    finally:
        with contextlib.suppress(OSError):
            training.channel.setblocking(True)
    if not received and training.code is None:
        training.channel.close()  # its process is about to be gone, which is heard of elsewhere
    *lines, training.read = (training.read + received).split(b"\n")
    events: list[Event] = []
    for line in map(json.loads, lines):
        if "ended" in line:
            fields: dict[str, Any] = line["ended"]
            training.ended = Ended(**{**fields, "problems": tuple(map(tuple, fields["problems"]))})
        else:
            training.asks = True
            events.append(Reported(training.job.name, line["epoch"], line["metrics"]))
    return events


def _crashed(training: _Training) -> Ended:
    """The end of a training that said nothing of it: how its process was gone."""
    code = training.code or 0
    try:
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    except ValueError:
        what = f"killed by signal {-code}"
    hint = "; the system may have run out of memory" if code == -signal.SIGKILL else ""
    return Ended(training.job.name, FAILED, reason=f"its process was {what}{hint}; see {training.job.log}")


def _signal(training: _Training, number: int) -> None:
    """Send a signal; one that kills goes to what the training started too."""
    if not training.pid:
        return
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):  # it does not lead its group yet
                os.killpg(training.pid, number)
        os.kill(training.pid, number)


def _group(pid: int) -> list[int]:
    """The processes of the group that one leads, and it."""
    found = {pid} if pid else set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state = file.read_text().rpartition(")")[2].split()  # behind the name, which may hold anything
            if pid and int(state[2]) == pid:
                found.add(int(file.parent.name))
    return sorted(found)


def _private_memory(pid: int) -> int:
    """The bytes that a process shares with no other, which leaves out the pages that its fork left it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
