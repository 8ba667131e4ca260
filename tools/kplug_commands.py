"""How tools run one command of `kplug` after another: they stop with it, and say at the end what went wrong."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from kplug.errors import Terminated

TOOLS = Path(__file__).resolve().parent
INTERRUPTED, TERMINATED = 130, 143  # exit codes


def kplug(*words: str) -> int:
    """Run a command to its end and return its exit code; where this process is to stop, the command stops first."""
    child = start_kplug(*words)
    with stopping([child]):
        return child.wait()


def start_kplug(*words: str) -> subprocess.Popen[bytes]:
    """A command that has begun; Ctrl-C does not reach it, which is ours."""
    command = [sys.executable, "-m", "kplug", *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0)


@contextlib.contextmanager
def stopping(children: Collection[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Inside, where this process is to stop, its commands stop first, with their checkpoints."""
    try:
        yield
    except BaseException:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        raise
    finally:
        for child in children:
            if child.poll() is None:  # asked to stop once more
                child.kill()


def terminate(*_: Any) -> NoReturn:
    """Handle SIGTERM: end as Ctrl-C does, with another exit code."""
    raise Terminated


def numbers(text: str) -> list[int]:
    """Parse an option such as `--seeds 0,1,2`."""
    return [int(part) for part in text.split(",")]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def told(problems: Iterable[str]) -> int:
    """Say all problems, at the end, where they are seen, and return the exit code."""
    problems = list(dict.fromkeys(problems))
    tool = Path(sys.argv[0]).resolve().relative_to(TOOLS.parent)
    for problem in problems:
        say(f"{tool}: {problem}")
    return 1 if problems else 0
