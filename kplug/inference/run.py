"""A run: its directory, with the verbs that need its weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kplug.console import load_tensorflow
from kplug.storage.run_directory import RunDirectory


class Run(RunDirectory):
    """One training's directory; without `result.json` in it the training did not finish.

    Args:
        path: the directory.
    """

    def evaluate(
        self, split: str = "test", name: str | None = None, views: int = 1, changes: Mapping[str, Any] | None = None
    ) -> dict[str, float]:
        """Evaluate the kept weights on a split.

        Args:
            split: of the run's source.
            name: of this evaluation, needed with what follows.
            views: predictions are the mean over the picture and `views - 1` augmented ones, as `data.augment` says.
            changes: path to value, of `data`: other pictures, other augmentation.
        """
        from kplug.inference.evaluate import evaluate_run

        return evaluate_run(self, split, name, views, changes)

    def predict(self, files: Iterable[str | os.PathLike[str]], top: int = 5) -> list[dict[str, Any]]:
        """Predict with the kept weights for picture files: a mapping for each."""
        from kplug.inference.predict import predict_files

        return predict_files(self, [Path(file) for file in files], top)

    def export(self, directory: str | os.PathLike[str] | None = None) -> Path:
        """Write a SavedModel for TensorFlow Serving, compared with `predict` before it gets its name."""
        from kplug.inference.export import export_run

        return export_run(self, Path(directory) if directory else self.path / "export")


def open_run(directory: str | os.PathLike[str]) -> Run:
    """A run for a command: refused where the directory is none, before TensorFlow is loaded, which the run will need.

    Raises:
        SpecError: the directory is no run.
    """
    run = Run.open(directory)
    load_tensorflow()
    return run
