"""The words of a component's signature: kinds, constrained types, default calls, rules, and injected records.

    def focal(gamma: NonNegative = 2.0) -> Loss: ...

The annotation of a parameter says what may fill it; the return annotation says what the function makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate

from kplug.errors import SpecError, did_you_mean, listed  # noqa: F401  offered from here too
from kplug.records import (  # noqa: F401
    AsItIs,
    AskedFeatures,
    Codec,
    Columns,
    DataInfo,
    Field,
    FitInfo,
    Learner,
    Rebuild,
    SearchInfo,
    Signature,
    Split,
    Table,
)

# --- kinds ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """The kind of thing that a component makes. A type checker sees `Any`; the host reads this mark.

    A plugin declares one of its own, which others import from it, and gives it to the host by the hook `kinds`:

        Decoder = Annotated[Any, Kind("decoder", "a Keras layer: pyramid of features to scores [b, h, w, n]")]

    Args:
        name: in lower case, unique.
        promise: what a component returns, in one phrase.
        contract: "package.module:function" that `kplug.testing.check` calls with the thing that a component made; it
            raises AssertionError where the promise is broken. Kinds of kplug have contracts of their own.
    """

    name: str
    promise: str
    contract: str = ""

    def __str__(self) -> str:
        return self.name


Architecture = Annotated[Any, Kind("architecture", "Keras model or layer: images in 0 to 1, or features, to features")]
Loss = Annotated[Any, Kind("loss", "a keras.losses.Loss: one value per example")]
Feature = Annotated[Any, Kind("feature", "a Codec: how one field of an example is learnt, read, kept and served")]
Augmentation = Annotated[Any, Kind("augmentation", "(batch, seed) -> batch: pure, batched, graph-safe")]
Sampler = Annotated[Any, Kind("sampler", "(rng) -> int64 [steps, batch]: the rows of an epoch; -1 pads; or a Table")]
Source = Annotated[Any, Kind("source", "{split name: Split}")]
Evaluator = Annotated[Any, Kind("evaluator", "a SplitEvaluator: figures of a whole split")]
Task = Annotated[Any, Kind("task", "a Learner")]
Optimizer = Annotated[Any, Kind("optimizer", "a keras.optimizers.Optimizer")]
Schedule = Annotated[Any, Kind("schedule", "a keras.optimizers.schedules.LearningRateSchedule")]
Metric = Annotated[Any, Kind("metric", "a keras.metrics.Metric")]
Callback = Annotated[Any, Kind("callback", "a keras.callbacks.Callback; state() and restore(state) where it remembers")]
Strategy = Annotated[Any, Kind("strategy", "a tf.distribute.Strategy")]
Oracle = Annotated[Any, Kind("oracle", "ask(trials) -> point or None, tell(trial); or a keras_tuner Oracle")]
Pruner = Annotated[Any, Kind("pruner", "(values, others) -> bool: whether a trial stops early")]
Executor = Annotated[Any, Kind("executor", "a kplug.tuning.executor.TrialExecutor: where trials are trained")]

# fmt: off
_KINDS = (
    Architecture, Loss, Feature, Augmentation, Sampler, Source, Task, Evaluator, Optimizer, Schedule, Metric, Callback,
    Strategy, Oracle, Pruner, Executor,
)
# fmt: on
KINDS: dict[str, Kind] = {kind.__metadata__[0].name: kind.__metadata__[0] for kind in _KINDS}

# --- constrained types ---------------------------------------------------------------------------------------------

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Unit = Annotated[float, Ge(0), Le(1)]  # 0 to 1, both ends included
Fraction = Annotated[float, Ge(0), Lt(1)]  # 0 to 1, without 1: a share that may not be all
MOST = 2**31 - 1  # what a whole number may be at most: sizes and counts in TensorFlow are int32 in places
Count = Annotated[int, Ge(1), Le(MOST)]
Natural = Annotated[int, Ge(0), Le(MOST)]
Odd = Annotated[int, Ge(1), Le(MOST), Predicate(lambda n: n % 2 == 1)]
Seed = Annotated[int, Ge(0), Lt(2**31)]
Size = tuple[Count, Count]  # height, width in pixels
Text = Annotated[str, MinLen(1)]
Name = Annotated[str, Predicate(lambda text: bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)))]


@dataclass(frozen=True)
class Located:
    """Marks text that is a path: relative to the working directory, and kept absolute in a run."""


_openable = Predicate(lambda path: "\0" not in path)
FilePath = Annotated[str, MinLen(1), _openable, Located()]


@dataclass(frozen=True)
class TrainedRun(Located):
    """Marks text that is the directory of a run: one that uses it keeps a copy of its spec, data and weights."""


RunPath = Annotated[str, MinLen(1), _openable, TrainedRun()]

NOUNS = {Odd: "an odd number", Name: "a name: letters, digits, '.', '_', '-', a letter or digit first"}
NOUNS |= dict.fromkeys((FilePath, RunPath), "a path: text without null characters")

# --- defaults and rules --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A node written as a default; `type` None is a section of the spec, which needs no name."""

    type: str | None
    arguments: tuple[tuple[str, Any], ...]


def call(type: str | None = None, /, **arguments: Any) -> Any:
    """A default node: `optimizer: Optimizer = call("adamw", learning_rate=1e-3)`."""
    return Call(type, tuple(arguments.items()))


F = TypeVar("F", bound=Callable[..., Any])


def _marks(function: Callable[..., Any]) -> dict[str, Any]:
    """The marks that decorators have put on a function so far; `kplug.spec.component` makes fields of them."""
    return getattr(function, "kplug_marks", {})


def _marked(function: F, **marks: Any) -> F:
    function.kplug_marks = _marks(function) | marks  # type: ignore[attr-defined]
    return function


def rule(check: Callable[..., None]) -> Callable[[F], F]:
    """Add a check over several parameters of a component.

    Args:
        check: takes parameters of the component by name, is free of TensorFlow, and raises ValueError with the
            reason, or SpecError with problems whose paths begin at the component. It sees plain values; a node is
            seen as a mapping with its `type`. A parameter annotated `Known` gets what is known of the data.
    """
    return lambda function: _marked(function, rules=(*_marks(function).get("rules", ()), check))


# What the host knows and a spec cannot: a component gets it by the annotation of a parameter, which YAML cannot set.
INJECTED: set[type] = {DataInfo, AskedFeatures, FitInfo, Columns, SearchInfo, Rebuild}

C = TypeVar("C", bound=type)


def injected(record: C) -> C:
    """Let components take a class by annotation that is declared further down, as `RunDirectory` is."""
    INJECTED.add(record)
    return record


@dataclass(frozen=True)
class Sees:
    """Marks a parameter whose node gets a field of the data itself, so that its shape is known to the node's rules.

        model: Annotated[Architecture, Sees("image")]

    Args:
        field: name of the field; one in braces is the parameter of the same component that names it: "{image}".
    """

    field: str


@dataclass(frozen=True)
class NamesField:
    """Marks text that is the name of a field of the data: `kplug check` refuses one that the source does not have.

    Args:
        has_classes: the field's classes are those of the task: `DataInfo.classes`, `counts` and `multi_label` are of
            it for the component and all below it.
    """

    has_classes: bool = False


FieldName = Annotated[str, MinLen(1), NamesField()]
LabelName = Annotated[str, MinLen(1), NamesField(has_classes=True)]


@dataclass(frozen=True)
class NamesMetric:
    """Marks text that is the name of a number that an epoch reports: one that is not is refused before the first step.

    A parameter `mode` beside it is auto, min or max; where it is auto, the number's direction has to be known.
    """


MetricName = Annotated[str, MinLen(1), NamesMetric()]


@dataclass(frozen=True, kw_only=True)
class Known:
    """The facts that a spec tells of its data, and its source of itself, before anything is opened, for `kplug check`.

    Args:
        features: field to the name of its feature, or to `call(NAME, ...)`, or to None where the field joins a batch as
            numbers, or as text where the spec gives it a feature; None where a source cannot say which fields it has.
        facts: field to what is known of it, in the words of its feature: {"image": {"size": (32, 32)}}.
        shapes: field to its shape in a batch as far as it is known; the host fills it.
        sees: the shape of the field that a node gets, for a parameter that is marked `Sees`; else None.
        label: the field of classes that the task names.
        group: the column by which the source keeps rows together; None where none is, or where it is not known.
        cells: a column's name to its values as text, one for each row that may train, each list in the same order; or
            to None where they are not known. It is called only where a rule asks.
    """

    features: Mapping[str, Any] | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    sees: tuple[int | None, ...] | None = None
    label: str = "label"
    group: str | None = None
    cells: Callable[[str], Sequence[str] | None] = lambda name: None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names by label; None where they are not known."""
        return tuple(self.facts.get(self.label, {}).get("classes") or ()) or None

    @property
    def picture(self) -> tuple[int | None, int | None, int | None]:
        """Height, width and channels of the picture that a node gets, each None where it is not known.

        Raises:
            SpecError: the field that it gets is no picture.
        """
        if self.sees is None:
            return (None, None, None)
        if len(self.sees) != 3:
            came = ", ".join("?" if size is None else str(size) for size in self.sees)
            raise SpecError(f"needs pictures [height, width, channels]; the field that it gets is [{came}]")
        return (self.sees[0], self.sees[1], self.sees[2])


def known(tell: Callable[..., Known]) -> Callable[[F], F]:
    """Let a source say what it knows of its data without being opened.

    Args:
        tell: takes parameters of the source by name, a source among them as its `Known`; free of TensorFlow, quick, and
            without errors: what it cannot find out it leaves None.
    """
    return lambda function: _marked(function, known=tell)


def canonical(form: Callable[..., Any]) -> Callable[[F], F]:
    """Say which calls of a component come to the same, so that a search trains one of them.

    Args:
        form: takes parameters of the component by name, as plain values (a node is a mapping with its `type`), is free
            of TensorFlow, and returns what equal calls share: plain data, compared in place of those parameters.
    """
    return lambda function: _marked(function, canonical=form)


def gives(*names: str) -> Callable[[F], F]:
    """Say by which names a component gives more than its kind promises, so that `kplug check` can compare.

    Args:
        names: of a sampler, the columns of its `Table`, which join each batch; of a task, the outputs of its main
            endpoint, one in braces by the parameter that names it: "{answer}".
    """
    return lambda function: _marked(function, gives=names)


def needs(*names: str) -> Callable[[F], F]:
    """Say what a component needs, so that `kplug check` refuses a spec in which nobody gives it.

    Args:
        names: of a task, arrays of a batch that the source or both samplers give; one in braces is the parameter that
            names it: "{role}". Of an evaluator, the outputs of the task's main endpoint that it looks at.
    """
    return lambda function: _marked(function, needs=names)


@dataclass(frozen=True)
class Effect:
    """The effect of an augmentation on the fields of an example.

    Args:
        does: moves (pixels to other places), recolours (values of pixels alone, where they are), mixes (examples), or
            leaves_behind (what lives in a picture).
        fill: of one that moves, how places outside of the picture are filled; in braces the parameter that says it.
        size: of one that moves, the parameter that may give pictures another size; "" where none does.
        parts: of one that mixes, it takes parts of another picture in place of a share of each pixel.
        because: of one that leaves something behind, why that cannot be otherwise.
    """

    does: str
    fill: str = "constant"
    size: str = ""
    parts: bool = False
    because: str = ""


def moves(fill: str = "constant", size: str = "") -> Callable[[F], F]:
    """Mark an augmentation that moves pictures by `kplug.authoring.move`, with whatever lives in them.

    Args:
        fill: what places outside of the picture show: constant, nearest, reflect or wrap; one in braces is the
            parameter that says it: "{fill_mode}". What shows objects a second time is refused beside boxes and the
            like.
        size: the parameter that may give pictures another size: "{size}"; training then sees `DataInfo.trained`.
    """
    return lambda function: _marked(function, effect=Effect("moves", fill, size))


def recolours(function: F) -> F:
    """Mark an augmentation that changes values of pixels and moves nothing: all that lives in a picture stays true."""
    return _marked(function, effect=Effect("recolours"))


def mixes(parts: bool = False) -> Callable[[F], F]:
    """Mark an augmentation that mixes examples by `kplug.authoring.mix`, all fields of them.

    Args:
        parts: it takes parts of another picture; without it, a share of each pixel.
    """
    return lambda function: _marked(function, effect=Effect("mixes", parts=parts))


def leaves_behind(because: str) -> Callable[[F], F]:
    """Mark an augmentation of pictures alone: it is refused beside what lives in one.

    Args:
        because: the reason why nothing can follow the picture: "it ...".
    """
    return lambda function: _marked(function, effect=Effect("leaves_behind", because=because))


def by_epochs(function: F) -> F:
    """Mark an oracle that compares trials at equal epoch counts (Hyperband): all trials must have as many epochs."""
    return _marked(function, by_epochs=True)
