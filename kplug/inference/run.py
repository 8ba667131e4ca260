"""A run: its directory, with the verbs that need its weights."""

from __future__ import annotations

import functools
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
            views: answers are the mean over the example and `views - 1` augmented ones, as `data.augment` says.
            changes: path to value, of `data` or `evaluators`: other examples, other augmentation, other figures.
        """
        from kplug.inference.evaluate import evaluate_run

        return evaluate_run(self, split, name, views, changes)

    def predict(
        self,
        files: Iterable[str | os.PathLike[str]] = (),
        top: int = 5,
        endpoint: str | None = None,
        values: Mapping[str, Any] | None = None,
        rows: str | os.PathLike[str] | None = None,
        to: str | os.PathLike[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Answer with the kept weights, as a person reads it: a mapping for each file, or row.

        Args:
            files: fill the first input that takes files.
            top: how many classes an answer names.
            endpoint: that is asked; None is the task's main one.
            values: further inputs by name, the same for all.
            rows: a JSONL file with a row of inputs in each line.
            to: a folder into which outputs are written as files.
        """
        from kplug.inference.predict import predict_files

        paths = [Path(file) for file in files]
        return predict_files(self, paths, top, endpoint, values, Path(rows) if rows else None, Path(to) if to else None)

    def ask(self, endpoint: str | None = None, **inputs: Any) -> dict[str, Any]:
        """Ask an endpoint about arrays: outputs by name, a row for each.

        Args:
            endpoint: one of the task's; None is the main one.
            inputs: by name, `[n, ...]`; raw forms (`FIELD_bytes`: contents of files) in the place of an input.
        """
        return self._asked(endpoint)(**inputs)

    @functools.cached_property
    def _learner(self) -> Any:
        from kplug.model.learner import restored_learner

        return restored_learner(self)

    def _asked(self, endpoint: str | None) -> Any:
        from kplug.inference.endpoints import predictor

        asked = self.__dict__.setdefault("_predictors", {})
        if endpoint not in asked:
            asked[endpoint] = predictor(self._learner, endpoint)
        return asked[endpoint]

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
