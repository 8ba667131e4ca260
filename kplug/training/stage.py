"""One stage of a training, in Keras's `fit`."""

from __future__ import annotations

import functools
from contextlib import closing
from typing import Any

from kplug.data.readable import explained
from kplug.inference.run import Run
from kplug.model.memory import out_of_memory
from kplug.model.patches import skipping
from kplug.records import DataInfo, FitInfo
from kplug.spec.build import build
from kplug.spec.plugins import host
from kplug.storage.run_directory import BEST, LAST, RunDirectory
from kplug.training.averaging import averaging, finish
from kplug.training.checkpoints import Checkpoint, Checkpoints
from kplug.training.cluster import noticing_loss
from kplug.training.plan import Training
from kplug.training.progress import Progress, Reading
from kplug.training.recorder import Recorder
from kplug.training.resume import Continued
from kplug.training.saver import Saver
from kplug.training.validation import validation_of
from kplug.training.workers import Agreeing


def train_stage(run: Run, training: Training, recorder: Recorder, found: Checkpoint | None) -> None:
    """Train one stage, in Keras's `fit`, from a checkpoint or from its first step."""
    plan, data, learner, epochs = training.plan, training.data, training.learner, training.stage.epochs
    model, steps, cluster = learner.model, data.steps, plan.cluster
    recorder.stage = training.stage.number

    # --- is there anything to train? ---
    if found and found.state["done"]:
        found.restore(model)
        finish(model)  # as `fit` did after the checkpoint
        return
    if not epochs:
        recorder.keep(model, BEST, LAST)
        return

    # --- where it begins ---
    first = found.state["step"] if found else 0
    begin = found.state["first_epoch"] if found else recorder.rows
    span, skip = range(begin, begin + epochs), first % steps

    # --- what else happens, in this order: the recorder sees what the others reported, the saver what they all left ---
    theirs, agreeing, reading = callbacks_of(run, training), Agreeing(cluster), Reading()
    progress = Progress(span, steps, first, quiet=not cluster.is_chief)
    checkpoints = Checkpoints(run, plan.checkpoint.keep)
    saver = Saver(checkpoints, recorder, begin, steps, plan.checkpoint, theirs, found, agreeing)
    callbacks = [agreeing, reading, *theirs, recorder, progress, saver]
    hearing = Continued(callbacks, model, skip, epochs=span.stop, steps=steps)

    # --- the training ---
    readable = explained(data, lambda: reading.split, functools.partial(out_of_memory, learner=learner))
    with noticing_loss(cluster), readable, closing(progress), saver.at_work(), skipping(model, skip):
        batches = cluster.batches(lambda shares: data.training(learner, epochs, first, shares))
        model.fit(
            batches.repeat() if skip and not cluster.is_multi_worker else batches,  # Keras counts skipped steps too
            **validation_of(data, learner, cluster),
            initial_epoch=begin + first // steps,
            epochs=span.stop,
            steps_per_epoch=steps,
            callbacks=hearing,
            shuffle=False,
            verbose=0,
        )


def callbacks_of(run: Run, training: Training) -> list[Any]:
    """The callbacks of the optimizer, the spec and plugins, in an order that a resumed training has too."""
    given = {DataInfo: training.data.info, FitInfo: training.info, RunDirectory: run}
    own = build(training.stage.spec, training.stage.fit.callbacks, given)
    added = [callback for plugin in host().manager.hook.callbacks(run=run) for callback in plugin or []]
    return [*averaging(training.learner.model), *own, *added]
