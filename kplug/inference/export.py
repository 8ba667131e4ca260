"""A learner as a SavedModel for TensorFlow Serving: built beside, verified in another process, then named."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kplug.errors import listed
from kplug.inference.endpoints import Endpoint, endpoints
from kplug.inference.verification import live_cases, verify
from kplug.model.learner import restored_learner
from kplug.records import DataInfo, Learner
from kplug.spec.plugins import host
from kplug.storage.files import naming_errors, put_in_place

if TYPE_CHECKING:
    from kplug.inference.run import Run

ADVICE = "no version was added; make room there or choose another directory"


def export_run(run: Run, directory: Path) -> Path:
    """Write a new version below `directory`, verified on the run's sample pictures."""
    learner = restored_learner(run)
    wanted = run.spec["export.signatures"]
    if wanted != "all":
        unknown = [name for name in wanted if name not in learner.serve]
        if unknown:
            message = f"'{unknown[0]}' is not a signature of the task; it has {listed(learner.serve)}"
            raise run.spec.error("export.signatures", message)
        learner = replace(learner, serve={name: learner.serve[name] for name in wanted})
    samples = np.stack([tf.io.decode_png(p.read_bytes()).numpy() for p in sorted((run.path / "samples").glob("*.png"))])

    def before_rename(path: Path) -> None:
        host().manager.hook.exported(run=run, path=path)

    return export_saved_model(learner, run.info, directory, samples, name=str(run.path), before_rename=before_rename)


def export_saved_model(
    learner: Learner,
    info: DataInfo,
    directory: str | os.PathLike[str],
    samples: np.ndarray,
    *,
    name: str = "",
    before_rename: Callable[[Path], None] | None = None,
) -> Path:
    """Write `<directory>/<next version>/` and return it; what is there already is never touched.

    Args:
        learner: what the task made, in float32.
        info: of the data that it was trained on.
        directory: of all versions of this model; made where missing.
        samples: real pictures, uint8 `[n, height, width, channels]`, on which saved and live model must agree.
        name: of the run.
        before_rename: called with the verified export, before it gets its name.
    """
    directory = Path(directory)
    refused = (OSError, tf.errors.OpError)
    written = functools.partial(naming_errors, None, ADVICE, f"cannot write an export to {directory}", refused)
    offered = endpoints(learner, info)
    traced = {endpoint: offered[endpoint].traced for endpoint in offered}
    with written():
        directory.mkdir(parents=True, exist_ok=True)
        hidden = f".{next_version(directory)}.tmp-{os.getpid()}-"
        scratch = tempfile.TemporaryDirectory(prefix=hidden, dir=directory, ignore_cleanup_errors=True)
    with scratch:
        export, cases = Path(scratch.name, "export"), Path(scratch.name, "cases.npz")
        arrays = live_cases(learner, info, offered, samples)
        with written():
            _save(traced, export)
            np.savez(cases, **arrays)  # type: ignore[arg-type]
        verified = {"examples": len(samples), **verify(export, cases)}
        with written():
            _describe(export, offered, info, {"run": name, "verified": verified})
        if before_rename:
            before_rename(export)
        with written():
            return _take_version(export, directory)


# --- the saved model -----------------------------------------------------------------------------------------------


def _save(traced: Mapping[str, Any], export: Path) -> None:
    module = tf.Module()
    # what the functions read, each once: the model's variables without the optimizer's
    module.read = list({id(v): v for function in traced.values() for v in function.graph.variables}.values())
    tf.saved_model.save(module, str(export), signatures=dict(traced))


def _describe(export: Path, offered: Mapping[str, Endpoint], info: DataInfo, facts: Mapping[str, Any]) -> None:
    """Write `assets.extra/`, which a server leaves alone: class names, endpoints, the data."""
    extra = export / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / "classes.txt").write_text("".join(f"{name}\n" for name in info.classes), encoding="utf-8")
    record = {**facts, "endpoints": {name: _document(one) for name, one in offered.items()}, "data": info.to_json()}
    (extra / "kplug.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _document(endpoint: Endpoint) -> dict[str, Any]:
    """The inputs and outputs of an endpoint, for a person who asks it."""
    inputs = {name: {"shape": [None, *field.shape], "dtype": field.dtype} for name, field in endpoint.inputs.items()}
    return {"inputs": inputs, "outputs": dict(endpoint.outputs)}


# --- versions ------------------------------------------------------------------------------------------------------


def next_version(directory: Path) -> int:
    """The number of the next version: one more than the largest that is there."""
    return 1 + max((int(path.name) for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)), default=0)


def _take_version(export: Path, directory: Path) -> Path:
    """Put an export in place as the next version that no other export takes in between."""
    while True:
        final = directory / str(next_version(directory))
        try:
            put_in_place(export, final)
            return final
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
