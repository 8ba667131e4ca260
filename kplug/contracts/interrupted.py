"""Trainings that end as a kill ends them, for tests, and all that a run promises to hold in the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import h5py
import keras
import numpy as np

from kplug.hookspecs import hookimpl
from kplug.inference.run import Run
from kplug.spec import Spec
from kplug.spec.plugins import host, using
from kplug.training.fit import train


class Killed(BaseException):
    """The end of a training that nothing catches, so that nothing is written on the way out."""


class Kill(keras.callbacks.Callback):
    """A callback that ends a training after some steps.

    Args:
        steps: how many are made before, epochs and stages together.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class Watching:
    """A plugin that adds callbacks to every training."""

    def __init__(self, *added: keras.callbacks.Callback) -> None:
        self.added = added

    @hookimpl
    def callbacks(self, run: Run) -> list[keras.callbacks.Callback]:
        return list(self.added)


@contextlib.contextmanager
def watched_by(*callbacks: keras.callbacks.Callback) -> Iterator[None]:
    """Give every training inside these callbacks too."""
    with using([Watching(*callbacks)]):
        yield


@contextlib.contextmanager
def beside(*callbacks: keras.callbacks.Callback) -> Iterator[None]:
    """The same with all plugins that are there: their components stay."""
    manager, watching = host().manager, Watching(*callbacks)
    manager.register(watching)
    try:
        yield
    finally:
        manager.unregister(watching)


def killed_after(steps: int, spec: Spec, path: str | os.PathLike[str]) -> Run:
    """Train until a kill after some steps and return the run; one that finishes before is an error."""
    with contextlib.suppress(Killed), watched_by(Kill(steps)):
        train(spec, path)
        raise AssertionError(f"the training was over before step {steps}")
    return Run.open(path)


def weights_in(file: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a weights file by their path in it."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: found.update({name: np.asarray(item)}) if hasattr(item, "dtype") else None)
    return found


def contents(run: Run) -> dict[str, Any]:
    """Read all that a run promises, to compare to the bit: both weight files, rows and result."""
    found: dict[str, Any] = {"metrics.jsonl": run.rows("metrics.jsonl"), "result": run.metrics}
    for name in ("model.weights.h5", "last.weights.h5"):
        arrays = weights_in(run.path / name).items()
        found[name] = {path: hashlib.sha256(value.tobytes()).hexdigest() for path, value in arrays}
    return found
