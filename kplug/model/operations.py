"""How many operations a model takes: multiplications and additions, counted in its graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError


def forward_operations(model: keras.Model, example: Any) -> float:
    """Additions and multiplications of the products and convolutions on one batch; 0 where a model cannot be called.

    Args:
        model: whose graph is counted.
        example: what it takes, a batch.
    """
    specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, example)
    try:
        graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(specs).graph
    except (TypeError, ValueError, NotImplementedError):  # a model that has a `train_step` and no `call`
        return 0.0
    return float(sum(2 * _matrix_products(operation) for operation in graph.get_operations()))


def _matrix_products(operation: tf.Operation) -> int:
    """Multiplications of an operation that makes sums of products, 0 of another or where a shape is not known."""
    shapes = [tensor.shape for tensor in (*operation.inputs, *operation.outputs)]
    if not all(shape.is_fully_defined() for shape in shapes):
        return 0
    match operation.type:
        case "Conv2D" | "Conv3D":
            return math.prod(shapes[-1]) * math.prod(shapes[1][:-1])
        case "DepthwiseConv2dNative":
            return math.prod(shapes[-1]) * math.prod(shapes[1][:-2])
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":  # a transposed convolution
            return math.prod(shapes[2]) * math.prod(shapes[1][:-1])
        case "MatMul":
            return math.prod(shapes[-1]) * shapes[0][0 if operation.get_attr("transpose_a") else 1]
        case "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3":
            return math.prod(shapes[-1]) * shapes[0][-2 if operation.get_attr("adj_x") else -1]
        case "Einsum":
            names = operation.get_attr("equation").decode().partition("->")[0].split(",")
            sizes = {
                n: s for letters, shape in zip(names, shapes, strict=False) for n, s in zip(letters, shape, strict=True)
            }
            return math.prod(sizes.values())
    return 0


def operations(model: keras.Model) -> float:
    """Floating-point operations of a training step, an example: three times those of the products going forward."""
    total = 0.0
    for layer in model._flatten_layers(recursive=True):
        kernel = getattr(layer, "kernel", None)
        if kernel is None or not layer._inbound_nodes:
            continue
        positions = 1
        for size in layer._inbound_nodes[0].output_tensors[0].shape[1:-1]:
            positions *= size or 1
        total += 2 * 3 * positions * float(tf.size(kernel))
    return total


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
    return sum(_products(operation) for operation in _operations_of(traced.graph))


def _operations_of(graph: Any) -> Iterator[Any]:
    """The operations of a graph and of the functions that it calls."""
    for operation in graph.get_operations():
        yield operation
        for attribute in ("f", "then_branch", "body"):
            if attribute in operation.node_def.attr and operation.node_def.attr[attribute].HasField("func"):
                yield from _operations_of(graph._get_function(operation.node_def.attr[attribute].func.name).graph)


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
