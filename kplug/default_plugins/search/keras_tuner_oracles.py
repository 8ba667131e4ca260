"""Oracles written as Keras Tuner's are: regularized evolution, and three of its own with what they lack."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from typing import Any

import keras_tuner


class Evolution(keras_tuner.Oracle):
    """Regularized evolution (Real et al. 2019, algorithm 1), chance following from seed and number alone.

    Args:
        population: how many trials live.
        sample: how many are drawn to find a parent.
        others: those of `keras_tuner.Oracle`.
    """

    def __init__(self, population: int, sample: int, **others: Any) -> None:
        super().__init__(**others)
        self.population, self.sample = population, sample

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        rng = random.Random(f"{self.seed}:{len(self.trials)}")
        living = [self.trials[i] for i in self.end_order if self.trials[i].status == "COMPLETED"][-self.population :]
        if len(living) < self.population:
            values = self._random_values()
        else:
            drawn = rng.sample(living, self.sample)
            parent = (max if self.objective.direction == "max" else min)(drawn, key=lambda trial: trial.score)
            values = self._child(parent.hyperparameters.values, rng)
        return {"status": "RUNNING", "values": values} if values else {"status": "STOPPED"}

    def _child(self, values: dict[str, Any], rng: random.Random) -> dict[str, Any] | None:
        """A point that was not tried, one mutation from its parent; after many attempts, two, and so on."""
        for attempt in range(16 * self._max_collisions):
            child = dict(values)
            for _ in range(1 + attempt // self._max_collisions):
                child = self._mutated(child, rng)
            if not self._duplicate(child):
                return child
        return self._random_values()

    def _mutated(self, values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        """The point with another value in one of its active ranges; ranges that this opens get random ones."""
        hps = self.get_space()
        hps.values = values
        chosen = rng.choice([hp for hp in hps.space if hps.is_active(hp) and _has_others(hp)])
        child = keras_tuner.HyperParameters()
        for hp in hps.space:
            child.merge([hp])
            if not child.is_active(hp):
                child.values.pop(hp.name, None)
            elif hp.name == chosen.name:
                child.values[hp.name] = _other_value(hp, values[hp.name], rng)
            else:
                child.values[hp.name] = values[hp.name] if hp.name in values else hp.random_sample(rng.getrandbits(32))
        return dict(child.values)


def _has_others(hp: Any) -> bool:
    return not isinstance(hp, keras_tuner.engine.hyperparameters.Fixed) and hp.prob_to_value(0.0) != hp.prob_to_value(
        0.999999
    )


def _other_value(hp: Any, value: Any, rng: random.Random) -> Any:
    while (found := hp.random_sample(rng.getrandbits(32))) == value:
        pass
    return found


class Grid(keras_tuner.oracles.GridSearchOracle):
    """Keras Tuner's, which also goes on from a trial that has not ended: the space is whole from the start."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        found: dict[str, Any] = super().populate_space(trial_id)
        if found["status"] == "RUNNING" and trial_id not in self._populate_next:
            self._populate_next.append(trial_id)
        return found


class Hyperband(keras_tuner.oracles.HyperbandOracle):
    """Keras Tuner's, which also says how many trials it makes and whose checkpoints are still needed."""

    def __init__(self, **others: Any) -> None:
        super().__init__(**others)
        brackets = range(self._get_num_brackets())
        sizes = [
            self._get_size(bracket, number) for bracket in brackets for number in range(self._get_num_rounds(bracket))
        ]
        self.max_trials = self.hyperband_iterations * sum(sizes)

    def first_round(self) -> int:
        """With how many points the first bracket begins."""
        return int(self._get_size(self._get_num_brackets() - 1, 0))

    def end_trial(self, trial: Any) -> None:
        """One that was refused or failed is the last of its round, for which Keras Tuner would wait in vain."""
        if trial.status == "INVALID":
            worst = -math.inf if self.objective.direction == "max" else math.inf
            self.update_trial(trial.trial_id, {self.objective.name: worst})
            trial.status = "COMPLETED"
        super().end_trial(trial)

    def _random_values(self) -> dict[str, Any] | None:
        before: int = self._seed_state  # type: ignore[has-type]
        values: dict[str, Any] | None = super()._random_values()
        if values is None:
            self._seed_state = before  # an ask that came to nothing is in no journal, and must leave no trace
        return values

    def may_be_resumed(self, trial_id: str) -> bool:
        """True while a later round may take the trial up."""
        for bracket in self._brackets:
            rounds = bracket["rounds"]
            for number, (here, following) in enumerate(itertools.pairwise(rounds)):
                if trial_id in (info["id"] for info in here):
                    taken = trial_id in (info["past_id"] for info in following)
                    return not taken and len(following) < self._get_size(bracket["bracket_num"], number + 1)
        return False


class Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's, in one thread, which its small matrices are faster with, beside trainings above all.

    And without a warning each time that a length scale of its Gaussian process comes to its bound. A proposal takes a
    second or more; where a search goes on, those that it had made are taken from its journal.
    """

    known: dict[str, Any] | None = None  # what this trial's values were

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.known is not None and self._is_past_random():
            bounds = self._get_hp_bounds()
            self._random_state.uniform(bounds[:, 0], bounds[:, 1], size=(50, len(bounds)))  # as the proposal did
            return {"status": "RUNNING", "values": self.known}
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found: dict[str, Any] = super().populate_space(trial_id)
        return found

    def _vectorize_trials(self) -> Any:
        """What failed or was refused is as bad as the worst: left out, it would be proposed again and again."""
        trials = self.trials.values()
        worst = (min if self.objective.direction == "max" else max)(t.score for t in trials if t.status == "COMPLETED")
        failed = [trial for trial in trials if trial.status == "FAILED"]
        for trial in failed:
            trial.status, trial.score = "COMPLETED", worst
        try:
            if self.ongoing_trials:
                self.gpr.fit(*self._vectorize_ended())  # by which those under way are foreseen
            return super()._vectorize_trials()
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None

    def _vectorize_ended(self) -> Any:
        """Keras Tuner foresees by the process of the proposal before, which one that goes on does not have."""
        ongoing: dict[str, Any] = self.ongoing_trials  # type: ignore[has-type]
        self.ongoing_trials = {}
        for trial in ongoing.values():
            trial.status = "FAILED"
        try:
            return super()._vectorize_trials()
        finally:
            self.ongoing_trials = ongoing
            for trial in ongoing.values():
                trial.status = "RUNNING"

    def _is_past_random(self) -> bool:
        finished = sum(trial.status == "COMPLETED" for trial in self.trials.values())
        return finished >= (self.num_initial_points or max(3 * len(self.hyperparameters.space), 3))
