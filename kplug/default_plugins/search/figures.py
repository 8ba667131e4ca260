"""The rules that pictures and tables of a search share: which trials they show, and names that fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kplug.tuning.study import Study
from kplug.tuning.trial import Trial

FENCE = 4.0  # quartile distances: what lies further beyond the worse quartile is drawn at the edge


def number_of(trial: Trial, name: str) -> float | None:
    """A finite number of a trial; None where it has none."""
    value = trial.numbers.get(name)
    return value if value is not None and math.isfinite(value) else None


def has_all(trial: Trial, study: Study) -> bool:
    """True where each objective of a trial is a finite number."""
    return all(number_of(trial, one.name) is not None for one in study.aim.objectives)


def scored(study: Study) -> list[tuple[Trial, float]]:
    """The trials that count, with their scores, the best first; where one was promoted, its last."""
    trials = [trial for trial in study.ranked() if has_all(trial, study)]
    return [(trial, trial.score) for trial in trials if trial.score is not None and math.isfinite(trial.score)]


def fence(costs: Sequence[float]) -> float:
    """The highest cost that is not far from most others, such as that of a training that diverged."""
    import numpy as np

    low, high = np.quantile(costs, (0.25, 0.75))
    if len(costs) < 5 or low == high:  # nothing says what is far: of sizes, most may be the same
        return max(costs)
    return float(max(cost for cost in costs if cost <= high + FENCE * (high - low)))


def number_in_words(value: float) -> str:
    """A number as short as an axis needs it."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size and (abs(value) >= 1e4 or value % 100 == 0):
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def better(objective: Any) -> str:
    """An objective's name, and in which direction it gets better."""
    return f"{objective.name} ({'more' if objective.direction == 'maximize' else 'less'} is better)"
