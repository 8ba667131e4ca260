"""Training, from a spec to a finished run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import tensorflow as tf

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.splits import open_data
from kplug.errors import BlownUp, dotted
from kplug.inference.run import Run
from kplug.model.from_run import find_parts, keep_parts, parts_of
from kplug.model.learner import build_learner, build_optimizer
from kplug.model.machine import Hardware
from kplug.model.memory import out_of_memory, refuse_too_large
from kplug.model.weights import carry_over, freeze, values_follow
from kplug.records import FitInfo, Learner
from kplug.spec import Spec
from kplug.storage.metrics import best_metric
from kplug.storage.notes import Notes, noted
from kplug.storage.run_directory import RESULT, owned, refuse_existing
from kplug.training import auto as choices
from kplug.training import recorder as kept
from kplug.training.checkpoints import Checkpoint, Checkpoints
from kplug.training.cluster import Cluster
from kplug.training.resume import (
    begun_in,
    has_more_epochs,
    last_epochs,
    refuse_changes,
    refuse_other_data,
    threads_of,
    use_threads,
)
from kplug.training.rollback import finish_rollback, keep_best, roll_back
from kplug.training.stage import Training, train_stage
from kplug.training.validation import first_metrics, reported_names
from kplug.training.workers import directory_of, join, refuse_uneven, refuse_untried, share_run


def train(spec: Spec, run: str | os.PathLike[str] | None = None, go_on: bool = False) -> Run:
    """Train what a spec says, and keep everything about it in a run directory.

    Args:
        spec: the experiment.
        run: a new directory for the run; by default the next number in `runs/NAME`.
        go_on: where that directory holds an unfinished run of this spec, go on with it.

    Raises:
        SpecError: the input is wrong; nothing is trained and no run is made.
    """
    if run is not None and not go_on:
        refuse_existing(run)
    spec = spec.absolute()
    begun = go_on and run is not None and begun_in(run)
    use_threads(spec, threads_of(Run.open(run)) if begun else spec["fit.threads"])  # type: ignore[arg-type]
    cluster = join(spec)
    if cluster.share(b"begun" if begun else b"new") == b"begun":
        return go_on_with(run, spec, cluster)  # type: ignore[arg-type]
    data = open_data(spec)
    notes = Notes({})
    with noted(notes):
        training = prepare(data, 0, cluster, Hardware.here(cluster.replicas))
    sources = find_parts(spec)
    with directory_of(cluster, run) as directory:
        made = Run.create(spec, directory)
        with owned(made.path), parts_of(made, notes.known):
            keep_parts(made, sources)
            made.write_json("data.json", data.info.to_json())
            keep_samples(made, data)
            made.describe_environment(training.choices | {"cluster": cluster.to_json()})
            log(f"run {made.path}: {describe(data, training)}")
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
    spec = run.spec.at(changes).absolute() if changes else run.spec
    refuse_changes(run.spec, spec)
    if run.finished and not has_more_epochs(run.spec, spec):
        log(f"{run.path} is finished; --set {dotted(last_epochs(spec))}=N with a larger N trains on")
        return run
    use_threads(spec, threads_of(run))
    return go_on_with(directory, spec, join(spec))


def go_on_with(directory: str | os.PathLike[str], spec: Spec, cluster: Cluster) -> Run:
    """Train the rest of a run, from its newest good checkpoint."""
    with directory_of(cluster, directory) as path, owned(Run.open(path).path) if cluster.is_chief else nullcontext():
        share_run(cluster, path)
        run = Run.open(path)
        refuse_changes(run.spec, spec)
        longer = has_more_epochs(run.spec, spec)
        if run.finished and not longer:
            return run
        data = open_data(spec)
        refuse_other_data(run, data)
        finish_rollback(run)
        found, complaints = Checkpoints(run, spec["fit.checkpoint.keep"]).newest()
        for complaint in complaints:
            log(complaint)
        if found and longer:
            found = found.unfinished()
        hardware = Hardware.from_json(run.read_json("environment.json")["chosen"]["hardware"])
        with parts_of(run):
            training = prepare_again(data, found, cluster, hardware)
            run = run.rewritten(spec)
            log(f"run {run.path} goes on after step {found.state['keeper']['step'] if found else 0}")
            return train_stages(run, data, training, found)


def prepare(data: Data, stage: int, cluster: Cluster, hardware: Hardware) -> Training:
    """The model of a stage, seen to fit the data and the devices."""
    epochs, spec = data.spec.stages()[stage]
    data = Data(spec, data.splits, data.info)
    info = FitInfo(steps=data.steps * epochs, epochs=epochs)
    refuse_untried(cluster, spec)
    refuse_uneven(cluster, spec, data.batch_size)
    learner, policy = build_as_chosen(data, info, cluster, hardware)
    freeze(spec, learner.model)
    build_optimizer(learner.model)
    made = choices.apply(spec, hardware, learner.model, data.steps, data.batch_size) | {"precision": policy}
    monitor = best_metric(spec, reported_names(data, learner))
    if epochs:
        choices.refuse_crash(spec, hardware, learner.model, data.batch_size)
        refuse_too_large(data, learner, hardware.replicas)
    return Training(stage, cluster, hardware, made, data, learner, monitor, info)


def prepare_again(data: Data, found: Checkpoint | None, cluster: Cluster, hardware: Hardware) -> Training:
    """As `prepare`, for the stage of a checkpoint, whose weights follow; for the first stage where there is none."""
    if not found:
        return prepare(data, 0, cluster, hardware)
    with values_follow():
        return prepare(data, found.state["stage"], cluster, hardware)


def build_as_chosen(data: Data, info: FitInfo, cluster: Cluster, hardware: Hardware) -> tuple[Learner, str]:
    """The learner, in the precision that the rules give its model, and that precision."""
    policy = choices.precision(data.spec, hardware)
    while True:
        learner = build_learner(data.spec, data.info, info, policy, cluster.strategy)
        policy, built = choices.precision(data.spec, hardware, learner.model), policy
        if policy == built:
            return learner, policy


def train_stages(run: Run, data: Data, training: Training, found: Checkpoint | None) -> Run:
    """Train every stage from a checkpoint, or from the first step, to the end; after a setback, from there again."""
    cluster, hardware = training.cluster, training.hardware
    while True:
        # what was kept
        keeper = kept.Recorder(run, training.monitor)
        if found:
            keeper.restore(found.state["keeper"])
        for name in ("metrics.jsonl", "timings.jsonl"):
            run.cut(name, keeper.rows)
        keep_best(run, keeper)
        Checkpoints(run, 1).clean()

        # the stages
        try:
            last = train_from(run, data, training, keeper, found)
            break
        except BlownUp as error:
            if cluster.is_multi_worker:
                raise
            found = roll_back(run, keeper, error)
        training = prepare_again(data, found, cluster, hardware)

    # the result
    metrics = keeper.best_metrics or first_metrics(last.data, last.learner, cluster)
    run.write_json(RESULT, {"run": str(run.path), "metrics": metrics})
    return run


def train_from(run: Run, data: Data, training: Training, keeper: kept.Recorder, found: Checkpoint | None) -> Training:
    """Train a stage, from a checkpoint or from its first step, and those that follow; the last of them."""
    train_stage(run, training, keeper, found)
    for stage in range(training.stage + 1, len(data.spec.stages())):
        weights = {weight.path: weight.numpy() for weight in training.learner.model.weights}
        with values_follow(weights):
            training = prepare(data, stage, training.cluster, training.hardware)
        carry_over(weights, training.learner.model)
        train_stage(run, training, keeper, None)
    return training


def keep_samples(run: Run, data: Data, most: int = 16) -> None:
    """A few real pictures, as the model gets them: what an export is compared on, without the source."""
    split = next(name for name in ("validation", "test", "train") if name in data.splits)
    with explained(data, split, out_of_memory):
        pictures = next(iter(data.examples(split)))["image"][:most].numpy()
    for number, picture in enumerate(pictures):
        run.write(f"samples/{number:02}.png", tf.io.encode_png(picture).numpy())


def describe(data: Data, training: Training) -> str:
    """One line: how much data, how large a model, what computes and how."""
    sizes = ", ".join(f"{size:,} {name}" for name, size in data.info.splits.items())
    shape = "x".join(str(n) for n in data.info.image_shape)
    model = f"{training.learner.model.count_params():,} parameters; {data.steps} steps an epoch"
    return f"{sizes} examples of {shape}; {model}; {training.cluster.in_words}, {training.choices['precision']}"
