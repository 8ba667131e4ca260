"""The records that the host and components hand each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kplug.errors import SpecError, did_you_mean, listed

if TYPE_CHECKING:
    import numpy


# --- what is injected ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One feature of an example: its shape (None where it varies) and its NumPy dtype name."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class DataInfo:
    """The facts about the data, known before a model is built and kept with the run as `data.json`.

    Args:
        fields: feature name to `Field`, of one example as the batch holds it (after the resize).
        resize: how pictures of other sizes are brought to the image size: pad, crop or stretch.
        classes: class names, by label.
        counts: training examples per class, by label.
        splits: examples per split.
        vocabulary: words, by token id; empty where the source has none.
    """

    fields: Mapping[str, Field]
    resize: str = "pad"
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of the pictures in a batch."""
        return self.fields["image"].shape  # type: ignore[return-value]

    @property
    def multi_label(self) -> bool:
        """True where an example may have several labels: `label` is then a row of zeros and ones."""
        return "label" in self.fields and len(self.fields["label"].shape) == 1

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataInfo:
        fields = {name: Field(tuple(f["shape"]), f["dtype"]) for name, f in data["fields"].items()}
        names = {key: tuple(data[key]) for key in ("classes", "counts", "vocabulary")}
        return cls(fields=fields, resize=data["resize"], splits=dict(data["splits"]), **names)


@dataclass(frozen=True)
class FitInfo:
    """The length of a training: all optimizer steps, and epochs."""

    steps: int
    epochs: int


@dataclass(frozen=True, eq=False)
class SearchInfo:
    """The space that an oracle searches, and what is best in it.

    Args:
        hyperparameters: a `keras_tuner.HyperParameters` that declares the space.
        objective: a `keras_tuner.Objective`.
        seed: a number other than 0, which Keras Tuner takes for none.
        epochs: how many a whole training has.
        points: how many the space has; infinite where a range is an interval.
        first: how many trials `search.first` gives before the oracle proposes its own.
        space: the ranges in order, each with its `path`; `space.sample(rng)` is a random point, path to value.
    """

    hyperparameters: Any
    objective: Any
    seed: int
    epochs: int
    points: float = float("inf")
    first: int = 0
    space: Any = None


@dataclass(frozen=True, eq=False)
class Proposal:
    """A point that an oracle proposes, where more is to be said of it than its values.

    Args:
        point: path to value.
        epochs: of the whole training, which the trial is to have; None: all.
        origin: number of the trial that it goes on from; None where it begins.
        values: the point in the oracle's own words, kept in the journal and given to it where a search goes on.
    """

    point: Mapping[str, Any]
    epochs: int | None = None
    origin: int | None = None
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """The table of a split: what is known of every example without loading it.

    Args:
        size: how many examples.
        arrays: column name to an array with `size` rows: labels, paths, every further column.
    """

    size: int
    arrays: Mapping[str, numpy.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> numpy.ndarray:
        if name not in self.arrays:
            raise SpecError(
                f"no column named '{name}'{did_you_mean(name, self.arrays)} (columns: {listed(self.arrays)})"
            )
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    @property
    def numeric(self) -> dict[str, numpy.ndarray]:
        """The columns of numbers, which join every batch."""
        return {name: array for name, array in self.arrays.items() if array.dtype.kind in "biuf"}


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


# --- what is best ----------------------------------------------------------------------------------------------------


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
        """The number turned so that lower is better; one that is no number (NaN) is infinitely bad.

        Everybody who looks for the best compares these costs by one rule: a cost that is lower takes the place of the
        best, so that of equals the first stays. They are `best` below for rows that are there, the recorder for epochs
        as they come, a rollback, and `best_checkpoints`, which keeps several.
        """
        cost = numbers[self.name] * (1 if self.direction == "minimize" else -1)
        return math.inf if math.isnan(cost) else cost

    def best(self, rows: Sequence[dict[str, float]]) -> dict[str, float]:
        """The row with the lowest cost, the first of equals."""
        return min(rows, key=self.cost)


# --- what sources and tasks return -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a source: the table of its examples, and how one of them is loaded.

    The numeric columns join every batch under their names (`label` first of all), so that a source that wraps
    another changes labels by changing columns; `load` brings what is not in the table.

    Args:
        columns: the table.
        load: row (int64 scalar tensor) to features by name, graph-safe; `image` is a uint8 tensor
            `[height, width, channels]`, or a string scalar that holds an encoded picture.
        classes: class names by label, the same in every split.
        image: (height, width, channels) of all pictures, None where one varies.
        batched: `load` also takes many rows `[b]` at once and returns `[b, ...]`.
        vocabulary: words by token id, where the source has text.
    """

    columns: Columns
    load: Callable[[Any], dict[str, Any]]
    classes: tuple[str, ...] = ()
    image: tuple[int | None, int | None, int | None] = (None, None, None)
    batched: bool = False
    vocabulary: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.columns.size


@dataclass(frozen=True, eq=False)
class Signature:
    """An entry of an export: a function that the saved model offers, with what it takes and gives.

    Args:
        function: batched tensors, one per input by name, to a dict of batched tensors; graph-safe.
        inputs: input name to `Field` of one example; a shape or dimension of None varies.
        outputs: names of what `function` returns, each documented in one phrase.
    """

    function: Callable[..., dict[str, Any]]
    inputs: Mapping[str, Field]
    outputs: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Learner:
    """The product of a task: all that training, evaluation and export need.

    Args:
        model: a compiled keras.Model; an unusual objective overrides `train_step` or `compute_loss`.
        prepare: (batch, seed, training) -> (x, y) or (x, y, weight); pure, runs in the input pipeline.
        serve: endpoint name to `Signature`: what an export offers.
        parts: name to layer: what another run may take out.
    """

    model: Any
    prepare: Callable[..., tuple[Any, ...]]
    serve: Mapping[str, Signature] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
