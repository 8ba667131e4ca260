"""One stage of a training, in Keras's `fit`."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.inference.run import Run
from kplug.model.machine import Hardware
from kplug.model.memory import out_of_memory
from kplug.model.patches import skipping
from kplug.records import DataInfo, FitInfo, Learner
from kplug.spec.build import build
from kplug.spec.plugins import host
from kplug.spec.tree import plain
from kplug.storage.run_directory import BEST, LAST
from kplug.training.averaging import averaging, finish
from kplug.training.checkpoints import Checkpoint, Checkpoints
from kplug.training.cluster import Cluster, noticing_loss
from kplug.training.progress import Progress, Reading
from kplug.training.recorder import Recorder
from kplug.training.resume import Continued
from kplug.training.saver import Saver
from kplug.training.validation import evaluated, evaluation_steps
from kplug.training.workers import Agreeing


@dataclass(frozen=True)
class Training:
    """All that the training of a stage needs, checked before a run is made or touched."""

    stage: int
    cluster: Cluster
    hardware: Hardware
    choices: dict[str, Any]
    data: Data
    learner: Learner
    monitor: tuple[str, str] | None
    info: FitInfo


def train_stage(run: Run, training: Training, keeper: Recorder, found: Checkpoint | None) -> None:
    """Train one stage, in Keras's `fit`, from a checkpoint or from its first step."""
    data, learner, info, cluster = training.data, training.learner, training.info, training.cluster
    spec, model, steps = data.spec, learner.model, data.steps
    keeper.stage = training.stage
    if found and found.state["done"]:
        found.restore(model)
        finish(model)  # as `fit` did after the checkpoint
        return
    if not info.epochs:
        keeper.keep(model, BEST, LAST)
        return

    # where it begins
    first = found.state["step"] if found else 0
    begin = found.state["first_epoch"] if found else keeper.rows
    epochs, skip = range(begin, begin + info.epochs), first % steps

    # what else happens
    theirs = averaging(model) + build(spec, spec["fit.callbacks"], {DataInfo: data.info, FitInfo: info})
    theirs += [c for plugin in host().manager.hook.callbacks(run=run) for c in plugin or []]
    agreeing, reading = Agreeing(cluster), Reading()
    progress = Progress(epochs, steps, first, quiet=not cluster.is_chief)
    checkpoints = Checkpoints(run, spec["fit.checkpoint.keep"])
    every = plain(spec["fit.checkpoint"])
    saver = Saver(checkpoints, keeper, (training.stage, begin), steps, every, theirs, found, agreeing)
    callbacks = Continued(
        [agreeing, reading, *theirs, keeper, progress, saver], model, skip, epochs=epochs.stop, steps=steps
    )

    # the training
    validates = "validation" in data.splits
    with (
        noticing_loss(cluster),
        explained(data, lambda: reading.split, functools.partial(out_of_memory, learner=learner)),
        closing(progress),
        saver.at_work(),
        skipping(model, skip),
    ):
        batches = cluster.batches(lambda shares: data.training(learner, info.epochs, first, shares))
        model.fit(
            batches.repeat() if skip and not cluster.is_multi_worker else batches,  # Keras counts skipped steps too
            validation_data=evaluated(data, learner, cluster, "validation") if validates else None,
            validation_steps=evaluation_steps(data, cluster, "validation") if validates else None,
            initial_epoch=begin + first // steps,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
