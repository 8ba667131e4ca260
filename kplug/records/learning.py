"""The learner that a task makes, and the records that it is given of the training and the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kplug.records.fields import Codec, Field

if TYPE_CHECKING:
    from kplug.records.evaluation import SplitEvaluator


@dataclass(frozen=True)
class FitInfo:
    """The training that a part is built for.

    Args:
        steps: all optimizer steps of it.
        epochs: how many it has.
        is_new: a training begins: what cannot be learnt from these data is refused then; not when a run goes on, or is
            asked for answers.
    """

    steps: int
    epochs: int
    is_new: bool = False


@dataclass(frozen=True, eq=False)
class Rebuild:
    """The run that a part of a network is built for, as far as the part may know it; `Rebuild()` stands for none.

    A run builds its network again for each evaluation, export, checkpoint and further stage. What its parts read from
    files or from the network when it began may be gone by then, and is not needed: the run has kept it.

    Args:
        weights_follow: (`keras.Variable`s that were just made) -> True where all of them get other values right after,
            those of the run: whoever would read them from a file asks here first.
        found_once: (name, ask) -> what `ask()` gave as JSON when the run began; it is asked where nothing is known by
            that name, which must be the same whenever the component is built.
        trained_run: (path of another run, as the spec has it) -> the directory to read it from: this run's copy of it.
    """

    # the defaults are those of no run: nothing was kept, so that all is read where the spec says
    weights_follow: Callable[[Iterable[Any]], bool] = lambda weights: False
    found_once: Callable[[str, Callable[[], Any]], Any] = lambda name, ask: ask()
    trained_run: Callable[[str], Path] = lambda path: Path(path).expanduser()


@dataclass(frozen=True, eq=False)
class Signature:
    """An endpoint that a run answers and an export offers: a function, with what it takes and gives.

    Args:
        function: batched tensors, one per input by name, to a dict of batched tensors; graph-safe.
        inputs: name to `Field` of one example, or to the codec of the batch's field of that name, whose raw form (the
            bytes of a file) is then taken too.
        outputs: name to `Field` or codec of what `function` returns.
        batch: input or output to the name of its batch axis, where they have not all the same ("batch"); None has no
            batch axis. An episode: {"support": "supports", "query": "queries", "probabilities": "queries"}.
        answer: (a row of outputs, by name, top) to what a person wants to read, plain values by name; None shows the
            outputs themselves.
    """

    function: Callable[..., dict[str, Any]]
    inputs: Mapping[str, Field | Codec]
    outputs: Mapping[str, Field | Codec]
    batch: Mapping[str, str | None] = field(default_factory=dict)
    answer: Callable[[Mapping[str, Any], int], Mapping[str, Any]] | None = None


@dataclass(frozen=True, eq=False)
class Learner:
    """The product of a task: all that training, evaluation and export need.

    Args:
        model: a compiled, built keras.Model; an unusual objective overrides `train_step` or `compute_loss`.
        prepare: (batch, seed, training) -> (x, y) or (x, y, weight); pure, runs in the input pipeline; the seed differs
            at every batch, in evaluation too.
        serve: endpoint name to `Signature`: what a run answers and an export offers; the first is the main one.
        parts: name to layer: what another run may take out.
        optimizers: name to (optimizer, the weights that it trains), where there are several; the compiled one trains
            all weights where this is empty.
        best: which epoch is kept where the spec leaves it open: "last", or {"minimize": NAME} or {"maximize": NAME};
            None is the lowest val_loss.
        evaluators: those of the task; the spec may add others.
        callbacks: of this task alone.
        scores: float inputs by name to logits, where the task has them: what explanations differentiate.
    """

    model: Any
    prepare: Callable[..., tuple[Any, ...]]
    serve: Mapping[str, Signature] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    optimizers: Mapping[str, tuple[Any, Sequence[Any]]] = field(default_factory=dict)
    best: str | Mapping[str, str] | None = None
    evaluators: Sequence[SplitEvaluator] = ()
    callbacks: Sequence[Any] = ()
    scores: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Monitor:
    """A number that is to be small or large: {minimize: NAME} or {maximize: NAME}.

    Args:
        name: the number's name.
        direction: minimize or maximize.
    """

    name: str
    direction: str

    @classmethod
    def read(cls, written: Mapping[Any, str]) -> Monitor:
        """The monitor of a mapping such as {minimize: val_loss}."""
        ((direction, name),) = written.items()
        return Monitor(name, direction)

    def among(self, names: Iterable[str]) -> Monitor:
        """The same of what is reported: `val_loss`, the default, stands for `loss` where nothing validates."""
        falls_back = self.name == "val_loss" and not any(name.startswith("val_") for name in names)
        return Monitor("loss", self.direction) if falls_back else self

    def cost(self, numbers: Mapping[str, float]) -> float:
        """The number turned so that lower is better; one that is no number (NaN), or not there, is infinitely bad.

        Everybody who looks for the best compares these costs by one rule: a cost that is lower takes the place of the
        best, so that of equals the first stays. They are `best` below for rows that are there, the recorder for epochs
        as they come, a rollback, and `best_checkpoints`, which keeps several.
        """
        cost = numbers.get(self.name, math.nan) * (1 if self.direction == "minimize" else -1)
        return math.inf if math.isnan(cost) else cost

    def best(self, rows: Sequence[dict[str, float]]) -> dict[str, float]:
        """The row with the lowest cost, the first of equals."""
        return min(rows, key=self.cost)
