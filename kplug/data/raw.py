"""Raw values, such as the bytes of files, read by a codec in a graph: one that cannot be read gives zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.features import arrays_of, placement_name
from kplug.data.readable import OF_DATA, SHOWN
from kplug.data.values import Arrays
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Codec, DataInfo
from kplug.records.geometry import PLACEMENT

PARALLEL = 4  # values of one request read at once, which bounds the memory of a hostile one


def read_rows(name: str, codec: Codec, values: Any, placed: bool = False) -> tuple[dict[str, Any], Any]:
    """Read a batch of raw values.

    Args:
        name: of the field.
        codec: reads one.
        values: `[b, ...]`; b may be 0.
        placed: the placement of each picture is among the arrays.

    Returns:
        The arrays of the field by name, `[b, ...]`, and which are valid, bool `[b]`.
    """
    if codec.never_fails and codec.takes_batches:
        return arrays_of(name, codec.read(values)), tf.ones([tf.shape(values)[0]], tf.bool)
    specs = {key: tf.TensorSpec(array.shape, array.dtype) for key, array in fields_of(name, codec).items()}
    if placed:
        specs[placement_name(name)] = tf.TensorSpec([len(PLACEMENT)], tf.float32)
    return tf.map_fn(
        lambda value: _read_or_blank(name, codec, value, specs),
        values,
        fn_output_signature=(specs, tf.TensorSpec([], tf.bool)),
        parallel_iterations=PARALLEL,
    )


def raw_names(codecs: Mapping[str, Codec]) -> dict[str, tuple[str, Codec]]:
    """The raw forms of fields: `FIELD_bytes` to (field, codec), for those that have one."""
    raw = {name: codec for name, codec in codecs.items() if codec.raw is not None}
    return {f"{name}_{codec.raw_suffix}": (name, codec) for name, codec in raw.items()}


def read(info: DataInfo, **raws: Any) -> Arrays:
    """Read raw values as a run's batches have them: arrays `[n, ...]` by the names of a batch.

        read(run.info, photo_bytes=[file.read_bytes() for file in files], question_text=["how many?"] * len(files))

    Args:
        info: of the run: `run.info`.
        raws: contents of files (`FIELD_bytes`), texts (`FIELD_text`), a list for each field.

    Raises:
        SpecError: no field has that raw form, or a value cannot be read.
    """
    known = raw_names(info.codecs)
    found: Arrays = {}
    for raw, values in raws.items():
        if raw not in known:
            what = "no field of the data has the raw form"
            raise SpecError(f"{what} '{raw}'{did_you_mean(raw, known)} (raw forms: {listed(known) or 'none'})")
        name, codec = known[raw]
        found |= _read_each(raw, name, codec, values)
    counts = {name: len(values) for name, values in raws.items()}
    if len(set(counts.values())) > 1:
        raise SpecError(f"there are different numbers of values: {listed(f'{n}: {c}' for n, c in counts.items())}")
    return found


def _read_each(raw: str, name: str, codec: Codec, values: Any) -> Arrays:
    """Read the values of one field, one by one, so that those which cannot be read are told."""
    if isinstance(values, str | bytes):
        raise SpecError(f"{raw} takes a list of values; received {type(values).__name__}")
    rows, problems = [], []
    for number, value in enumerate(values):
        try:
            rows.append(arrays_of(name, codec.read(tf.convert_to_tensor(value, codec.raw and codec.raw.dtype))))
        except OF_DATA as error:
            problems.append(f"{number}: {codec.reason(error)}")
        except (TypeError, ValueError) as error:
            problems.append(f"{number}: {str(error).splitlines()[0]}")
    if problems:
        more = f"\n  ... ({len(problems)} in all)" if len(problems) > SHOWN else ""
        raise SpecError(f"these values of {raw} cannot be read:\n  " + "\n  ".join(problems[:SHOWN]) + more)
    if not rows:
        return {key: np.zeros([0, *one.shape], one.dtype) for key, one in fields_of(name, codec).items()}
    return {key: np.stack([row[key].numpy() for row in rows]) for key in rows[0]}


def fields_of(name: str, codec: Codec) -> dict[str, Any]:
    """The arrays of a field by the names that a batch gives to them, as `Field`s."""
    return arrays_of(name, codec.arrays)


def _read_or_blank(name: str, codec: Codec, value: Any, specs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    place = placement_name(name)

    def read(value: Any) -> tuple[dict[str, Any], Any]:
        if place not in specs:
            return arrays_of(name, codec.read(value)), tf.constant(True)
        picture, placement = codec.read_placed(value)
        return arrays_of(name, picture) | {place: placement}, tf.constant(True)

    zeros = {key: tf.zeros([size or 0 for size in spec.shape], spec.dtype) for key, spec in specs.items()}
    if place in zeros:  # a picture of one pixel
        zeros[place] = tf.ones([len(PLACEMENT)])
    # a dataset is the one place in a graph where an error can be caught
    found = tf.data.Dataset.from_tensors(value).map(read).ignore_errors()
    return found.concatenate(tf.data.Dataset.from_tensors((zeros, tf.constant(False)))).take(1).get_single_element()
