"""One stage of a training: the one call of Keras's `fit`, and the callbacks around it in their order."""

from __future__ import annotations

import functools
from contextlib import closing
from typing import Any

import keras

from kplug.data.readable import explained
from kplug.errors import PluginFailed
from kplug.inference.run import Run
from kplug.model.memory import out_of_memory
from kplug.model.network import placed
from kplug.model.patches import skipping
from kplug.records import DataInfo, FitInfo
from kplug.spec.build import build
from kplug.spec.plugins import Plugin, call_hook
from kplug.storage.run_directory import BEST, LAST, RunDirectory
from kplug.training.averaging import averaging, finish
from kplug.training.checkpoints import Checkpoint
from kplug.training.cluster import noticing_loss
from kplug.training.plan import PreparedStage
from kplug.training.progress import Progress, Reading
from kplug.training.recorder import Recorder
from kplug.training.resume import Continued
from kplug.training.saver import Saver
from kplug.training.validation import EpochEvaluators, epoch_evaluators, validation_batches
from kplug.training.workers import Agreeing


def train_stage(run: Run, prepared: PreparedStage, recorder: Recorder, found: Checkpoint | None) -> None:
    """Train a stage to its end, from a checkpoint or from its first step; the run's files and the model hold what came.

    The callbacks are told of everything in this order:
     1. `Agreeing` gives all replicas the same moving statistics, before anybody looks at the weights.
     2. `Reading` may stand anywhere: it only notes which split is read.
     3. `callbacks_of`: averaged weights are put into the model, then come the callbacks of the spec and of plugins.
     4. `Recorder` sees what these reported, and writes the epoch's row before the checkpoint that counts it.
     5. `Progress` shows what these reported, before a checkpoint may be the end of the process.
     6. `Saver` keeps the state that all others left, and ends the training where SIGTERM asked for it.

    Around `fit` there are, from within: steps that were made before are skipped; SIGTERM waits for a checkpoint; the
    terminal is given back before anything is said of an error; errors of examples and of memory are explained; those
    that are left may mean that another worker is gone.
    """
    plan, data, learner = prepared.plan, prepared.data, prepared.learner
    model, steps, cluster = learner.model, data.steps, plan.cluster
    recorder.stage, recorder.learner = prepared.stage.number, learner

    # --- is there anything to train? ---
    if found and found.state["done"]:
        found.restore(model)
        finish(model)  # as `fit` did after the checkpoint
        return
    if not prepared.stage.epochs:
        recorder.keep(model, BEST, LAST)
        return

    # --- where it begins ---
    first_step = found.state["step"] if found else 0  # counted over the stage
    first_epoch = found.state["first_epoch"] if found else recorder.rows  # of the stage, counted over the training
    epochs = range(first_epoch, first_epoch + prepared.stage.epochs)
    skipped = first_step % steps  # steps of the first epoch that were made before

    # --- what else happens ---
    theirs, agreeing, reading = callbacks_of(run, prepared), Agreeing(cluster), Reading()
    progress = Progress(epochs, steps, first_step, quiet=not cluster.is_chief)
    saver = Saver(recorder, first_epoch, steps, plan.checkpoint, theirs, found, agreeing)
    callbacks = [agreeing, reading, *theirs, recorder, progress, saver]

    # --- the training ---
    readable = explained(data, lambda: reading.split, functools.partial(out_of_memory, learner=learner))
    with noticing_loss(cluster), readable, closing(progress), placed(), saver.at_work(), skipping(model, skipped):
        validation, validation_steps = validation_batches(data, learner, cluster)
        model.fit(
            training_batches(prepared, first_step),
            validation_data=validation,
            validation_steps=validation_steps,
            initial_epoch=first_epoch + first_step // steps,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            callbacks=Continued(callbacks, model, skipped, epochs=epochs.stop, steps=steps),
            shuffle=False,
            verbose=0,
        )


def training_batches(prepared: PreparedStage, first_step: int) -> Any:
    """The batches of a stage from one of its steps on.

    Where that is in the middle of an epoch they are made endless, though none is taken twice: Keras stops once it has
    counted as many steps as the data have batches, and it counts the skipped steps, which take none. The batches of a
    cluster are endless already.
    """
    data, learner, cluster = prepared.data, prepared.learner, prepared.plan.cluster
    batches = cluster.batches(lambda slices: data.training(learner, prepared.stage.epochs, first_step, slices))
    return batches.repeat() if first_step % data.steps and not cluster.is_multi_worker else batches


def callbacks_of(run: Run, prepared: PreparedStage) -> list[Any]:
    """The callbacks of the optimizer, the task, the spec and plugins, in an order that a resumed training has too."""
    given = {DataInfo: prepared.data.info, FitInfo: prepared.info, RunDirectory: run}
    own = [*prepared.learner.callbacks, *build(prepared.stage.spec, prepared.stage.fit.callbacks, given)]
    added = [callback for answer in call_hook("callbacks", run=run) for callback in _callbacks(*answer)]
    return [*averaging(prepared.learner.model), *looking(prepared), *own, *added]


def _callbacks(plugin: Plugin, given: Any) -> list[Any]:
    """The callbacks that a plugin gave by the hook.

    Raises:
        PluginFailed: they are no list of callbacks.
    """
    if isinstance(given, list | tuple) and all(isinstance(one, keras.callbacks.Callback) for one in given):
        return list(given)
    what = f"a {type(given).__name__}" + (" with something else" if isinstance(given, list | tuple) else "")
    raise PluginFailed(f"the hook 'callbacks' of plugin {plugin} gave {what}; it gives a list of callbacks of Keras")


def looking(prepared: PreparedStage) -> list[Any]:
    """The callback that shows validation to evaluators: before those that go by what they report, after averages."""
    data, learner = prepared.data, prepared.learner
    evaluators = epoch_evaluators(data, learner)
    return [EpochEvaluators(data, learner, evaluators, prepared.plan.cluster)] if evaluators else []
