"""Cases are tried in a child process, which may die of one: it is told, and the next child goes on behind it."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

ACCEPTED, REFUSED, NAMED, RAW, SLOW, LARGE, CRASHED = "accepted", "refused", "named", "raw", "slow", "large", "crashed"
WELL = (ACCEPTED, REFUSED, NAMED)
PATIENCE = 60  # processor seconds after which a case is ended, over what it may take


class TooLong(BaseException):
    """A case has taken so much processor time that it is ended."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        verdict: accepted or refused, where all is well, or named: an error of a component or plugin, with a note that
            says of which; else what is wrong.
        said: the message of the refusal, or what is wrong.
        seconds: processor time that it took.
        memory: MB that the process held at most, or, for parts that load TensorFlow, that the case added to it.
    """

    verdict: str
    said: str = ""
    seconds: float = 0.0
    memory: float = 0.0

    @property
    def is_finding(self) -> bool:
        return self.verdict not in WELL


class Part(Protocol):
    """A kind of case.

    Args:
        seconds: that a case may take.
        megabytes: that it may take.
        added: memory is counted from what the process held before the case.
        lasts: after so many cases a new process goes on: models and graphs add up.
    """

    seconds: float
    megabytes: float
    added: bool
    lasts: int

    def begin(self) -> None:
        """Make ready in the child, once."""

    def case(self, seed: int, index: int) -> Any:
        """The case, the same at each call; what making it takes is not counted."""

    def file(self, case: Any) -> tuple[bytes, str]:
        """The input, and the ending of a file that holds it."""

    def run(self, case: Any) -> tuple[str, str]:
        """Try it: a verdict and what is said; what it raises is raw."""


def tried(part: Part, seed: int, indices: Iterable[int]) -> Iterator[tuple[int, Outcome]]:
    """Yield each index with what became of its case."""
    left = list(indices)
    while left:
        chunk = left[: part.lasts]
        done = 0
        for index, outcome in _in_child(lambda chunk=chunk: _cases(part, seed, chunk)):
            yield index, outcome
            done += 1
        left = left[max(done, 1) :]  # a child that could not begin has told of the first


def _cases(part: Part, seed: int, chunk: list[int]) -> Iterator[dict[str, Any]]:
    yield {"begins": chunk[0]}
    part.begin()
    for index in chunk:
        yield {"begins": index}
        yield {"index": index, **asdict(_outcome(part, seed, index))}


def _outcome(part: Part, seed: int, index: int) -> Outcome:
    case = part.case(seed, index)
    held, began = _most_memory(), time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(began + part.seconds + 2 * PATIENCE), resource.RLIM_INFINITY))
    try:
        with _alarm(part.seconds + PATIENCE):
            verdict, said = part.run(case)
    except TooLong:
        verdict, said = SLOW, f"ended after {part.seconds + PATIENCE:.0f} processor seconds"
    except Exception as error:
        verdict, said = RAW, _in_words(error)
    seconds = time.process_time() - began
    memory = _most_memory() - (held if part.added else 0)
    if verdict in WELL and seconds > part.seconds:
        verdict, said = SLOW, f"took {seconds:.1f} processor seconds; {said}"
    if verdict in WELL and memory > part.megabytes:
        verdict, said = LARGE, f"took {memory:,.0f} MB; {said}"
    return Outcome(verdict, said, seconds, memory)


class _alarm:
    """Raises TooLong in the code inside after so many processor seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGPROF, self._ring)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    @staticmethod
    def _ring(*_: object) -> None:
        raise TooLong


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_words(error: BaseException) -> str:
    """An error with the two places where it came from; its text may be unable to say itself."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    try:
        text = " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:
        text = type(error).__name__
    return f"{text[:300]} ({' > '.join(places[-2:])})"


# --- the child -------------------------------------------------------------------------------------------------------


def _in_child(work: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[tuple[int, Outcome]]:
    """Yield what a forked process tells of its cases, and of the one that it dies of."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _tell(work, writer)
    os.close(writer)
    begun = None
    try:
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                told = json.loads(line)
                if "begins" in told:
                    begun = told["begins"]
                    continue
                index, begun = told.pop("index"), None
                yield index, Outcome(**told)
        _, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:  # whoever asked has gone
            for end in (os.killpg, os.kill):  # with what it has started; it may not lead its group yet
                with contextlib.suppress(ProcessLookupError):
                    end(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if begun is not None:
        yield begun, Outcome(CRASHED, _how_it_ended(status))


def _tell(work: Callable[[], Iterator[dict[str, Any]]], writer: int) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        for told in work():
            os.write(writer, json.dumps(told).encode() + b"\n")  # at once: the next case may be the last
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"the process died of {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the process left with exit code {os.waitstatus_to_exitcode(status)}"


# --- the report ------------------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """The figures of one part, for its summary line."""

    counts: dict[str, int]
    most_seconds: float = 0.0
    most_memory: float = 0.0

    @classmethod
    def none(cls) -> Figures:
        return cls(dict.fromkeys((*WELL, RAW, SLOW, LARGE, CRASHED), 0))

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.verdict] = self.counts.get(outcome.verdict, 0) + 1
        self.most_seconds = max(self.most_seconds, outcome.seconds)
        self.most_memory = max(self.most_memory, outcome.memory)

    @property
    def findings(self) -> int:
        return sum(count for verdict, count in self.counts.items() if verdict not in WELL)

    def __str__(self) -> str:
        told = [f"{sum(self.counts.values()):,} tried", *(f"{count:,} {name}" for name, count in self.counts.items())]
        return ", ".join([*told, f"most {self.most_seconds:.2f} CPU s", f"most {self.most_memory:,.0f} MB"])


def indices(count: int, only: int | None) -> Iterable[int]:
    return [only] if only is not None else itertools.islice(itertools.count(), count)
