"""Files that must be on the disk as they were written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def digest_of(file: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync(*paths: Path) -> None:
    """Contents of files, and names in folders, on the disk when this returns."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
