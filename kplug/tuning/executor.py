"""The interface of an executor, which runs the trainings of a search. A cluster's is written against this page."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from kplug.spec.search.objectives import MEASURED

# the words for how a training ends
FINISHED = "finished"  # its run is whole
PAUSED = "paused"  # it was told not to go on, and kept a checkpoint
REFUSED = "refused"  # its spec does not fit, in a way that only shows when it is built
FAILED = "failed"  # it crashed, ran out of memory, diverged, or was killed
BROKEN = "broken"  # code raised an error: the search stops


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        name: no other job of the search has it while this one runs.
        spec: what to train, as YAML.
        run: the run's directory; an unfinished run in it is gone on with.
        log: the file that takes what the training writes to stdout and stderr, after what is in it.
        wanted: names of further numbers, from `kplug.spec.search.objectives.COUNTED` and `MEASURED`.
    """

    name: str
    spec: str
    run: str
    log: str
    wanted: tuple[str, ...] = ()

    @property
    def measures(self) -> bool:
        """True where a wanted number is measured when the training is over, so that the job goes on then."""
        return not set(self.wanted).isdisjoint(MEASURED)


@dataclass(frozen=True)
class Reported:
    """A training asks whether it goes on; it waits for `TrialExecutor.answer`.

    Args:
        name: of the job.
        epoch: the one that ended, counted from 1; 0 before the first.
        metrics: those of the epoch; before the first, what is counted.
    """

    name: str
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ended:
    """A training ended.

    Args:
        name: of the job.
        how: one of the words above.
        numbers: those that no epoch reports: counted and measured.
        reason: why, for a person, where the end has a reason; several lines where it is a traceback.
        problems: (dotted path, message) where the spec does not fit.
    """

    name: str
    how: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    problems: tuple[tuple[str, str], ...] = ()


Event = Reported | Ended


class TrialExecutor(abc.ABC):
    """Runs trainings beside each other, each by `kplug.tuning.job.run_job`.

    Args:
        workers: how many trainings at once.
        is_here: True where they take this machine's memory.
        held: open files that every process which trains on this machine is to hold as long as it lives: a lock.
    """

    workers: int
    is_here: bool = False
    held: tuple[int, ...] = ()

    @abc.abstractmethod
    def start(self, job: Job) -> None:
        """Begin a training."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> list[Event]:
        """Wait so long for the first event, and return what has happened since."""

    @abc.abstractmethod
    def answer(self, name: str, go_on: bool) -> None:
        """Let a training that reported go on, or have it stop with a checkpoint."""

    @abc.abstractmethod
    def kill(self, name: str) -> None:
        """End a training at once; no event of it follows."""

    @abc.abstractmethod
    def interrupt(self) -> Collection[str]:
        """Have all trainings write a checkpoint and end, as SIGTERM does.

        One whose report was returned and not answered is killed: it goes on, and reports again, from its last one. To
        those that take long it is said again.

        Returns:
            Names of those from which something may still be heard: they are waited for, up to their `Ended`.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """End at once what still runs, and give back what the executor holds."""

    def memory(self, name: str) -> int:
        """The bytes that a training takes now; 0 where that cannot be known."""
        return 0
