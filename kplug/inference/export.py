"""A learner as a SavedModel for TensorFlow Serving: built beside, verified in another process, then named."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.errors import SpecError, listed
from kplug.inference.endpoints import Endpoint, endpoints, live_predictions, predictor
from kplug.inference.predict import restored
from kplug.inference.run import Run
from kplug.records import DataInfo, Field, Learner, Signature
from kplug.spec.plugins import host
from kplug.storage.files import sync

__all__ = ["ExportError", "export_saved_model", "live_predictions", "predictor"]

VERIFIER = Path(__file__).with_name("verify_export.py")
NOISE_ROWS = 8  # examples for an endpoint that takes no pictures


class ExportError(RuntimeError):
    """The saved model does not do what the live one does; nothing was exported."""


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
    offered = endpoints(learner, info)
    traced = {endpoint: offered[endpoint].traced for endpoint in offered}
    with _scratch(directory) as scratch:
        export, cases = scratch / "export", scratch / "cases.npz"
        with _writing(directory):
            _save(traced, export)
        arrays = _cases(learner, info, offered, samples)
        with _writing(directory):
            np.savez(cases, **arrays)  # type: ignore[arg-type]
        verified = {"examples": len(samples), **_verify(export, cases)}
        with _writing(directory):
            _describe(export, offered, info, {"run": name, "verified": verified})
        if before_rename:
            before_rename(export)
        with _writing(directory):
            sync(*export.rglob("*"), export)
            return _rename(export, directory)


# --- the saved model -----------------------------------------------------------------------------------------------


def _save(traced: Mapping[str, Any], export: Path) -> None:
    module = tf.Module()
    # what the functions read, each once: the model's variables without the optimizer's
    module.read = list({id(v): v for function in traced.values() for v in function.graph.variables}.values())
    tf.saved_model.save(module, str(export), signatures=dict(traced))


def _describe(export: Path, offered: Mapping[str, Endpoint], info: DataInfo, facts: Mapping[str, Any]) -> None:
    """`assets.extra/`, which a server leaves alone: class names, endpoints, the data."""
    extra = export / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / "classes.txt").write_text("".join(f"{name}\n" for name in info.classes), encoding="utf-8")
    documented = {name: _document(endpoint) for name, endpoint in offered.items()}
    record = {**facts, "endpoints": documented, "data": info.to_json()}
    (extra / "kplug.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _document(endpoint: Endpoint) -> dict[str, Any]:
    inputs = {name: {"shape": [None, *field.shape], "dtype": field.dtype} for name, field in endpoint.inputs.items()}
    return {"inputs": inputs, "outputs": dict(endpoint.outputs)}


# --- verification --------------------------------------------------------------------------------------------------


def _verify(export: Path, cases: Path) -> dict[str, Any]:
    """Compare the export with the cases in a process that has TensorFlow alone; what was seen."""
    command = [sys.executable, "-P", str(VERIFIER), str(export), str(cases)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        trace = "".join(done.stderr.rpartition("Traceback")[1:])  # without TensorFlow's greetings
        raise ExportError(f"the saved model does not run in a process of its own:\n{trace[-4000:]}")
    report = json.loads(done.stdout.splitlines()[-1])
    if problems := report.pop("problems"):
        raise ExportError("the saved model differs from the live one:\n" + "\n".join(problems[:20]))
    return report


def _cases(
    learner: Learner, info: DataInfo, offered: Mapping[str, Endpoint], samples: np.ndarray
) -> dict[str, np.ndarray]:
    """What the live model answers, as `endpoint/in/name` and `endpoint/out/name`."""
    arrays: dict[str, np.ndarray] = {}
    with tf.device("/CPU:0"):  # as the verifying process: devices differ by more than the tolerance
        for name, endpoint in offered.items():
            inputs, outputs = _case(learner, info, endpoint, samples)
            arrays |= {f"{name}/in/{key}": _storable(rows) for key, rows in inputs.items()}
            arrays |= {f"{name}/out/{key}": _storable(rows) for key, rows in outputs.items()}
    return arrays


def _case(
    learner: Learner, info: DataInfo, endpoint: Endpoint, samples: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Inputs for an endpoint and what the live model makes of them."""
    ask = predictor(learner, info, endpoint=endpoint.signature)
    inputs: dict[str, Any] = example_inputs(learner.serve[endpoint.signature], samples)
    if endpoint.from_files:
        files, origins = _files(inputs.pop("images"))
        inputs = {"image_bytes": files} | {name: rows[origins] for name, rows in inputs.items()}
    return inputs, ask(**inputs)


def example_inputs(signature: Signature, samples: np.ndarray) -> dict[str, np.ndarray]:
    """The samples for `images`, seeded noise for what else a signature takes."""
    rows = len(samples) if "images" in signature.inputs else NOISE_ROWS
    if not rows:
        raise ValueError("an export is verified on real pictures. Received: no samples")
    return {name: samples if name == "images" else _noise(field, rows) for name, field in signature.inputs.items()}


def _noise(field: Field, rows: int) -> np.ndarray:
    shape = (rows, *(3 if size is None else size for size in field.shape))
    dtype = tf.as_dtype(field.dtype)
    if dtype == tf.string:
        return np.full(shape, b"")
    generator = np.random.default_rng(0)
    values = generator.standard_normal(shape) if dtype.is_floating else generator.integers(0, 2, shape)
    return values.astype(dtype.as_numpy_dtype)


def _files(samples: np.ndarray) -> tuple[list[bytes], list[int]]:
    """The samples as PNG, among them what is no picture and one of another size; the sample that each came from."""
    encoded = [tf.io.encode_png(sample).numpy() for sample in samples]
    larger = samples[0].repeat(2, axis=0).repeat(3, axis=1)
    encode = tf.io.encode_png if larger.shape[-1] == 4 else tf.io.encode_jpeg
    odd = [b"not a picture", encode(larger).numpy(), b""]
    return [encoded[0], *odd, *encoded[1:]], [0, 0, 0, 0, *range(1, len(samples))]


def _storable(rows: Any) -> np.ndarray:
    """Text as bytes of one length: NumPy keeps no objects without pickle."""
    rows = np.asarray(rows)
    return np.char.encode(rows, "utf-8") if rows.dtype.kind == "U" else rows


# --- files ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """A hidden folder beside the versions, gone afterwards whatever happens."""
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        prefix = f".{_next_version(directory)}.tmp-{os.getpid()}-"
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """What the file system refuses, said as the user's matter."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        advice = "no version was added; make room there or choose another directory"
        raise SpecError(f"cannot write an export to {directory}: {reason}; {advice}") from error


def _next_version(directory: Path) -> int:
    return 1 + max((int(path.name) for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)), default=0)


def _rename(export: Path, directory: Path) -> Path:
    while True:
        final = directory / str(_next_version(directory))
        try:
            os.rename(export, final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            continue  # another export took this version in between
        sync(directory)
        return final


def export_run(run: Run, directory: Path) -> Path:
    """A new version below `directory`, verified on the run's sample pictures."""
    learner = restored(run)
    wanted = run.spec["export.signatures"]
    if wanted != "all":
        unknown = [name for name in wanted if name not in learner.serve]
        if unknown:
            message = f"'{unknown[0]}' is not a signature of the task; it has {listed(learner.serve)}"
            raise run.spec.error("export.signatures", message)
        serve = {name: learner.serve[name] for name in wanted}
        learner = Learner(learner.model, learner.prepare, serve, learner.parts)
    samples = np.stack([tf.io.decode_png(p.read_bytes()).numpy() for p in sorted((run.path / "samples").glob("*.png"))])

    def before_rename(path: Path) -> None:
        host().manager.hook.exported(run=run, path=path)

    return export_saved_model(learner, run.info, directory, samples, name=str(run.path), before_rename=before_rename)
