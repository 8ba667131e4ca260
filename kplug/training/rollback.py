"""A training that diverged goes back to its last good checkpoint, and on with smaller learning rates.

The words for it: a callback finds that the training diverged and raises `BlownUp`, whose `go_back` allows that it goes
on; to do so is a rollback here, and its file has it as a setback, by an older name.

`setbacks.jsonl` of the run has a row for each time: where the training went on from, by what the rates were multiplied,
why, and which epochs were given up. The row is written before checkpoints are removed, and marked as settled when they
are, so that a run that is killed in between ends as one that is not.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.errors import BlownUp, SpecError
from kplug.storage.files import in_json
from kplug.storage.run_directory import RunDirectory
from kplug.training.checkpoints import Checkpoint, checkpoints_in, open_checkpoint
from kplug.training.recorder import Recorder

FILE = "setbacks.jsonl"
Rows = list[dict[str, Any]]


def roll_back(run: RunDirectory, recorder: Recorder, error: BlownUp) -> None:
    """Write down to which checkpoint a training goes back that diverged; `finish_rollback` then goes there.

    Args:
        run: the training's.
        recorder: the training's, whose best epoch stays the best until a better one comes.
        error: says whether and how the training goes on.

    Raises:
        BlownUp: the same, where it says that the training ends, or where it went back often enough.
    """
    rows = run.rows(FILE)
    if error.go_back is None:
        raise error
    rate, times = error.go_back
    if len(rows) >= times:
        error.args = (f"{error} (after going back {times} times)",)
        raise error
    found = good_checkpoint(run, rows[-1]["to"] if rows else None)
    to = [found.state["stage"], found.state["step"]] if found else None
    given_up = run.rows("metrics.jsonl")[found.state["keeper"]["rows"] if found else 0 :]
    best = {"best": recorder.best, "best_metrics": recorder.best_metrics}
    row = {"to": to, "rate": rate, "reason": str(error).partition(";")[0], "given_up": given_up, **best}
    _write(run, [*rows, {**row, "settled": False}])
    where = f"{found.path}" if found else "the first step"
    log(f"{row['reason']}; going back to {where}, and on with all learning rates times {rate:g}")


def finish_rollback(run: RunDirectory) -> None:
    """Remove the checkpoints that the last rollback gave up, where that was not done yet."""
    rows = run.rows(FILE)
    if not rows or rows[-1]["settled"]:
        return
    to = tuple(rows[-1]["to"] or (-1, -1))
    for position, path in checkpoints_in(run):
        if position > to:
            _remove(path)
    _write(run, [*rows[:-1], {**rows[-1], "settled": True}])


def _remove(path: Path) -> None:
    shutil.rmtree(path)


def keep_best(run: RunDirectory, recorder: Recorder) -> None:
    """Let the best epoch stay the best, though the training went back to before it: its weights are the kept ones."""
    rows = run.rows(FILE)
    if recorder.monitor is None:  # the last epoch is the best
        return
    if rows and rows[-1]["best"] is not None and (rows[-1]["best"] < recorder.best or not recorder.best_metrics):
        recorder.restore({name: rows[-1][name] for name in ("best", "best_metrics")})


def rates(run: RunDirectory) -> list[float]:
    """The factors that all learning rates were multiplied by, one a rollback."""
    return [row["rate"] for row in run.rows(FILE)]


def _write(run: RunDirectory, rows: Rows) -> None:
    run.write(FILE, "".join(in_json(row) + "\n" for row in rows))


# --- what is good ----------------------------------------------------------------------------------------------------


def good_checkpoint(run: RunDirectory, unlike: list[int] | None = None) -> Checkpoint | None:
    """The newest that is whole and whose numbers are finite: weights may be lost a step before the loss shows it.

    Args:
        run: the run.
        unlike: a position that did not help, [stage, step].
    """
    for position, path in reversed(checkpoints_in(run)):
        if list(position) == unlike:
            continue
        try:
            found = open_checkpoint(path)
        except SpecError:
            continue
        if _is_finite(found):
            return found
    return None


def _is_finite(found: Checkpoint) -> bool:
    reader = tf.train.load_checkpoint(str(found.path / "variables"))
    kinds = reader.get_variable_to_dtype_map()
    names = [name for name, kind in kinds.items() if kind.is_floating]
    return all(tf.reduce_all(tf.math.is_finite(reader.get_tensor(name))) for name in names)


def lost_weight(model: keras.Model) -> str | None:
    """The path of a trained weight that holds a number that is not finite."""
    for weight in model.trainable_weights:
        if tf.as_dtype(weight.dtype).is_floating and not bool(tf.reduce_all(tf.math.is_finite(weight.value))):
            return str(weight.path)
    return None
