"""Checkpoints: the whole state of a training, whole on the disk or not there."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import Problem, SpecError
from kplug.model.variables import reachable_variables
from kplug.model.weights import finalize
from kplug.storage.files import digest_of, naming_errors, sync
from kplug.storage.run_directory import RunDirectory

FOLDER = "checkpoints"
NAME = re.compile(r"ckpt-(\d+)-(\d+)")  # stage, step
LEFT = re.compile(NAME.pattern + r"\.(tmp|old)-\d+")
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole.

    Args:
        path: its folder.
        state: all that is no variable: stage, step, first epoch, the recorder's state (`keeper`), those of callbacks.
    """

    path: Path
    state: dict[str, Any]

    def unfinished(self) -> Checkpoint:
        """The same, of a training that has become longer since."""
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
        """Write one, then let those beyond `keep` go; `state` has at least stage and step."""
        final = self.folder / f"ckpt-{state['stage']}-{state['step']}"
        temporary = final.with_name(f"{final.name}.tmp-{os.getpid()}")
        variables = reachable_variables(model)
        with naming_errors(final):
            try:
                temporary.mkdir(parents=True)
                writer = tf.train.Checkpoint(variables=list(variables.values()))
                writer.write(str(temporary / "variables"))
                content = {"format": FORMAT, **state, "variables": list(variables)}
                (temporary / "state.json").write_text(json.dumps(content))
                digests = {file.name: digest_of(file) for file in sorted(temporary.iterdir())}
                (temporary / "manifest.json").write_text(json.dumps(digests, indent=1))
                sync(*temporary.iterdir(), temporary)
                _put_in_place(temporary, final)
            except tf.errors.OpError as error:  # TensorFlow's own word for a disk that is full
                if "Collective" in error.message:  # no fault of the disk: another worker is gone
                    raise
                raise OSError(error.message) from error
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        self._prune()
        return final

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest good one, and what is wrong with those that are newer."""
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
    """A checkpoint whose files are those of its manifest."""
    digests = json.loads((path / "manifest.json").read_text())
    for name, digest in digests.items():
        if digest_of(path / name) != digest:
            raise ValueError(f"{name} is not as it was written")
    state = json.loads((path / "state.json").read_text())
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']}, this kplug reads {FORMAT}")
    return Checkpoint(path, state)


def _put_in_place(temporary: Path, final: Path) -> None:
    """Rename; one of the same step, from before a resume, goes first out of the way and then away."""
    old = final.with_name(f"{final.name}.old-{os.getpid()}")
    if final.exists():
        os.replace(final, old)
    os.replace(temporary, final)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)
