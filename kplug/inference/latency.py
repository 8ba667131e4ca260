"""The time in which an exported model answers."""

from __future__ import annotations

import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from kplug.inference.endpoints import endpoints, signature_name
from kplug.inference.export import exported_learner
from kplug.inference.run import Run
from kplug.inference.samples import open_samples
from kplug.inference.verification import example_inputs

WARM, TIMED = 10, 50  # answers before the first that is timed, and those


def latency_ms(run: Run) -> float:
    """The milliseconds in which the export's main endpoint answers for one example: the median of many answers."""
    learner = exported_learner(run)
    name = signature_name(learner, None)
    endpoint = endpoints(learner)[name]
    inputs, _ = example_inputs(endpoint, open_samples(run))
    one = {key: rows if endpoint.axes[key] is None else rows[:1] for key, rows in inputs.items()}
    with tempfile.TemporaryDirectory() as folder:
        ask = tf.saved_model.load(str(run.export(folder))).signatures[name]
        tensors = {key: tf.constant(np.asarray(rows), endpoint.inputs[key].dtype) for key, rows in one.items()}
        times = []
        for _ in range(WARM + TIMED):
            start = time.perf_counter()
            for tensor in ask(**tensors).values():
                tensor.numpy()
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[WARM:])
