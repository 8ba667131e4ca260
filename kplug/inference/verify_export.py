"""Run a SavedModel in a process that has TensorFlow alone, and compare it with what the live model said.

A script, run by its path: `verify_export.py EXPORT CASES.npz`. CASES holds arrays named `endpoint/case/in/name` and
`endpoint/case/out/name`, and `endpoint/cut`, which is true where all have one batch axis, so that fewer rows give the
same. Prints one line of JSON; it knows nothing of Keras and kplug.
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
        arrays = {key: _without_end(values) for key, values in file.items()}
    loaded = tf.saved_model.load(export)
    problems, largest = [], 0.0
    for (endpoint, case), (inputs, expected) in _cases(arrays).items():
        cuts = bool(arrays[f"{endpoint}/cut"]) and bool(inputs)
        rows = len(next(iter(inputs.values()))) if cuts else None
        for start, stop in _batches(rows):
            part = slice(start, stop) if cuts else ...
            dtypes = {name: tf.string if values.dtype == object else None for name, values in inputs.items()}
            batch = {name: tf.constant(values[part], dtypes[name]) for name, values in inputs.items()}
            outputs = loaded.signatures[endpoint](**batch)
            for name in sorted({*outputs, *expected}):
                wanted = expected[name][part] if name in expected else None
                difference = _difference(outputs.get(name), wanted)
                largest = max(largest, difference)
                if not difference <= TOLERANCE:
                    where = f"rows {start} to {stop}" if cuts else f"case {case}"
                    problems.append(f"{endpoint}, output {name}, {where}: differs by {difference:g}")
    print(json.dumps({"tensorflow": tf.__version__, "largest_difference": largest, "problems": problems}))


def _cases(arrays):
    """(inputs, outputs) by endpoint and case, each an array by name."""
    cases: dict = {}
    for key, values in arrays.items():
        endpoint, _, rest = key.partition("/")
        if rest != "cut":
            case, side, name = rest.split("/", 2)
            cases.setdefault((endpoint, case), ({}, {}))[side == "out"][name] = values
    return cases


def _without_end(values):
    """Strings as they were before each got an end, by which NumPy keeps the zeros before it."""
    import numpy as np

    if values.dtype.kind != "S":
        return values
    found = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        found[place] = values[place][:-1]
    return found


def _batches(rows):
    """Ranges of all rows at once, of one, none and three: an output that depends on its neighbours differs."""
    if rows is None:
        return [(0, 0)]
    return [(0, rows), (0, 0), *((row, row + 1) for row in range(min(rows, 5))), (0, min(rows, 3))]


def _difference(output, wanted):
    """The largest difference, relative to the largest value where that is over 1; infinite where none can be told."""
    import numpy as np

    if output is None or wanted is None or tuple(output.shape) != wanted.shape:
        return float("inf")
    values = output.numpy()
    if values.dtype == object:
        return 0.0 if values.tolist() == wanted.tolist() else float("inf")
    if not np.issubdtype(values.dtype, np.inexact) or not values.size:
        return 0.0 if np.array_equal(values, wanted) else float("inf")
    finite = np.isfinite(wanted)
    if not np.array_equal(values[~finite], wanted[~finite], equal_nan=True) or not np.isfinite(values[finite]).all():
        return float("inf")
    scale = max(1.0, float(np.abs(wanted[finite]).max(initial=0.0)))
    return float(np.abs(values - wanted)[finite].max(initial=0.0)) / scale


if __name__ == "__main__":
    main(*sys.argv[1:])
