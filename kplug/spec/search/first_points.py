"""The points that `search.first` writes, which are tried before the oracle's own.

    first: [{}, {task.model: vit, task.optimizer.weight_decay: 0.05}]

Each is path to value, of sub-trees the label. What a point leaves out is as the spec has it, so that `{}` is the spec;
below a label that it names, as the label's sub-tree has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kplug.errors import Path, Problem, SpecError, did_you_mean, dotted, listed, shown_value
from kplug.spec.search.ranges import Range, is_within
from kplug.spec.search.space import Point, Space, spec_at
from kplug.spec.tree import differences, plain

HERE: Path = ("search", "first")


def first_points(spec: Any, space: Space) -> list[Point]:
    """The points, each with a value for every range that is active in it.

    Args:
        spec: with a search; its values stand for what is left out.
        space: of its search.

    Raises:
        SpecError: with every problem, at its place.
    """
    written = plain(spec["search"])["first"]
    base = spec.at({"search": None}) if written else spec  # whose values are no search's to check again
    points: dict[int, Point] = {}
    problems: list[Problem] = []
    for number, given in enumerate(written):
        try:
            point = _filled(base, space, _read(space, given))
            if same := [other for other, found in points.items() if found == point]:
                raise SpecError(f"is the same point as number {same[0]}")
            points[number] = point
        except SpecError as error:
            problems += [spec.problem((*HERE, number, *p.path), p.message, p.where == "key") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return list(points.values())


def _read(space: Space, given: Mapping[str, Any]) -> Point:
    """The values that a point gives, as it holds them.

    Raises:
        SpecError: with every path that is not searched and every value outside its range.
    """
    ranges = {one.path: one for one in space}
    point: Point = {}
    problems: list[Problem] = []
    for path, written in given.items():
        if path not in ranges:
            hint = did_you_mean(path, ranges) or f" ({listed(ranges)})"
            problems.append(Problem(f"is not searched{hint}", (path,), "key"))
        elif (value := _values(ranges[path], written)) == []:
            message = f"{shown_value(written)} is not in its range: {_in_words(ranges[path])}"
            problems.append(Problem(message, (path,)))
        else:
            point[path] = value[0]
    if problems:
        raise SpecError(problems)
    return point


def _values(one: Range, written: Any) -> list[Any]:
    """The value that a point holds where this is written, in a list; an empty one where it is outside the range."""
    if one.labels:
        label = written if isinstance(written, str) else json.dumps(written)  # 8 and true are labels too
        return [label] if label in one.labels else []
    is_bool = isinstance(written, bool)
    if one.values is not None:
        return [value for value in one.values if value == written and isinstance(value, bool) == is_bool][:1]
    is_inside = isinstance(written, int | float) and not is_bool and one.low <= written <= one.high
    return [float(written)] if is_inside else []


def _in_words(one: Range) -> str:
    return f"a whole number, {one.in_words}" if one.kind == "int" else one.in_words


# --- what is left out ------------------------------------------------------------------------------------------------


def _filled(spec: Any, space: Space, given: Point) -> Point:
    """The whole point, with what is left out.

    Raises:
        SpecError: a value that is given does not count, one that is left out is outside its range, or they do not fit
            together.
    """
    point: Point = {}
    own: set[str] = set()  # paths of ranges whose value is the spec's
    for one in space:
        if not one.is_active(point):
            if one.path in given:
                raise SpecError(_why_inactive(one, point), (one.path,), "key")
        elif one.path in given:
            point[one.path] = given[one.path]
        elif all(path in own for path, _ in one.conditions):
            point[one.path] = _left_out(spec, space, one, "the spec's")
            own.add(one.path)
        else:
            point[one.path] = _left_out(spec_at(spec, space, given | point), space, one, "its label's")
    try:
        spec_at(spec, space, point)
    except SpecError as error:
        said = [": ".join(filter(None, (dotted(p.path), p.message))) for p in error.problems]
        raise SpecError([Problem(message) for message in said]) from None
    return point


def _why_inactive(one: Range, point: Point) -> str:
    path = next(path for path, label in one.conditions if point.get(path) != label)
    return f"does not count in this point, where {path} is {point.get(path, 'not there')}"


def _left_out(spec: Any, space: Space, one: Range, whose: str) -> Any:
    """The value that a point holds where a range is as a spec has it.

    Raises:
        SpecError: the spec has another value than those of the range, or none.
    """
    has = _at(spec, one.target)
    if one.kind == "choice":
        values = [value for value in one.values or () if _is_in(spec, space, one, value)]
        values.sort(key=lambda value: not _is_inside_below(spec, space, one, value))
    else:
        values = _values(one, has)
    if not values:
        is_outside = f"{whose} {one.target}, {shown_value(has)}, is not in its range: {_in_words(one)}"
        raise SpecError(f"{is_outside}; write {one.path} here")
    return values[0]


def _is_in(spec: Any, space: Space, one: Range, value: Any) -> bool:
    """Return True where a spec has what a choice says, but for what is searched below its label."""
    try:
        with_it = spec.at({one.target: one.in_spec(value)})
    except SpecError:
        return False
    below = [other.target for other in space if (one.path, value) in other.conditions]
    found = differences(_at(with_it.absolute(), one.target), _at(spec.absolute(), one.target))
    return all(any(is_within(f"{one.target}.{dotted(path)}", target) for target in below) for path, _, _ in found)


def _is_inside_below(spec: Any, space: Space, one: Range, value: Any) -> bool:
    """Return True where the numbers searched below a label are in their ranges: labels may differ in these alone."""
    below = [other for other in space if other.kind != "choice" and (one.path, value) in other.conditions[-1:]]
    return all(_values(other, _at(spec, other.target)) for other in below)


def _at(spec: Any, target: str) -> Any:
    """The value that a filled spec has at a dotted path, as YAML writes it; None where nothing is there."""
    try:
        return plain(spec[target])
    except LookupError:
        return None
