"""A learner as a SavedModel for TensorFlow Serving: built beside, verified in another process, then named."""

from __future__ import annotations

import errno
import functools
import gc
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kplug.console import log
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.inference.endpoints import Endpoint, endpoints
from kplug.inference.samples import open_samples
from kplug.inference.verification import ExportError, live_cases, verify
from kplug.model.learner import restored_learner
from kplug.model.weights import without_numbers
from kplug.records import DataInfo, Learner
from kplug.spec.plugins import call_hook
from kplug.storage.files import naming_errors, put_in_place, refuse_links
from kplug.storage.run_directory import BEST, refuse_patterns

if TYPE_CHECKING:
    from kplug.inference.run import Run

A_DAY = 24 * 3600.0
ADVICE = "no version was added; make room there or choose another directory"


def export_run(run: Run, directory: Path) -> Path:
    """Write a new version below `directory`, verified on the run's samples."""
    refuse_patterns(directory)
    if Path(os.path.abspath(directory)).is_relative_to(os.path.abspath(run.path)):
        refuse_links(run.path)
    learner = exported_learner(run)
    if found := without_numbers(learner.model):
        what = f"{listed(found)} is not a number: the training diverged, and all answers would be NaN"
        raise SpecError([Problem(what, where=str(run.path / BEST))])
    samples = open_samples(run)

    def before_rename(path: Path) -> None:
        call_hook("exported", run=run, path=path)

    return export_saved_model(learner, run.info, directory, samples, name=str(run.path), before_rename=before_rename)


def exported_learner(run: Run) -> Learner:
    """A run's learner with the signatures that `export.signatures` names, in the task's order."""
    learner, wanted = restored_learner(run), run.spec["export.signatures"]
    if wanted == "all":
        return learner
    for position, name in enumerate(wanted):
        if name not in learner.serve:
            known = f"{did_you_mean(name, learner.serve)} (signatures: {listed(learner.serve)})"
            message = f"the task has no signature '{name}'{known}"
            raise run.spec.error(("export", "signatures", position), message)
    return replace(learner, serve={name: one for name, one in learner.serve.items() if name in wanted})


def export_saved_model(
    learner: Learner,
    info: DataInfo,
    directory: str | os.PathLike[str],
    samples: Mapping[str, np.ndarray],
    *,
    name: str = "",
    before_rename: Callable[[Path], None] | None = None,
) -> Path:
    """Write `<directory>/<next version>/` and return it; what is there already is never touched.

    Args:
        learner: what the task made, in float32.
        info: of the data that it was trained on.
        directory: of all versions of this model; made where missing.
        samples: real examples, arrays `[n, ...]` by the names of a batch, on which saved and live model must agree.
        name: of the run.
        before_rename: called with the verified export, before it gets its name.
    """
    directory = Path(directory)
    refused = (OSError, tf.errors.OpError)
    written = functools.partial(naming_errors, None, ADVICE, f"cannot write an export to {directory}", refused)
    offered = endpoints(learner)
    traced = {endpoint: offered[endpoint].traced for endpoint in offered}
    for endpoint, function in traced.items():
        refuse_python(endpoint, function.graph)
    with written():
        directory.mkdir(parents=True, exist_ok=True)
        clear_killed(directory)
        hidden = f".{next_version(directory)}.tmp-{os.getpid()}-"
        scratch = tempfile.TemporaryDirectory(prefix=hidden, dir=directory, ignore_cleanup_errors=True)
    with scratch:
        export, cases = Path(scratch.name, "export"), Path(scratch.name, "cases.npz")
        seen = live_cases(endpoints(learner), samples)  # traced anew, as `predict` traces them
        for endpoint, inputs in seen.noise.items():
            log(f"endpoint '{endpoint}' is compared on noise in place of {listed(inputs)}, of which no sample is kept")
        for endpoint, outputs in seen.nan.items():
            log(f"endpoint '{endpoint}' answers NaN in {listed(outputs)}, the live model as the saved one")
        with written():
            _save(traced, export)
            np.savez(cases, **seen.arrays)  # type: ignore[arg-type]
        verified = {"examples": seen.examples, "noise": seen.noise, "nan": seen.nan, **verify(export, cases)}
        with written():
            _describe(export, offered, info, {"run": name, "verified": verified})
        if before_rename:
            before_rename(export)
        with written():
            return _take_version(export, directory)


# --- what can be served ---------------------------------------------------------------------------------------------

PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")


def refuse_python(endpoint: str, graph: tf.Graph) -> None:
    """Refuse a graph that calls Python (`tf.py_function`), which is not in a saved model."""
    nodes = [node for function in graph.as_graph_def().library.function for node in function.node_def]
    for node in [*graph.as_graph_def().node, *nodes]:
        if node.op in PYTHON:
            message = f"endpoint '{endpoint}' calls Python in {node.name} (tf.py_function or tf.numpy_function)"
            raise ExportError(f"{message}, which is not saved with a model; compute it with TensorFlow's operations")


def resources_of(graphs: Sequence[tf.Graph]) -> list[Any]:
    """The tables and other resources that graphs read beside variables; what is saved must hold them.

    A graph knows their handles alone, so that the objects are looked for among all that there are.
    """
    handles = {id(captured) for graph in graphs for captured, _ in graph.captures if captured.dtype == tf.resource}
    variables = {id(variable.handle) for graph in graphs for variable in graph.variables}
    if not handles - variables:
        return []
    kind = tf.saved_model.experimental.TrackableResource
    return [thing for thing in gc.get_objects() if isinstance(thing, kind) and id(thing.resource_handle) in handles]


# --- the saved model -----------------------------------------------------------------------------------------------


def _save(traced: Mapping[str, Any], export: Path) -> None:
    module = tf.Module()
    # what the functions read, each once: the model's variables without the optimizer's
    module.read = list({id(v): v for function in traced.values() for v in function.graph.variables}.values())
    module.tables = resources_of([function.graph for function in traced.values()])
    tf.saved_model.save(module, str(export), signatures=dict(traced))


def _describe(export: Path, offered: Mapping[str, Endpoint], info: DataInfo, facts: Mapping[str, Any]) -> None:
    """Write `assets.extra/`, which a server leaves alone: class names, endpoints, the data."""
    extra = export / "assets.extra"
    extra.mkdir(exist_ok=True)
    for field, codec in info.codecs.items():
        for name, content in codec.assets(field).items():
            (extra / name).write_text(content, encoding="utf-8")
    record = {**facts, "endpoints": {name: _document(one) for name, one in offered.items()}, "data": info.to_json()}
    (extra / "kplug.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _document(endpoint: Endpoint) -> dict[str, Any]:
    """The inputs and outputs of an endpoint, for a person who asks it."""
    inputs = {name: {"shape": [None, *field.shape], "dtype": field.dtype} for name, field in endpoint.inputs.items()}
    return {"inputs": inputs, "outputs": {name: field.about for name, field in endpoint.outputs.items()}}


# --- versions ------------------------------------------------------------------------------------------------------


def next_version(directory: Path) -> int:
    """The number of the next version: one more than the largest that is there."""
    return 1 + max((int(path.name) for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)), default=0)


def clear_killed(directory: Path) -> None:
    """Remove what exports left half-written that were killed. Nobody exports for a day; a process may be elsewhere."""
    for left in directory.glob(".[0-9]*.tmp-*"):
        if not left.is_symlink() and left.is_dir() and time.time() - left.stat().st_mtime > A_DAY:
            shutil.rmtree(left, ignore_errors=True)


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
