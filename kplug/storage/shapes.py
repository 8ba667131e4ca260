"""The shapes of the JSON that runs and searches keep, by the names of the files; what stands there beside is let be.

A number that was not finite is null there, or NaN where 0.1.0 wrote it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Le, Len, MaxLen
from typing_extensions import TypedDict  # of `typing`, pydantic takes it from Python 3.12 on

from kplug.kinds import Count, Natural, Positive

Numbers = dict[str, float | None]
Threads = Annotated[int, Ge(1), Le(1024)]
Dtype = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128", "string",
]  # fmt: skip

# --- data.json -------------------------------------------------------------------------------------------------------


class FieldShape(TypedDict):
    shape: Annotated[list[Natural | None], MaxLen(32)]
    dtype: Dtype


class Data(TypedDict):
    format: Literal[2]
    fields: dict[str, FieldShape]
    features: dict[str, dict[str, Any]]
    facts: dict[str, dict[str, Any]]
    splits: dict[str, Natural]
    rows: dict[str, str]
    resized: NotRequired[dict[str, FieldShape]]


class Classes(TypedDict):
    """The facts about the field of classes that a task names."""

    classes: NotRequired[list[str]]
    counts: NotRequired[dict[str, list[Natural]]]


class PictureOfFormat1(TypedDict):
    shape: Annotated[list[Count], Len(3, 3)]
    dtype: Literal["uint8"]


class FieldsOfFormat1(TypedDict):
    image: PictureOfFormat1
    label: NotRequired[FieldShape]


class DataOfFormat1(TypedDict):
    fields: FieldsOfFormat1
    resize: Literal["pad", "crop", "stretch"]
    classes: list[str]
    counts: list[Natural]
    splits: dict[str, Natural]


# --- the other files of a run ----------------------------------------------------------------------------------------


class Devices(TypedDict):
    kind: str
    name: str
    capability: float | None
    flags: list[str]
    replicas: Count


class Chosen(TypedDict):
    threads: Threads
    hardware: Devices


class Environment(TypedDict):
    started: str
    chosen: Chosen


class Weights(TypedDict):
    """The stage that kept weights are from, and the digest of their file; 0.1.0 wrote none."""

    stage: Natural
    sha256: NotRequired[str]


class Kept(Weights):
    before: NotRequired[Weights]


class Result(TypedDict):
    run: str
    metrics: Numbers


class Evaluation(TypedDict):
    metrics: Numbers


class Part(TypedDict):
    folder: str
    sha256: dict[str, str]


class Epoch(TypedDict):
    stage: Natural
    epoch: Count
    step: Natural


class Timing(TypedDict):
    epoch: Count
    seconds: float


class Setback(TypedDict):
    to: Annotated[list[Natural], Len(2, 2)] | None
    rate: Positive
    reason: str
    given_up: list[dict[str, Any]]
    best: float | None
    best_metrics: Numbers
    settled: bool


# --- checkpoints -----------------------------------------------------------------------------------------------------


class Keeper(TypedDict):
    best: float
    best_metrics: Numbers
    step: Natural
    rows: Natural


class State(TypedDict):
    format: Literal[1]
    stage: Natural
    first_epoch: Natural
    step: Natural
    done: bool
    epochs: NotRequired[Natural]  # 0.1.0 did not tell it
    keeper: Keeper
    callbacks: list[Any]
    variables: list[str]


# --- the journal of a search -----------------------------------------------------------------------------------------


class Event(TypedDict):
    event: str


class Began(TypedDict):
    format: int
    threads: Threads | None


class Ask(TypedDict):
    trial: Natural
    point: dict[str, Any]
    epochs: Count
    values: dict[str, Any]


class Report(TypedDict):
    trial: Natural
    repeat: Natural
    epoch: Natural
    metrics: Numbers
    go_on: bool


class Ended(TypedDict):
    trial: Natural
    name: str
    how: Literal["finished", "paused", "refused", "failed", "broken"]
    numbers: Numbers
    reason: str


class Tell(TypedDict):
    trial: Natural
    status: Literal["finished", "paused", "pruned", "refused", "failed", "same"]
    numbers: Numbers
    reason: str
    same: Natural | None


EVENTS: dict[str, Any] = {"search": Began, "ask": Ask, "report": Report, "ended": Ended, "tell": Tell}

# --- by name ---------------------------------------------------------------------------------------------------------

SHAPES: dict[str, Any] = {
    "data.json": dict[str, Any],  # then, by its format, `Data` or `DataOfFormat1`
    "environment.json": Environment,
    "kept.json": Kept,
    "result.json": Result,
    "found.json": dict[str, Any],
    "parts.json": dict[str, Part],
    "manifest.json": dict[str, str],
    "state.json": State,
    "metrics.jsonl": Numbers,  # then `Epoch`
    "timings.jsonl": Timing,
    "setbacks.jsonl": Setback,
}


def shape_of(name: str) -> Any:
    """The shape of what a file holds; anything where a plugin wrote it."""
    return Evaluation if name.startswith("evaluation-") else SHAPES.get(name, Any)
