"""A training that diverged goes back to its last good checkpoint, and on with smaller learning rates.

`setbacks.jsonl` of the run has a row for each time: where the training went on from, how much slower, why, and which
epochs were given up. It is written before checkpoints are removed, and marked when they are, so that a run that is
killed in between ends as one that is not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.errors import BlownUp
from kplug.inference.run import Run
from kplug.training.checkpoints import NAME, Checkpoint, open_checkpoint
from kplug.training.recorder import Recorder

FILE = "setbacks.jsonl"
Rows = list[dict[str, Any]]


def roll_back(run: Run, keeper: Recorder, error: BlownUp) -> Checkpoint | None:
    """The checkpoint to go on from after a training diverged; None is its first step.

    Args:
        run: the run; its checkpoints after that one are removed.
        keeper: of the training that diverged, whose best epoch stays the best until a better one comes.
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
    given_up = run.rows("metrics.jsonl")[found.state["keeper"]["rows"] if found else 0 :]
    best = {"best": keeper.best, "best_metrics": keeper.best_metrics}
    row = {"to": position(found), "rate": rate, "reason": str(error).partition(";")[0], "given_up": given_up, **best}
    _write(run, [*rows, {**row, "settled": False}])
    finish_rollback(run)
    where = f"{found.path}" if found else "the first step"
    log(f"{row['reason']}; going back to {where}, and on with all learning rates times {rate:g}")
    return found


def finish_rollback(run: Run) -> None:
    """Remove the checkpoints that the last setback gave up, where that was not done yet."""
    rows = run.rows(FILE)
    if not rows or rows[-1]["settled"]:
        return
    to = tuple(rows[-1]["to"] or (-1, -1))
    for path, here in _all(run):
        if here > to:
            _remove(path)
    _write(run, [*rows[:-1], {**rows[-1], "settled": True}])


def _remove(path: Any) -> None:
    shutil.rmtree(path)


def keep_best(run: Run, keeper: Recorder) -> None:
    """Let the best epoch stay the best, though the training went back to before it: its weights are the kept ones."""
    rows = run.rows(FILE)
    if keeper.monitor is None:  # the last epoch is the best
        return
    if rows and (rows[-1]["best"] < keeper.best or not keeper.best_metrics):
        keeper.restore({name: rows[-1][name] for name in ("best", "best_metrics")})


def rates(run: Run) -> list[float]:
    """What all learning rates were multiplied by at each setback."""
    return [row["rate"] for row in run.rows(FILE)]


def _write(run: Run, rows: Rows) -> None:
    run.write(FILE, "".join(json.dumps(row) + "\n" for row in rows))


# --- what is good ----------------------------------------------------------------------------------------------------


def good_checkpoint(run: Run, unlike: list[int] | None = None) -> Checkpoint | None:
    """The newest that is whole and whose numbers are finite: weights may be lost a step before the loss shows it.

    Args:
        run: the run.
        unlike: a position that did not help, [stage, step].
    """
    for path, here in sorted(_all(run), key=lambda pair: pair[1], reverse=True):
        if list(here) == unlike:
            continue
        try:
            found = open_checkpoint(path)
        except (OSError, ValueError, KeyError):
            continue
        if _is_finite(found):
            return found
    return None


def position(found: Checkpoint | None) -> list[int] | None:
    return [found.state["stage"], found.state["step"]] if found else None


def _all(run: Run) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Folder and (stage, step) of every checkpoint."""
    for path in list((run.path / "checkpoints").glob("ckpt-*")):
        if match := NAME.fullmatch(path.name):
            yield path, (int(match[1]), int(match[2]))


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
