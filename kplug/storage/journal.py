"""The journal of a search: every ask, report and tell, appended and on the disk before anything follows from it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError
from kplug.spec.format_1 import point_of_format_1
from kplug.storage.files import append, naming_errors

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
            append(self.path, json.dumps({"event": event, "at": round(time.time(), 3), **content}))

    def repair(self) -> str:
        """Cut off a last line that a crash left torn, and return a sentence that says so; else an empty one."""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return ""
        with open(self.path, "r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
        return f"{self.path}: its last line was torn and is left out; what it told of is done again"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events, without a last line that is torn.

        Raises:
            SpecError: one is no event.
        """
        content = self.path.read_bytes() if self.path.exists() else b""
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
            try:
                event = json.loads(line)
                event["event"]
                if isinstance(event.get("point"), dict):
                    event["point"] = point_of_format_1(event["point"])
            except (ValueError, TypeError, KeyError):
                raise no_event(self.path, number) from None
            yield event


def no_event(path: Path, number: int) -> SpecError:
    """The error for a line of a journal, counted from 1, that is no event or cannot come there."""
    message = "is no event of a search; put the file back as it was, or search anew in another directory"
    return SpecError([Problem(message, where=f"{path}:{number}")])
