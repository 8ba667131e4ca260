"""How much a model computes, and how much the processor could."""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import tensorflow as tf

MATRIX = 2048  # rows of the product that stands for the processor's best
LEAST = 3  # products


def compute_dtype(precision: str) -> str:
    return precision.removeprefix("mixed_")


def best_rate(dtype: str, seconds: float = 0.5) -> float:
    """Operations a second of a large product of matrices: the most that can be had here."""
    matrix = tf.cast(tf.random.normal((MATRIX, MATRIX)), dtype)
    product = tf.function(lambda a: tf.reduce_sum(a @ a))
    product(matrix)
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < LEAST:
        started = time.perf_counter()
        float(product(matrix))
        times.append(time.perf_counter() - started)
    return 2.0 * MATRIX**3 / min(times)


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
    return float(sum(2 * _products(operation) for operation in graph.get_operations()))


def _products(operation: tf.Operation) -> int:
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
