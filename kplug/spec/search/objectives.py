"""The objectives of a search: one number of a trial, or several with a front of trials that no other beats in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kplug.records import Monitor

COUNTED = ("parameters", "flops")  # known once a model is built
MEASURED = ("latency_ms",)  # known once it is exported
Numbers = Mapping[str, float]
LEAST_SHARE = 1e-9  # of a target: 0 has no negative power, a negative number no real one


@dataclass(frozen=True)
class Objective(Monitor):
    """A number that is to be small or large, and how it counts beside the first of several.

    Args:
        name: the number's name.
        direction: minimize or maximize.
        target: its value at which the product leaves the first objective as it is.
        weight: the exponent in the product.
    """

    target: float | None = None
    weight: float = 0.0


@dataclass(frozen=True)
class Limit:
    """A constraint: the limits that a number must keep to."""

    name: str
    at_least: float = -math.inf
    at_most: float = math.inf

    def broken_by(self, numbers: Numbers) -> str:
        """The reason why a trial does not keep to it; nothing where it does, or where the number is not known yet."""
        value = numbers.get(self.name)
        if value is None or self.at_least <= value <= self.at_most:
            return ""
        word, limit = ("more", self.at_most) if value > self.at_most else ("less", self.at_least)
        return f"{self.name} is {value:,.6g}, {word} than {limit:,.6g}"


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search and its constraints.

    Args:
        objectives: the first is that of pruning and of the epoch whose weights are kept.
        limits: all must be kept to.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @property
    def first(self) -> Objective:
        """The objective that pruning and the epoch that is kept go by."""
        return self.objectives[0]

    @property
    def objective_names(self) -> list[str]:
        """The names of the objectives alone."""
        return [one.name for one in self.objectives]

    @property
    def names(self) -> list[str]:
        """The names of objectives and constraints, each once."""
        return list(dict.fromkeys([*self.objective_names, *(limit.name for limit in self.limits)]))

    def score(self, numbers: Numbers) -> float:
        """One number, in the direction of the first objective.

        The first objective times (value / target) to the power of a weight, for each of the others (the weighted
        product of Tan and Le 2019): a trial that is a share worse there counts as a weighted share worse here.
        """
        score = numbers[self.first.name]
        for other in self.objectives[1:]:
            share = max(numbers[other.name] / other.target, LEAST_SHARE)  # type: ignore[operator]
            worse_is_more = other.direction == "minimize"
            sign = 1 if worse_is_more == (self.first.direction == "minimize") else -1
            score *= share ** (sign * other.weight * (1 if score >= 0 else -1))
        return score

    def cost(self, numbers: Numbers) -> float:
        """The score turned so that less is better."""
        return self.score(numbers) * (1 if self.first.direction == "minimize" else -1)

    def broken_by(self, numbers: Numbers) -> str:
        """The reason why a trial is not allowed, all limits that it breaks; nothing where it is."""
        return "; ".join(filter(None, (limit.broken_by(numbers) for limit in self.limits)))

    def front(self, numbers: Sequence[Numbers]) -> list[int]:
        """The positions of the trials that no other beats: no worse in every objective, better in one (Pareto)."""
        costs = [tuple(o.cost(n) for o in self.objectives) for n in numbers]
        return [i for i, mine in enumerate(costs) if not any(_beats(theirs, mine) for theirs in costs)]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def objectives_of(search: Mapping[str, Any], best: Any) -> Objectives:
    """The objectives and limits that a spec's `search` section, as plain data, sets.

    Args:
        search: the section.
        best: the spec's `fit.best`, which says it where the search does not.

    Raises:
        ValueError: objectives or limits make no sense.
    """
    written = search["objective"]
    if written is None:
        if best == "last":
            raise ValueError("what is best? `fit.best` is last; write {maximize: NAME} or {minimize: NAME}")
        written = [{"minimize": "val_loss"} if best == "auto" else dict(best)]
    objectives = tuple(map(_objective, written if isinstance(written, list) else [written]))
    if not objectives:
        raise ValueError("the list is empty; write {maximize: NAME} or {minimize: NAME}")
    names = [one.name for one in objectives]
    for number, one in enumerate(objectives):
        if one.name in names[:number]:
            raise ValueError(f"{one.name} stands there twice")
        if number and one.target is None:
            raise ValueError(f"{one.name} needs a target, the value at which {names[0]} counts as it is: target: ...")
    return Objectives(objectives, limits_of(search))


def limits_of(search: Mapping[str, Any]) -> tuple[Limit, ...]:
    """The limits that a `search` section, as plain data, sets.

    Raises:
        ValueError: one makes no sense.
    """
    return tuple(_limit(name, ends) for name, ends in search["constraints"].items())


def _objective(written: Mapping[str, Any]) -> Objective:
    direction = "minimize" if written.get("minimize") else "maximize"
    return Objective(written[direction], direction, written.get("target"), written.get("weight", 0.0))


def _limit(name: str, ends: Mapping[str, Any]) -> Limit:
    least, most = ends["at_least"], ends["at_most"]
    if least is None and most is None:
        raise ValueError(f"{name} has no limit; write {{at_most: ...}} or {{at_least: ...}}")
    if least is not None and most is not None and least > most:
        raise ValueError(f"{name}: at least {least:,.6g} and at most {most:,.6g} cannot both be")
    return Limit(name, -math.inf if least is None else least, math.inf if most is None else most)
