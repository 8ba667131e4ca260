"""The contract of architectures: called as part(x), float out, every weight learns, the same again from a file."""

from __future__ import annotations

import fnmatch
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, finite, for_pictures, same
from kplug.model.network import dtype_policy
from kplug.records import Field

PICTURE = (32, 32, 3)
BATCH = 2
NEARLY = 0.1  # of the largest value: what bfloat16, with its 8 bits, may change in a few layers


def check_architecture(subject: Subject) -> None:
    """Check an architecture; `inputs` is the shape or `Field` of an example, or a list of them for several inputs."""
    fields = _fields(subject.inputs)
    x = _example(fields)
    part = _make(subject, fields)
    outputs = part(x, training=False)
    _check_outputs(outputs)
    _check_inference(part, x)
    _check_gradients(subject, part, x)
    _check_second_build(part, _make(subject, fields), x)
    _check_symbolic(_make(subject, fields), x, outputs)
    _check_half_precision(subject, fields, x, part)


def _fields(inputs: Any) -> list[Field]:
    if inputs is None:
        return [_field(PICTURE)]
    if isinstance(inputs, Field) or all(isinstance(size, int) for size in inputs):
        return [_field(inputs)]
    return [_field(one) for one in inputs]


def _field(given: Any) -> Field:
    """An input of floats where nothing but a shape is said."""
    return given if isinstance(given, Field) else Field(tuple(given), "float32")


def sizes_of(field: Field) -> tuple[int, ...]:
    """The shape of a field; sizes that vary are taken as 3."""
    return tuple(3 if size is None else size for size in field.shape)


def _example(fields: list[Field]) -> Any:
    tensors = [_values(np.random.default_rng(number), field) for number, field in enumerate(fields)]
    return tensors[0] if len(tensors) == 1 else tensors


def _values(rng: np.random.Generator, field: Field) -> Any:
    """Floats in 0 to 1, or integers below a limit, the largest of them among them: half precision has no room there."""
    shape, dtype = (BATCH, *sizes_of(field)), tf.as_dtype(field.dtype)
    if dtype.is_floating:
        return tf.constant(rng.random(shape), dtype)
    below = field.below or 2
    numbers = np.where(rng.random(shape) < 0.5, below - 1 - rng.integers(0, 8, shape), rng.integers(0, below, shape))
    return tf.constant(np.clip(numbers, 0, below - 1), dtype)


def _make(subject: Subject, fields: list[Field]) -> Any:
    part = subject.make(for_pictures(sizes_of(fields[0])) if fields[0].dtype == "float32" else None)
    subject.of_class(part, keras.Layer, "Keras layer or model")
    return part


def _check_outputs(outputs: Any) -> None:
    for output in tf.nest.flatten(outputs):
        shape = tuple(output.shape)
        demand(output.dtype.is_floating, f"an architecture gives floats; this one gave {output.dtype.name}")
        rows = f"an architecture gives a row for each example; {BATCH} examples gave the shape {shape}"
        demand(shape[:1] == (BATCH,), rows)
        demand(finite(output), "an architecture gives finite values for inputs in 0 to 1; some are not")


def _check_inference(part: Any, x: Any) -> None:
    first, second = (part(x, training=False) for _ in range(2))
    demand(same(first, second), "with training=False an architecture gives the same again; two calls differed")


def _check_gradients(subject: Subject, part: Any, x: Any) -> None:
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(part(x, training=True))
        loss = tf.add_n([tf.reduce_mean(tf.square(output)) for output in outputs])
    gradients = tape.gradient(loss, part.trainable_variables)
    names = [variable.path for variable in part.trainable_variables]
    excused: set[str] = set()
    for pattern in subject.unreached:
        found = fnmatch.filter(names, pattern)
        demand(found, f"unreached: no trainable weight is called '{pattern}'; there are {names}")
        excused.update(found)
    missing = [n for n, g in zip(names, gradients, strict=True) if g is None and n not in excused]
    demand(not missing, f"gradients reach every trainable weight of an architecture; none reaches {', '.join(missing)}")
    bad = [n for n, g in zip(names, gradients, strict=True) if g is not None and not finite(g)]
    demand(not bad, f"the gradients of an architecture are finite; not so those of {', '.join(bad)}")


def _check_symbolic(part: Any, x: Any, outputs: Any) -> None:
    """Demand that Keras can build a model around the part: shapes are foretold, and a batch has any number of rows."""
    inputs = _symbolic(x)
    symbolic = tf.nest.flatten(part(inputs))
    real = tf.nest.flatten(outputs)
    demand(len(symbolic) == len(real), f"part(x) gave {len(real)} outputs, part(keras.Input) {len(symbolic)}")
    for expected, output in zip(symbolic, real, strict=True):
        promised, given = tuple(expected.shape), tuple(output.shape)
        fits = tf.TensorShape(promised[1:]).is_compatible_with(given[1:])
        demand(fits, f"shapes come from Keras: part(keras.Input) promises {promised}, part(x) gave {given}")


def _check_second_build(part: Any, again: Any, x: Any) -> None:
    again(x, training=False)
    shapes, others = ([tuple(weight.shape) for weight in made.weights] for made in (part, again))
    said = f"built twice, an architecture has the same weights; the first has the shapes {shapes}, the second {others}"
    demand(shapes == others, said)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part.weights.h5")
        _as_model(part, x).save_weights(path)
        _as_model(again, x).load_weights(path)
    demand(
        same(part(x, training=False), again(x, training=False)),
        "a second build that loads the weights of the first gives the same; this one computes with more than them",
    )


def _as_model(part: Any, x: Any) -> keras.Model:
    """A model of the part, since Keras saves the weights of models."""
    inputs = _symbolic(x)
    return keras.Model(inputs, part(inputs))


def _symbolic(x: Any) -> Any:
    return tf.nest.map_structure(lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype.name), x)


def _check_half_precision(subject: Subject, fields: list[Field], x: Any, whole: Any) -> None:
    with dtype_policy("mixed_bfloat16"):
        part = _make(subject, fields)
        outputs = part(x, training=False)
    for output in tf.nest.flatten(outputs):
        demand(
            output.dtype.is_floating and finite(output),
            f"under mixed_bfloat16 an architecture gives finite floats; received {output.dtype.name}, or not finite",
        )
    halves = [weight.path for weight in part.weights if weight.dtype in ("bfloat16", "float16")]
    demand(not halves, f"under mixed_bfloat16 weights stay in float32; not so {', '.join(halves)}")
    if any(not tf.as_dtype(field.dtype).is_floating for field in fields):
        _check_integers(part, whole, x)


def _check_integers(part: Any, whole: Any, x: Any) -> None:
    """Demand that under bfloat16 integers stay what they are: the part answers nearly as in float32."""
    for weight, wanted in zip(part.weights, whole.weights, strict=True):
        weight.assign(wanted)
    both = (tf.nest.flatten(one(x, training=False)) for one in (part, whole))
    for output, wanted in zip(*both, strict=True):
        difference = np.abs(tf.cast(output, tf.float32).numpy() - wanted.numpy()).max()
        largest = np.abs(wanted.numpy()).max()
        demand(
            difference <= NEARLY * largest,
            "under mixed_bfloat16 integer inputs stay integers: an architecture gives nearly what it gives in float32; "
            f"the difference is {difference:.3g} where the largest value is {largest:.3g}",
        )
