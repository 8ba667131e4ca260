"""The most that the processor can compute."""

from __future__ import annotations

import time

import tensorflow as tf

MATRIX = 2048  # rows of the product that stands for the processor's best
LEAST = 3  # products


def compute_dtype(precision: str) -> str:
    """The dtype in which a precision computes: `mixed_bfloat16` in bfloat16."""
    return precision.removeprefix("mixed_")


def best_rate(dtype: str, seconds: float = 0.5) -> float:
    """Measure the operations a second of a large product of matrices: the most that can be had here."""
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
