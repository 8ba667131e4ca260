"""The rules of going on with a run: whether it may, what may have changed, with which threads, from which checkpoint.

`resume` itself is in `kplug.training.fit`, and so is the order in which these rules are asked. The last of them,
`Continued`, is for Keras's `fit`, whose callbacks are told nothing of the steps that were made before.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.errors import Path as SpecPath
from kplug.errors import Problem, SpecError, dotted
from kplug.inference.run import Run
from kplug.spec import Spec
from kplug.spec.format_1 import as_known_to
from kplug.spec.tree import differences, plain
from kplug.storage.files import half_written, naming_errors, remove
from kplug.storage.notes import NOTES
from kplug.storage.run_directory import BEST, LAST, METRICS, RESULT, TIMINGS, refuse_existing
from kplug.training.checkpoints import FOLDER, Checkpoint, Checkpoints
from kplug.training.plan import Plan

UNREAD = ("export", "search")  # sections that a training does not look at
# files of a new run, in the order in which they are written; with the last there is a run to go on with
FIRST_FILES = ("spec.yaml", NOTES, "data.json", "environment.json")
TRAINED = (FOLDER, METRICS, BEST, LAST, RESULT)  # what a first epoch leaves at the latest

# --- may it go on? ---------------------------------------------------------------------------------------------------


def has_begun(directory: str | os.PathLike[str]) -> bool:
    """True where a directory holds a run; what is left of one that was killed while it was made is cleared away."""
    path = Path(directory)
    with naming_errors(path, "name another directory", "cannot be looked at"):
        if (path / FIRST_FILES[-1]).is_file():
            return True
        if (path / FIRST_FILES[0]).is_file():
            _refuse_trained(path)
            for name in (*FIRST_FILES, "samples", "parts", ".parts", "lock"):
                remove(path / name)
        for left, name in half_written(path):
            if name in FIRST_FILES:
                remove(left)
    refuse_existing(path)
    return False


def _refuse_trained(path: Path) -> None:
    """Refuse to take a run that was trained for one that was stopped while it was made."""
    if any((path / name).exists() for name in TRAINED):
        what = f"{FIRST_FILES[-1]} is missing, and this run was trained: put the file back"
        raise SpecError([Problem(what, where=str(path))])


def refuse_half_made(run: Run) -> None:
    """Refuse a run that was stopped while it was made, before its first step: there is nothing to go on with."""
    if not (run.path / FIRST_FILES[-1]).is_file():
        _refuse_trained(run.path)
        message = "nothing was trained here: the run was stopped while it was made"
        again = f"begin again with kplug train SPEC --run {run.path} --go-on, which clears it away"
        raise SpecError([Problem(f"{message}; {again}", where=str(run.path))])


def refuse_changes(began: Spec, spec: Spec) -> None:
    """Refuse a spec that differs from the run's in more than a half-trained model does not notice."""
    problems, notes = [], []
    for path, before, now in differences(plain(began.root), plain(spec.root)):
        if path == last_epochs(spec) and now > before:
            notes.append(f"{dotted(path)}: {now} instead of {before}; schedules are computed anew over all {now}")
        elif path[:2] != ("fit", "checkpoint") and path[0] not in UNREAD and path not in spec.file_paths:
            message = f"cannot change from {before!r} to {now!r} in a run that has begun; train a new one"
            problems.append(spec.problem(path, message))
    if problems:
        raise SpecError(problems)
    for note in notes:
        log(note)


def has_more_epochs(began: Spec, spec: Spec) -> bool:
    """True where a spec trains the last stage longer than the run's own, which has as many stages."""
    path = dotted(last_epochs(spec))
    return spec[path] > began[path]


def last_epochs(spec: Spec) -> SpecPath:
    """The path of the number that may be raised: the epochs of the last stage."""
    stages = len(spec["fit.stages"])
    return ("fit", "stages", stages - 1, "epochs") if stages else ("fit", "epochs")


def refuse_other_data(run: Run, data: Data) -> None:
    """Refuse a source that does not give what it gave when the run began."""
    kept = run.facts
    for path, then, now in differences(kept, as_known_to(kept, data.info.to_json())):
        message = f"the data is not what it was: {dotted(path)} was {then!r} and is {now!r}; put it back, or train anew"
        raise SpecError([Problem(message, ("data", "source"), str(run.path))])


# --- where and with what it goes on ----------------------------------------------------------------------------------


def newest_checkpoint(run: Run, plan: Plan) -> Checkpoint | None:
    """The checkpoint to go on from, None is the first step. The end of a run is not the end where it became longer.

    A checkpoint tells how many epochs its stage was to have, since the run's spec has the raised number as soon as it
    goes on, and may be killed before its first new checkpoint. Those of 0.1.0 do not tell: there the request counts.
    """
    count = len(run.rows(METRICS))
    run.rows(TIMINGS)  # damaged ones are refused; no step depends on how many there are
    found, complaints = Checkpoints(run, plan.checkpoint.keep).newest(lambda found: misfit(found, plan, count))
    for complaint in complaints:
        log(complaint)
    if found is None:
        if run.finished:
            what = "there is no whole checkpoint to go on from, and a finished run is not begun anew"
            raise SpecError([Problem(f"{what}; train anew with --run DIR", where=str(run.path))])
        if count or complaints:
            log(f"{run.path} has no checkpoint to go on from: it is trained again from its first step")
        return None
    if found.state["keeper"]["best_metrics"] and plan.cluster.is_chief:
        run.kept_weights()  # refuses others than those of the best epoch so far, which may stay the best
    if found.state["stage"] < len(plan.stages) - 1:
        return found
    is_longer = plan.stages[-1].epochs > found.state["epochs"] if "epochs" in found.state else plan.is_longer
    return found.unfinished() if is_longer else found


def misfit(found: Checkpoint, plan: Plan, rows: int) -> str:
    """The reason why a checkpoint cannot be of a training, "" where it can.

    Args:
        found: the checkpoint.
        plan: of the training.
        rows: how many epochs are in the run's files.
    """
    state, stages = found.state, plan.stages
    if state["stage"] >= len(stages):
        return f"it is of stage {state['stage']}, and the spec has {len(stages)}, counted from 0"
    stage = stages[state["stage"]]
    steps = replace(plan.data, spec=stage.spec).steps
    if state["step"] > stage.epochs * steps:
        return f"it is of step {state['step']}, and the stage has {stage.epochs * steps}"
    kept, told = state["keeper"]["rows"], state["first_epoch"] + state["step"] // steps
    if kept != told:
        return f"it counts {kept} epochs, and its step is in the one after {told}"
    return f"it counts {kept} epochs, and {METRICS} has {rows}" if kept > rows else ""


def threads_of(run: Run) -> int:
    """The number of threads that a run computes with, 1 to 1,024: TensorFlow takes any, and fails later."""
    return run.read_json("environment.json")["chosen"]["threads"]


def use_threads(spec: Spec, threads: int | None) -> None:
    """Compute with so many threads; TensorFlow takes that once a process. Sums depend on it, so a run keeps to it."""
    now = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    if threads is None or threads == now:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        message = f"TensorFlow already computes in this process; {threads} threads need a new one"
        raise spec.error("fit.threads", message) from None


# --- passing over steps ----------------------------------------------------------------------------------------------


class Continued(keras.callbacks.CallbackList):
    """Callbacks that hear nothing of the steps before the one that a training goes on with.

    Args:
        skip: how many steps of the first epoch these are.
    """

    def __init__(self, callbacks: list[Any], model: keras.Model, skip: int, **params: Any) -> None:
        super().__init__(callbacks, add_history=True, model=model, **params)
        self.skip = skip

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch >= self.skip:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch >= self.skip:
            super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.skip = 0
        super().on_epoch_end(epoch, logs)
