"""The comparison of an export with the live model: cases of both, seen by a process that has TensorFlow alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.values import Arrays
from kplug.inference.endpoints import Endpoint
from kplug.records import Codec, Field

VERIFIER = Path(__file__).with_name("verify_export.py")
NOISE_ROWS = 8  # examples for an endpoint that takes nothing of which samples are kept
END = b"."  # of a string in the file of cases; `verify_export.py` takes it away
VARIED = 3  # what a size that varies is in noise; inputs with batch axes of their own get one row more each


class ExportError(RuntimeError):
    """The saved model does not do what the live one does; nothing was exported."""


@dataclass
class Cases:
    """The answers of the live model, which an export is compared with.

    Args:
        arrays: `endpoint/case/in/name` and `endpoint/case/out/name`, and `endpoint/cut`, 1 where rows can be cut.
        noise: endpoint to the inputs that were made of noise, for which no sample is kept.
        examples: endpoint to the number of rows that it was asked about.
        nan: endpoint to the outputs in which the live model answers something that is not a number.
    """

    arrays: Arrays = field(default_factory=dict)
    noise: dict[str, list[str]] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    nan: dict[str, list[str]] = field(default_factory=dict)


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


def live_cases(offered: Mapping[str, Endpoint], samples: Mapping[str, np.ndarray]) -> Cases:
    """Ask each endpoint of the live model about the samples, and about noise where there are none."""
    found = Cases()
    with tf.device("/CPU:0"):  # as the verifying process: devices differ by more than the tolerance
        for name, endpoint in offered.items():
            inputs, noise = example_inputs(endpoint, samples)
            found.noise |= {name: noise} if noise else {}
            found.examples[name] = max((len(rows) for key, rows in inputs.items() if endpoint.axes[key]), default=0)
            found.arrays[f"{name}/cut"] = np.array(endpoint.cut is not None)
            for number, case in enumerate(_variations(endpoint, inputs)):
                tensors = {key: tf.convert_to_tensor(rows, endpoint.inputs[key].dtype) for key, rows in case.items()}
                outputs = {key: value.numpy() for key, value in endpoint.traced(**tensors).items()}
                found.arrays |= {f"{name}/{number}/in/{key}": _storable(rows) for key, rows in case.items()}
                found.arrays |= {f"{name}/{number}/out/{key}": _storable(rows) for key, rows in outputs.items()}
                if lost := [key for key, rows in outputs.items() if _has_nan(np.asarray(rows))]:
                    found.nan[name] = lost
    return found


def _has_nan(rows: np.ndarray) -> bool:
    return rows.dtype.kind in "fc" and bool(np.isnan(rows).any())


def _variations(endpoint: Endpoint, inputs: Arrays) -> list[Arrays]:
    """The inputs, and where there are several batch axes also those with one row less, and one row, on each of them."""
    if endpoint.cut is not None:
        return [inputs]
    found = [inputs]
    for axis in sorted({axis for axis in endpoint.axes.values() if axis is not None}):
        count = next((len(rows) for key, rows in inputs.items() if endpoint.axes[key] == axis), 0)
        for size in {1, count - 1} - {0, count}:
            found.append({key: rows[:size] if endpoint.axes[key] == axis else rows for key, rows in inputs.items()})
    return found


def example_inputs(endpoint: Endpoint, samples: Mapping[str, np.ndarray]) -> tuple[Arrays, list[str]]:
    """Rows for each input of an endpoint, and the names of those that are noise since no sample is kept of them."""
    axes = endpoint.axes
    sampled = {name: _sampled(endpoint, name, one) for name, one in endpoint.inputs.items()}
    noise = [name for name in sampled if sampled[name] not in samples]
    found = {axes[name]: len(samples[array]) for name, array in sampled.items() if array in samples}
    order = sorted({str(axis) for axis in axes.values()})
    counts = {axis: found.get(axis, NOISE_ROWS + order.index(str(axis))) for axis in axes.values()}
    raw: dict[str, tuple[list[bytes], list[int]]] = {}
    origins: dict[str | None, list[int]] = {}  # of each axis: the sample that a row of its first raw input came from
    for name, (array, codec) in endpoint.raw.items():
        given = None if name in noise else samples
        raw[name] = _raws(codec, _values(array, codec, given, counts[axes[name]]))
        origins.setdefault(axes[name], raw[name][1])
    inputs: Arrays = {}
    for name, one in endpoint.inputs.items():
        if name in raw:
            values, places = raw[name]
            inputs[name] = _same_rows(_objects(values), places, origins[axes[name]])
            continue
        rows = _noise(name, one, counts[axes[name]]) if name in noise else _of_dtype(samples[sampled[name]], one)
        inputs[name] = rows[origins[axes[name]]] if axes[name] in origins else rows
    return {name: rows if axes[name] else rows[0] for name, rows in inputs.items()}, noise


def _of_dtype(rows: np.ndarray, one: Field) -> np.ndarray:
    """Samples in the dtype of an input that has their name."""
    return rows if one.dtype == "string" else rows.astype(tf.as_dtype(one.dtype).as_numpy_dtype)


def _sampled(endpoint: Endpoint, name: str, one: Field) -> str:
    """The array of samples that gives examples of an input, or of the field whose raw form it is."""
    return endpoint.raw[name][0] if name in endpoint.raw else one.like or name


def _values(field: str, codec: Codec, samples: Mapping[str, np.ndarray] | None, count: int) -> list[Any]:
    """The values of a field as its codec keeps them, arrays or several by suffix; noise where there are no samples."""
    parts = {
        suffix: samples[f"{field}_{suffix}" if suffix else field] if samples else _noise(field + suffix, one, count)
        for suffix, one in codec.arrays.items()
    }
    if set(parts) == {""}:
        return list(parts[""])
    return [{suffix: rows[place] for suffix, rows in parts.items()} for place in range(count)]


def _same_rows(values: np.ndarray, places: list[int], wanted: list[int] | None) -> np.ndarray:
    """The raw values of the rows that another raw input has."""
    if wanted is None or places == wanted:
        return values
    return _objects([values[places.index(place)] for place in wanted])


def _objects(values: Sequence[Any]) -> np.ndarray:
    """Bytes, or lists of bytes of one length, as an array of objects; NumPy's own bytes lose zeros at the end."""
    if isinstance(values[0], bytes):
        return np.array([*values, None], object)[:-1]
    return np.array([*values], object)


def _noise(name: str, one: Field, rows: int) -> np.ndarray:
    """Random values of an input, other ones for each name; whole numbers are within their limit."""
    shape = (rows, *(VARIED if size is None else size for size in one.shape))
    dtype = tf.as_dtype(one.dtype)
    if dtype == tf.string:
        return np.full(shape, b"", object)
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    is_float = dtype.is_floating
    values = generator.standard_normal(shape) if is_float else generator.integers(0, one.below or 2, shape)
    return values.astype(dtype.as_numpy_dtype)


def _raws(codec: Codec, samples: list[Any]) -> tuple[list[bytes], list[int]]:
    """The samples in raw form, among them others of their forms and what cannot be read; the sample each came from."""
    first, *others = codec.raws(samples[0])
    odd = [*codec.hostile, *others]
    values = [first, *odd, *(codec.raws(sample)[0] for sample in samples[1:])]
    return values, [0, *[0] * len(odd), *range(1, len(samples))]


def _storable(rows: Any) -> np.ndarray:
    """Strings as bytes of one length, since NumPy keeps no objects without pickle, each with an end that stays: it
    takes zeros at the end for none."""
    rows = np.asarray(rows)
    if rows.dtype != object:
        return rows
    return np.array([value + END for value in rows.ravel()], "S").reshape(rows.shape)
