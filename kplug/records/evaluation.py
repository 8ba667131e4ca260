"""Evaluators: their base, and the records that they are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kplug.records.data import Columns, DataInfo
from kplug.records.fields import Field


@dataclass(frozen=True)
class Needs:
    """The part of every batch that an evaluator is given.

    Args:
        outputs: those that it looks at, of one endpoint.
        endpoint: which; None is the task's main one.
        fields: arrays of the batch: the truths.
        columns: of the split's table.
        rows: False where it looks at no rows at all, since it asks by itself (a generator).
        splits: further ones that it looks at before: a gallery, as of train.
        restored: outputs and truths that live in a picture come in the frame of its upright file, by the names that
            `Codec.restored` gives them: a mask as `mask_bytes`.
    """

    outputs: tuple[str, ...] = ()
    endpoint: str | None = None
    fields: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: bool = True
    splits: tuple[str, ...] = ()
    restored: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The split that is evaluated, as an evaluator is told when it begins.

    Args:
        split: the split's name.
        name: of this evaluation, by which its files are told apart: the split's, or one with what `--name` adds.
        info: the facts about the data.
        columns: the table of the split.
        seed: of what is drawn.
        ask: (endpoint or None, inputs by name) to outputs by name: an endpoint of the learner, asked by oneself.
        inputs: (endpoint or None) to the inputs that it takes: `Field`s by name.
    """

    split: str
    name: str
    info: DataInfo
    columns: Columns
    seed: int
    ask: Callable[..., Mapping[str, Any]]
    inputs: Callable[..., Mapping[str, Field]]


class SplitEvaluator(ABC):
    """Figures of a whole split: what an evaluator component makes.

    It is begun, given batch after batch, and ended; it may be begun again. Nothing is kept for it but what it keeps.
    """

    needs: Needs = Needs()
    figures: tuple[str, ...] = ()  # names of the figures, which `fit.best` and searches may then go by
    every: int | None = None  # epochs between which it looks at validation while training; None: not then

    def begin(self, evaluation: Evaluation) -> None:
        """Start anew."""
        self.evaluation = evaluation

    def begin_split(self, name: str) -> None:  # noqa: B027  most evaluators have nothing to do here
        """Be told which split the next batches are of, where `needs.splits` names further ones; the own comes last."""

    def add(  # noqa: B027  one that asks by itself is given no rows
        self,
        rows: Any,
        truths: Mapping[str, Any],
        answers: Mapping[str, Any],
        columns: Mapping[str, Any],
    ) -> None:
        """Look at a batch.

        Args:
            rows: numbers of the rows in the split, int64 `[b]`, in the sampler's order.
            truths: the fields of `needs`, `[b, ...]` by name.
            answers: the outputs of `needs`.
            columns: those of `needs`, of these rows; every column where it needs none.
        """

    def state(self) -> Mapping[str, Any] | None:
        """Return what it has counted so far, NumPy arrays by name; None where workers cannot share the rows.

        With it each of several workers is shown rows of its own, while training; else the first is shown all.
        """
        return None

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Take what all workers have counted, in place of what it has counted itself.

        Args:
            states: what each has returned from `state`.
        """
        raise NotImplementedError(f"{type(self).__name__} has a state, and no merge")

    @abstractmethod
    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        """Return figures by name, and files: name to text, bytes, or what is written as JSON.

        Args:
            run: the run; None while it is trained, when no files are wanted.
        """
