"""Evaluators at work: every batch of a split is handed to each of them, once, and kept by none but themselves."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.console import log
from kplug.data.features import arrays_of, placement_name
from kplug.data.pipeline import Data
from kplug.data.tables import ALL, BatchSlices
from kplug.data.values import Arrays, by_owner
from kplug.errors import SpecError, did_you_mean, listed
from kplug.inference.endpoints import from_arrays, predictor, signature_name
from kplug.inference.views import Asked, Views, mean_answer
from kplug.records import Codec, DataInfo, Evaluation, Field, FitInfo, Learner, Rebuild, SplitEvaluator
from kplug.spec.build import build

Figures = dict[str, float]


def evaluators_of(data: Data, learner: Learner, rebuild: Rebuild | None = None) -> list[SplitEvaluator]:
    """The evaluators of a task, then those of the spec.

    Raises:
        SpecError: one needs what the task's endpoint does not answer.
    """
    spec = data.spec
    given = {DataInfo: data.info, FitInfo: FitInfo(1, 1), Rebuild: rebuild or Rebuild()}
    own = build(spec, spec["evaluators"], given)
    for position, evaluator in enumerate(own):
        try:
            refuse_unanswered(evaluator, learner, data.arrays)
        except SpecError as error:
            raise spec.error(("evaluators", position), str(error)) from None
    return [*learner.evaluators, *own]


def refuse_unanswered(evaluator: SplitEvaluator, learner: Learner, arrays: Sequence[str]) -> None:
    """Refuse an evaluator whose outputs, or fields among the arrays of a batch, are not there."""
    needs = evaluator.needs
    outputs = Asked(learner, signature_name(learner, needs.endpoint)).outputs if needs.outputs else ()
    for name in needs.outputs:
        if name not in outputs:
            raise SpecError(f"it needs the output '{name}'{did_you_mean(name, outputs)} (outputs: {listed(outputs)})")
    for name in needs.fields:
        if name not in arrays:
            known = f"{did_you_mean(name, arrays)} (fields: {listed(arrays)})"
            raise SpecError(f"it needs the field '{name}'{known}")


class Showing:
    """Shows splits to evaluators; an endpoint is traced once, however often it is shown.

    Args:
        learner: whose endpoints answer.
        evaluators: look at the answers.
    """

    def __init__(self, learner: Learner, evaluators: Sequence[SplitEvaluator]) -> None:
        self.learner, self.evaluators = learner, evaluators
        self.asked: dict[str, Asked] = {}

    def show(self, data: Data, evaluation: Evaluation, views: int = 1, shares: BatchSlices = ALL) -> None:
        """Begin all evaluators, show them the further splits that they name, and the split itself last.

        Args:
            data: has the splits.
            evaluation: says which.
            views: of each example.
            shares: whose rows of the split they are shown, of how many that share it.
        """
        for evaluator in self.evaluators:
            evaluator.begin(evaluation)
        further = dict.fromkeys(name for evaluator in self.evaluators for name in evaluator.needs.splits)
        for split in (*further, evaluation.split):
            is_own = split == evaluation.split
            those = [one for one in self.evaluators if one.needs.rows and (is_own or split in one.needs.splits)]
            for evaluator in those:
                evaluator.begin_split(split)
            if those:
                names = {self._endpoint(one) for one in those if one.needs.outputs}
                asked = frozenset().union(*(self._ask(name).inputs for name in names))
                own = Views(data, split, asked, views, shares) if is_own else Views(data, split, asked)
                self._hand_on(those, names, own)

    def _hand_on(self, evaluators: Sequence[SplitEvaluator], names: set[str], views: Views) -> None:
        """Hand every batch of a split to evaluators, and each the answers of these endpoints that it needs."""
        views.refuse()
        for rows, table, seen in views.batches():
            answers = {name: mean_answer(self._ask(name), seen) for name in names}
            for evaluator in evaluators:
                needs = evaluator.needs
                own = answers[self._endpoint(evaluator)] if needs.outputs else {}
                truths = {name: seen[0][name] for name in needs.fields}
                found = {name: own[name] for name in needs.outputs}
                if needs.restored:
                    outputs = self.learner.serve[self._endpoint(evaluator)].outputs
                    truths = in_files_frame(truths, views.data.info.codecs, seen[0])
                    found = in_files_frame(found, outputs, seen[0])
                evaluator.add(rows, truths, found, {name: table[name] for name in needs.columns or table.arrays})

    def _endpoint(self, evaluator: SplitEvaluator) -> str:
        return signature_name(self.learner, evaluator.needs.endpoint)

    def _ask(self, name: str) -> Asked:
        return self.asked.setdefault(name, Asked(self.learner, name))


def in_files_frame(arrays: Arrays, given: Mapping[str, Field | Codec], batch: Arrays) -> Arrays:
    """Arrays of a batch, with those that live in a picture in the frame of its upright file, row by row.

    Args:
        arrays: by name.
        given: the codecs that they belong to; others are left as they are.
        batch: has the placement of each picture.
    """
    codecs = {name: one for name, one in given.items() if isinstance(one, Codec)}
    found: Arrays = {}
    for name, suffixed in by_owner(arrays, codecs).items():
        codec = codecs.get(name)
        if codec is None or not codec.in_frame:
            found |= arrays_of(name, suffixed if set(suffixed) != {""} else suffixed[""])
            continue
        placements = batch[placement_name(codec.frame)]
        rows = [
            codec.restore({suffix: tf.constant(values[row]) for suffix, values in suffixed.items()}, placements[row])
            for row in range(len(placements))
        ]
        found |= arrays_of(name, {suffix: np.stack([row[suffix].numpy() for row in rows]) for suffix in rows[0]})
    return found


def usable(evaluators: Iterable[SplitEvaluator], learner: Learner, data: Data, views: int) -> list[SplitEvaluator]:
    """Those that can be shown batches; of the others it is said why not."""
    found = []
    for evaluator in evaluators:
        needs = evaluator.needs
        reason = ""
        if needs.outputs:
            asked = Asked(learner, signature_name(learner, needs.endpoint))
            if lacking := asked.lacking(data.arrays):
                reason = f"endpoint '{asked.endpoint}' has inputs that no field of the data fills: {listed(lacking)}"
            elif views > 1 and (single := [name for name in needs.outputs if name not in asked.averaged]):
                reason = f"{listed(single)} cannot be averaged over views"
        elif views > 1:
            reason = "it looks at no output that could be averaged over views"
        if reason:
            log(f"{type(evaluator).__name__} is left out: {reason}")
        else:
            found.append(evaluator)
    return found


def evaluation_of(learner: Learner, data: Data, split: str, name: str) -> Evaluation:
    """The record that evaluators are given when they begin."""

    asking = functools.cache(functools.partial(predictor, learner))  # each is traced once

    def ask(endpoint: str | None = None, **inputs: Any) -> Mapping[str, np.ndarray]:
        return asking(endpoint)(**inputs)

    def inputs(endpoint: str | None = None) -> Mapping[str, Field]:
        name = signature_name(learner, endpoint)
        return from_arrays(name, learner.serve[name]).inputs

    return Evaluation(split, name, data.info, data.split(split).columns, data.spec["seed"], ask, inputs)
