"""Checkpoints: the whole state of a training in a folder, which is whole on the disk or not there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import Problem, SpecError
from kplug.model.variables import reachable_variables
from kplug.model.weights import finalize
from kplug.storage.files import digest_of, naming_errors, writing_folder
from kplug.storage.run_directory import RunDirectory

FOLDER = "checkpoints"
NAME = re.compile(r"ckpt-(\d+)-(\d+)")  # stage, step
LEFT = re.compile(NAME.pattern + r"\.(tmp|old)-\d+")  # what a killed process left, with its id
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole on the disk.

    Args:
        path: its folder.
        state: all that is no variable: stage, step, first epoch, the states of callbacks, and that of the recorder by
            the name `keeper`, which the format has from before the class was called `Recorder`.
    """

    path: Path
    state: dict[str, Any]

    def unfinished(self) -> Checkpoint:
        """The same checkpoint, as one in the middle of a training that has become longer since."""
        return Checkpoint(self.path, {**self.state, "done": False})

    def restore(self, model: keras.Model) -> None:
        """Give every variable that is reachable from the model the value that it had.

        Raises:
            SpecError: the model has other variables.
        """
        variables = reachable_variables(model)
        if list(variables) != self.state["variables"]:
            kept = set(self.state["variables"])
            differing = sorted(kept.symmetric_difference(variables))[:3]
            message = f"it does not fit the model that spec.yaml describes with what is installed now: {differing}"
            raise SpecError([Problem(message, where=str(self.path))])
        reader = tf.train.Checkpoint(variables=list(variables.values()))
        reader.read(str(self.path / "variables")).assert_consumed()
        finalize(model)


class Checkpoints:
    """The checkpoints of a run.

    Args:
        run: the run.
        keep: how many are kept.
    """

    def __init__(self, run: RunDirectory, keep: int) -> None:
        self.run, self.keep = run, keep
        self.folder = run.path / FOLDER

    def save(self, model: keras.Model, state: dict[str, Any]) -> Path:
        """Write a checkpoint, then remove those beyond `keep`; `state` has at least stage and step."""
        final = self.folder / f"ckpt-{state['stage']}-{state['step']}"
        temporary, old = (final.with_name(f"{final.name}.{ending}-{os.getpid()}") for ending in ("tmp", "old"))
        variables = reachable_variables(model)
        with naming_errors(final), _disk_errors(), writing_folder(final, temporary, old):
            tf.train.Checkpoint(variables=list(variables.values())).write(str(temporary / "variables"))
            content = {"format": FORMAT, **state, "variables": list(variables)}
            (temporary / "state.json").write_text(json.dumps(content))
            digests = {file.name: digest_of(file) for file in sorted(temporary.iterdir())}
            (temporary / "manifest.json").write_text(json.dumps(digests, indent=1))
        self._prune()
        return final

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest good checkpoint, and a sentence on each newer one that is damaged."""
        complaints: list[str] = []
        for _, path in reversed(checkpoints_in(self.run)):
            try:
                return open_checkpoint(path), complaints
            except (OSError, ValueError, KeyError) as error:
                complaints.append(f"{path} is damaged ({error}); the one before it is used")
        return None, complaints

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for path in self.folder.glob("ckpt-*"):
            if LEFT.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _prune(self) -> None:
        for _, path in checkpoints_in(self.run)[: -self.keep]:
            shutil.rmtree(path, ignore_errors=True)


def checkpoints_in(run: RunDirectory) -> list[tuple[tuple[int, int], Path]]:
    """(stage, step) and folder of every checkpoint of a run, the oldest first, whether it is whole or not."""
    found = [(NAME.fullmatch(path.name), path) for path in (run.path / FOLDER).glob("ckpt-*")]
    return sorted(((int(match[1]), int(match[2])), path) for match, path in found if match)


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint whose files are those of its manifest.

    Raises:
        OSError, ValueError, KeyError: it is damaged, or of another format.
    """
    digests = json.loads((path / "manifest.json").read_text())
    for name, digest in digests.items():
        if digest_of(path / name) != digest:
            raise ValueError(f"{name} is not as it was written")
    state = json.loads((path / "state.json").read_text())
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']}, this kplug reads {FORMAT}")
    return Checkpoint(path, state)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Inside, TensorFlow's error for a disk that is full is an OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        if "Collective" in error.message:  # no fault of the disk: another worker is gone
            raise
        raise OSError(error.message) from error
