"""Pictures of a classification's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kplug.inference.figures import as_png

NAMED = 40  # classes up to which pictures name them


def draw_confusion(found: Mapping[str, Any]) -> bytes:
    """Draw the table of what is right (rows) and what was said (columns); colours are shares of a row.

    With several labels an example a row is a class, and the columns are what was said of it.
    """
    names, counts = list(found["classes"]), np.asarray(found["confusion"])
    if counts.ndim == 3:
        return draw_table(found, counts.reshape(len(names), 4), ["rightly not", "wrongly", "missed", "found"])
    return draw_table(found, counts, names)


def draw_table(found: Mapping[str, Any], counts: np.ndarray, answers: list[str]) -> bytes:
    names = list(found["classes"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.45 * len(names), 4, 14))
    figure, axis = new_figure(side, side)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= NAMED:
        axis.set_xticks(range(len(answers)), answers, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
    if len(names) <= NAMED / 2:
        for row, column in np.argwhere(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)
    axis.set(xlabel="predicted", ylabel="is", title=f"balanced accuracy {found['balanced_accuracy']:.3f}")
    return as_png(figure)


def draw_recall(found: Mapping[str, Any], counts: tuple[int, ...]) -> bytes:
    """Draw the recall of every class, the most frequent in training first."""
    rows = [(name, one["recall"], counts[i] if counts else 0) for i, (name, one) in enumerate(found["classes"].items())]
    rows = sorted((row for row in rows if row[1] is not None), key=lambda row: -row[2])
    figure, axis = new_figure(float(np.clip(2 + 0.4 * len(rows), 5, 16)), 3.6)
    axis.bar(range(len(rows)), [recall for _, recall, _ in rows], width=0.8, color="tab:blue")
    axis.axhline(found["mean_recall"], color="black", linewidth=0.8, linestyle="--")
    if len(rows) <= NAMED:
        labels = [f"{name}\n{count:,}" if counts else name for name, _, count in rows]
        axis.set_xticks(range(len(rows)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    else:
        axis.set(xlabel="classes, from the most frequent in training to the rarest")
    of = " (and training examples)" if counts else ""
    axis.set(ylim=(0, 1), ylabel="recall", title=f"recall by class{of}, mean {found['mean_recall']:.3f}")
    return as_png(figure)


def draw_calibration(bins: list[dict[str, float]], most: int) -> bytes:
    """Draw accuracy by confidence, beside how many predictions have it.

    Args:
        bins: those that `calibration` gives.
        most: the number of bins into which they may fall.
    """
    figure, axis = new_figure(4.2, 4.2)
    places = [(b["from"] + b["to"]) / 2 for b in bins]
    axis.bar(places, [b["share"] for b in bins], width=1 / most, color="lightgrey", label="share of the predictions")
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    confidences, accuracies = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
    axis.plot(confidences, accuracies, marker="o", markersize=4, label="accuracy")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", title="calibration")
    axis.legend(frameon=False, loc="upper left")
    return as_png(figure)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()
