"""What a search knows: trials, what they reported, what the oracle proposes next. It follows from its events alone.

No process and no clock is here, so that the events of a journal, put in again in their order, give the same study.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import keras_tuner

from kplug.errors import SpecError
from kplug.records import SearchInfo
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.search.first_points import first_points
from kplug.spec.search.objectives import Objectives
from kplug.spec.search.space import Point, Space, spec_at
from kplug.spec.tree import Node, plain
from kplug.storage.metrics import best_row
from kplug.tuning.executor import FAILED, FINISHED, PAUSED, REFUSED
from kplug.tuning.oracle_space import begin_with, declare, mixed, point_of, values_of

# how a trial ends, beside what its executor says of a training
PRUNED = "pruned"  # fell behind the others
SAME = "same"  # another trial was the same spec
ENDS = (FINISHED, PAUSED, PRUNED, REFUSED, FAILED, SAME)
COUNT = (FINISHED, PAUSED, PRUNED, SAME)  # have numbers


@dataclass
class Trial:
    """One point of the space, trained.

    Args:
        number: counted from 0, in the order of asking.
        point: path to value.
        epochs: so many epochs of the whole training it is to have.
        origin: the first trial of which it is the continuation; its own number where it is none.
        spec: what it trains; None where the values do not fit together.
        reason: why it was refused, failed, or whose double it is.
        reports: of each repeat, the metrics of every epoch, in order; those from before a promotion among them.
        best: of each repeat, the metrics of the epoch whose weights it keeps: one of its reports, or of those that a
            setback gave up.
        numbers: what it gave: the objectives, constraints and whatever was reported at its best epoch; means over
            repeats.
        spread: standard deviation over repeats, by name.
        status: how it ended; empty while it is under way.
        values: the point as the oracle has it.
    """

    number: int
    point: Point
    epochs: int
    origin: int
    spec: Spec | None = None
    reason: str = ""
    reports: list[list[dict[str, float]]] = field(default_factory=list)
    best: list[dict[str, float]] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    status: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        return self.status in COUNT

    def take_over(self, other: Trial) -> None:
        """Begin with what another has reported."""
        self.reports, self.best = [list(rows) for rows in other.reports], list(other.best)


class Study:
    """Asks the oracle, judges reports, ranks trials.

    Args:
        spec: with its search.
        base: what every trial trains where its point does not say otherwise.
        space: that is searched.
        aim: what is best.
        epochs: of a whole training, all its stages.
        repeats: trainings of each point.
    """

    def __init__(self, spec: Spec, base: Spec, space: Space, aim: Objectives, epochs: int, repeats: int) -> None:
        self.spec, self.base, self.space = spec, base, space
        self.aim, self.epochs, self.repeats = aim, epochs, repeats
        self.trials: list[Trial] = []
        self._proposed: dict[int, Any] = {}
        self._ids: dict[int, str] = {}  # of the oracle, which may write numbers otherwise
        self._begun: set[tuple[int, int]] = set()  # trial and repeat that have reported no epoch since they began
        self._by_form: dict[tuple[str, int], int] = {}
        search = spec["search"]
        direction = aim.first.direction[:3]
        self._name = aim.first.name if len(aim.objectives) == 1 else "score"
        best, seed = keras_tuner.Objective(self._name, direction), mixed(spec["seed"])
        first = first_points(spec, space)
        info = SearchInfo(declare(space), best, seed, max(1, epochs), space.size(), len(first))
        self.oracle = build(spec, search.arguments["oracle"], {SearchInfo: info})
        self.oracle.verbose = 0
        self.oracle.save = self.oracle._save_trial = lambda *trial: None  # the journal keeps it all
        by_epochs = search.arguments["oracle"].component.by_epochs
        try:
            begin_with(self.oracle, [values_of(space, point) for point in first], by_epochs)
        except ValueError as error:
            raise spec.error("search.first", str(error)) from None
        self._falls_behind = build(spec, search.arguments["prune"])

    # --- what happens ------------------------------------------------------------------------------------------------

    def ask(self, known: Mapping[str, Any] | None = None) -> Trial | Literal["wait", "over"]:
        """The next trial, or whether the oracle waits for those under way or has no other.

        Args:
            known: the values that the oracle gave this trial before; one whose proposals are costly may take them.
        """
        if hasattr(self.oracle, "known"):
            self.oracle.known = known
        proposed = self.oracle.create_trial(f"trial {len(self.trials)}")
        if proposed.status == "IDLE":
            return "wait"
        if proposed.status == "STOPPED":
            return "over"
        values = proposed.hyperparameters.values
        point = point_of(self.space, values)
        epochs = values.get("tuner/epochs", self.epochs)
        trial = Trial(len(self.trials), point, epochs, len(self.trials), values=dict(values))
        if before := values.get("tuner/trial_id"):
            trial.take_over(self.trials[int(before)])
            trial.origin = self.trials[int(before)].origin
        self.trials.append(trial)
        self._proposed[trial.number], self._ids[trial.number] = proposed, proposed.trial_id
        try:
            trial.spec = self.spec_of(point)
        except SpecError as error:
            trial.reason = str(error)
        return trial

    def begin(self, trial: Trial, repeat: int) -> None:
        """A training begins, or goes on from a checkpoint."""
        self._begun.add((trial.number, repeat))

    def report(self, trial: Trial, repeat: int, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Note the metrics of an epoch, counted from 1; whether the training goes on."""
        while len(trial.reports) <= repeat:
            trial.reports.append([])
            trial.best.append(dict(metrics))
        rows, new, before = trial.reports[repeat], dict(metrics), [trial.best[repeat]]
        if epoch <= len(rows) and (trial.number, repeat) in self._begun:
            before = rows[: epoch - 1]  # it goes on from there and computes otherwise now; else: it was set back
        trial.best[repeat] = best_row([*before, new], trial.spec)
        self._begun.discard((trial.number, repeat))
        del rows[epoch - 1 :]
        rows.append(new)
        if epoch >= self.epochs:
            return True
        return epoch < trial.epochs and not self.is_behind(trial, repeat)

    def is_behind(self, trial: Trial, repeat: int) -> bool:
        """Whether the pruner stops a trial, which the first of its trainings decides."""
        if self._falls_behind is None or repeat:
            return False
        mine = self._costs(trial)
        newest = {other.origin: other for other in self.trials if other.origin != trial.origin and other.reports}
        return bool(self._falls_behind(mine, [self._costs(other) for other in newest.values()]))

    def tell(self, trial: Trial, status: str, measured: Mapping[str, float], reason: str = "") -> None:
        """How a trial ended.

        Args:
            trial: that ended.
            status: one of `ENDS`.
            measured: numbers that no epoch reports.
            reason: of an end that has one.
        """
        trial.status, trial.reason = status, reason
        if trial.counts:
            trial.numbers, trial.spread = self._numbers(trial)
            trial.numbers |= measured
            if broken := self.aim.broken_by(trial.numbers):
                trial.status, trial.reason = REFUSED, broken
            elif bad := [name for name in self.aim.names if not math.isfinite(trial.numbers.get(name, math.nan))]:
                trial.status, trial.reason = FAILED, f"{bad[0]} is {trial.numbers.get(bad[0], 'not reported')}"
        else:
            trial.numbers = dict(measured)
        proposed = self._proposed.pop(trial.number)
        proposed.status = "COMPLETED" if trial.counts else "INVALID"
        if trial.counts:
            self.oracle.update_trial(proposed.trial_id, {self._name: self.score(trial)})
        self.oracle.end_trial(proposed)
        if trial.status in (FINISHED, PAUSED, PRUNED) and trial.spec is not None:
            self._by_form.setdefault((canonical(trial.spec), trial.epochs), trial.number)

    def tell_same(self, trial: Trial, other: Trial) -> None:
        """A trial is what another was, and gets its numbers."""
        trial.take_over(other)
        self.tell(trial, SAME, dict(other.numbers), f"trial {other.number} is the same")
        trial.spread = dict(other.spread)

    # --- what follows ------------------------------------------------------------------------------------------------

    def spec_of(self, point: Point) -> Spec:
        """The spec of a point.

        Raises:
            SpecError: its values do not fit together.
        """
        spec: Spec = spec_at(self.base, self.space, point)
        return spec

    def double_of(self, trial: Trial) -> Trial | None:
        """A finished trial that trained the same."""
        if trial.spec is None or trial.origin != trial.number:
            return None
        number = self._by_form.get((canonical(trial.spec), trial.epochs))
        return None if number is None else self.trials[number]

    def score(self, trial: Trial) -> float:
        return self.aim.score(trial.numbers)

    def ranked(self) -> list[Trial]:
        """The trials that count, the best first, those that were trained in full before others.

        Of one that was promoted, its last; of several that are the same, the first.
        """
        last = {trial.origin: trial for trial in self.trials if trial.counts and trial.status != SAME}
        return sorted(last.values(), key=lambda t: (t.status != FINISHED, self.aim.cost(t.numbers), t.number))

    @property
    def best(self) -> Trial | None:
        return next(iter(self.ranked()), None)

    def front(self) -> list[Trial]:
        """Of the trials that were trained in full, where there are any, those that no other beats."""
        ranked = self.ranked()
        trials = [trial for trial in ranked if trial.status == FINISHED] or ranked
        return [trials[i] for i in self.aim.front([trial.numbers for trial in trials])]

    def may_go_on(self, trial: Trial) -> bool:
        """Whether the oracle may promote a trial that paused."""
        ask = getattr(self.oracle, "may_be_resumed", None)
        return trial.counts and ask is not None and bool(ask(self._ids[trial.number]))

    def _costs(self, trial: Trial) -> list[float]:
        name = self.aim.first.name
        sign = 1 if self.aim.first.direction == "minimize" else -1
        return [row[name] * sign for row in trial.reports[0] if name in row] if trial.reports else []

    def _numbers(self, trial: Trial) -> tuple[dict[str, float], dict[str, float]]:
        """What the best epochs reported: means over the repeats, and standard deviations where there are several."""
        best = trial.best
        names = [name for name in best[0] if all(name in row for row in best)] if best else []
        means = {name: statistics.fmean(row[name] for row in best) for name in names}
        several = len(best) > 1
        return means, {name: statistics.stdev(row[name] for row in best) for name in names} if several else {}


def canonical(spec: Spec) -> str:
    """A form that specs share which train the same."""
    kept = {key: value for key, value in spec.root.arguments.items() if key not in ("search", "export", "name")}
    return json.dumps(_canonical(kept), sort_keys=True)


def _canonical(tree: Any) -> Any:
    if isinstance(tree, Node):
        arguments = dict(tree.arguments)
        if form := tree.component.canonical:
            told = form.function(**{name: plain(arguments.pop(name)) for name in form.parameters})
            arguments = {**arguments, "": told}
        return [tree.name, _canonical(arguments)]
    if isinstance(tree, dict):
        return {key: _canonical(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_canonical(item) for item in tree]
    return tree
