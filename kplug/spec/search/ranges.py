"""Ranges over paths of a spec, as `search.space` writes them: {choice: [...]}, {int: [LOW, HIGH]} and the like."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kplug.errors import Problem, SpecError, did_you_mean, listed, shown_value

KINDS = ("choice", "int", "float", "log", "bool")
OUTSIDE = {  # what a point cannot change, and why
    "kplug": "it is the format's number",
    "name": "trials are named by the search",
    "seed": "`search.repeats: {seeds: N}` trains each point with several",
    "search": "it is the search itself",
    "export": "no training depends on it",
    "fit.best": "the objective says it",
    "fit.threads": "the executor says it",
    "fit.checkpoint": "no training depends on it",
}
DIGITS = 12  # digits kept of low + n * step: 0.1 + 2 * 0.1 would read 0.30000000000000004
FEW = 9  # a range of numbers with so many values or fewer has all of them tried
MOST_VALUES = 100_000  # of a range that is written out value by value: oracles hold them in lists
LARGEST = sys.float_info.max
_STEP = re.compile(r"([^.\[\]]+)(?:\[([^\[\]]+)\])?")
_LABEL = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True)
class Range:
    """The values that one path of a spec may hold.

    Args:
        path: as it was written: steps, and in brackets the labels under which it is there at all.
        kind: choice, int, float, log (a float, evenly over orders of magnitude) or bool.
        candidates: of a choice, in order.
        labels: of a choice of sub-trees, in the same order; a point holds the label.
        low: the least value of a range of numbers.
        high: the greatest.
        step: between two neighbouring values; None: any value of float and log, every one of int.
    """

    path: str
    kind: str
    candidates: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None

    @cached_property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """The labels in the path, as (path of a choice, label): all must hold for this range to be active."""
        return tuple((self.path[: match.start()], match[1]) for match in _LABEL.finditer(self.path))

    @cached_property
    def target(self) -> str:
        """The path in the spec."""
        return _LABEL.sub("", self.path)

    @cached_property
    def values(self) -> tuple[Any, ...] | None:
        """The values that a point may hold; None where it is any number of an interval."""
        if self.kind in ("choice", "bool"):
            return self.labels or self.candidates
        if self.kind == "int":
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.low == self.high:
            return (self.low,)
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        digits = DIGITS - math.floor(math.log10(max(abs(self.low), abs(self.high))))
        return tuple(min(self.high, round(self.low + self.step * number, digits)) for number in range(count))

    @property
    def to_try(self) -> tuple[Any, ...]:
        """The values that `kplug check` tries: all or, of many numbers, the least and the greatest."""
        values = self.values
        if values and (self.kind in ("choice", "bool") or len(values) <= FEW):
            return values
        return tuple(dict.fromkeys((values[0], values[-1]) if values else (self.low, self.high)))

    @property
    def in_words(self) -> str:
        """The range in a line."""
        if self.kind in ("choice", "bool"):
            return ", ".join(value if isinstance(value, str) else json.dumps(value) for value in self.values or ())
        steps = "" if self.step is None else f" in steps of {self.step:g}"
        orders = ", evenly over orders of magnitude" if self.kind == "log" else ""
        return f"{self.low:g} to {self.values[-1] if self.values else self.high:g}{steps}{orders}"

    def in_spec(self, value: Any) -> Any:
        """The value that the spec has where a point holds this one: the sub-tree of a label."""
        return self.candidates[self.labels.index(value)] if self.labels else value

    def is_active(self, point: Mapping[str, Any]) -> bool:
        """Return True where a point has all labels under which the range is there."""
        return all(point.get(path) == label for path, label in self.conditions)

    def sample(self, rng: random.Random) -> Any:
        """One value, each as likely as another."""
        if (values := self.values) is not None:
            return rng.choice(values)
        share = rng.random()
        if self.kind == "log":
            return math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)


# --- reading ---------------------------------------------------------------------------------------------------------


def steps_of(path: str) -> list[tuple[str, str | None]]:
    """The steps of a path, each as (name, label or None).

    Raises:
        SpecError: it is not written as a path.
    """
    steps: list[tuple[str, str | None]] = []
    at = 0
    while match := _STEP.match(path, at):
        steps.append((match[1], match[2]))
        at = match.end() + 1
        if at > len(path):
            return steps
        if path[at - 1] != ".":
            raise SpecError(f"{path!r} is no path: after {path[: at - 1]!r} a dot must follow")
    raise SpecError(f"{path!r} is no path; write steps with dots between, such as task.model[vit].patch")


def read_ranges(written: Mapping[str, Any]) -> tuple[list[Range], list[Problem]]:
    """The ranges that are written, by path, and every problem of them, its path beginning with theirs."""
    problems: list[Problem] = []
    found: dict[str, Range] = {}
    for path, text in written.items():
        try:
            found[path] = _read_range(path, text)
        except SpecError as error:
            problems += [Problem(p.message, (path, *p.path)) for p in error.problems]
    problems += [Problem(message, (path,)) for path, one in found.items() if (message := _misplaced(one, found))]
    return list(found.values()), problems


def _read_range(path: str, written: Any) -> Range:
    """The range that is written at a path.

    Raises:
        SpecError: it is none; the problem's path begins below that of the range.
    """
    steps_of(path)  # which refuses what is no path
    if written == "bool":
        return Range(path, "bool", candidates=(False, True))
    kind = _kind(written)
    values, step = written[kind], written.get("step")
    if step is not None and kind not in ("int", "float"):
        raise SpecError(f"a range of kind {kind} has no step", ("step",))
    try:
        if kind == "choice":
            return Range(path, kind, *_choices(values))
        low, high = _interval(kind, values)
    except SpecError as error:
        raise SpecError([Problem(p.message, (kind, *p.path)) for p in error.problems]) from None
    if step is not None:
        _refuse_step(kind, step, low, high)
    if (kind == "int" or step is not None) and high - low >= MOST_VALUES * (step or 1):
        raise SpecError(f"it has more than {MOST_VALUES:,} values; write a {'larger ' if step else ''}step", (kind,))
    return Range(path, kind, low=low, high=high, step=step)


def _kind(written: Any) -> str:
    """The one of KINDS that a range is written as."""
    if not isinstance(written, dict):
        forms = "{choice: [...]}, {int: [LOW, HIGH]}, {float: [LOW, HIGH]}, {log: [LOW, HIGH]} or bool"
        raise SpecError(f"{shown_value(written)} is no range; write {forms}")
    if "bool" in written:
        raise SpecError("a range of true and false is the word bool alone, without a mapping", ("bool",))
    names = KINDS[:-1]
    for key in written:
        if key not in (*names, "step"):
            hint = did_you_mean(key, names) or f" ({', '.join(names)}; step beside int and float)"
            raise SpecError(f"unknown key{hint}", (str(key),))
    kinds = [kind for kind in KINDS if kind in written]
    if len(kinds) != 1:
        raise SpecError(f"a range has one of {', '.join(names)}; received {listed(kinds) or 'none'}")
    return kinds[0]


def _refuse_step(kind: str, step: Any, low: float, high: float) -> None:
    if not (_is_number(step, kind) and 0 < step < math.inf):
        what = "a whole number" if kind == "int" else "a number"
        raise SpecError(f"{shown_value(step)} is not {what} > 0", ("step",))
    if low < high < low + step:
        raise SpecError(f"{step} leads beyond {high:g}, so that {low:g} would be all there is", ("step",))


def _choices(values: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    if not isinstance(values, dict | list):
        raise SpecError(f"{shown_value(values)} is not a list, nor a mapping with labels")
    if not values:
        raise SpecError("there is nothing to choose from")
    if isinstance(values, dict):
        return tuple(values.values()), tuple(map(str, values))
    seen = set()
    for number, value in enumerate(values):
        if isinstance(value, dict | list):
            message = f"{shown_value(value)} needs a label: write a mapping, {{LABEL: {shown_value(value)}, ...}}"
            raise SpecError(message, (number,))
        if (type(value), value) in seen:
            raise SpecError(f"{shown_value(value)} stands there already", (number,))
        seen.add((type(value), value))
    return tuple(values), ()


def _interval(kind: str, values: Any) -> tuple[float, float]:
    what = "whole numbers" if kind == "int" else "numbers"
    if not isinstance(values, list) or len(values) != 2 or not all(_is_number(value, kind) for value in values):
        raise SpecError(f"{shown_value(values)} is not [LOW, HIGH], two {what}")
    low, high = values
    if low > high:
        raise SpecError(f"{shown_value(values)}: {low} is more than {high}")
    if kind == "log" and low <= 0:
        raise SpecError(f"{low} is not greater than 0, as orders of magnitude must be", (0,))
    if high - low > LARGEST or (kind == "log" and high / low > LARGEST):
        raise SpecError(f"{shown_value(values)} is wider than a number can say")
    return (low, high) if kind == "int" else (float(low), float(high))


def _is_number(value: Any, kind: str) -> bool:
    """Return True for a number of a kind of range: a whole one for int, any for float and log."""
    is_number = isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= LARGEST  # neither infinite nor NaN


def is_within(path: str, outer: str) -> bool:
    """Return True where a dotted path is another or lies below it."""
    return f"{path}.".startswith(f"{outer}.")


def _misplaced(one: Range, others: Mapping[str, Range]) -> str:
    """The reason why a range may not stand where it does, among the others; empty where it may."""
    for outside, reason in OUTSIDE.items():
        if is_within(one.target, outside):
            return f"a search does not change {outside}: {reason}"
        if is_within(outside, one.target):
            return f"{outside} lies below it, and a search does not change that: {reason}"
    for choice, label in one.conditions:
        if choice not in others:
            beside = f"; write {choice}: {{choice: {{{label}: ...}}}} beside it"
            item = f"; an item is {choice}.{label}"
            labelled = [other.path for other in others.values() if other.labels]
            hint = did_you_mean(choice, labelled) or (item if label.isdigit() else beside)
            return f"{choice} is not searched, so it has no label {label!r}{hint}"
        known = others[choice].labels
        if label not in known:
            hint = did_you_mean(label, known) or f" (labels: {listed(known) or 'none; they are given by a mapping'})"
            return f"{choice} has no label {label!r}{hint}"
    for other in others:
        if one.path != other and is_within(one.path, other):
            return f"it lies below {other}, which is searched itself; write {other}[LABEL]{one.path[len(other) :]}"
    return ""
