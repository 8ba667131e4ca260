"""The state of a search: its trials, what they reported, what the oracle proposes next. It follows from events alone.

No process and no clock is here, so that the events of a journal, put in again in their order, give the same study.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kplug.errors import SpecError
from kplug.records import Proposal, SearchInfo
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.search.first_points import first_points
from kplug.spec.search.objectives import Objectives
from kplug.spec.search.space import Space, spec_at
from kplug.spec.tree import Node, plain
from kplug.storage.metrics import best_row
from kplug.tuning.keras_tuner_adapter import adapted
from kplug.tuning.oracle import Answer
from kplug.tuning.oracle_space import search_info
from kplug.tuning.trial import Trial, TrialState


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
        self._begun: set[tuple[int, int]] = set()  # trial and repeat that have reported no epoch since they began
        self._by_form: dict[tuple[str, int], int] = {}  # canonical form and epochs of what trained, to its number
        self._first = first_points(spec, space)
        self.oracle: Any = self._make_oracle(spec["search"].arguments["oracle"])
        self.max_trials: int | None = getattr(self.oracle, "max_trials", None)  # None: nobody knows
        if self.max_trials and len(self._first) > self.max_trials:
            message = f"has {len(self._first)} points, and the oracle makes no more trials than {self.max_trials}"
            raise spec.error("search.first", message)
        self._falls_behind = build(spec, spec["search"].arguments["prune"])

    def _make_oracle(self, node: Node) -> Any:
        direction, seed = self.aim.first.direction, self.spec["seed"]
        info = search_info(self.space, self.score_name, direction, seed, self.epochs, len(self._first))
        return adapted(build(self.spec, node, {SearchInfo: info}), self.space, node.component.by_epochs)

    @property
    def score_name(self) -> str:
        """The name of the number by which trials are ranked."""
        return self.aim.first.name if len(self.aim.objectives) == 1 else "score"

    # --- what happens ------------------------------------------------------------------------------------------------

    def ask(self, known: Mapping[str, Any] | None = None) -> Trial | Literal["wait", "over"]:
        """Make the next trial, or say that the oracle waits for those under way, or that the search is over.

        Args:
            known: the values that the oracle gave this trial before; one whose proposals are costly may take them.
        """
        answer = self._propose(known)
        if answer is None or answer == "wait":
            return answer or "over"
        proposal = answer if isinstance(answer, Proposal) else Proposal(answer, values=answer)
        number, point, origin = len(self.trials), dict(proposal.point), proposal.origin
        trial = Trial(number, point, proposal.epochs or self.epochs, number, values=dict(proposal.values or {}))
        if origin is not None:
            trial.take_over(self.trials[origin])
            trial.origin = self.trials[origin].origin
        self.trials.append(trial)
        try:
            trial.spec = spec_at(self.base, self.space, point)
        except SpecError as error:
            trial.reason = str(error)
        return trial

    def _propose(self, known: Mapping[str, Any] | None) -> Answer:
        """The points of `search.first`, one after the other, and then what the oracle proposes.

        An oracle with an account of its own, as Keras Tuner's have, takes the first points into it: they count among
        its trials, and hyperband gives them epochs.
        """
        number, oracle = len(self.trials), self.oracle
        if number < len(self._first):
            point = self._first[number]
            return oracle.take(self.trials, point) if hasattr(oracle, "take") else point
        if known is not None and hasattr(oracle, "repeat"):
            return oracle.repeat(self.trials, known)
        return oracle.ask(self.trials)

    def begin(self, trial: Trial, repeat: int) -> None:
        """Note that a training begins, or goes on from a checkpoint."""
        self._begun.add((trial.number, repeat))

    def report(self, trial: Trial, repeat: int, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Note the metrics of an epoch, counted from 1, and say whether the training goes on.

        The trial's value is that of the weights that its run keeps, `trial.best`. There are three cases:
         - New: the epoch was not reported before. It is the best, or the one of before is.
         - Again, after a checkpoint: the training has just begun, goes on from a checkpoint before that epoch, and
           computes otherwise now. What it reported then is forgotten, though it was the best.
         - Set back: the training diverged, went back, and comes to the epoch a second time. What it gave up is no
           report any more, but stays the best where it was: its run still keeps those weights.
        """
        while len(trial.reports) <= repeat:
            trial.reports.append([])
            trial.best.append(dict(metrics))
        rows, new = trial.reports[repeat], dict(metrics)
        is_again = epoch <= len(rows) and (trial.number, repeat) in self._begun
        best_before = rows[: epoch - 1] if is_again else [trial.best[repeat]]
        trial.best[repeat] = best_row([*best_before, new], trial.spec)
        self._begun.discard((trial.number, repeat))
        del rows[epoch - 1 :]
        rows.append(new)
        return epoch >= self.epochs or (epoch < trial.epochs and not self.is_behind(trial, repeat))

    def is_behind(self, trial: Trial, repeat: int) -> bool:
        """True where the pruner stops a trial, which the first of its trainings decides."""
        if self._falls_behind is None or repeat:
            return False
        newest = {other.origin: other for other in self.trials if other.origin != trial.origin and other.reports}
        return bool(self._falls_behind(self._costs(trial), [self._costs(other) for other in newest.values()]))

    def tell(self, trial: Trial, status: str, measured: Mapping[str, float], reason: str = "") -> None:
        """Note how a trial ended, and tell the oracle.

        Args:
            trial: that ended.
            status: a word of TrialState. It becomes refused where the numbers break a limit, failed where an objective
                is no finite number.
            measured: numbers that no epoch reports.
            reason: of an end that has one.
        """
        trial.status, trial.reason, trial.numbers = TrialState(status), reason, dict(measured)
        if trial.counts:
            trial.numbers, trial.spread = _means(trial.best)
            trial.numbers |= measured
            if broken := self.aim.broken_by(trial.numbers):
                trial.status, trial.reason = TrialState.REFUSED, broken
            elif bad := [name for name in self.aim.names if not math.isfinite(trial.numbers.get(name, math.nan))]:
                trial.status = TrialState.FAILED
                trial.reason = f"{bad[0]} is {trial.numbers.get(bad[0], 'not reported')}"
        if trial.counts:
            trial.score = self.aim.score(trial.numbers)
            if trial.status != TrialState.SAME and trial.spec is not None:
                self._by_form.setdefault((canonical(trial.spec), trial.epochs), trial.number)
        self.oracle.tell(trial)

    def tell_same(self, trial: Trial, other: Trial) -> None:
        """Note that a trial is what another was, and give it that one's numbers."""
        trial.take_over(other)
        self.tell(trial, TrialState.SAME, other.numbers, f"trial {other.number} is the same")
        trial.spread = dict(other.spread)

    # --- what follows ------------------------------------------------------------------------------------------------

    def double_of(self, trial: Trial) -> Trial | None:
        """The first trial that ended with numbers and trained the same; None where there is none."""
        if trial.spec is None or trial.origin != trial.number:
            return None
        number = self._by_form.get((canonical(trial.spec), trial.epochs))
        return None if number is None else self.trials[number]

    def ranked(self) -> list[Trial]:
        """The trials that count, the best first, those that were trained in full before others.

        Where one was promoted, its last stands for it; where several are the same, the first.
        """
        last = {trial.origin: trial for trial in self.trials if trial.counts and trial.status != TrialState.SAME}
        return sorted(last.values(), key=lambda t: (not t.is_finished, self.aim.cost(t.numbers), t.number))

    @property
    def best(self) -> Trial | None:
        return next(iter(self.ranked()), None)

    def front(self) -> list[Trial]:
        """The trials that no other beats, among those that were trained in full, where there are any."""
        ranked = self.ranked()
        trials = [trial for trial in ranked if trial.is_finished] or ranked
        return [trials[i] for i in self.aim.front([trial.numbers for trial in trials])]

    def may_go_on(self, trial: Trial) -> bool:
        """True where the oracle may promote a trial that paused."""
        return trial.counts and hasattr(self.oracle, "may_go_on") and self.oracle.may_go_on(trial)

    def _costs(self, trial: Trial) -> list[float]:
        """The first objective at each epoch of a trial's first training, turned so that less is better."""
        first = self.aim.first
        return [first.cost(row) for row in trial.rows(0) if first.name in row]


def _means(best: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """The numbers of the repeats' best epochs: means, and standard deviations where there are several."""
    names = [name for name in best[0] if all(name in row for row in best)] if best else []
    means = {name: statistics.fmean(row[name] for row in best) for name in names}
    return means, {name: statistics.stdev(row[name] for row in best) for name in names if len(best) > 1}


def canonical(spec: Spec) -> str:
    """The form that all specs share which train the same, as JSON."""
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
