"""What a component may know of the run it is built for: whether its weights will follow, and what it found before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

NOTES = "found.json"


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
