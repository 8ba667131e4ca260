"""Files that must be on the disk as they were written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


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
