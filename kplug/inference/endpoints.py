"""The endpoints of a learner in inference mode, as an export offers them and as the live model answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.data.features import arrays_of, placement_name
from kplug.data.raw import fields_of, raw_names, read_rows
from kplug.errors import SpecError, did_you_mean, listed
from kplug.model.memory import rows_at_once
from kplug.records import Codec, Field, Learner, Signature

BATCH = "batch"  # the batch axis of inputs and outputs of which nothing else is said
VALID = "valid"
AT_ONCE = 256  # rows that a live model is asked about at once
DEFAULT = "serving_default"


@dataclass(frozen=True)
class Endpoint:
    """An entry of an export.

    Args:
        function: tensors by input name to a dict of tensors.
        inputs: input name to `Field` of one example.
        outputs: output name to `Field` of one.
        signature: name of the task's signature that answers.
        axes: input or output to its batch axis; None has none.
        raw: input to (field, codec) whose raw form it takes.
    """

    function: Callable[..., dict[str, Any]]
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]
    signature: str
    axes: Mapping[str, str | None]
    raw: Mapping[str, tuple[str, Codec]] = field(default_factory=dict)

    @functools.cached_property
    def traced(self) -> Any:
        """The function as a graph for any number of examples."""
        specs = {name: tf.TensorSpec(self.shape(name), f.dtype, name=name) for name, f in self.inputs.items()}
        return tf.function(self.function, autograph=False).get_concrete_function(**specs)

    def shape(self, name: str) -> tuple[int | None, ...]:
        """The shape of an input, with the batch axis that it may have."""
        return self.inputs[name].shape if self.axes[name] is None else (None, *self.inputs[name].shape)

    @property
    def cut(self) -> str | None:
        """The one batch axis of all that goes in and out, along which a request can be cut; None of several."""
        found = {*self.axes.values()}
        return next(iter(found)) if len(found) == 1 else None


def endpoints(learner: Learner) -> dict[str, Endpoint]:
    """The task's signatures by name, and `serving_default`: the first, with every input raw that has a raw form."""
    if not learner.serve:
        raise SpecError("this task serves nothing: its Learner has no `serve`")
    found = {name: from_arrays(name, signature) for name, signature in learner.serve.items()}
    main = next(iter(found))
    found.setdefault(DEFAULT, from_raw(found[main], learner.serve[main], raw_inputs(learner.serve[main])))
    return found


def predictor(
    learner: Learner, endpoint: str | None = None, at_once: int | None = None
) -> Callable[..., dict[str, np.ndarray]]:
    """Make a function from an endpoint's inputs by name, n rows each, to its outputs; it is traced once for many calls.

    Raw forms may take the place of inputs: `FIELD_bytes`, a list of contents of files, that of `FIELD`.

    Args:
        learner: what the task made.
        endpoint: one of `learner.serve`; None is the main one.
        at_once: how many rows are computed at a time, where all have one batch axis; None: as many as fit.

    Raises:
        SpecError: there is no such endpoint.
    """
    name = signature_name(learner, endpoint)
    signature = learner.serve[name]
    plain, raws = from_arrays(name, signature), raw_inputs(signature)
    most = at_once or rows_at_once(learner.model, AT_ONCE)
    made: dict[frozenset[str], Endpoint] = {frozenset(): plain}

    def ask(**inputs: Any) -> dict[str, np.ndarray]:
        given = frozenset(raw for raw in raws if raw in inputs)
        if given not in made:
            made[given] = from_raw(plain, signature, {raw: raws[raw] for raw in given})
        asked = made[given]
        _refuse_inputs(name, asked, raws, inputs)
        return _answers(asked, inputs, most)

    return ask


def signature_name(learner: Learner, endpoint: str | None) -> str:
    """The name of an endpoint, of the main one where none is said."""
    if not learner.serve:
        raise SpecError("this task serves nothing: its Learner has no `serve`")
    if endpoint is None:
        return next(iter(learner.serve))
    if endpoint not in learner.serve:
        near = did_you_mean(endpoint, learner.serve)
        raise SpecError(f"this task serves no endpoint '{endpoint}'{near} (endpoints: {listed(learner.serve)})")
    return endpoint


def raw_inputs(signature: Signature) -> dict[str, tuple[str, Codec]]:
    """The raw forms that a signature can be asked with: input name to (field, codec)."""
    return raw_names({name: one.served for name, one in signature.inputs.items() if isinstance(one, Codec)})


def _refuse_inputs(name: str, asked: Endpoint, raws: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that are missing, not there, or given twice."""
    for raw, (plain, _) in raws.items():
        if raw in inputs and plain in inputs:
            raise SpecError(f"endpoint '{name}' takes {plain} or {raw}; both are given")
    for given in inputs:
        if given not in asked.inputs:
            known = [*asked.inputs, *(raw for raw in raws if raw not in inputs)]
            raise SpecError(f"endpoint '{name}' has no input '{given}'{did_you_mean(given, known)} ({listed(known)})")
    for needed in asked.inputs:
        if needed not in inputs:
            instead = next((f" or {raw}" for raw, (plain, _) in raws.items() if plain == needed), "")
            raise SpecError(f"endpoint '{name}' lacks its input {needed}{instead} (inputs: {listed(asked.inputs)})")


def _answers(asked: Endpoint, inputs: Mapping[str, Any], at_once: int) -> dict[str, np.ndarray]:
    """Ask, some rows at a time where that can be."""
    counts: dict[str, dict[str, int]] = {}
    for name, rows in inputs.items():
        if axis := asked.axes[name]:
            counts.setdefault(axis, {})[name] = len(rows)
    for found in counts.values():
        if len(set(found.values())) > 1:
            said = listed(f"{name}: {count}" for name, count in found.items())
            raise SpecError(f"the inputs have different numbers of rows: {said}")
    if asked.cut is None or not inputs:
        parts = [_call(asked, inputs)]
    else:
        starts = range(0, max(1, *counts[asked.cut].values()), at_once)
        parts = [_call(asked, {name: inputs[name][start : start + at_once] for name in inputs}) for start in starts]
    outputs = parts[0] if len(parts) == 1 else {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}
    return {name: _text(rows) for name, rows in outputs.items()}


def _call(asked: Endpoint, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    tensors = {name: _tensor(asked, name, inputs[name]) for name in asked.inputs}
    return {name: np.asarray(value.numpy()) for name, value in asked.traced(**tensors).items()}


def _tensor(asked: Endpoint, name: str, value: Any) -> Any:
    try:
        tensor = tf.convert_to_tensor(value, asked.inputs[name].dtype)
    except (TypeError, ValueError) as error:
        raise SpecError(f"input {name} of endpoint '{asked.signature}': {error}") from None
    shape = asked.shape(name)
    if not tensor.shape.is_compatible_with(shape):
        wanted = ["?" if size is None else size for size in shape]
        said = f"has the shape {wanted}; received {tensor.shape.as_list()}"
        raise SpecError(f"input {name} of endpoint '{asked.signature}' {said}")
    return tensor


# --- endpoints -----------------------------------------------------------------------------------------------------


class _Inference(keras.Layer):
    """A task's function with everything below it in inference mode, even where it forgets `training=False`."""

    def __init__(self, function: Callable[..., dict[str, Any]]) -> None:
        super().__init__(name="inference", autocast=False, dtype="float32")
        self.function = function
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        return self.function(**inputs)


def _spread(given: Mapping[str, Field | Codec]) -> dict[str, Field]:
    """Inputs or outputs as arrays: a codec may stand for several."""
    found: dict[str, Field] = {}
    for name, one in given.items():
        found |= fields_of(name, one) if isinstance(one, Codec) else {name: one}
    return found


def from_arrays(name: str, signature: Signature) -> Endpoint:
    """A signature as it is served: in inference mode, without half precision."""
    inference = _Inference(signature.function)
    inputs, outputs = _spread(signature.inputs), _spread(signature.outputs)
    axes = {key: _axis(key, {**signature.inputs, **signature.outputs}, signature) for key in (*inputs, *outputs)}

    def serve(**given: Any) -> dict[str, Any]:
        counts = {axes[key]: tf.shape(rows)[0] for key, rows in given.items() if axes[key] is not None}
        filled = {key: _never_empty(rows) if axes[key] is not None else rows for key, rows in given.items()}
        found = {key: tf.convert_to_tensor(rows) for key, rows in inference(filled, training=False).items()}
        if found.keys() ^ outputs.keys():
            raise ValueError(f"endpoint {name} promises {listed(outputs)}. Received: {listed(found)}")
        found = {key: rows[: counts[axes[key]]] if axes[key] in counts else rows for key, rows in found.items()}
        return {key: _full_precision(value) for key, value in found.items()}

    return Endpoint(serve, inputs, outputs, name, axes)


def _axis(array: str, given: Mapping[str, Any], signature: Signature) -> str | None:
    """The batch axis of an array: that of the input or output that it belongs to."""
    owner = array if array in given else next(name for name in given if array.startswith(f"{name}_"))
    return signature.batch.get(owner, BATCH)


def from_raw(endpoint: Endpoint, signature: Signature, raws: Mapping[str, tuple[str, Codec]]) -> Endpoint:
    """An endpoint some of whose inputs come raw; `valid` says which rows could be read, others' outputs are zeros.

    What lives in a picture that comes as a file is answered in the frame of that file, upright.
    """
    if not raws:
        return endpoint
    living = _living_in(signature, [name for name, _ in raws.values()])
    arrays = {raw: fields_of(name, codec) for raw, (name, codec) in raws.items()}
    replaced = {array for one in arrays.values() for array in one}
    inputs = {raw: codec.raw for raw, (_, codec) in raws.items() if codec.raw is not None}
    inputs |= {name: one for name, one in endpoint.inputs.items() if name not in replaced}
    axes = dict(endpoint.axes) | {raw: endpoint.axes[name] for raw, (name, _) in raws.items()}
    valid_of = {axes[raw]: valid_name(axes[raw]) for raw in raws}

    def serve(**given: Any) -> dict[str, Any]:
        found = {name: rows for name, rows in given.items() if name not in raws}
        valid: dict[str | None, Any] = {}
        placements: dict[str, Any] = {}
        for raw, (name, codec) in raws.items():
            is_placed = any(one.frame == name for one in living)
            read, is_valid = (read_rows if axes[raw] else _read_one)(name, codec, given[raw], is_placed)
            placements |= {name: read.pop(placement_name(name))} if is_placed else {}
            found |= read
            valid[axes[raw]] = is_valid & valid.get(axes[raw], True)
        outputs = endpoint.function(**found)
        for one in living:
            outputs = one.restored(outputs, placements[one.frame])
        blanked = {
            name: _blank(value, valid[axes[name]]) if axes[name] in valid else value for name, value in outputs.items()
        }
        return blanked | {valid_of[axis]: rows for axis, rows in valid.items()}

    outputs = dict(endpoint.outputs)
    for one in living:
        outputs = {name: field for name, field in outputs.items() if name not in one.arrays} | one.fields
        axes |= dict.fromkeys(one.fields, endpoint.axes[one.arrays[0]])
    about = "false where what was sent could not be read; the other outputs are then zeros"
    outputs |= {name: Field((), "bool", about) for name in valid_of.values()}
    axes |= {name: axis for axis, name in valid_of.items()}
    axes = {name: axis for name, axis in axes.items() if name in inputs or name in outputs}
    return Endpoint(serve, inputs, outputs, endpoint.signature, axes, dict(raws))


@dataclass(frozen=True)
class _Living:
    """An output that lives in a picture which comes as a file.

    Args:
        name: of the output.
        codec: its own.
        frame: the input of the picture.
    """

    name: str
    codec: Codec
    frame: str

    @property
    def arrays(self) -> list[str]:
        """The names of its arrays in the batch's frame."""
        return list(fields_of(self.name, self.codec))

    @property
    def fields(self) -> dict[str, Field]:
        """Its arrays in the file's frame."""
        return arrays_of(self.name, self.codec.restored())

    def restored(self, outputs: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        """All outputs, with this one's row by row in the frame of the file that its picture came as."""
        given = {suffix: outputs[array] for suffix, array in zip(self.codec.arrays, self.arrays, strict=True)}
        specs = {suffix: tf.TensorSpec(one.shape, one.dtype) for suffix, one in self.codec.restored().items()}
        back = tf.map_fn(lambda pair: self.codec.restore(*pair), (given, placement), fn_output_signature=specs)
        left = {name: value for name, value in outputs.items() if name not in self.arrays}
        return left | arrays_of(self.name, back)


def _living_in(signature: Signature, pictures: Sequence[str]) -> list[_Living]:
    """The outputs that live in pictures which come as files; each names its own, or there is one."""
    found = []
    for name, one in signature.outputs.items():
        if isinstance(one, Codec) and one.in_frame:
            only = pictures[0] if len(pictures) == 1 else None
            frame = one.frame if one.frame in pictures else only
            found += [_Living(name, one, frame)] if frame is not None else []
    return found


def valid_name(axis: str | None) -> str:
    """The output that says what of a batch axis could be read; `valid_single` of inputs that have none."""
    return VALID if axis == BATCH else f"{VALID}_{axis or 'single'}"


# --- values --------------------------------------------------------------------------------------------------------


def _full_precision(value: Any) -> Any:
    return tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else value


def _never_empty(rows: Any) -> Any:
    """Put one example of zeros in the place of none: oneDNN's Conv2D gives an empty batch the shape of its input."""
    shape = tf.shape(rows)
    zeros = tf.zeros(tf.concat([[1], shape[1:]], axis=0), rows.dtype)
    return tf.cond(shape[0] > 0, lambda: rows, lambda: zeros)


def _read_one(name: str, codec: Codec, value: Any, placed: bool = False) -> tuple[dict[str, Any], Any]:
    """Read the raw value of an input that has no batch axis."""
    read, is_valid = read_rows(name, codec, value[tf.newaxis], placed)
    return {key: array[0] for key, array in read.items()}, is_valid[0]


def _blank(value: Any, valid: Any) -> Any:
    """Put zeros, False or "" into the rows that are not valid."""
    if valid.shape.rank == 0:
        return tf.where(valid, value, tf.zeros_like(value))
    rows = tf.reshape(valid, tf.concat([tf.shape(valid), tf.ones([tf.rank(value) - 1], tf.int32)], axis=0))
    return tf.where(rows, value, tf.zeros_like(value))


def _text(rows: np.ndarray) -> np.ndarray:
    """Strings as text where they are all UTF-8, else the bytes that they are."""
    if rows.dtype != object:
        return rows
    try:
        words = [value.decode("utf-8") for value in rows.ravel()]
    except UnicodeDecodeError:
        return rows
    return np.array(words, np.str_).reshape(rows.shape)
