"""Notes of what a run's components found outside of it when it began, such as a configuration on the network.

A component asks through `Rebuild.found_once`; the answers are kept in the run as `found.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kplug.errors import listed
from kplug.storage.files import not_finite
from kplug.storage.run_directory import RunDirectory

NOTES = "found.json"


class Notes:
    """Answers that a run keeps, JSON by name: whenever its network is rebuilt, they are the same.

    Args:
        run: the run that keeps them; None while it has no directory yet, which `keep_in` then gives them.
    """

    def __init__(self, run: RunDirectory | None = None) -> None:
        self.run = run
        self.known: dict[str, Any] = run.read_json(NOTES) if run and (run.path / NOTES).exists() else {}

    def find(self, name: str, ask: Callable[[], Any]) -> Any:
        """The answer that is known by a name, or that `ask` gives now."""
        if name not in self.known:
            answer = ask()
            if lost := not_finite(answer, name):
                raise ValueError(f"{NOTES} cannot keep {listed(lost)}, since JSON has no word for what is not finite")
            self.known[name] = answer
            self._write()
        return self.known[name]

    def keep_in(self, run: RunDirectory) -> None:
        """Have a new run keep what was found before it was made."""
        self.run = run
        self._write()

    def _write(self) -> None:
        if self.run and self.known:
            self.run.write_json(NOTES, self.known)
