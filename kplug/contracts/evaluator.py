"""The contract of evaluators: figures of a split are the same in any order, in batches of any size, begun again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kplug.contracts.subject import Subject, demand
from kplug.contracts.tiny import SHAPES, tiny_given
from kplug.records import Columns, DataInfo, Evaluation, SplitEvaluator

ROWS = 40
TOLERANCE = 1e-6
SIZES = (40, 7, 1)  # of the batches that come in another order each time


@dataclass(frozen=True)
class Shown:
    """The data that an evaluator is shown of a split, arrays `[n, ...]` by name.

    Args:
        truths: the fields that it needs.
        answers: the outputs.
        columns: of the table.
        ask: (endpoint, inputs by name) to outputs, for one that asks by itself.
        takes: the inputs of that endpoint, `Field`s by name.
    """

    truths: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    ask: Any = None
    takes: Mapping[str, Any] = field(default_factory=dict)


def check_evaluator(subject: Subject) -> None:
    """Check an evaluator; `inputs` is a function of a generator to what it is shown.

    It gives a dict with any of `truths`, `answers` and `columns`, arrays `[n, ...]` by name, and `ask`. By default
    these are three classes: a field `label`, and `probabilities`.
    """
    evaluator = subject.make()
    subject.of_class(evaluator, SplitEvaluator, "SplitEvaluator")
    shown = _shown(subject)
    _check_needs(evaluator, shown)
    info = tiny_given()[DataInfo]
    first = _figures(evaluator, shown, info, SIZES[0], 0)
    _check_figures(first)
    again = _figures(evaluator, shown, info, SIZES[0], 0)
    _demand_equal(first, again, "begun again, an evaluator starts afresh")
    for order, size in enumerate(SIZES[1:], 1):
        _demand_equal(
            first,
            _figures(subject.make() if order == 1 else evaluator, shown, info, size, order),
            f"the order of rows and the size of batches change no figure; {size} at a time, shuffled",
        )
    if evaluator.needs.rows and not evaluator.needs.splits and evaluator.state() is not None:
        _demand_equal(first, _merged(subject, shown, info), "workers that share the rows come to the same figures")
    _check_files(evaluator, shown, info, subject)


def _merged(subject: Subject, shown: Shown, info: DataInfo) -> dict[str, float]:
    """The figures where two workers have counted a part of the rows each."""
    workers = [subject.make(), subject.make()]
    count = _count(shown)
    for worker, part in zip(workers, (slice(None, count // 3), slice(count // 3, None)), strict=True):
        halves = ({name: np.asarray(values)[part] for name, values in one.items()} for one in _arrays(shown))
        _show(worker, replace(shown, **dict(zip(("truths", "answers", "columns"), halves, strict=True))), info, 7, 0)
    states = [worker.state() for worker in workers]
    for state in states:
        texts = [name for name, value in state.items() if np.asarray(value).dtype == object]
        demand(not texts, f"a state is arrays of numbers or of text by name; {', '.join(texts)} holds objects")
    workers[0].merge(states)
    figures: dict[str, float] = workers[0].end(None)[0]
    return figures


def _arrays(shown: Shown) -> tuple[Mapping[str, Any], ...]:
    return shown.truths, shown.answers, shown.columns


def _count(shown: Shown) -> int:
    return min((len(values) for one in _arrays(shown) for values in one.values()), default=0)


def _shown(subject: Subject) -> Shown:
    if subject.inputs is not None:
        drawn = subject.inputs(np.random.default_rng(0))
        unknown = set(drawn) - {"truths", "answers", "columns", "ask", "takes"}
        demand(
            not unknown,
            f"`inputs` gives truths, answers, columns, ask and takes; received {', '.join(sorted(unknown))}",
        )
        return Shown(**drawn)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(SHAPES), ROWS).astype(np.int32)
    powers = np.exp(rng.normal(size=(ROWS, len(SHAPES))) + np.eye(len(SHAPES))[labels])
    probabilities = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return Shown({"label": labels}, {"probabilities": probabilities}, {"label": labels})


def _check_needs(evaluator: SplitEvaluator, shown: Shown) -> None:
    needs = evaluator.needs
    for wanted, given, what in (
        (needs.fields, shown.truths, "truths"),
        (needs.outputs, shown.answers, "answers"),
        (needs.columns, shown.columns, "columns"),
    ):
        lacking = [name for name in wanted if name not in given]
        demand(
            not lacking, f"it needs {', '.join(lacking)}, which the {what} lack: give `inputs`, a function with them"
        )


def _figures(evaluator: SplitEvaluator, shown: Shown, info: DataInfo, size: int, order: int) -> dict[str, float]:
    """The figures of the split, its rows in an order, so many at a time."""
    _show(evaluator, shown, info, size, order)
    ended = evaluator.end(None)
    demand(
        isinstance(ended, tuple) and len(ended) == 2 and isinstance(ended[0], dict) and isinstance(ended[1], dict),
        f"end gives (figures, files), two dicts; received {ended!r:.100}",
    )
    return ended[0]


def _show(evaluator: SplitEvaluator, shown: Shown, info: DataInfo, size: int, order: int) -> None:
    count = _count(shown)
    table = Columns(count, dict(shown.columns))
    evaluator.begin(Evaluation("test", "test", info, table, 0, shown.ask or _nobody, lambda endpoint=None: shown.takes))
    rows = np.arange(count) if order == 0 else np.random.default_rng(order).permutation(count)
    needs = evaluator.needs
    for split in (*needs.splits, "test") if needs.rows else ():
        evaluator.begin_split(split)
        for start in range(0, count, size):
            part = rows[start : start + size]
            evaluator.add(
                part,
                {name: np.asarray(shown.truths[name])[part] for name in needs.fields},
                {name: np.asarray(shown.answers[name])[part] for name in needs.outputs},
                {name: np.asarray(shown.columns[name])[part] for name in needs.columns or shown.columns},
            )


def _nobody(endpoint: str | None = None, **inputs: Any) -> Any:
    raise AssertionError("an evaluator that asks an endpoint by itself is given `ask` by `inputs`")


def _check_figures(figures: Mapping[str, Any]) -> None:
    for name, value in figures.items():
        demand(
            isinstance(name, str) and isinstance(value, int | float | np.number) and np.isfinite(value),
            f"figures are finite numbers by name; '{name}' is {value!r}",
        )


def _demand_equal(first: Mapping[str, float], other: Mapping[str, float], promise: str) -> None:
    names = f"{sorted(first)}, then {sorted(other)}"
    demand(first.keys() == other.keys(), f"{promise}; its figures were {names}")
    for name, value in first.items():
        difference = abs(value - other[name])
        demand(
            difference <= TOLERANCE * max(1.0, abs(value)),
            f"{promise}; '{name}' was {value:.8g}, then {other[name]:.8g}",
        )


def _check_files(evaluator: SplitEvaluator, shown: Shown, info: DataInfo, subject: Subject) -> None:
    """Demand that the files for a run are texts, bytes, or what JSON can hold."""
    _show(evaluator, shown, info, SIZES[0], 0)
    _, files = evaluator.end(subject.run)
    for name, content in files.items():
        if isinstance(content, str | bytes):
            continue
        try:
            json.dumps(content)
        except TypeError as error:
            raise AssertionError(f"files are text, bytes or JSON; '{name}' is neither: {error}") from error
