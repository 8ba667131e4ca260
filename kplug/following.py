"""What a component may know of the run it is built for: whether its weights will follow, and what it found before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

NOTES = "found.json"

_follows: ContextVar[Callable[[Any], bool]] = ContextVar("follows", default=lambda weight: False)


def keeps_initial_values(weights: Iterable[Any]) -> bool:
    """True where weights that were just made keep their values: what reads them from a file asks here before it does.

    They do not in a network that is rebuilt for its run's own weights: for an evaluation, an export, a checkpoint, or
    the next stage of a training. The file may be gone by then.

    Args:
        weights: `keras.Variable`s.
    """
    follows = _follows.get()
    return not all(follows(weight) for weight in weights)


@contextlib.contextmanager
def values_follow(by_path: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Inside, networks are built whose weights get other values right after.

    Args:
        by_path: those that follow; None where all do.
    """

    def follows(weight: Any) -> bool:
        return by_path is None or (weight.path in by_path and tuple(by_path[weight.path].shape) == tuple(weight.shape))

    token = _follows.set(follows)
    try:
        yield
    finally:
        _follows.reset(token)


# --- what was found outside of the run -------------------------------------------------------------------------------


class Notes:
    """What components found when the run began, by name: JSON that the run keeps.

    Args:
        known: from before.
        keep: called with all of them when there are more.
    """

    def __init__(self, known: Mapping[str, Any], keep: Callable[[dict[str, Any]], None] = lambda notes: None) -> None:
        self.known, self.keep = dict(known), keep

    def find(self, name: str, ask: Callable[[], Any]) -> Any:
        if name not in self.known:
            self.known[name] = ask()
            self.keep(self.known)
        return self.known[name]


_notes: ContextVar[Notes | None] = ContextVar("notes", default=None)


def found_once(name: str, ask: Callable[[], Any]) -> Any:
    """What a component finds in a place that is no part of the run, such as a configuration on the network.

    It is asked for when a run begins and kept with it: whenever its model is rebuilt, the answer is the same, and the
    place is not needed.

    Args:
        name: of what is asked, the same whenever the component is built.
        ask: gives it, as JSON.
    """
    notes = _notes.get()
    return ask() if notes is None else notes.find(name, ask)


@contextlib.contextmanager
def noted(notes: Notes) -> Iterator[None]:
    """Inside, `found_once` goes by these."""
    token = _notes.set(notes)
    try:
        yield
    finally:
        _notes.reset(token)
