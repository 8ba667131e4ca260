"""Rows that are chosen by name: `2[0-9]` are those that a pattern meets, `3::4` every fourth of all names in order."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any

from kplug import SpecError

SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d*))?")


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names in the order in which a person counts: 2 before 10."""
    return sorted(names, key=natural_key)


def natural_key(name: str) -> list[Any]:
    """A key by which numbers in names are in their order."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def chosen_rows(names: Sequence[str], patterns: Sequence[str], what: str) -> set[int]:
    """The rows whose names are chosen.

    Args:
        names: of all rows, in natural order.
        patterns: each a slice START:STOP:STEP of them, counted from 0, or a pattern of names with *, ? and [].
        what: the parameter, for messages.

    Raises:
        SpecError: a pattern meets no name.
    """
    found: set[int] = set()
    for pattern in patterns:
        part = SLICE.fullmatch(pattern)
        if part:
            begin, end, step = (int(number) if number else None for number in part.groups())
            rows = list(range(len(names))[slice(begin, end, step)]) if step != 0 else []
        else:
            rows = [row for row, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)]
        if not rows:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise SpecError(f"{what}: '{pattern}' chooses none of the {len(names)} names: {shown}")
        found |= set(rows)
    return found


def shared_out(
    names: Sequence[str], test: Any, validation: Sequence[str] | None, by_share: Any
) -> dict[str, list[int]]:
    """Share rows out to train, validation and test.

    Args:
        names: of all rows, in natural order.
        test: a share, which is chosen by names, or patterns of names.
        validation: patterns of names; None: none is set apart here.
        by_share: (rows, names, share) to rows by split.
    """
    validating = chosen_rows(names, validation, "validation") if validation else set()
    rows = [row for row in range(len(names)) if row not in validating]
    if isinstance(test, float | int):
        parts = by_share(rows, [names[row] for row in rows], float(test))
    else:
        testing = chosen_rows(names, test, "test")
        if both := sorted(testing & validating):
            raise SpecError(f"validation and test both choose {names[both[0]]}")
        parts = {"train": [row for row in rows if row not in testing], "test": sorted(testing)}
    if not parts.get("train"):
        raise SpecError(f"test and validation choose all of the {len(names)} pictures, and leave none to train")
    return {"train": parts["train"], "validation": sorted(validating), "test": parts.get("test", [])}
