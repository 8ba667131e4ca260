"""The operations that a model takes: the multiplications and additions of its products, counted in its graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.errors import SpecError
from kplug.model.patches import calls_of, function_in, layers_of

TRAINING = 3  # a step of training to a pass forward: backward there is one product for inputs and one for weights


def counted(model: keras.Model, names: Iterable[str]) -> dict[str, float]:
    """Return those of `parameters` and `flops` that are asked for."""
    count = {"parameters": model.count_params, "flops": lambda: flops(model)}
    return {name: float(count[name]()) for name in names if name in count}


def flops(model: keras.Model) -> int:
    """Count the floating-point operations of one example going forward, a multiplication and an addition as two.

    Products alone are counted: convolutions, matrices, attention; a paper's "multiply-adds" are half of it.
    """
    if not getattr(model, "inputs", None):
        raise SpecError("the operations of this task's model cannot be counted: it has no fixed inputs")
    written = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(lambda x: tf.TensorSpec((1, *x.shape[1:]), x.dtype), written)
    return forward_operations(model, inputs)


def forward_operations(model: keras.Model, inputs: Any) -> int:
    """Count the floating-point operations of one batch going forward, as `flops` does.

    Args:
        model: the model, which is traced: about as long as its first step takes to begin.
        inputs: a batch of what it takes, or the `tf.TensorSpec`s of one; a size that is not known counts as 1.
    """
    specs = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), inputs)
    traced = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(specs)
    return 2 * _multiplications_of(traced.graph)


def training_operations(model: keras.Model) -> float:
    """Estimate the floating-point operations of a training step, an example, without a trace.

    It takes each weight of the layers' kernels for one multiplication at each position of the output. That is what
    `flops` counts of convolutions and dense layers; products between activations, such as attention's, are left out,
    and a kernel that is used otherwise is taken for a dense one. `auto` asks for the order of magnitude at each start
    of a training: this takes a millisecond, a trace seconds.
    """
    products = 0
    for layer in layers_of(model):
        kernel, calls = getattr(layer, "kernel", None), calls_of(layer)
        if kernel is not None and calls:
            products += _size(kernel.shape) * _size(calls[0].output_tensors[0].shape[1:-1])
    return 2.0 * TRAINING * products


def _multiplications_of(graph: Any) -> int:
    """Count the multiplications of what a graph's outputs need, and of the functions that it calls.

    Of a condition one branch is computed. The first stands for both: a graph does not say which one it will be.
    """
    found = 0
    for operation in _needed(graph):
        found += _multiplications(operation)
        for attribute in ("f", "then_branch", "body"):
            if attribute in operation.node_def.attr and operation.node_def.attr[attribute].HasField("func"):
                inner = _multiplications_of(function_in(graph, operation.node_def.attr[attribute].func.name).graph)
                found += inner * (_rounds(operation) if inner and attribute == "body" else 1)
    return found


def _needed(graph: Any) -> Iterator[Any]:
    """Yield the operations that the outputs of a graph come from; Keras makes others to learn the shape of a cell."""
    waiting, seen = [tensor.op for tensor in graph.outputs], set()
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            yield operation
            waiting += [tensor.op for tensor in operation.inputs]


def _rounds(loop: Any) -> int:
    """Tell how often the body of a loop is gone through: the second of its inputs is the most that it may be.

    Raises:
        SpecError: the graph does not say it.
    """
    most = loop.inputs[1]
    value = tf.get_static_value(most)
    if value is None and most.op.type in ("Max", "Identity"):  # the length of a sequence, as Keras's layers give it
        value = tf.get_static_value(most.op.inputs[0])
    if value is None:
        raise SpecError("the operations of this model cannot be counted: it has a loop whose length is not known")
    return int(np.max(value))


def _multiplications(operation: Any) -> int:
    """Count the multiplications of an operation that makes sums of products, 0 of any other."""
    inputs, outputs = operation.inputs, operation.outputs
    match operation.type:
        case "Conv2D" | "Conv3D":
            return _size(outputs[0].shape) * _size(inputs[1].shape[:-1])
        case "DepthwiseConv2dNative":
            return _size(outputs[0].shape) * _size(inputs[1].shape[:2])
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":  # transposed convolutions
            return _size(inputs[2].shape) * _size(inputs[1].shape[:-1])
        case "MatMul":
            return _size(outputs[0].shape) * int(inputs[0].shape[-2 if operation.get_attr("transpose_a") else -1] or 1)
        case "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3":
            return _size(outputs[0].shape) * int(inputs[0].shape[-2 if operation.get_attr("adj_x") else -1] or 1)
        case "Einsum":
            return _einsum(operation)
    return 0


def _einsum(operation: Any) -> int:
    """Count the multiplications of an einsum: the sizes of all letters, each once."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        letters = term.replace("...", "")
        extra = len(tensor.shape) - len(letters)
        named = [*(f"...{i}" for i in range(extra)), *letters] if term.startswith("...") else [*letters]
        sizes |= {letter: int(size or 1) for letter, size in zip(named, tensor.shape, strict=False)}
    return _size(sizes.values())


def _size(shape: Iterable[int | None]) -> int:
    """Multiply sizes; one that is not known counts as 1."""
    return math.prod(int(size or 1) for size in shape)
