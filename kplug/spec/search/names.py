"""Paths and points of a search's space, short enough to be shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kplug.spec.search.ranges import steps_of
from kplug.spec.search.space import Point, Space

MOST_LETTERS = 30  # of a shortened path


def in_words(point: Mapping[str, Any]) -> str:
    """A point in a line."""
    return "  ".join(f"{path}={_short(value)}" for path, value in point.items())


def _short(value: Any) -> str:
    """A value of a point, numbers with few digits."""
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def point_in_words(point: Point, space: Space) -> str:
    """A point in a line, each path by the name that tells it from the others of the space."""
    paths = [one.path for one in space]
    names = dict(zip(paths, shortened(paths), strict=True))
    return in_words({names[path]: value for path, value in point.items()})


# --- names of paths --------------------------------------------------------------------------------------------------


def shortened(paths: Sequence[str]) -> list[str]:
    """The last steps of each path, as many as tell it from the others, and the label under which it is there."""
    every = [[f"{name}[{label}]" if label else name for name, label in steps_of(path)] for path in paths]
    names = [_name(steps, every) for steps in every]
    cut = [_cut(name) for name in names]
    return cut if len(set(cut)) == len(cut) else names


def _name(steps: list[str], every: list[list[str]]) -> str:
    """The best name that fits: told apart by its steps with the list that an item is of, by its label, by few steps."""

    def least(form: Callable[[list[str], int], str]) -> int:
        """The number of steps from which no other path has this form."""
        mine = (n for n in range(1, len(steps)) if sum(form(other, n) == form(steps, n) for other in every) == 1)
        return next(mine, len(steps))

    by_steps, by_label = least(lambda path, count: ".".join(path[-count:])), least(_labelled)
    counts = (_with_its_list(steps, by_steps), _with_its_list(steps, by_label), by_steps)
    return min((_labelled(steps, count) for count in counts), key=lambda name: max(len(name), MOST_LETTERS))


def _labelled(steps: list[str], count: int) -> str:
    """The last steps, with the label that is nearest above them where they have none themselves."""
    tail = ".".join(steps[-count:])
    labels = [step.partition("[")[2][:-1] for step in steps[:-count] if "[" in step]
    return f"{tail} ({labels[-1]})" if labels and "[" not in tail else tail


def _with_its_list(steps: list[str], count: int) -> int:
    """The number of steps without a list's item in front, which says little without the list's own name."""
    while count < len(steps) and steps[-count].partition("[")[0].isdigit():
        count += 1
    return count


def _cut(name: str) -> str:
    """A name without its first letters where it is long, and without those in the middle of a label behind it."""
    path, bracket, label = name.partition(" (")
    if over := max(0, len(label) - MOST_LETTERS // 2):
        label = f"{label[: -over - 2]}…)"
    most = MOST_LETTERS - len(bracket + label)
    return f"{path if len(path) <= most else '…' + path[-most:]}{bracket}{label}"
