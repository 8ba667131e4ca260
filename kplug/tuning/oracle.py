"""The protocol of an oracle, which proposes the points of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from kplug.records import Proposal
from kplug.spec.search.space import Point
from kplug.tuning.trial import Trial

Answer = Point | Proposal | Literal["wait"] | None


class Oracle(Protocol):
    """Proposes a point whenever a worker is free, and is told how each trial ended.

    What it proposes follows from its seed, the trials, and the order in which it was told of their ends: a search that
    goes on asks and tells it the same again.

    It may have more. `max_trials` says how many trials it makes at most, None where it does not know. `take(trials,
    point)` has it note a trial that `search.first` gives, and say its epochs. `repeat(trials, values)` makes the
    proposal again whose values the journal has, where that is cheaper than to ask. `may_go_on(trial)` says whether a
    paused trial may be promoted, so that its weights are kept.
    """

    def ask(self, trials: Sequence[Trial]) -> Answer:
        """Propose a point.

        Args:
            trials: all so far, in the order of asking, those of `search.first` among them.

        Returns:
            The point, path to value; a Proposal where more is to be said; "wait" until one of those under way ends;
            None where there is no other.
        """

    def tell(self, trial: Trial) -> None:
        """Hear how a trial ended: `trial.score`, None where it was refused or failed."""
