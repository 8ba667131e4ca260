"""Regularized evolution as an oracle: chance follows from seed and number alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner

from kplug.records import Proposal, SearchInfo
from kplug.spec.search.space import Point
from kplug.tuning.oracle_space import point_of, values_of
from kplug.tuning.trial import Trial

Values = dict[str, Any]
ATTEMPTS = 20  # at a point that was not tried; as many as Keras Tuner's oracles make, whose points these are


class Evolution:
    """Regularized evolution (Real et al. 2019, algorithm 1).

    Args:
        info: what is searched.
        max_trials: how many trials there are.
        population: how many trials live: the last that have numbers.
        sample: how many of them are drawn to find a parent.
    """

    def __init__(self, info: SearchInfo, max_trials: int, population: int, sample: int) -> None:
        self.info, self.max_trials = info, max_trials
        self.population, self.sample = population, sample
        self.ended: list[Trial] = []
        self._seed = info.seed  # draws the next value of a random point

    def ask(self, trials: Sequence[Trial]) -> Proposal | None:
        if len(trials) >= self.max_trials:
            return None
        rng = random.Random(f"{self.info.seed}:{len(trials)}")
        tried = [trial.values for trial in trials]
        living = self.ended[-self.population :]
        if len(living) < self.population:
            values = self._random_point(tried)
        else:
            sign = -1 if self.info.objective.direction == "max" else 1
            parent = min(rng.sample(living, self.sample), key=lambda trial: sign * (trial.score or 0.0))
            values = self._child(parent.values, tried, rng)
        return None if values is None else Proposal(point_of(self.info.space, values), values=values)

    def take(self, trials: Sequence[Trial], point: Point) -> Proposal:
        return Proposal(point, values=values_of(self.info.space, point))

    def tell(self, trial: Trial) -> None:
        if trial.counts:
            self.ended.append(trial)

    def _child(self, values: Values, tried: list[Values], rng: random.Random) -> Values | None:
        """A point that was not tried, one mutation from its parent; after many attempts, two, and so on."""
        for attempt in range(16 * ATTEMPTS):
            child = values
            for _ in range(1 + attempt // ATTEMPTS):
                child = self._mutated(child, rng)
            if child not in tried:
                return child
        return self._random_point(tried)

    def _mutated(self, values: Values, rng: random.Random) -> Values:
        """The point with another value in one of its active ranges; ranges that this opens get random ones."""
        space = self.info.hyperparameters.copy()
        space.values = values
        chosen = rng.choice([hp for hp in space.space if space.is_active(hp) and _has_others(hp)])

        def value_of(hp: Any) -> Any:
            if hp.name == chosen.name:
                return _other_value(hp, values[hp.name], rng)
            return values[hp.name] if hp.name in values else hp.random_sample(rng.getrandbits(32))

        return self._point(value_of)

    def _random_point(self, tried: list[Values]) -> Values | None:
        """A point that was not tried, or None after many attempts, with a seed of its own for each value.

        These are the draws of `keras_tuner.Oracle`, so that a seed gives the points that it always gave.
        """

        def value_of(hp: Any) -> Any:
            self._seed += 1
            return hp.random_sample(self._seed - 1)

        drawn = (self._point(value_of) for _ in range(1 + ATTEMPTS))
        return next((values for values in drawn if values not in tried), None)

    def _point(self, value_of: Callable[[Any], Any]) -> Values:
        """The point that gets each value from a function; of a range that is not active by those before it, none."""
        point = keras_tuner.HyperParameters()
        for hp in self.info.hyperparameters.space:
            point.merge([hp])
            if point.is_active(hp):
                point.values[hp.name] = value_of(hp)
            else:
                point.values.pop(hp.name, None)
        return dict(point.values)


def _has_others(hp: Any) -> bool:
    is_fixed = isinstance(hp, keras_tuner.engine.hyperparameters.Fixed)
    return not is_fixed and hp.prob_to_value(0.0) != hp.prob_to_value(0.999999)


def _other_value(hp: Any, value: Any, rng: random.Random) -> Any:
    while (other := hp.random_sample(rng.getrandbits(32))) == value:
        pass
    return other
