"""Text files that sources read: tables, lists of class names."""

from __future__ import annotations

import os
from typing import NoReturn

from kplug.errors import SpecError, did_you_mean


def raise_missing(what: str, path: str) -> NoReturn:
    """Refuse a file or folder that is not there, with the nearest name beside it."""
    parent, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(parent):
        raise SpecError(f"no {what} {path}: the folder {parent} does not exist")
    raise SpecError(f"no {what} {path}{did_you_mean(name, sorted(os.listdir(parent)))}")


def read_text(path: str) -> str:
    """The text of a UTF-8 file, without a byte order mark, line ends as they are."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise_missing("file", path)
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x})") from None
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from None


def read_classes(path: str) -> tuple[str, ...]:
    """The class names in a file, one a line; blank lines are passed over."""
    path = os.path.expanduser(path)
    first: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name = line.strip()
        if name in first:
            raise SpecError(f"{path}:{number}: the class '{name}' stands on line {first[name]} already")
        if name:
            first[name] = number
    if not first:
        raise SpecError(f"{path} names no classes; write one class name a line")
    return tuple(first)
