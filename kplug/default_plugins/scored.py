"""What a classification's predictions are worth, class by class: figures as JSON, and pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kplug.kinds import Columns
from kplug.run import Run

BINS = 15  # of the calibration error, as Guo et al. 2017
MOST_VALUES = 20  # of a column by which figures are given
NAMED = 40  # classes up to which pictures name them


def report(run: Run, split: str, predictions: Mapping[str, np.ndarray], columns: Columns) -> dict[str, float]:
    """Write `report-SPLIT.json` and pictures below `plots/`; the metrics that stand for all.

    Args:
        run: evaluated.
        split: its split.
        predictions: with `probabilities`, `[n, classes]`.
        columns: of the split, with `label`, `[n]`.
    """
    labels, probabilities = np.asarray(columns["label"]), predictions["probabilities"]
    found = scores(labels, probabilities, run.info.classes)
    found["by"] = {name: scores_by(column, labels, probabilities) for name, column in few_valued(columns)}
    run.write_json(f"report-{split}.json", found)
    run.write(f"plots/confusion-{split}.png", draw_confusion(found))
    run.write(f"plots/recall-{split}.png", draw_recall(found, run.info.counts))
    run.write(f"plots/calibration-{split}.png", draw_calibration(found["calibration"]))
    return {name: found[name] for name in ("balanced_accuracy", "macro_f1", "calibration_error")}


def scores(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Everything of one split.

    Args:
        labels: what is right, `[n]`.
        probabilities: `[n, classes]`.
        classes: names by label.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted, numbers = probabilities.argmax(-1), np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0.0
    )
    there = support > 0  # a class without examples in the split has no recall
    bins = calibration(labels == predicted, probabilities.max(-1))
    return {
        "examples": len(labels),
        "accuracy": float((labels == predicted).mean()),
        "balanced_accuracy": float(recall[there].mean()),
        "macro_f1": float(f1[there].mean()),
        "calibration_error": float(sum(b["share"] * abs(b["accuracy"] - b["confidence"]) for b in bins)),
        "classes": {
            name: {
                "examples": int(support[i]),
                "recall": float(recall[i]) if there[i] else None,
                "precision": float(precision[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion": confusion_matrix(labels, predicted, labels=numbers).tolist(),
        "calibration": bins,
    }


def calibration(right: np.ndarray, confidence: np.ndarray) -> list[dict[str, float]]:
    """Bins of confidence of equal width that hold examples: their share, mean confidence and accuracy."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "share": float((places == place).mean()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]


def few_valued(columns: Columns) -> Iterator[tuple[str, np.ndarray]]:
    """The columns that part the examples into a few groups, but for the labels."""
    for name, column in columns.arrays.items():
        values = np.asarray(column)
        if name != "label" and values.ndim == 1 and 2 <= len(np.unique(values)) <= MOST_VALUES:
            yield name, values


def scores_by(column: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, float]]:
    """Figures of the examples of each value of a column."""
    from sklearn.metrics import recall_score

    predicted, found = probabilities.argmax(-1), {}
    for value in np.unique(column):
        chosen = column == value
        of_group, answers = labels[chosen], predicted[chosen]
        found[str(value)] = {
            "examples": int(chosen.sum()),
            "accuracy": float((of_group == answers).mean()),
            "balanced_accuracy": float(recall_score(of_group, answers, labels=np.unique(of_group), average="macro")),
        }
    return found


# --- pictures ------------------------------------------------------------------------------------------------------


def draw_confusion(found: Mapping[str, Any]) -> bytes:
    """Rows: what is right; columns: what was said; colours: shares of a row; numbers: examples."""
    names, counts = list(found["classes"]), np.asarray(found["confusion"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.45 * len(names), 4, 14))
    figure, axis = new_figure(side, side)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= NAMED:
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
    if len(names) <= NAMED / 2:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, str(count), ha="center", va="center", fontsize=7, color=color)
    axis.set(xlabel="predicted", ylabel="is", title=f"balanced accuracy {found['balanced_accuracy']:.3f}")
    return as_png(figure)


def draw_recall(found: Mapping[str, Any], counts: tuple[int, ...]) -> bytes:
    """Recall of every class, the most frequent in training first."""
    rows = [(name, one["recall"], counts[i] if counts else 0) for i, (name, one) in enumerate(found["classes"].items())]
    rows = sorted((row for row in rows if row[1] is not None), key=lambda row: -row[2])
    figure, axis = new_figure(float(np.clip(2 + 0.4 * len(rows), 5, 16)), 3.6)
    axis.bar(range(len(rows)), [recall for _, recall, _ in rows], width=0.8, color="tab:blue")
    axis.axhline(found["balanced_accuracy"], color="black", linewidth=0.8, linestyle="--", label="mean")
    if len(rows) <= NAMED:
        labels = [f"{name}\n{count:,}" if counts else name for name, _, count in rows]
        axis.set_xticks(range(len(rows)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    else:
        axis.set(xlabel="classes, from the most frequent in training to the rarest")
    axis.set(ylim=(0, 1), ylabel="recall", title="recall by class" + (", and training examples" if counts else ""))
    axis.legend(frameon=False)
    return as_png(figure)


def draw_calibration(bins: list[dict[str, float]]) -> bytes:
    """Accuracy by confidence, beside how many predictions have it."""
    figure, axis = new_figure(4.2, 4.2)
    places = [(b["from"] + b["to"]) / 2 for b in bins]
    axis.bar(places, [b["share"] for b in bins], width=1 / BINS, color="lightgrey", label="share of the predictions")
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    axis.plot(
        [b["confidence"] for b in bins], [b["accuracy"] for b in bins], marker="o", markersize=4, label="accuracy"
    )
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", title="calibration")
    axis.legend(frameon=False, loc="upper left")
    return as_png(figure)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def as_png(figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
