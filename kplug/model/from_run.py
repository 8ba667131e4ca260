"""Trained parts of other runs: brought into a new model, and copied into its run so that it stays whole."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from kplug.errors import Path as Place
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.kinds import TrainedRun
from kplug.model.trained_part import TrainedPart, names_as_if_alone
from kplug.model.weights import load_kept_weights, refuse_without_weights
from kplug.records import DataInfo, FitInfo, Learner, Rebuild
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.forms import is_marked
from kplug.spec.tree import leaves
from kplug.storage.files import digest_of, naming_errors, writing_folder
from kplug.storage.notes import NOTES, Notes
from kplug.storage.run_directory import BEST, KEPT, RunDirectory

PARTS, INDEX = "parts", "parts.json"
# Weights before the record of them, which knows those of before too: a run may be copied while it is trained.
NEEDED = ("spec.yaml", "data.json", BEST, KEPT)
COPIED = (*NEEDED, NOTES, f"{PARTS}/{INDEX}")  # as far as there are such

# --- a part in a new model -----------------------------------------------------------------------------------------


def trained_part(path: str, name: str, rebuild: Rebuild) -> keras.Layer:
    """Rebuild a part of a run's learner within the build that goes on, with the weights that the run kept.

    Args:
        path: the run's directory as the spec has it.
        name: the part's name among the learner's parts.
        rebuild: says where that run is read from: the copy, once there is one.

    Raises:
        SpecError: there is no such run or part, or its weights do not fit.
    """
    try:
        run = RunDirectory.open(rebuild.trained_run(path))
        refuse_without_weights(run)
        with names_as_if_alone() as keep_names:
            learner = _rebuilt(run)
            load_kept_weights(run, learner.model)
            part = _part(learner, name)
            keep_names(part)
    except SpecError as error:
        raise SpecError(f"cannot take '{name}' from the run '{path}': {error}") from error
    return TrainedPart(part, f"'{name}' of the run '{path}'")


def _rebuilt(run: RunDirectory) -> Learner:
    """Build a run's learner as `build_learner` does, with the session, seed and policy of the build that goes on."""
    spec = run.kept_spec
    given = {DataInfo: run.info, FitInfo: FitInfo(steps=1, epochs=1), Rebuild: rebuild_of(run)}
    return build(spec, spec["task"], given)


def _part(learner: Learner, name: str) -> keras.Layer:
    if name not in learner.parts:
        there = f"its parts are {listed(learner.parts)}" if learner.parts else "its task offers none"
        raise SpecError(f"there is no part '{name}'{did_you_mean(name, learner.parts)} ({there})")
    part = learner.parts[name]
    kept = {id(weight) for weight in learner.model.weights}
    if not part.built or any(id(weight) not in kept for weight in part.weights):
        raise SpecError(f"the part '{name}' is no layer of the run's model, so that its weights were not kept")
    return part


# --- the copies that a run keeps -------------------------------------------------------------------------------------


def rebuild_of(run: RunDirectory, weights_follow: Callable[[Iterable[Any]], bool] = lambda weights: True) -> Rebuild:
    """The record by which the parts of a run's network know what they need when it is built again.

    Args:
        run: keeps what its parts found when it began, and copies of the runs that they were taken from.
        weights_follow: which weights get their values from the run right after: all, where nothing is said, since
            whoever builds a run's network again gives it the kept weights next. (`Rebuild` without a run says none.)
    """
    return Rebuild(weights_follow, Notes(run).find, functools.partial(_copy_in, run))


def find_parts(spec: Spec) -> dict[str, RunDirectory]:
    """Open the runs that a spec's task uses, in any of its stages, by the path that the spec has.

    Raises:
        SpecError: one of them is no run, or has no weights yet.
    """
    found: dict[str, RunDirectory] = {}
    for _, stage in spec.stages():
        for path, at in _run_paths(stage["task"]):
            try:
                found[path] = RunDirectory.open(Rebuild().trained_run(path))
                refuse_without_weights(found[path])
            except SpecError as error:
                raise stage.error(at, str(error)) from error
    return found


def _run_paths(tree: Any) -> Iterator[tuple[str, Place]]:
    """Yield each path of another run in a tree, by the marks of the components' parameters, and where it stands."""
    for path, form, value in leaves(tree):
        if isinstance(value, str) and is_marked(form, value, TrainedRun):
            yield value, path


def keep_parts(run: RunDirectory, sources: Mapping[str, RunDirectory]) -> None:
    """Copy what is needed of other runs into a new one, all or nothing; one that has several paths is copied once.

    Args:
        run: the new run.
        sources: the runs that `find_parts` found.
    """
    if not sources:
        return
    final, temporary = run.path / PARTS, run.path / f".{PARTS}"
    folders: dict[Path, str] = {}
    with naming_errors(final), writing_folder(final, temporary):
        for source in sources.values():
            if (real := source.path.resolve()) not in folders:
                folders[real] = str(len(folders) + 1)
                _copy(source.path, temporary / folders[real])
        index = {path: _entry(temporary, folders[source.path.resolve()]) for path, source in sources.items()}
        (temporary / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _copy_in(owner: RunDirectory, path: str) -> Path:
    """The copy of another run that a run keeps, which is the only one that it reads.

    Raises:
        SpecError: there is none, or it is not as it was copied.
    """
    index = owner.read_json(f"{PARTS}/{INDEX}") if (owner.path / PARTS).exists() else {}
    if path not in index:
        kept = listed(index) or "none"
        raise SpecError(f"{owner.path} has no copy of it, and takes parts from its own copies alone (of: {kept})")
    folder = str(index[path]["folder"])
    if not folder.isdecimal():
        raise SpecError([Problem(f"the folder of '{path}' is {folder!r}, not a number", where=f"{owner.path}/{PARTS}")])
    copy, digests = owner.path / PARTS / folder, index[path]["sha256"]
    if lacking := [name for name in NEEDED if name not in digests]:
        raise SpecError(
            [Problem(f"{INDEX} has no digest of {listed(lacking)} of '{path}'", where=f"{owner.path}/{PARTS}")]
        )
    for name in digests:
        if name not in COPIED or _digest(copy / name) != digests[name]:
            raise SpecError([Problem(f"{name} is not as it was copied; put it back", where=str(copy))])
    return copy


def _digest(path: Path) -> str | None:
    """The digest of a regular file, None where there is none."""
    try:
        return digest_of(path)
    except OSError:
        return None


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in (*NEEDED, NOTES):
        if name != NOTES or (source / name).exists():
            shutil.copyfile(source / name, target / name)
    if (source / PARTS).is_dir():
        shutil.copytree(source / PARTS, target / PARTS)


def _entry(parts: Path, folder: str) -> dict[str, Any]:
    names = [name for name in COPIED if (parts / folder / name).exists()]
    return {"folder": folder, "sha256": {name: digest_of(parts / folder / name) for name in names}}
