"""Races between processes: chunk by chunk in turn, since the machine's speed changes from minute to minute."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """A contender ended by itself; the message has what it said last."""


@dataclass
class Side:
    """A contender: how it is started, and what it was measured to do.

    Args:
        name: kplug, tuned or idiomatic.
        command: starts it.
        environment: variables that it gets beside those of the driver.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


class Contender:
    """A running side, which stands still between chunks."""

    def __init__(self, side: Side, log: Path) -> None:
        self.side, self.log = side, log
        environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **side.environment}
        self.started = time.perf_counter()
        with open(log, "w") as errors:
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
            self.process = subprocess.Popen(side.command, env=environment, text=True, start_new_session=True, **pipes)

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            said = self.log.read_text()[-2000:]
            raise Failed(f"{self.side.name} ended with {self.process.wait()}: {' '.join(self.side.command)}\n{said}")
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        self.send(command)
        found = self.answer()
        self.freeze()
        return found

    def freeze(self) -> None:
        """Stop the whole process: else its input pipeline goes on filling buffers at the cost of the others."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def send(self, command: str) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # `answer` says why it has gone
            self.process.stdin.write(command + "\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]

    def first_step(self) -> dict[str, Any]:
        """Wait for the first step; `first_step` becomes the seconds since the command."""
        return self.answer() | {"first_step": time.perf_counter() - self.started}

    def memory(self) -> dict[str, float]:
        """Resident memory in MiB: now, and at its highest."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return {key: int(lines[name].split()[0]) / 1024 for key, name in (("now", "VmRSS"), ("highest", "VmHWM"))}

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.stdout.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def running(sides: Sequence[Side], at_once: bool = False) -> Iterator[list[tuple[Contender, dict[str, Any]]]]:
    """The sides at their first step, with what they said of it.

    Args:
        sides: the contenders.
        at_once: start all, then wait: workers wait for one another. Else they do not disturb one another's start.
    """
    with tempfile.TemporaryDirectory() as logs, contextlib.ExitStack() as stack:
        found, waiting = [], []
        for number, side in enumerate(sides):
            contender = Contender(side, Path(logs) / f"{number}.log")
            stack.callback(contender.close)
            if at_once:
                waiting.append(contender)
            else:
                found.append((contender, contender.first_step()))
                contender.freeze()
        found += [(contender, contender.first_step()) for contender in waiting]
        yield found


def race(contenders: Sequence[Contender], rounds: int, lead: int, steps: int) -> dict[str, list[float]]:
    """Steps a second of every contender in every round; each round begins with another one."""
    rates: dict[str, list[float]] = {contender.side.name: [] for contender in contenders}
    for number in range(rounds):
        at = number % len(contenders)
        for contender in (*contenders[at:], *contenders[:at]):
            done = contender.ask(f"go {lead} {steps}")
            rates[contender.side.name].append(done["steps"] / done["seconds"])
    return rates


def together(contenders: Sequence[Contender], lead: int, steps: int) -> float:
    """Steps a second of contenders that work at the same time: the mean of theirs."""
    for contender in contenders:
        contender.send(f"go {lead} {steps}")
    done = [contender.answer() for contender in contenders]
    return statistics.mean(one["steps"] / one["seconds"] for one in done)


def seconds_to_first_step(side: Side) -> float:
    """Seconds from the command to the first step, in a fresh process."""
    with running([side]) as ((_, first),):
        return first["first_step"]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def script(name: str, what: str, data: Path, seed: int) -> list[str]:
    return [sys.executable, str(HERE / f"{name}.py"), what, str(data), "--seed", str(seed)]


def kplug(model: str, what: str, run: Path, changes: dict[str, Any]) -> list[str]:
    settings = [f"{path}={json.dumps(value)}" for path, value in changes.items()]
    return [sys.executable, str(HERE / "kplug_contender.py"), what, str(HERE / f"{model}.yaml"), str(run), *settings]


def trained_accuracy(model: str, run: Path, changes: dict[str, Any]) -> float:
    """The accuracy of a spec's training on the test split, which is evaluated in float32."""
    settings = [word for path, value in changes.items() for word in ("--set", f"{path}={json.dumps(value)}")]
    for words in (["train", str(HERE / f"{model}.yaml"), "--run", str(run), *settings], ["evaluate", str(run)]):
        done = subprocess.run([sys.executable, "-m", "kplug", *words, "--json"], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"kplug {' '.join(words)} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)["metrics"]["accuracy"]
