"""The points that `search.first` writes, which are tried before the oracle's own.

    first: [{}, {task.model: vit, task.optimizer.weight_decay: 0.05}]

Each is path to value, of sub-trees the label; what a point leaves out is as the spec has it, so that `{}` is the spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kplug.checking import differences, plain
from kplug.errors import Path, Problem, SpecError, did_you_mean, dotted, listed, shown_value
from kplug.ranges import Range
from kplug.space import Point, Space, spec_at


def first_points(spec: Any, space: Space, written: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The points, each with a value for every range that is active in it.

    Args:
        spec: whose values stand for what is left out.
        space: of its search.
        written: `search.first`.

    Raises:
        SpecError: with every problem, its path beginning below `search.first`.
    """
    points: list[Point] = []
    problems: list[Problem] = []
    if written:
        spec = spec.at({"search": None})  # whose values are no search's to check again
    for number, given in enumerate(written):
        try:
            point = _point(spec, space, given)
            if point in points:
                raise SpecError(f"is the same point as number {points.index(point)}")
        except SpecError as error:
            problems += [Problem(p.message, (number, *p.path)) for p in error.problems]
        else:
            points.append(point)
    if problems:
        raise SpecError(problems)
    return points


def _point(spec: Any, space: Space, given: Mapping[str, Any]) -> Point:
    paths = [one.path for one in space]
    for path in given:
        if path not in paths:
            hint = did_you_mean(path, paths) or f" ({listed(paths)})"
            raise SpecError([Problem(f"is not searched{hint}", (path,))])
    point: Point = {}
    own: set[str] = set()  # ranges whose value is the spec's
    for one in space:
        if not one.is_active(point):
            if one.path in given:
                there = ", ".join(f"{path} is {point.get(path)!r}" for path, _ in one.conditions)
                raise SpecError([Problem(f"does not count in this point, where {there}", (one.path,))])
        elif one.path in given:
            point[one.path] = _value(one, given[one.path])
        else:
            beside = spec if all(path in own for path, _ in one.conditions) else spec_at(spec, space, point)
            own |= {one.path} if beside is spec else set()
            point[one.path] = _value_in(beside, space, one, point)
    try:
        spec_at(spec, space, point)
    except SpecError as error:
        raise SpecError([Problem(_with_path(p)) for p in error.problems]) from None
    return point


def _value(one: Range, written: Any) -> Any:
    """What a point holds where this is written.

    Raises:
        SpecError: it is outside the range.
    """
    here: Path = (one.path,)
    if one.values is not None:
        for value in one.values:
            if value == written and isinstance(value, bool) == isinstance(written, bool):
                return value
    elif isinstance(written, int | float) and not isinstance(written, bool) and one.low <= written <= one.high:
        return float(written)
    raise SpecError([Problem(f"{shown_value(written)} is not in its range: {one.in_words}", here)])


def _value_in(spec: Any, space: Space, one: Range, point: Point) -> Any:
    """What a point holds where the value is as a spec has it.

    Raises:
        SpecError: the spec has another than those of the range, or none.
    """
    try:
        has = plain(spec[one.target])
    except (KeyError, IndexError, TypeError):
        raise SpecError(f"the spec has nothing at {one.target}; write {one.path} here") from None
    if one.kind != "choice":
        values = [has]
    else:
        values = [value for value in one.values or () if _is_in(spec, space, one, point | {one.path: value})]
    try:
        return _value(one, values[0] if values else has)
    except SpecError:
        is_outside = f"the spec's {one.target}, {shown_value(has)}, is not in its range: {one.in_words}"
        raise SpecError(f"{is_outside}; write {one.path} here") from None


def _is_in(spec: Any, space: Space, one: Range, point: Point) -> bool:
    """Whether a spec has what a point says of a choice, but for what is searched below its label."""
    try:
        with_it = spec.at({one.target: one.in_spec(point[one.path])})
    except SpecError:
        return False
    below = [f"{other.target}." for other in space if (one.path, point[one.path]) in other.conditions]
    found = differences(plain(with_it[one.target]), plain(spec[one.target]))
    return all(any(f"{one.target}.{dotted(path)}.".startswith(other) for other in below) for path, _, _ in found)


def _with_path(problem: Problem) -> str:
    return f"{dotted(problem.path)}: {problem.message}" if problem.path else problem.message
