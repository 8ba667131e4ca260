"""Keras Tuner's oracles behind `ask` and `tell`: the only place that touches its private names.

Keras Tuner's `Oracle` draws points, counts trials, displays, saves and retries in one object, and has no way to be
given a point, to be told of a refused trial in the middle of a round, or to go on without its own files. What is below
bends it to that by names that are private, or public and not meant for it; it was written for Keras Tuner 1.4.8, and
pyproject.toml admits 1.4 from there on. No version is checked here: tests/test_search.py tells where one differs, above
all the tests that a killed search ends as the whole one, by every oracle.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import keras_tuner
import numpy as np

from kplug.records import Proposal
from kplug.spec.search.space import Point, Space
from kplug.tuning.oracle import Answer
from kplug.tuning.oracle_space import point_of, values_of
from kplug.tuning.trial import Trial


def adapted(oracle: Any, space: Space, by_epochs: bool) -> Any:
    """The oracle that a component made, as `kplug.tuning.oracle.Oracle` says it: Keras Tuner's in an adapter.

    Args:
        oracle: that was made.
        space: that it searches.
        by_epochs: it compares trials at equal epoch counts (`kplug.by_epochs`).
    """
    if not isinstance(oracle, keras_tuner.Oracle):
        return oracle
    return KerasTunerOracle(oracle, space, by_epochs)


class KerasTunerOracle:
    """A `keras_tuner.Oracle` that is asked and told as every other.

    Args:
        oracle: that has not been asked yet.
        space: that it searches.
        by_epochs: the oracle gives its trials epochs.
    """

    def __init__(self, oracle: keras_tuner.Oracle, space: Space, by_epochs: bool) -> None:
        self.oracle, self.space, self.by_epochs = oracle, space, by_epochs
        self.max_trials: int | None = oracle.max_trials
        self._made: list[Any] = []  # Keras Tuner's own trials, by number
        oracle.verbose = 0  # else it prints each trial to stdout, which is for results
        oracle.save = oracle._save_trial = lambda *trial: None  # the journal keeps it all; Keras Tuner writes files

    def ask(self, trials: Sequence[Trial]) -> Answer:
        made = self.oracle.create_trial(f"trial {len(trials)}")
        if made.status == "IDLE":
            return "wait"
        if made.status == "STOPPED":
            return None
        self._made.append(made)
        values = dict(made.hyperparameters.values)
        before = values.get("tuner/trial_id")  # what hyperband adds to the values of the space
        epochs, origin = values.get("tuner/epochs"), int(before) if before else None
        return Proposal(point_of(self.space, values), epochs, origin, values)

    def take(self, trials: Sequence[Trial], point: Point) -> Answer:
        """Have the next trial be this point; it counts among `max_trials` and those of hyperband's first round.

        Keras Tuner cannot be given a point, so that the method which would draw it is replaced for one call: of oracles
        that go by epochs the inner one, since what is around it notes the trial's round.
        """
        values = values_of(self.space, point)
        if self.by_epochs:
            self.oracle._random_values = lambda: values
        else:
            self.oracle.populate_space = lambda trial_id: {"status": "RUNNING", "values": values}
        try:
            return self.ask(trials)
        finally:
            del vars(self.oracle)["_random_values" if self.by_epochs else "populate_space"]

    def repeat(self, trials: Sequence[Trial], values: dict[str, Any]) -> Answer:
        """Make the proposal again whose values these are; Bayesian takes them as they are."""
        self.oracle.known = values
        try:
            return self.ask(trials)
        finally:
            self.oracle.known = None

    def tell(self, trial: Trial) -> None:
        # In this order: `end_trial` scores a trial that is COMPLETED by the numbers that `update_trial` has, and an
        # oracle of somebody else learns from it there. INVALID ends a trial without numbers, and is not tried again.
        made = self._made[trial.number]
        if trial.counts:
            self.oracle.update_trial(made.trial_id, {self.oracle.objective.name: trial.score})
        made.status = "COMPLETED" if trial.counts else "INVALID"
        self.oracle.end_trial(made)

    def may_go_on(self, trial: Trial) -> bool:
        may_be_resumed = getattr(self.oracle, "may_be_resumed", None)
        return may_be_resumed is not None and bool(may_be_resumed(self._made[trial.number].trial_id))


# --- three of Keras Tuner's own, with what they lack -----------------------------------------------------------------


class Grid(keras_tuner.oracles.GridSearchOracle):
    """Keras Tuner's, which also goes on from a trial that has not ended.

    Keras Tuner waits for a trial's end before it makes the next combination, in case the trial declared a further
    hyperparameter. Here the space is whole from the start, so that a trial is put into that queue at once.
    """

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
        sizes = [self._get_size(bracket, n) for bracket in brackets for n in range(self._get_num_rounds(bracket))]
        self.max_trials = self.hyperband_iterations * sum(sizes)

    def first_round(self) -> int:
        """The number of points with which the first bracket begins."""
        return int(self._get_size(self._get_num_brackets() - 1, 0))

    def end_trial(self, trial: Any) -> None:
        """Take one that was refused or failed for the last of its round: Keras Tuner would wait in vain for its end."""
        if trial.status == "INVALID":
            worst = -math.inf if self.objective.direction == "max" else math.inf
            self.update_trial(trial.trial_id, {self.objective.name: worst})
            trial.status = "COMPLETED"
        super().end_trial(trial)

    def _random_values(self) -> dict[str, Any] | None:
        """Draw a point, and set the stream of seeds back where none was left.

        An ask that came to nothing is in no journal, and so must leave no trace: a search that goes on does not repeat
        it.
        """
        before: int = self._seed_state  # type: ignore[has-type]
        values: dict[str, Any] | None = super()._random_values()
        if values is None:
            self._seed_state = before
        return values

    def may_be_resumed(self, trial_id: str) -> bool:
        """True while a later round may take the trial up.

        Keras Tuner has a list of brackets, without those that are done. The rounds of one are lists of trials, each by
        its `id` and, as `past_id`, the id of the trial in the round before that it was promoted from. A trial may go on
        where it is in a round, was not promoted, and the next round is not full.
        """
        for bracket in self._brackets:
            for number, (here, following) in enumerate(itertools.pairwise(bracket["rounds"])):
                if trial_id in (info["id"] for info in here):
                    taken = trial_id in (info["past_id"] for info in following)
                    return not taken and len(following) < self._get_size(bracket["bracket_num"], number + 1)
        return False


class Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's, in one thread, which its small matrices are faster with, beside trainings above all.

    And without a warning each time that a length scale of its Gaussian process comes to its bound.
    """

    known: dict[str, Any] | None = None  # the values that this trial had, where a journal tells

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.known is not None and self._is_past_random():
            # A proposal takes a second or more, so that it is not made again. It drew 50 starting points
            # (`num_restarts` in Keras Tuner's `populate_space`) from the oracle's own stream, which the next proposal
            # goes on with.
            bounds = self._get_hp_bounds()
            self._random_state.uniform(bounds[:, 0], bounds[:, 1], size=(50, len(bounds)))
            return {"status": "RUNNING", "values": self.known}
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found: dict[str, Any] = super().populate_space(trial_id)
        return found

    def _is_past_random(self) -> bool:
        """True where Keras Tuner's `populate_space` proposes by its process: the condition there, which has no name."""
        finished = sum(trial.status == "COMPLETED" for trial in self.trials.values())
        return finished >= (self.num_initial_points or max(3 * len(self.hyperparameters.space), 3))

    def _vectorize_trials(self) -> tuple[np.ndarray, np.ndarray]:
        """The trials as the Gaussian process learns them: places in 0 to 1 `[trials, ranges]`, costs `[trials]`.

        Two things are otherwise than in Keras Tuner. What failed or was refused is as bad as the worst: left out, it
        would be proposed again and again. And what is under way is foreseen by the trials that ended; Keras Tuner
        foresees it by the process of the proposal before, which a search that goes on does not have.
        """
        sign = -1 if self.objective.direction == "max" else 1
        trials = list(self.trials.values())
        worst = max(sign * trial.score for trial in trials if trial.status == "COMPLETED")
        places = np.array([self._places(trial.hyperparameters) for trial in trials])
        costs = np.array([sign * trial.score if trial.status == "COMPLETED" else worst for trial in trials])
        under_way = [number for number, trial in enumerate(trials) if trial.status == "RUNNING"]
        if under_way:
            self.gpr.fit(np.delete(places, under_way, 0), np.delete(costs, under_way))
        for number in under_way:  # one at a time: together they come out otherwise in the last digit
            # Keras Tuner's own guess, a deviation worse than what is expected: what is under way draws nobody near it
            mean, deviation = self.gpr.predict(places[number : number + 1], return_std=True)
            costs[number] = mean[0] + deviation[0]
        return places, costs

    def _places(self, point: keras_tuner.HyperParameters) -> list[float]:
        """The place of each value in its range, 0 to 1; of a range that is not active, that of its default."""
        space = self._nonfixed_space()
        return [hp.value_to_prob(point.values[hp.name] if point.is_active(hp) else hp.default) for hp in space]
