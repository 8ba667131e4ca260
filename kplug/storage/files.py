"""Files that must be on the disk as they were written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError


def digest_of(file: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_whole(path: Path, content: str | bytes) -> None:
    """A whole file, or the one that was there: written beside it and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


def sync(*paths: Path) -> None:
    """Contents of files, and names in folders, on the disk when this returns."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """A run's directory, for this process alone while it trains.

    Raises:
        SpecError: another process trains it.
    """
    with open(path / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpecError([Problem("another process trains this run", where=str(path))]) from None
        yield


@contextlib.contextmanager
def naming_errors(path: Path) -> Any:
    """A write that the system refuses, said with the file's name."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot be written: {reason}; what was written before it is untouched"
        raise SpecError([Problem(message, where=str(path))]) from error
