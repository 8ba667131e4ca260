"""Run a SavedModel in a process that has TensorFlow alone, and compare it with what the live model said.

A script, run by its path: `verify_export.py EXPORT CASES.npz`. CASES holds arrays named `endpoint/in/name` and
`endpoint/out/name`, a row for each example. Prints one line of JSON; it knows nothing of Keras and kplug.
"""

import json
import sys

TOLERANCE = 1e-5
BLOCKED = ("keras", "tf_keras", "kplug")


def main(export: str, cases_file: str) -> None:
    # TensorFlow imports Keras by itself where it finds it; a model server has none
    sys.modules.update(dict.fromkeys(BLOCKED))  # type: ignore[arg-type]
    import numpy as np
    import tensorflow as tf

    with np.load(cases_file, allow_pickle=False) as file:
        arrays = dict(file)
    loaded = tf.saved_model.load(export)
    problems, largest = [], 0.0
    for endpoint, (inputs, expected) in _cases(arrays).items():
        rows = len(next(iter(inputs.values())))
        for start, stop in _batches(rows):
            batch = {name: tf.constant(values[start:stop]) for name, values in inputs.items()}
            outputs = loaded.signatures[endpoint](**batch)
            for name in sorted({*outputs, *expected}):
                wanted = expected[name][start:stop] if name in expected else None
                difference = _difference(outputs.get(name), wanted)
                largest = max(largest, difference)
                if not difference <= TOLERANCE:
                    problems.append(f"{endpoint}, output {name}, rows {start} to {stop}: differs by {difference:g}")
    print(json.dumps({"tensorflow": tf.__version__, "largest_difference": largest, "problems": problems}))


def _cases(arrays):
    """(inputs, outputs) by endpoint, each an array by name."""
    cases: dict = {}
    for key, values in arrays.items():
        endpoint, side, name = key.split("/", 2)
        cases.setdefault(endpoint, ({}, {}))[side == "out"][name] = values
    return cases


def _batches(rows):
    """Ranges of all rows at once, of one, none and three: an output that depends on its neighbours differs."""
    return [(0, rows), (0, 0), *((row, row + 1) for row in range(min(rows, 5))), (0, min(rows, 3))]


def _difference(output, wanted):
    """The largest difference, relative to the largest value where that is over 1; infinite where none can be told."""
    import numpy as np

    if output is None or wanted is None or tuple(output.shape) != wanted.shape:
        return float("inf")
    values = output.numpy()
    if values.dtype == object:
        return 0.0 if values.astype("S").tolist() == wanted.tolist() else float("inf")
    if not np.issubdtype(values.dtype, np.inexact) or not values.size:
        return 0.0 if np.array_equal(values, wanted) else float("inf")
    finite = np.isfinite(wanted)
    if not np.array_equal(values[~finite], wanted[~finite], equal_nan=True) or not np.isfinite(values[finite]).all():
        return float("inf")
    scale = max(1.0, float(np.abs(wanted[finite]).max(initial=0.0)))
    return float(np.abs(values - wanted)[finite].max(initial=0.0)) / scale


if __name__ == "__main__":
    main(*sys.argv[1:])
