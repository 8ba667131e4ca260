"""A run's metrics as pictures: curves, and points for TensorBoard."""

from __future__ import annotations

import shutil
from typing import Any

import keras
import tensorflow as tf

from kplug.inference.figures import as_png, pictures
from kplug.inference.run import Run

OUTSIDE = ("stage", "epoch", "step")  # the entries of a row that are no metrics


class Curves(keras.callbacks.Callback):
    """Draws `plots/curves.png` when training ends: every metric by epoch, training beside validation."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_end(self, logs: Any = None) -> None:
        if rows := self.run.rows("metrics.jsonl"):
            drawn = pictures({"plots/curves.png": lambda: draw_curves(rows, self.run.spec.name)})
            for name, picture in drawn.items():
                self.run.write(name, picture)


class TensorBoardLogs(keras.callbacks.Callback):
    """Writes `tensorboard/train` and `tensorboard/validation`, a point an epoch."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: Any = None) -> None:
        folder = self.run.path / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)  # a resumed run may have points beyond where it goes on
        self.writers = {name: tf.summary.create_file_writer(str(folder / name)) for name in ("train", "validation")}

        for row in self.run.rows("metrics.jsonl"):
            self._write(row["epoch"], {k: v for k, v in row.items() if k not in OUTSIDE})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._write(epoch + 1, logs or {})

    def _write(self, epoch: int, metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            writer = self.writers["validation" if name.startswith("val_") else "train"]
            with writer.as_default():
                tf.summary.scalar(name.removeprefix("val_"), float(value), step=epoch)
        for writer in self.writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self.writers.values():
            writer.close()


def draw_curves(rows: list[dict[str, Any]], title: str) -> bytes:
    """A PNG with a panel for each metric of `metrics.jsonl`."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(k.removeprefix("val_") for row in rows for k in row if k not in OUTSIDE))
    figure = Figure(figsize=(4.2 * len(names), 3.4), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if points := [(row["epoch"], row[key]) for row in rows if key in row]:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axis.set(title=name.replace("_", " "), xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        if any(f"val_{name}" in row for row in rows):
            axis.legend(frameon=False)
    figure.suptitle(title)
    return as_png(figure)
