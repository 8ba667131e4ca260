"""The space of a search: ranges over paths of a spec, and what a point of it makes of the spec.

    task.model: {choice: {cnn: {type: resnet}, vit: {type: vit}}}
    task.model[vit].patch: {choice: [4, 7]}                        # where task.model is vit
    task.optimizer.learning_rate.peak: {log: [1e-4, 1e-2]}

A point gives each range that is active in it a value, by its path as written; of sub-trees, the label.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kplug.console import log
from kplug.errors import Path, Problem, SpecError, listed, shown_value
from kplug.spec.search.ranges import Range, is_within, read_ranges

Point = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """The ranges of a search; one that another depends on stands before it."""

    ranges: tuple[Range, ...]

    def __iter__(self) -> Iterator[Range]:
        return iter(self.ranges)

    def active(self, point: Mapping[str, Any]) -> list[Range]:
        """The ranges that count in a point."""
        return [found for found in self.ranges if found.is_active(point)]

    def is_of(self, point: Mapping[str, Any], paths: Iterable[str]) -> bool:
        """Return True where one of these paths is at, above or below one that a point sets."""
        targets = [found.target for found in self.active(point)]
        return any(is_within(one, two) or is_within(two, one) for one in paths for two in targets)

    def sample(self, rng: random.Random, fixed: Mapping[str, Any] | None = None) -> Point:
        """A random point, each range by itself; some of its values may be fixed."""
        point: Point = {}
        for found in self.ranges:
            if found.is_active(point):
                value = found.sample(rng)  # drawn always, so that the others are the same whatever is fixed
                point[found.path] = (fixed or {}).get(found.path, value)
        return point

    def size(self, conditions: tuple[tuple[str, str], ...] = ()) -> float:
        """The number of points; infinite where a range is an interval of numbers."""
        total = 1.0
        for found in self.ranges:
            if found.conditions != conditions:
                continue
            if found.values is None:
                return math.inf
            below = [self.size((*conditions, (found.path, label))) for label in found.labels]
            total *= sum(below) if below else len(found.values)
        return total

    def changes(self, point: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The values that a point sets in the spec, by path, in groups: each below what the last one sets."""
        groups: dict[int, dict[str, Any]] = {0: {}}
        for found in (found for found in self.active(point) if found.path in point):
            groups.setdefault(len(found.conditions), {})[found.target] = found.in_spec(point[found.path])
        return [groups[depth] for depth in sorted(groups)]


def read_space(written: Mapping[str, Any]) -> Space:
    """The space that `search.space` writes.

    Raises:
        SpecError: with every problem, its path beginning below `search.space`.
    """
    found, problems = read_ranges(written)
    space = Space(tuple(sorted(found, key=lambda one: len(one.conditions))))
    if not problems and space.size() <= 1:
        problems.append(Problem("has one point: there is nothing to search"))
    if problems:
        raise SpecError(problems)
    return space


# --- trying ----------------------------------------------------------------------------------------------------------

DRAWS = 16  # points that a candidate is tried in, where it does not fit the spec as it is
MOST_TRIES = 1_000  # specs that `kplug check` makes of a search, its stages counted: a second or two


def spec_at(spec: Any, space: Space, point: Mapping[str, Any]) -> Any:
    """The spec that a point is, without its search.

    Raises:
        SpecError: the values do not fit, or not together.
    """
    for number, changes in enumerate(space.changes(point)):
        spec = spec.at({**changes, "search": None} if number == 0 else changes)
    return spec


def check_space(spec: Any, space: Space) -> None:
    """See that the spec takes each candidate, as it is or at some point of the space.

    Raises:
        SpecError: with every candidate that it does not take, at its place in the file.
    """
    problems: list[Problem] = []
    left, untried = MOST_TRIES, list[str]()
    for one in space:
        tried = []
        for value in one.to_try:
            if left <= 0:
                untried.append(f"{shown_value(value)} of {one.path}")
                continue
            found, tries = _refused(spec, space, one, value)
            tried.append((value, found))
            left -= tries * len(spec.stages())
        if not tried:
            continue
        if len({tuple((p.message, p.path) for p in found) for _, found in tried}) == 1:  # whatever the value: the path
            here = spec.where(("search", "space", one.path), key=True)
            problems += [Problem(p.message, p.path, here) for p in tried[0][1]]
            continue
        for value, found in tried:
            problems += [Problem(p.message, p.path, spec.where(_place(one, value))) for p in found]
        if problems and one.labels:  # what stands below it would be refused too
            break
    if untried:
        log(f"the space has more candidates than `kplug check` tries; these were not: {listed(untried, 4)}")
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))


def _refused(spec: Any, space: Space, one: Range, value: Any) -> tuple[tuple[Problem, ...], int]:
    """The problems of a candidate, none where the spec takes it in some point; and how many points were tried."""
    rng = random.Random(0)
    first = dict(one.conditions) | {one.path: value}
    for tries in range(DRAWS + 1):
        point = space.sample(rng, first) if tries else first
        try:
            spec_at(spec, space, point)
            return (), tries + 1
        except SpecError as error:
            if not tries:
                found = error.problems
    return found, DRAWS + 1


def _place(one: Range, value: Any) -> Path:
    """The place where a candidate is written."""
    here: Path = ("search", "space", one.path, one.kind)
    if one.kind == "choice":
        return (*here, value if one.labels else one.candidates.index(value))
    return here if one.kind == "bool" else (*here, 0 if value == one.low else 1)
