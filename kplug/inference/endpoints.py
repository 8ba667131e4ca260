"""The endpoints of a learner in inference mode, as an export offers them and as the live model answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.data.codecs import decoding as pictures
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import DataInfo, Field, Learner, Signature

FILES = {"image_bytes": Field((), "string")}
VALID = "false where a file could not be decoded; its other outputs are zeros"


@dataclass(frozen=True)
class Endpoint:
    """An entry of an export.

    Args:
        function: batched tensors by input name to a dict of batched tensors.
        inputs: input name to `Field` of one example.
        outputs: output name to what it is.
        signature: name of the task's signature that answers.
        from_files: takes `image_bytes` in the place of `images`.
    """

    function: Callable[..., dict[str, Any]]
    inputs: Mapping[str, Field]
    outputs: Mapping[str, str]
    signature: str
    from_files: bool = False

    @functools.cached_property
    def traced(self) -> Any:
        """The function as a graph for any number of examples."""
        specs = {name: tf.TensorSpec((None, *f.shape), f.dtype, name=name) for name, f in self.inputs.items()}
        return tf.function(self.function, autograph=False).get_concrete_function(**specs)


def endpoints(learner: Learner, info: DataInfo) -> dict[str, Endpoint]:
    """The task's signatures by name, and `serving_default`: from files where it takes pictures, else the first."""
    if not learner.serve:
        raise SpecError("this task serves nothing: its Learner has no `serve`")
    found = {name: _of_signature(name, signature) for name, signature in learner.serve.items()}
    from_files = _of_files(found["images"], info) if "images" in found else None
    found.setdefault("serving_default", from_files or next(iter(found.values())))
    return found


def live_predictions(
    learner: Learner,
    info: DataInfo,
    images: np.ndarray | Sequence[bytes],
    batch_size: int = 256,
    endpoint: str = "images",
) -> dict[str, np.ndarray]:
    """Ask the live model about pictures: rows by output name; `valid` says which files could be decoded.

    Args:
        learner: what the task made.
        info: of the data that it was trained on.
        images: uint8 `[n, height, width, channels]`, or the bytes of n picture files of any size.
        batch_size: how many at once.
        endpoint: one of `learner.serve`.
    """
    ask = predictor(learner, info, batch_size, endpoint)
    return ask(images=images) if isinstance(images, np.ndarray) else ask(image_bytes=list(images))


def predictor(
    learner: Learner, info: DataInfo, batch_size: int = 256, endpoint: str = "images"
) -> Callable[..., dict[str, np.ndarray]]:
    """Make a function from an endpoint's inputs by name, n rows each, to its outputs; it is traced once for many calls.

    The files of `image_bytes` may take the place of `images`, as in an export.
    """
    if endpoint not in learner.serve:
        near = did_you_mean(endpoint, learner.serve)
        raise SpecError(f"this task serves no endpoint '{endpoint}'{near} (endpoints: {listed(learner.serve)})")
    from_pixels = _of_signature(endpoint, learner.serve[endpoint])
    from_files = _of_files(from_pixels, info)

    def ask(**inputs: Any) -> dict[str, np.ndarray]:
        found = from_files if "image_bytes" in inputs else from_pixels
        if found is None:
            raise SpecError(f"endpoint '{endpoint}' takes no picture files: it has no `images` of 1, 3 or 4 channels")
        parts = []
        for start in range(0, max(1, len(next(iter(inputs.values())))), batch_size):
            rows = {name: inputs[name][start : start + batch_size] for name in found.inputs}
            tensors = {name: tf.convert_to_tensor(rows[name], field.dtype) for name, field in found.inputs.items()}
            parts.append({name: value.numpy() for name, value in found.traced(**tensors).items()})
        return {name: _text(np.concatenate([part[name] for part in parts])) for name in parts[0]}

    return ask


# --- endpoints -----------------------------------------------------------------------------------------------------


class _Inference(keras.Layer):
    """A task's function with everything below it in inference mode, even where it forgets `training=False`."""

    def __init__(self, function: Callable[..., dict[str, Any]]) -> None:
        super().__init__(name="inference", autocast=False, dtype="float32")
        self.function = function
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        return self.function(**inputs)


def _of_signature(name: str, signature: Signature) -> Endpoint:
    """A signature as it is served: in inference mode, without half precision; `images` also says what is valid."""
    inference = _Inference(signature.function)

    def serve(**inputs: Any) -> dict[str, Any]:
        count = tf.shape(next(iter(inputs.values())))[0]
        filled = {key: _never_empty(rows) for key, rows in inputs.items()}
        outputs = {key: tf.convert_to_tensor(rows)[:count] for key, rows in inference(filled, training=False).items()}
        if (outputs.keys() ^ signature.outputs.keys()) - {"valid"}:
            raise ValueError(f"endpoint {name} promises {listed(signature.outputs)}. Received: {listed(outputs)}")
        if name == "images":
            outputs.setdefault("valid", tf.ones([count], tf.bool))
        return {key: _full_precision(value) for key, value in outputs.items()}

    valid = {"valid": VALID} if name == "images" else {}
    return Endpoint(serve, signature.inputs, {**valid, **signature.outputs}, name)


def _of_files(endpoint: Endpoint, info: DataInfo) -> Endpoint | None:
    """An endpoint behind the decoder of picture files; None where it takes no pictures."""
    others = dict(endpoint.inputs)
    shape: Any = others.pop("images", Field((None,), "uint8")).shape
    if None in shape or shape[-1] not in pictures.CHANNELS:
        return None

    def serve(image_bytes: Any, **others: Any) -> dict[str, Any]:
        decoded, valid = pictures.decode_files(image_bytes, shape, info.resize)
        outputs = {"valid": valid} | endpoint.function(images=decoded, **others)
        return {name: _blank(value, valid) for name, value in outputs.items()}

    return Endpoint(serve, FILES | others, endpoint.outputs, endpoint.signature, True)


# --- values --------------------------------------------------------------------------------------------------------


def _full_precision(value: Any) -> Any:
    return tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else value


def _never_empty(rows: Any) -> Any:
    """Put one example of zeros in the place of none: oneDNN's Conv2D gives an empty batch the shape of its input."""
    shape = tf.shape(rows)
    return tf.cond(shape[0] > 0, lambda: rows, lambda: tf.zeros(tf.concat([[1], shape[1:]], axis=0), rows.dtype))


def _blank(value: Any, valid: Any) -> Any:
    """Put zeros, False or "" into the rows that are not valid."""
    rows = tf.reshape(valid, tf.concat([tf.shape(valid), tf.ones([tf.rank(value) - 1], tf.int32)], axis=0))
    return tf.where(rows, value, tf.zeros_like(value))


def _text(rows: np.ndarray) -> np.ndarray:
    return np.char.decode(rows.astype("S"), "utf-8") if rows.dtype == object else rows
