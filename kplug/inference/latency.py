"""The time in which an exported model answers."""

from __future__ import annotations

import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from kplug.errors import SpecError, listed
from kplug.inference.run import Run

WARM, TIMED = 10, 50  # answers before the first that is timed, and those


def latency_ms(run: Run) -> float:
    """The milliseconds in which the exported model answers for one picture: the median of many answers."""
    with tempfile.TemporaryDirectory() as folder:
        exported = tf.saved_model.load(str(run.export(folder)))
        if "images" not in exported.signatures:
            lacks = "latency_ms is of the export's signature 'images', which this task lacks"
            raise SpecError(f"{lacks}; it has {listed(sorted(exported.signatures))}")
        ask = exported.signatures["images"]
        pictures = {name: _one(spec) for name, spec in ask.structured_input_signature[1].items()}
        times = []
        for _ in range(WARM + TIMED):
            start = time.perf_counter()
            for tensor in ask(**pictures).values():
                tensor.numpy()
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[WARM:])


def _one(spec: tf.TensorSpec) -> tf.Tensor:
    """Zeros for one example of an input."""
    return tf.constant(np.zeros([size or 1 for size in spec.shape], spec.dtype.as_numpy_dtype))
