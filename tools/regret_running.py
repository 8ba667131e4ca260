"""Running the searches that `tools/regret` compares, one at a time, and going on with those that were stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kplug_commands import kplug, say
from results_records import NoRow, noting
from results_specs import data_dirs

from kplug.journal import Journal
from kplug.spec import load

COMMANDS = "commands.jsonl"  # in a search's directory: how each command ended, after how many seconds


@dataclass(frozen=True)
class Job:
    """A search with one oracle and one seed.

    Args:
        name: of the search in the table.
        seed: of oracle, data and trainings.
        file: of the spec.
        oracle: with its parameters.
        directory: of the search.
        data_dir: where datasets are; None leaves it to the spec.
        workers: trials at once; None leaves it to the spec.
    """

    name: str
    seed: int
    file: Path
    oracle: dict[str, Any]
    directory: Path
    data_dir: str | None = None
    workers: int | None = None

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    @property
    def is_begun(self) -> bool:
        return (self.directory / "journal.jsonl").exists()

    @property
    def is_finished(self) -> bool:
        """Whether the search ended by itself, with this oracle: one of fewer trials is gone on with."""
        return [(one["code"], one["oracle"]) for one in commands(self.directory)[-1:]] == [(0, self.oracle)]

    def words(self) -> list[str]:
        """What is typed after `kplug`."""
        changes: dict[str, Any] = {"search.oracle": self.oracle, "seed": self.seed}
        if self.data_dir:
            changes |= dict.fromkeys(data_dirs(load(self.file).root), os.path.abspath(self.data_dir))
        settings = [word for path, value in changes.items() for word in ("--set", f"{path}={json.dumps(value)}")]
        workers = ["--workers", str(self.workers)] if self.workers else []
        resume = ["--resume"] if self.is_begun else []
        return ["search", str(self.file), *settings, "--to", str(self.directory), *workers, *resume]


def run_all(jobs: Sequence[Job], problems: list[str]) -> None:
    """Run what is not finished; what cannot be run is a problem, and the others are run."""
    for number, job in enumerate(jobs, 1):
        say(f"[{number}/{len(jobs)}] {job}{': finished' * job.is_finished}")
        if not job.is_finished:
            with noting(problems):
                run(job)
    spent = sum(ended["seconds"] for job in jobs for ended in commands(job.directory))
    say(f"{sum(job.is_finished for job in jobs)} of {len(jobs)} are finished, after {spent / 60:.1f} minutes in all")


def run(job: Job) -> None:
    """Have kplug search until the end; how the command ended is kept beside the search."""
    started, code = time.monotonic(), None
    try:
        code = kplug(*job.words())
    finally:
        if job.is_begun:
            note_command(job, code, time.monotonic() - started)
    if code:
        raise NoRow(f"{job}: kplug search ended with exit code {code}")


def note_command(job: Job, code: int | None, seconds: float) -> None:
    journal = Journal(job.directory / COMMANDS)
    journal.repair()
    content = {"oracle": job.oracle, "workers": job.workers or 1, "seconds": round(seconds, 1), "code": code}
    journal.append("command", **content)


def commands(directory: Path) -> list[dict[str, Any]]:
    """How the commands of a search ended, in order; `code` is null where it was stopped with this tool."""
    return list(Journal(directory / COMMANDS))
