"""Figures of how good a classification's predictions are, class by class and group by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kplug.default_plugins.classification.report_pictures import draw_calibration, draw_confusion, draw_recall
from kplug.inference.figures import pictures
from kplug.records import Columns, Evaluation, Needs, SplitEvaluator

BINS = 15  # of the calibration error, as Guo et al. 2017
MOST_VALUES = 20  # of a column by which figures are given
SUMMARY = ("accuracy", "balanced_accuracy", "worst_recall", "macro_f1", "calibration_error")


class Report(SplitEvaluator):
    """Figures and pictures of a classification, for the whole split, each class, and each group of examples.

    It writes `report-NAME.json` and pictures of it below `plots/`. Examples whose class is not known are left out.

    Args:
        label: the field of classes, `[n]`, or `[n, classes]` where an example has several.
        every: epochs between which it looks at validation while training; None: not then.
    """

    def __init__(self, label: str, every: int | None = None) -> None:
        self.label, self.every = label, every
        self.needs = Needs(outputs=("probabilities",), fields=(label,))
        self.figures = SUMMARY

    def begin(self, evaluation: Evaluation) -> None:
        super().begin(evaluation)
        self.labels: list[Any] = []
        self.probabilities: list[Any] = []
        self.columns: dict[str, list[Any]] = {}

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        labels = truths[self.label]
        known = (labels >= 0) if labels.ndim == 1 else (labels >= 0).all(-1)
        self.labels.append(labels[known])
        self.probabilities.append(answers["probabilities"][known])
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values[known])

    def state(self) -> Mapping[str, Any]:
        return {"labels": np.concatenate(self.labels), "probabilities": np.concatenate(self.probabilities)}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Columns, which are for files alone, are not among it."""
        self.labels, self.probabilities = ([state[key] for state in states] for key in ("labels", "probabilities"))
        self.columns = {}

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        labels, probabilities = np.concatenate(self.labels), np.concatenate(self.probabilities)
        found = scores(labels, probabilities)
        summary = {key: found[key] for key in SUMMARY}
        if run is None:
            return summary, {}
        info, name = self.evaluation.info.naming(self.label), self.evaluation.name
        found |= details(labels, probabilities, info.classes)
        columns = {key: np.concatenate(values) for key, values in self.columns.items()}
        groups = few_valued(Columns(len(labels), columns), self.label)
        found["by"] = {column: scores_by(values, labels, probabilities) for column, values in groups}
        drawn = pictures(
            {
                f"plots/confusion-{name}.png": lambda: draw_confusion(found),
                f"plots/recall-{name}.png": lambda: draw_recall(found, info.counts),
                f"plots/calibration-{name}.png": lambda: draw_calibration(found["calibration"], BINS),
            }
        )
        return summary, {f"report-{name}.json": found} | drawn


def answers(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is right and what is said, bool `[n, classes]`; of several labels a class is said above 1/2."""
    every = np.arange(probabilities.shape[1])
    if labels.ndim == 2:
        return labels > 0, probabilities > 0.5
    return labels[:, np.newaxis] == every, probabilities.argmax(-1)[:, np.newaxis] == every


def scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Compute the figures of a split, or of a group of its examples, and the bins that one of them is made of.

    Args:
        labels: the right classes, `[n]`, or 0 and 1, `[n, classes]`.
        probabilities: the answers, `[n, classes]`.
    """
    several = labels.ndim == 2
    right, said = answers(labels, probabilities)
    hits, support, predicted = (right & said).sum(0), right.sum(0), said.sum(0)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    there = support > 0  # a class without examples in the split has no recall
    rejected = (~right & ~said).sum(0) / np.maximum((~right).sum(0), 1)
    bins = calibration(right, said, probabilities, several)
    return {
        "examples": len(labels),
        "accuracy": float((right == said).mean() if several else hits.sum() / max(len(labels), 1)),
        # of several labels each is a question of two answers
        "balanced_accuracy": mean((recall + rejected)[there] / 2 if several else recall[there]),
        "mean_recall": mean(recall[there]),  # with one label an example the same
        "worst_recall": float(recall[there].min(initial=1.0)),
        "macro_f1": mean(f1[there | (predicted > 0)]),
        "calibration_error": float(sum(b["share"] * abs(b["accuracy"] - b["confidence"]) for b in bins)),
        "calibration": bins,
    }


def details(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Compute figures class by class and pair by pair; the arguments are those of `scores`, and the names by label."""
    several = labels.ndim == 2
    right, said = answers(labels, probabilities)
    hits, support, predicted = (right & said).sum(0), right.sum(0), said.sum(0)
    return {
        "classes": {
            name: {
                "examples": int(support[i]),
                "recall": float(hits[i] / support[i]) if support[i] else None,
                "precision": float(hits[i] / predicted[i]) if predicted[i] else None,
                "f1": float(2 * hits[i] / max(support[i] + predicted[i], 1)),
            }
            for i, name in enumerate(classes)
        },
        "confusion": pairs(right, said) if several else confusion(labels, probabilities.argmax(-1), len(classes)),
    }


def confusion(labels: np.ndarray, predicted: np.ndarray, count: int) -> list[list[int]]:
    """Count the examples of each pair of classes. Rows: what is right; columns: what was said."""
    found = np.bincount(labels.astype(np.int64) * count + predicted, minlength=count * count)
    return found.reshape(count, count).tolist()


def mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def pairs(right: np.ndarray, said: np.ndarray) -> list[list[list[int]]]:
    """Count the answers on each class. Rows: it is not there, it is; columns: it is not said, it is."""
    return [confusion(is_right, is_said, 2) for is_right, is_said in zip(right.T, said.T, strict=True)]


def calibration(
    right: np.ndarray, said: np.ndarray, probabilities: np.ndarray, several: bool
) -> list[dict[str, float]]:
    """Return the bins of confidence, of equal width, that hold answers: their share, mean confidence and accuracy.

    An answer is the most probable class; with several labels, what is said of each class.
    """
    if several:
        confidence, correct = np.where(said, probabilities, 1 - probabilities).ravel(), (right == said).ravel()
    else:
        confidence, correct = probabilities.max(-1), (right & said).any(-1)
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "share": float((places == place).mean()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(correct[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]


def few_valued(columns: Columns, label: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns that part the examples into a few groups, as text, but for labels and files."""
    for name, column in columns.arrays.items():
        if name not in (label, "path") and np.ndim(column) == 1:
            words = np.asarray(column).astype(str)  # a number or None too
            if 2 <= len(np.unique(words)) <= MOST_VALUES:
                yield name, words


def scores_by(column: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the summary of the examples of each value of a column."""
    found = {}
    for value in np.unique(column):
        of_group = scores(labels[column == value], probabilities[column == value])
        found[str(value)] = {key: of_group[key] for key in ("examples", *SUMMARY)}
    return found
