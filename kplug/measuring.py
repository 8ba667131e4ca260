"""Numbers of a model that no epoch reports: parameters, operations, and how long an answer takes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.errors import SpecError, listed
from kplug.run import Run

WARM, TIMED = 10, 50  # answers before the first that is timed, and those


def counted(model: keras.Model, names: Iterable[str]) -> dict[str, float]:
    """Those of `parameters` and `flops` that are asked for."""
    count = {"parameters": model.count_params, "flops": lambda: flops(model)}
    return {name: float(count[name]()) for name in names if name in count}


def flops(model: keras.Model) -> int:
    """Floating-point operations of one picture going forward, a multiplication and an addition counted as two.

    Products alone are counted: convolutions, matrices, attention; a paper's "multiply-adds" are half of it.
    """
    if not getattr(model, "inputs", None):
        raise SpecError("the operations of this task's model cannot be counted: it has no fixed inputs")
    written = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(lambda x: tf.TensorSpec((1, *x.shape[1:]), x.dtype), written)
    traced = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(inputs)
    return sum(_products(operation) for operation in _operations(traced.graph))


def _operations(graph: Any) -> Iterator[Any]:
    """The operations of a graph and of the functions that it calls."""
    for operation in graph.get_operations():
        yield operation
        for attribute in ("f", "then_branch", "body"):
            if attribute in operation.node_def.attr and operation.node_def.attr[attribute].HasField("func"):
                yield from _operations(graph._get_function(operation.node_def.attr[attribute].func.name).graph)


def _products(operation: Any) -> int:
    """Twice the multiplications of an operation."""
    kind = operation.type
    if kind in ("Conv2D", "Conv3D"):
        kernel = operation.inputs[1].shape
        return 2 * _size(operation.outputs[0].shape) * _size(kernel[:-1])
    if kind in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"):  # transposed convolutions
        return 2 * _size(operation.inputs[2].shape) * _size(operation.inputs[1].shape[:-1])
    if kind == "DepthwiseConv2dNative":
        return 2 * _size(operation.outputs[0].shape) * _size(operation.inputs[1].shape[:2])
    if kind in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        flag = "transpose_a" if kind == "MatMul" else "adj_x"
        inner = operation.inputs[0].shape[-2 if operation.get_attr(flag) else -1]
        return 2 * _size(operation.outputs[0].shape) * int(inner or 1)
    if kind == "Einsum":
        return 2 * _einsum(operation)
    return 0


def _einsum(operation: Any) -> int:
    """Multiplications: the sizes of all letters, each once."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        letters = term.replace("...", "")
        extra = len(tensor.shape) - len(letters)
        named = [*(f"...{i}" for i in range(extra)), *letters] if term.startswith("...") else [*letters]
        sizes |= {letter: int(size or 1) for letter, size in zip(named, tensor.shape, strict=False)}
    return _size(sizes.values())


def _size(shape: Iterable[Any]) -> int:
    total = 1
    for size in shape:
        total *= int(size or 1)
    return total


def latency_ms(run: Run) -> float:
    """Milliseconds in which the exported model answers for one picture: the median of many answers."""
    with tempfile.TemporaryDirectory() as folder:
        exported = tf.saved_model.load(str(run.export(folder)))
        if "images" not in exported.signatures:
            offered = listed(sorted(exported.signatures))
            raise SpecError(
                f"latency_ms is of the export's signature 'images', which this task lacks; it has {offered}"
            )
        ask = exported.signatures["images"]
        pictures = {name: _one(spec) for name, spec in ask.structured_input_signature[1].items()}
        times = []
        for number in range(WARM + TIMED):
            start = time.perf_counter()
            answer = ask(**pictures)
            for tensor in answer.values():
                tensor.numpy()
            if number >= WARM:
                times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _one(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.constant(np.zeros([size or 1 for size in spec.shape], spec.dtype.as_numpy_dtype))
