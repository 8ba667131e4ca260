"""Checkpoints: the whole state of a training in a folder, which is whole on the disk or not there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import Problem, SpecError, listed
from kplug.model.variables import reachable_variables
from kplug.model.weights import finalize
from kplug.storage.files import digest_of, naming_errors, writing_folder
from kplug.storage.reading import LARGEST, damaged, read_json
from kplug.storage.run_directory import RunDirectory

FOLDER = "checkpoints"
NAME = re.compile(r"ckpt-(\d+)-(\d+)")  # stage, step
LEFT = re.compile(NAME.pattern + r"\.(tmp|old)-\d+")  # what a killed process left, with its id
PART = re.compile(r"variables\.data-(\d{5})-of-(\d{5})")  # one file of the tensors, of so many
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
        try:
            reader.read(str(self.path / "variables")).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            message = f"its variables cannot be restored: {error}; remove it, and the one before it is used"
            raise SpecError([Problem(message, where=str(self.path))]) from error
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
            (temporary / "state.json").write_text(_state(content))
            digests = {file.name: digest_of(file) for file in sorted(temporary.iterdir())}
            (temporary / "manifest.json").write_text(json.dumps(digests, indent=1))
        self._prune()
        return final

    def newest(self, misfit: Callable[[Checkpoint], str] = lambda found: "") -> tuple[Checkpoint | None, list[str]]:
        """Return the newest good checkpoint, and a sentence on each newer one that is not.

        Args:
            misfit: the reason why one cannot be of this training, "" where it can.
        """
        complaints: list[str] = []
        for _, path in reversed(checkpoints_in(self.run)):
            try:
                found = open_checkpoint(path)
                reason = misfit(found)
            except SpecError as error:
                reason = "; ".join(problem.message for problem in error.problems)
            if not reason:
                return found, complaints
            complaints.append(f"{path} is damaged ({reason}); the one before it is used")
        return None, complaints

    def clean(self, found: Checkpoint | None) -> None:
        """Remove what a killed process left half-written, and all that lies after the checkpoint that is gone on from.

        Those after it were passed over, and would be kept in the place of the ones that the training makes now.
        """
        for path in self.folder.glob("ckpt-*"):
            if LEFT.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
        here = (found.state["stage"], found.state["step"]) if found else (-1, -1)
        for position, path in checkpoints_in(self.run):
            if position > here:
                shutil.rmtree(path, ignore_errors=True)

    def _prune(self) -> None:
        for _, path in checkpoints_in(self.run)[: -self.keep]:
            shutil.rmtree(path, ignore_errors=True)


def _state(content: dict[str, Any]) -> str:
    """The text of a `state.json`, seen to be no larger than what is read again."""
    text = json.dumps(content)
    if len(text) > LARGEST:
        what = f"state.json would have {len(text):,} bytes, and no more than {LARGEST:,} are read again"
        raise SpecError(f"{what}: a callback of fit.callbacks keeps too much in its state()")
    return text


def checkpoints_in(run: RunDirectory) -> list[tuple[tuple[int, int], Path]]:
    """(stage, step) and folder of every checkpoint of a run, the oldest first, whether it is whole or not."""
    found = [(NAME.fullmatch(path.name), path) for path in (run.path / FOLDER).glob("ckpt-*")]
    return sorted(((int(match[1]), int(match[2])), path) for match, path in found if match)


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint that has all files which one needs, each as its manifest tells.

    Raises:
        SpecError: it is damaged, or of another format.
    """
    try:
        digests = read_json(path / "manifest.json", advice="")
        _refuse_missing(path, digests)
        for name, digest in digests.items():
            if digest_of(path / name) != digest:
                raise damaged(path / name, "it is not as it was written", "")
        state = read_json(path / "state.json", advice="")
    except OSError as error:
        raise damaged(Path(error.filename or path), error.strerror or str(error), "") from None
    position = NAME.fullmatch(path.name)
    if position and (state["stage"], state["step"]) != (int(position[1]), int(position[2])):
        raise damaged(path / "state.json", f"it is of stage {state['stage']}, step {state['step']}", "")
    return Checkpoint(path, state)


def _refuse_missing(path: Path, digests: Mapping[str, str]) -> None:
    """Refuse a manifest that leaves out a file without which nothing can be restored, or names one elsewhere."""
    parts = [match for match in map(PART.fullmatch, digests) if match]
    counts = {int(match[2]) for match in parts}
    is_whole = len(counts) == 1 and {int(match[1]) for match in parts} == set(range(*counts))
    missing = [name for name in ("state.json", "variables.index") if name not in digests]
    missing += [] if is_whole else ["all of variables.data"]
    if missing:
        raise damaged(path / "manifest.json", f"it does not name {listed(missing)}", "")
    if other := [
        name for name in digests if name not in ("state.json", "variables.index") and not PART.fullmatch(name)
    ]:
        raise damaged(path / "manifest.json", f"it names {other[0]!r}", "")


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Inside, TensorFlow's error for a disk that is full is an OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        if "Collective" in error.message:  # no fault of the disk: another worker is gone
            raise
        raise OSError(error.message) from error
