"""The comparison of an export with the live model: cases of both, seen by a process that has TensorFlow alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.inference.endpoints import Endpoint, predictor
from kplug.records import DataInfo, Field, Learner, Signature

VERIFIER = Path(__file__).with_name("verify_export.py")
NOISE_ROWS = 8  # examples for an endpoint that takes no pictures


class ExportError(RuntimeError):
    """The saved model does not do what the live one does; nothing was exported."""


def verify(export: Path, cases: Path) -> dict[str, Any]:
    """Compare an export with cases in a process that has TensorFlow alone.

    Args:
        export: the folder of the SavedModel.
        cases: the file of the arrays that `live_cases` gave.

    Returns:
        TensorFlow's version there, and the largest relative difference.

    Raises:
        ExportError: it does not run, or differs by more than the tolerance.
    """
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


def live_cases(
    learner: Learner, info: DataInfo, offered: Mapping[str, Endpoint], samples: np.ndarray
) -> dict[str, np.ndarray]:
    """Inputs of each endpoint and what the live model answers, as `endpoint/in/name` and `endpoint/out/name`."""
    arrays: dict[str, np.ndarray] = {}
    with tf.device("/CPU:0"):  # as the verifying process: devices differ by more than the tolerance
        for name, endpoint in offered.items():
            inputs: dict[str, Any] = example_inputs(learner.serve[endpoint.signature], samples)
            if endpoint.from_files:
                files, origins = _files(inputs.pop("images"))
                inputs = {"image_bytes": files} | {key: rows[origins] for key, rows in inputs.items()}
            outputs = predictor(learner, info, endpoint=endpoint.signature)(**inputs)
            arrays |= {f"{name}/in/{key}": _storable(rows) for key, rows in inputs.items()}
            arrays |= {f"{name}/out/{key}": _storable(rows) for key, rows in outputs.items()}
    return arrays


def example_inputs(signature: Signature, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Rows for each input of a signature: the samples for `images`, seeded noise for the others."""
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
    """Encode text as bytes of one length: NumPy keeps no objects without pickle."""
    rows = np.asarray(rows)
    return np.char.encode(rows, "utf-8") if rows.dtype.kind == "U" else rows
