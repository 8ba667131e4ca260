"""A process measured from outside, through /proc: how long it takes, and how much memory while each trial runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OFTEN, SELDOM = 0.1, 0.5  # seconds between two looks at the process, and at all processes below it
PAGE = os.sysconf("SC_PAGE_SIZE")
KIB, MIB = 2**10, 2**20


class Failed(Exception):
    """A process ended by itself, or did not do what it was to do; the message has what it said last."""


@dataclass
class Watched:
    """The observations of a process.

    Args:
        seconds: from its start to its end.
        resident: by trial, the most bytes that the process itself held while that trial was under way.
        together: the most bytes that it and all processes below it held at once, what they share counted once.
        began: when the first trial was first seen, in seconds from the start.
        ended: when a trial was last seen.
    """

    seconds: float = 0.0
    resident: dict[int, int] = field(default_factory=dict)
    together: int = 0
    began: float = 0.0
    ended: float = 0.0

    def look(self, pid: int, trial: int, now: float) -> None:
        """Note the process as it is while a trial is under way, counted from 1; 0 is none."""
        if not trial:
            return
        self.began, self.ended = self.began or now, now
        self.resident[trial] = max(self.resident.get(trial, 0), resident(pid))

    def resident_in(self, trial: int) -> int:
        """The resident memory in a trial, or in the last before it that was long enough to be seen."""
        seen = [number for number in self.resident if number <= trial]
        if not seen:
            raise Failed(f"no trial up to {trial} was seen under way")
        return self.resident[max(seen)]


def watch(
    command: list[str], folder: Path, log: Path, environment: Mapping[str, str], under_way: Callable[[], int]
) -> Watched:
    """Run a command in a folder to its end.

    Args:
        command: the process.
        folder: its working directory.
        log: takes what it says.
        environment: its variables.
        under_way: the trial that it is at, counted from 1; 0 where it is at none.
    """
    seen = Watched()
    with open(log, "w") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            looked = -SELDOM
            while process.poll() is None:
                now = time.perf_counter() - started
                with contextlib.suppress(OSError):  # it has just gone
                    seen.look(process.pid, under_way(), now)
                if now - looked >= SELDOM:
                    looked, seen.together = now, max(seen.together, together(family(process.pid)))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(OFTEN)
            seen.seconds = time.perf_counter() - started
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}\n{log.read_text()[-2000:]}")
    return seen


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def together(pids: list[int]) -> int:
    """Bytes of processes in memory, what they share counted once.

    Only they have a part in what is no file's, since they were forked from each other. Of files, such as libraries,
    others may have some mapped too: those of the process that has most are counted, whoever else has them.
    """
    own = files = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has gone
            lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
            kib = {line[0]: int(line[1]) for line in lines}
            own += kib["Pss_Anon:"] * KIB
            files = max(files, resident(pid) - _anonymous(pid))
    return own + files


def _anonymous(pid: int) -> int:
    """Bytes of a process in memory that are no file's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * KIB
    return 0  # it has just ended


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has gone
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:  # which grows meanwhile
        found += children.get(one, [])
    return found


def on_disk(folder: Path) -> int:
    """Bytes that a folder takes, as the file system counts them."""
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")))
