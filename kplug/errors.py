"""The one exception for what a user can cause, and the near matches that its messages offer."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

INPUT_IS_WRONG, BROKE, WORKER_LOST, INTERRUPTED, TERMINATED = 2, 1, 75, 130, 143  # exit codes of the command line


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands, the path in the spec, what is the matter.

    Args:
        message: what came, what was allowed, what to do.
        path: the place in the spec, as keys and list positions; empty where there is none.
        where: `file:line:col`, `--set path=value`, or empty.
    """

    message: str
    path: Path = ()
    where: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, dotted(self.path), self.message) if part)


class SpecError(Exception):
    """The input is wrong. Components raise it with a message; the host adds the place.

    Args:
        problems: a message, or every `Problem` found in one pass.
        path: the place of a message in the spec.
        where: the file, or what else a message is about.
    """

    exit_code = INPUT_IS_WRONG

    def __init__(self, problems: str | Sequence[Problem], path: Path = (), where: str = "") -> None:
        self.problems = (Problem(problems, path, where),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def located(self, path: Path, where: str) -> SpecError:
        """The same problems, those without a place put at `path` and `where`."""
        return SpecError([p if p.path or p.where else Problem(p.message, path, where) for p in self.problems])


class NoMemory(SpecError):
    """The training or model that is asked for does not fit into memory."""


class PluginFailed(Exception):
    """A plugin left the process in a hook, a rule or a component, or gave by a hook what that does not take."""

    exit_code = BROKE


class Terminated(BaseException):
    """SIGTERM was received."""

    exit_code = TERMINATED


class SearchStopped(RuntimeError):
    """A search cannot go on before something is mended; the command line says it without a traceback."""

    exit_code = BROKE


class WorkerLost(RuntimeError):
    """Another worker of the cluster is gone; what was checkpointed can be gone on with."""

    exit_code = WORKER_LOST


class BlownUp(RuntimeError):
    """A training diverged; what its run holds is kept. The command line says it without a traceback.

    Args:
        message: what was seen, where, and what to do.
        go_back: (what all learning rates are multiplied by, how often at most) where the training may go on from an
            earlier state.
    """

    exit_code = BROKE

    def __init__(self, message: str, go_back: tuple[float, int] | None = None) -> None:
        super().__init__(message)
        self.go_back = go_back


def dotted(path: Path) -> str:
    """`("task", "augment", 1)` as `task.augment.1`."""
    return ".".join(str(part) if part != "" and str(part).isprintable() else repr(part) for part in path)


def shown_value(value: Any) -> str:
    """A value as YAML writes it, on one line and not too long."""
    if isinstance(value, int) and abs(value) >= 10**80:
        return "a number of more than 80 digits"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def in_one_line(error: BaseException) -> str:
    """The class and the message of an error, whose class may be a plugin's own."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception as another:
        return f"{type(error).__name__}, which cannot say itself: {type(another).__name__}"


def did_you_mean(word: object, known: Iterable[object], shown: Mapping[str, object] | None = None) -> str:
    """`; did you mean 'x'?` where a known name is near, as `shown` writes it, else nothing."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(word), names, n=1) if len(str(word)) <= 200 and len(names) <= 1000 else []
    return f"; did you mean '{(shown or {}).get(near[0], near[0])}'?" if near else ""


def with_article(noun: str) -> str:
    """`a loss`, `an optimizer`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listed(names: Iterable[object], most: int = 12) -> str:
    """`a, b, c, ...`: the names in order, cut after `most`."""
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f", ... ({len(words)} in all)" if len(words) > most else "")
