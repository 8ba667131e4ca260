"""The share of the scores' variance that each path of a space explains (functional ANOVA, Hutter et al. 2014).

A random forest learns the scores. Over the whole space, drawn evenly, the variance of what it predicts is split: the
main effect of a path is the variance of the mean prediction at each of its values. A path that is there only under
some labels counts where it is there, by how much of the space that is. From few trials a forest learns strong paths
first: the order of paths is sooner right than the share of a weak one, which it understates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kplug.default_plugins.search.figures import fence, scored
from kplug.spec.search.ranges import Range
from kplug.spec.search.space import Space
from kplug.tuning.study import Study

# Trials below which nothing is said: a forest that learns from fewer tells chance. Nobody measured where that ends; how
# far shares can be believed is told with each, as what the forest foretells of trials that it did not learn.
LEAST = 10
TREES = 64  # of the forest: more of them take longer, fewer make shares depend on SEED
DRAWN = 1024  # points for the variance over the whole space
AROUND = 128  # points for the mean at one value of a path
VALUES = 16  # values of a path, evenly over its range
SHUFFLES = 8  # times that a path's values are shuffled, whose mean is taken: fewer make the check depend on SEED
SEED = 0
ABSENT = -1.0  # in the columns of a path that is not there


def importance(study: Study) -> dict[str, Any]:
    """The content of importance.json: the shares of the score and of each objective that paths explain; or why not.

    `main_effect` is the share of the variance over the space that a path explains by itself; `shuffled` a cross-check
    on the trials themselves: half the mean squared change of a prediction when the path's values, with what hangs
    below them, are shuffled among trials, as a share of the predictions' variance; it includes interactions (Jansen
    1999).
    """
    trials = scored(study)
    whole = [one for one in trials if one[0].is_finished]
    trials = whole if len(whole) >= LEAST else trials  # scores after one epoch and after nine are not alike
    if len(trials) < LEAST:
        return {"reason": f"trials with a score: {len(trials)}; importance needs at least {LEAST}"}
    points = [trial.point for trial, _ in trials]
    sign = 1 if study.aim.first.direction == "minimize" else -1
    costs = {"score": [score * sign for _, score in trials]} if len(study.aim.objectives) > 1 else {}
    costs |= {one.name: [one.cost(trial.numbers) for trial, _ in trials] for one in study.aim.objectives}
    found = {name: explained(study.space, points, values) for name, values in costs.items()}
    if all("reason" in one for one in found.values()):
        return {"reason": next(iter(found.values()))["reason"]}
    return {"trials": len(trials), "trees": TREES, "seed": SEED, "of": found}


def explained(space: Space, points: Sequence[Mapping[str, Any]], costs: Sequence[float]) -> dict[str, Any]:
    """The share of some costs that every path explains; costs far beyond the others count as the worst of those."""
    from sklearn.ensemble import RandomForestRegressor

    worst = fence(costs)
    targets = np.minimum(np.asarray(costs, float), worst)
    if np.ptp(targets) <= 1e-12 * np.abs(targets).max():
        return {"reason": "it is the same in every trial"}
    table = Table(space)
    seen = table.of_points(points)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=SEED).fit(seen, targets)
    variance = float(forest.predict(table.drawn(DRAWN, {})).var())
    if variance <= 1e-9 * targets.var():
        return {"reason": "the forest tells no points apart"}
    effects = {one.path: _main_effect(table, forest, one) / variance for one in space}
    shuffled = _shuffled(table, forest, seen)
    paths = {path: {"main_effect": effects[path], "shuffled": shuffled[path]} for path in effects}
    return {
        "unseen_r2": float(forest.oob_score_),  # the forest's, on trials that a tree did not learn
        "interactions": max(0.0, 1 - sum(effects.values())),
        "paths": dict(sorted(paths.items(), key=lambda item: -item[1]["main_effect"])),
    }


def _main_effect(table: Table, forest: Any, one: Range) -> float:
    """The variance of the mean prediction at each of a path's values, by how much of the space has the path."""
    fixed = {path: float(table.ranges[path].labels.index(label)) for path, label in one.conditions}
    values = table.evenly(one)
    rows = np.concatenate([table.drawn(AROUND, fixed | {one.path: value}) for value in values])
    means = forest.predict(rows).reshape(len(values), AROUND).mean(1)
    share = np.prod([1 / len(table.ranges[path].labels) for path, _ in one.conditions])
    return float(means.var() * share)


def _shuffled(table: Table, forest: Any, seen: np.ndarray) -> dict[str, float]:
    """Half the mean squared change where a path is shuffled, for each, as a share of the predictions' variance."""
    before = forest.predict(seen)
    rng = np.random.default_rng(SEED)
    shares = {}
    for one in table.space:
        block = table.block(one)
        active = np.flatnonzero(seen[:, table.places[one.path].start] != ABSENT)
        changed = np.tile(seen, (SHUFFLES, 1, 1))
        for copy in changed:
            copy[active[:, None], block] = seen[rng.permutation(active)[:, None], block]
        after = forest.predict(changed.reshape(-1, seen.shape[1])).reshape(SHUFFLES, -1)
        shares[one.path] = float(((after - before) ** 2).mean() / 2 / before.var()) if before.var() else 0.0
    return shares


class Table:
    """Points of a space as rows of numbers: where a value lies in its range, 0 to 1; a choice of words a column each.

    Args:
        space: of the points.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.ranges = {one.path: one for one in space}
        self.places: dict[str, slice] = {}
        self.width = 0
        for one in space:
            count = len(one.values or ()) if _is_of_words(one) else 1
            self.places[one.path] = slice(self.width, self.width + count)
            self.width += count

    def block(self, one: Range) -> list[int]:
        """The columns of a path and of all that hangs below its labels."""
        below = [other.path for other in self.space if one.path in dict(other.conditions)]
        return [column for path in (one.path, *below) for column in range(self.width)[self.places[path]]]

    def of_points(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        rows = np.full((len(points), self.width), ABSENT)
        for row, point in zip(rows, points, strict=True):
            for one in self.space.active(point):
                if one.path in point:
                    row[self.places[one.path]] = self._cells(one, np.array([_place(one, point[one.path])]))[0]
        return rows

    def drawn(self, count: int, fixed: Mapping[str, float]) -> np.ndarray:
        """Rows of random points; those of two calls differ in nothing but what is fixed, and what hangs on it."""
        rng = np.random.default_rng(SEED)
        rows = np.full((count, self.width), ABSENT)
        places: dict[str, np.ndarray] = {}
        for one in self.space:
            shares = (rng.permutation(count) + rng.random(count)) / count  # evenly over the range (a Latin hypercube)
            value = fixed.get(one.path)
            places[one.path] = _place_at(one, shares) if value is None else np.full(count, value)
            active = np.ones(count, bool)
            for path, label in one.conditions:
                active &= places[path] == self.ranges[path].labels.index(label)
            rows[active, self.places[one.path]] = self._cells(one, places[one.path][active])
        return rows

    def evenly(self, one: Range) -> list[float]:
        """The places of values over a range, all of them where they are few or are words."""
        count = _count(one)
        few = VALUES if count is None or (count > VALUES and not _is_of_words(one)) else count
        return [float(place) for place in dict.fromkeys(_place_at(one, (np.arange(few) + 0.5) / few))]

    def _cells(self, one: Range, places: np.ndarray) -> np.ndarray:
        if _is_of_words(one):
            return (places[:, None] == np.arange(len(one.values or ()))).astype(float)
        return places[:, None]


# A place says where a value lies in its range: for words it is their number, else 0 to 1, evenly as it is searched.


def _is_of_words(one: Range) -> bool:
    are_numbers = all(type(value) in (int, float) for value in one.candidates)
    return one.kind == "choice" and not (are_numbers and not one.labels)


def _count(one: Range) -> int | None:
    """The number of values of a range; None where it is an interval."""
    if one.kind in ("choice", "bool"):
        return len(one.values or ())
    step = 1 if one.kind == "int" and one.step is None else one.step
    return None if step is None else int((one.high - one.low) / step + 1e-9) + 1


def _place_at(one: Range, shares: np.ndarray) -> np.ndarray:
    """The places below which these shares of a range lie."""
    count = _count(one)
    if count is None:
        return shares
    numbers = np.floor(shares * count)
    if _is_of_words(one):
        return numbers
    if one.kind in ("choice", "bool"):
        return numbers / max(1, count - 1)
    return numbers * (one.step or 1) / ((one.high - one.low) or 1)  # steps need not end where the range does


def _place(one: Range, value: Any) -> float:
    """The place of a value."""
    if one.kind in ("choice", "bool"):
        values = list(one.values or ())
        if _is_of_words(one):
            return float(values.index(value))
        return sorted(values).index(value) / max(1, len(values) - 1)
    low, high = (np.log(one.low), np.log(one.high)) if one.kind == "log" else (one.low, one.high)
    value = np.log(value) if one.kind == "log" else value
    return float((value - low) / (high - low)) if high > low else 0.0
