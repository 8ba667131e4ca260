"""Training, from a spec to a finished run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kplug import callbacks as kept
from kplug.build import build, build_learner, build_optimizer
from kplug.checking import plain
from kplug.checkpoint import Checkpoint, Checkpoints, owned
from kplug.data import Data, open_data
from kplug.errors import Path, Problem, SpecError, dotted
from kplug.evaluate import explained, log
from kplug.kinds import DataInfo, FitInfo, Learner
from kplug.plugins import host
from kplug.resuming import Continued, Saver, skipping
from kplug.run import BEST, LAST, RESULT, Run, refuse_existing
from kplug.spec import Spec
from kplug.weights import carry_over, freeze


def train(spec: Spec, run: str | os.PathLike[str] | None = None) -> Run:
    """Train what a spec says, and keep everything about it in a run directory.

    Args:
        spec: the experiment.
        run: a new directory for the run; by default the next number in `runs/NAME`.

    Raises:
        SpecError: the input is wrong; nothing is trained and no run is made.
    """
    if run is not None:
        refuse_existing(run)
    spec = spec.absolute()
    use_threads(spec, spec["fit.threads"])
    data = open_data(spec)
    training = prepare(data, 0)
    made = Run.create(spec, run)
    with owned(made):
        made.write_json("data.json", data.info.to_json())
        made.describe_environment(chosen(spec, training.learner.model))
        keep_samples(made, data)
        log(f"run {made.path}: {describe(data, training.learner.model)}")
        return train_stages(made, data, training, None)


def resume(directory: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Run:
    """Go on with a run that did not finish, as if it had not been stopped.

    Args:
        directory: of the run.
        changes: dotted path to value; more epochs, file paths, `fit.checkpoint` and `export` may change.

    Raises:
        SpecError: another process trains it, its data or spec is another now, or its checkpoints do not fit.
    """
    run = Run.open(directory)
    with owned(run):
        spec = changed(run, changes or {})
        longer = spec.stages()[-1][0] > run.spec.stages()[-1][0]
        if run.finished and not longer:
            log(f"{run.path} is finished; --set {dotted(last_epochs(spec))}=N with a larger N trains on")
            return run
        use_threads(spec, run.read_json("environment.json")["chosen"]["threads"])
        data = open_data(spec)
        refuse_other_data(run, data)
        found, complaints = Checkpoints(run, spec["fit.checkpoint.keep"]).newest()
        for complaint in complaints:
            log(complaint)
        if found and longer:
            found = found.unfinished()
        training = prepare(data, found.state["stage"] if found else 0)
        run = run.rewritten(spec)
        log(f"run {run.path} goes on after step {found.state['keeper']['step'] if found else 0}")
        return train_stages(run, data, training, found)


@dataclass(frozen=True)
class Training:
    """All that the training of a stage needs, checked before a run is made or touched."""

    stage: int
    data: Data
    learner: Learner
    monitor: tuple[str, str]
    info: FitInfo


def prepare(data: Data, stage: int) -> Training:
    """The model of a stage, seen to fit the data."""
    epochs, spec = data.spec.stages()[stage]
    data = Data(spec, data.splits, data.info)
    info = FitInfo(steps=data.steps * epochs, epochs=epochs)
    learner = build_learner(spec, data.info, info, spec["fit.precision"])
    freeze(spec, learner.model)
    build_optimizer(learner.model)
    monitor = best_metric(spec, reported_names(data, learner))
    return Training(stage, data, learner, monitor, info)


def train_stages(run: Run, data: Data, training: Training, found: Checkpoint | None) -> Run:
    """Train every stage from a checkpoint, or from the first step, to the end."""
    # what was kept
    keeper = kept.Keeper(run, training.monitor)
    if found:
        keeper.restore(found.state["keeper"])
    for name in ("metrics.jsonl", "timings.jsonl"):
        run.cut(name, keeper.rows)
    Checkpoints(run, 1).clean()

    # the stages
    train_stage(run, training, keeper, found)
    for stage in range(training.stage + 1, len(data.spec.stages())):
        weights = {weight.path: weight.numpy() for weight in training.learner.model.weights}
        training = prepare(data, stage)
        carry_over(weights, training.learner.model)
        train_stage(run, training, keeper, None)

    # the result
    metrics = keeper.best_metrics or first_metrics(training.data, training.learner)
    run.write_json(RESULT, {"run": str(run.path), "metrics": metrics})
    return run


def train_stage(run: Run, training: Training, keeper: kept.Keeper, found: Checkpoint | None) -> None:
    """Train one stage, in Keras's `fit`, from a checkpoint or from its first step."""
    data, learner, info = training.data, training.learner, training.info
    spec, model, steps = data.spec, learner.model, data.steps
    keeper.stage = training.stage
    if found and found.state["done"]:
        found.restore(model)
        model.optimizer.finalize_variable_values(model.trainable_weights)  # as `fit` did after the checkpoint
        return
    if not info.epochs:
        keeper.keep(model, BEST, LAST)
        return

    # where it begins
    first = found.state["step"] if found else 0
    begin = found.state["first_epoch"] if found else keeper.rows
    epochs, skip = range(begin, begin + info.epochs), first % steps

    # what else happens
    theirs = build(spec, spec["fit.callbacks"], {DataInfo: data.info, FitInfo: info})
    theirs += [c for plugin in host().manager.hook.callbacks(run=run) for c in plugin or []]
    progress = kept.Progress(epochs, steps, first)
    checkpoints = Checkpoints(run, spec["fit.checkpoint.keep"])
    every = plain(spec["fit.checkpoint"])
    saver = Saver(checkpoints, keeper, (training.stage, begin), steps, every, theirs, found)
    callbacks = Continued([*theirs, keeper, progress, saver], model, skip, epochs=epochs.stop, steps=steps)

    # the training
    with explained(data, "train"), contextlib.closing(progress), saver.at_work(), skipping(model, skip):
        batches = data.training(learner, info.epochs, first)
        model.fit(
            batches.repeat() if skip else batches,  # Keras counts the steps that are skipped against the batches
            validation_data=data.evaluation(learner, "validation") if "validation" in data.splits else None,
            initial_epoch=begin + first // steps,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )


def changed(run: Run, changes: Mapping[str, Any]) -> Spec:
    """The run's spec with changes, where these are of those that a half-trained model does not notice."""
    spec = run.spec.at(changes).absolute() if changes else run.spec
    for path, before, now in differences(plain(run.spec.root), plain(spec.root)):
        if path == last_epochs(spec) and now > before:
            log(f"{dotted(path)}: {now} instead of {before}; schedules are computed anew over all {now}")
        elif path[:2] != ("fit", "checkpoint") and path[0] != "export" and not spec.is_file_path(path):
            message = f"cannot change from {before!r} to {now!r} in a run that has begun; train a new one"
            raise SpecError([Problem(message, path, spec.where(path))])
    return spec


def last_epochs(spec: Spec) -> Path:
    """The path of the number that may be raised: the epochs of the last stage."""
    stages = len(spec["fit.stages"])
    return ("fit", "stages", stages - 1, "epochs") if stages else ("fit", "epochs")


def differences(before: Any, now: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """(path, before, now) of every value that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from differences(before.get(key), now.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, (*path, number))
    elif before != now:
        yield path, before, now


def refuse_other_data(run: Run, data: Data) -> None:
    """SpecError where the source does not give what it gave when the run began."""
    for path, then, now in differences(run.info.to_json(), data.info.to_json()):
        message = f"the data is not what it was: {dotted(path)} was {then!r} and is {now!r}; put it back, or train anew"
        raise SpecError(message).located(("data", "source"), str(run.path))


def use_threads(spec: Spec, threads: int | None) -> None:
    """Compute with so many threads; TensorFlow takes that once a process. Sums depend on it, so a run keeps to it."""
    now = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    if threads is None or threads == now:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        path = ("fit", "threads")
        message = f"TensorFlow already computes in this process; {threads} threads need a new one"
        raise SpecError(message).located(path, spec.where(path)) from None


def reported_names(data: Data, learner: Learner) -> list[str]:
    """The metrics that an epoch will report, from one batch seen before the first step."""
    split = "validation" if "validation" in data.splits else "train"
    with explained(data, split):
        batch = data.evaluation(learner, split).take(1)
        names = kept.in_order(learner.model.evaluate(batch, verbose=0, return_dict=True))
    learner.model.reset_metrics()
    return [*names, *(f"val_{name}" for name in names if split == "validation")]


def best_metric(spec: Spec, names: list[str]) -> tuple[str, str]:
    """(metric, minimize or maximize) of `fit.best`, checked against what will be reported."""
    ((direction, name),) = spec["fit.best"].items()
    if name in names:
        return name, direction
    if name == "val_loss" and not any(n.startswith("val_") for n in names):
        return "loss", direction  # the default, where nothing validates
    path = ("fit", "best", direction)
    raise SpecError(f"'{name}' is not reported; this run reports {', '.join(names)}").located(path, spec.where(path))


def first_metrics(data: Data, learner: Learner) -> dict[str, float]:
    """What weights that were never trained give on the validation split."""
    if "validation" not in data.splits:
        return {}
    values = learner.model.evaluate(data.evaluation(learner, "validation"), verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in kept.in_order(values).items()}


def keep_samples(run: Run, data: Data, most: int = 16) -> None:
    """A few real pictures, as the model gets them: what an export is compared on, without the source."""
    split = next(name for name in ("validation", "test", "train") if name in data.splits)
    with explained(data, split):
        pictures = next(iter(data.examples(split)))["image"][:most].numpy()
    for number, picture in enumerate(pictures):
        run.write(f"samples/{number:02}.png", tf.io.encode_png(picture).numpy())


def chosen(spec: Spec, model: keras.Model) -> dict[str, Any]:
    """What the training settled on, for `environment.json`."""
    return {
        "precision": spec["fit.precision"],
        "threads": spec["fit.threads"] or os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "parameters": model.count_params(),
    }


def describe(data: Data, model: keras.Model) -> str:
    """One line: how much data, how large a model."""
    sizes = ", ".join(f"{size:,} {name}" for name, size in data.info.splits.items())
    shape = "x".join(str(n) for n in data.info.image_shape)
    return f"{sizes} examples of {shape}; {model.count_params():,} parameters; {data.steps} steps an epoch"
