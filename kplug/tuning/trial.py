"""A trial of a search: one point of the space, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kplug.spec import Spec
from kplug.spec.search.space import Point
from kplug.tuning import executor


class TrialState(StrEnum):
    """The words of journals and tables of results for a trial that is under way and for each way to end."""

    UNDER_WAY = ""
    FINISHED = executor.FINISHED
    PAUSED = executor.PAUSED  # had as many epochs as its oracle gave it, which are not all
    PRUNED = "pruned"  # fell behind the others
    REFUSED = executor.REFUSED
    FAILED = executor.FAILED
    SAME = "same"  # another trial was the same spec

    @property
    def has_numbers(self) -> bool:
        """True where a trial that ended so gave its objectives, and is told to the oracle with a score."""
        return self in (TrialState.FINISHED, TrialState.PAUSED, TrialState.PRUNED, TrialState.SAME)


@dataclass
class Trial:
    """One point of the space, trained.

    Args:
        number: counted from 0, in the order of asking.
        point: path to value.
        epochs: how many epochs of the whole training it is to have.
        origin: the first trial of which it is the continuation; its own number where it is none.
        spec: what it trains; None where the values do not fit together.
        reason: why it was refused, failed, or whose double it is.
        reports: for each repeat, the metrics of every epoch, in order; those from before a promotion among them.
        best: for each repeat, the metrics of the epoch whose weights it keeps: one of its reports, or of those that a
            setback gave up.
        numbers: what it gave: the objectives, constraints and whatever was reported at its best epoch; means over
            repeats.
        spread: standard deviation over repeats, by name.
        score: the objectives as one number, in the direction of the first; None while the trial has no numbers.
        status: how it ended.
        values: the point in the oracle's own words, which the journal keeps.
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
    score: float | None = None
    status: TrialState = TrialState.UNDER_WAY
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def is_under_way(self) -> bool:
        return self.status == TrialState.UNDER_WAY

    @property
    def is_finished(self) -> bool:
        """True where the trial was trained in full."""
        return self.status == TrialState.FINISHED

    @property
    def counts(self) -> bool:
        """True where the trial has numbers, so that it is ranked, drawn and told with a score."""
        return self.status.has_numbers

    def rows(self, repeat: int) -> list[dict[str, float]]:
        """The metrics of the epochs that one of its trainings has reported; none before the first."""
        return self.reports[repeat] if repeat < len(self.reports) else []

    def take_over(self, other: Trial) -> None:
        """Begin with what another has reported."""
        self.reports, self.best = [list(rows) for rows in other.reports], list(other.best)
