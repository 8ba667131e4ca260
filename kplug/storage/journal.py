"""The journal of a search: every ask, report and tell, appended and on the disk before anything follows from it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError, dotted
from kplug.spec.format_1 import point_of_format_1
from kplug.spec.values import problems_of
from kplug.storage.files import append, in_json, naming_errors, with_nan, without_links
from kplug.storage.reading import LONGEST, content_of
from kplug.storage.shapes import EVENTS, Event

NUMBERS = ("metrics", "numbers")  # of an event, which may be none: null in JSON
FORMAT = 2  # 1: points name paths of specs of format 1


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **content: Any) -> None:
        """Add a line with the time, in seconds since 1970; it is on the disk when this returns.

        Raises:
            SpecError: the system refuses to write; all lines are whole.
        """
        with naming_errors(self.path, "free the disk, then --resume goes on"):
            append(self.path, in_json({"event": event, "at": round(time.time(), 3), **content}))

    def repair(self) -> str:
        """Cut off a last line that a crash left torn, and return a sentence that says so; else an empty one."""
        content = self._content()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return ""
        with naming_errors(self.path), open(self.path, "r+b", opener=without_links) as file:
            file.truncate(whole)
            os.fsync(file.fileno())
        return f"{self.path}: its last line was torn and is left out; what it told of is done again"

    def _content(self) -> bytes:
        return content_of(self.path, LONGEST) if self.path.exists() else b""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events, without a last line that is torn.

        Raises:
            SpecError: one is no event.
        """
        content = self._content()
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
            try:
                event = json.loads(line.decode())
            except (ValueError, RecursionError):
                raise no_event(self.path, number) from None
            self._refuse_other_shape(number, event, Event)
            if isinstance(event.get("point"), dict):
                event["point"] = point_of_format_1(event["point"])
            yield event | {key: with_nan(event[key]) for key in NUMBERS if isinstance(event.get(key), dict)}

    def whole_events(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the number of each line, counted from 1, and its event, which has all that a search goes on by.

        Raises:
            SpecError: one has not.
        """
        for number, event in enumerate(self, 1):
            if event["event"] in EVENTS:
                self._refuse_other_shape(number, event, EVENTS[event["event"]])
            yield number, event

    def _refuse_other_shape(self, number: int, event: Any, shape: Any) -> None:
        if problems := problems_of(shape, event):
            message, place = problems[0]
            raise no_event(self.path, number, ": ".join(filter(None, [dotted(place), message])))


def no_event(path: Path, number: int, why: str = "") -> SpecError:
    """The error for a line of a journal, counted from 1, that is no event or cannot come there."""
    what = f"is no event of a search{f' ({why})' if why else ''}"
    message = f"{what}; put the file back as it was, or search anew in another directory"
    return SpecError([Problem(message, where=f"{path}:{number}")])
