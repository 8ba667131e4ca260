"""Training, from a spec to a finished run, told from top to bottom.

`train` begins a run and `resume` goes on with one; both make a `Plan` and hand it to `run_stages`, which finds where
to begin and trains stage after stage. One stage, in Keras's `fit`, is `train_stage`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.splits import open_data
from kplug.errors import BlownUp, SpecError, dotted, listed
from kplug.inference.run import Run
from kplug.inference.samples import keep_samples
from kplug.model.from_run import find_parts, keep_parts, rebuild_of
from kplug.model.learner import build_learner, build_optimizers, refuse_other_sizes
from kplug.model.machine import Hardware
from kplug.model.memory import out_of_memory, refuse_large_evaluation, refuse_too_large
from kplug.model.patches import directions_of
from kplug.model.weights import carry_over, freeze, taken_over_from
from kplug.records import Field, FitInfo, Learner, Rebuild
from kplug.spec import Spec
from kplug.spec.spec import in_terms_of_format_1
from kplug.storage.files import clear_half_written, not_finite, refuse_links
from kplug.storage.metrics import best_metric, refuse_unwatched
from kplug.storage.notes import Notes
from kplug.storage.run_directory import RESULT, owned, refuse_existing, refuse_patterns
from kplug.training import auto
from kplug.training.checkpoints import Checkpoint, Checkpoints
from kplug.training.cluster import Cluster
from kplug.training.plan import Plan, PreparedStage, Stage
from kplug.training.recorder import Recorder
from kplug.training.resume import (
    has_begun,
    has_more_epochs,
    last_epochs,
    newest_checkpoint,
    refuse_changes,
    refuse_half_made,
    refuse_other_data,
    threads_of,
    use_threads,
)
from kplug.training.rollback import finish_rollback, keep_best, roll_back
from kplug.training.stage import train_stage
from kplug.training.validation import epoch_evaluators, first_metrics, reported_names
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
    # --- is there a run already? ---
    refuse_patterns("runs" if run is None else run)
    if run is not None and not go_on:
        refuse_existing(run)
    spec = spec.absolute()
    begun = go_on and run is not None and has_begun(run)
    if begun and Run.open(run).facts["format"] == 1:  # type: ignore[arg-type]
        spec = in_terms_of_format_1(Run.open(run).spec, spec)  # type: ignore[arg-type]

    # --- what computes; whether there is a run, the chief alone can see ---
    # threads first: a strategy that is built may start the devices, after which TensorFlow takes no number of threads
    use_threads(spec, threads_of(Run.open(run)) if begun else spec["fit.threads"])  # type: ignore[arg-type]
    cluster = join(spec)
    if cluster.broadcast(b"begun" if begun else b"new") == b"begun":
        return _continue(run, spec, cluster)  # type: ignore[arg-type]

    # --- everything that can be refused, before a run is made ---
    plan = Plan(open_data(spec), cluster, Hardware.here(cluster.replicas))
    notes = Notes()
    prepared = prepare(plan, plan.stages[0], Rebuild(found_once=notes.find), is_new=True)
    sources = find_parts(spec)
    facts = plan.data.info.to_json()
    if lost := not_finite(facts):
        raise SpecError(f"the run could not keep {listed(lost)} of the data, since JSON has no word for it")

    # --- the run ---
    with directory_of(cluster, run) as directory:
        made = Run.create(spec, directory)
        with owned(made.path):
            notes.keep_in(made)
            keep_parts(made, sources)
            made.write_json("data.json", facts)
            keep_samples(made, plan.data)
            # the last file of a new run: with it, a directory is one to go on with (`has_begun`)
            made.describe_environment(prepared.choices | {"cluster": cluster.to_json()})
            log(f"run {made.path}: {describe(prepared)}")
            for remark in plan.data.info.remarks:
                log(remark)
            return run_stages(made, plan, prepared)


def resume(directory: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Run:
    """Go on with a run that did not finish, as if it had not been stopped.

    Args:
        directory: the run's.
        changes: dotted path to value; more epochs, file paths, `fit.checkpoint` and `export` may change.

    Raises:
        SpecError: another process trains it, its data or spec is another now, or its checkpoints do not fit.
    """
    run = Run.open(directory)
    refuse_half_made(run)
    spec = run.spec.at(changes).absolute() if changes else run.spec
    refuse_changes(run.spec, spec)
    if run.finished and not has_more_epochs(run.spec, spec):
        log(f"{run.path} is finished; --set {dotted(last_epochs(spec))}=N with a larger N trains on")
        return run
    use_threads(spec, threads_of(run))
    return _continue(directory, spec, join(spec))


def _continue(directory: str | os.PathLike[str], spec: Spec, cluster: Cluster) -> Run:
    """Train the rest of a run: nothing is touched before its directory, spec and data are seen to be good for it."""
    with directory_of(cluster, directory) as path, owned(Path(path)):
        refuse_patterns(path)
        refuse_links(Path(path))
        share_run(cluster, path)
        run = Run.open(path)
        refuse_changes(run.spec, spec)
        is_longer = has_more_epochs(run.spec, spec)
        if run.finished and not is_longer:
            return run
        data = open_data(spec)
        refuse_other_data(run, data)
        hardware = Hardware.from_json(run.read_json("environment.json")["chosen"]["hardware"])
        return run_stages(run, Plan(data, cluster, hardware, is_longer))


def run_stages(run: Run, plan: Plan, prepared: PreparedStage | None = None) -> Run:
    """Train what a run lacks, from where its directory says, to its result.

    Args:
        run: a new one, or one that did not finish.
        plan: what is trained.
        prepared: the first stage of a new run, which was prepared before the run was made.
    """
    # Where a training begins: anew, after a kill, and after it diverged. The order is important, since each step goes
    # by the files that the steps before it leave.
    #  1. A finished run is left as it is, and one whose spec, data or owner forbids it is refused: `_continue` did
    #     that.
    #  2. A rollback that a kill cut short is brought to its end: what it gave up must not be found in the next step.
    #  3. The newest whole checkpoint says in which stage and after which step. Without one: the first step of all.
    #  4. That stage's model is built. With a checkpoint its weights follow, and no file of initial weights is read.
    #  5. Now that all which can be refused has passed, the run takes the spec, which may have more epochs, and loses
    #     its result.
    #  6. The recorder takes what the checkpoint knows. Rows that were written later go: their epochs come again.
    #  7. The best epoch stays the best though a rollback gave it up, since its weights are the ones that are kept.
    #  8. What a kill left half-written is removed, and checkpoints that were passed over, which would be kept in the
    #     place of new ones.
    #  9. `train_stage` puts the variables back, when `fit` has begun, and passes over the steps that were made.
    is_resumed = prepared is None
    while True:
        finish_rollback(run)
        found = newest_checkpoint(run, plan)
        prepared = prepared or prepare_at(found, run, plan)
        run = run.rewritten(plan.data.spec)
        recorder = Recorder(run, prepared.monitor)
        recorder.begin_at(found)
        keep_best(run, recorder)
        Checkpoints(run, 1).clean(found)
        clear_half_written(run.path, *(folder for folder in run.path.iterdir() if folder.is_dir()))
        if is_resumed:
            log(f"run {run.path} goes on after step {recorder.step}" if found else f"run {run.path} begins anew")
        try:
            last = train_from(found, run, prepared, recorder)
            break
        except BlownUp as error:
            if plan.cluster.is_multi_worker:  # the others may not have seen it
                raise
            roll_back(run, recorder, error)
        prepared, is_resumed = None, False

    metrics = recorder.best_metrics or first_metrics(last.data, last.learner, plan.cluster)
    run.write_json(RESULT, {"run": str(run.path), "metrics": metrics})
    return run


def prepare_at(found: Checkpoint | None, run: Run, plan: Plan) -> PreparedStage:
    """The stage of a checkpoint, whose weights follow; the first stage with its initial ones where there is none."""
    stage = plan.stages[found.state["stage"] if found else 0]
    return prepare(plan, stage, rebuild_of(run, lambda weights: found is not None))


def train_from(found: Checkpoint | None, run: Run, prepared: PreparedStage, recorder: Recorder) -> PreparedStage:
    """Train a stage, from a checkpoint or from its first step, and all that follow; the last of them is returned."""
    train_stage(run, prepared, recorder, found)
    plan = prepared.plan
    for stage in plan.stages[prepared.stage.number + 1 :]:
        # Taken as arrays before the next model is built: that clears Keras's session, and asks which of its weights
        # these replace, so that no file is read for them.
        weights = {weight.path: weight.numpy() for weight in prepared.learner.model.weights}
        prepared = prepare(plan, stage, rebuild_of(run, taken_over_from(weights)))
        carry_over(weights, prepared.learner.model)
        train_stage(run, prepared, recorder, None)
    return prepared


# --- a stage, before it is trained -----------------------------------------------------------------------------------


def prepare(plan: Plan, stage: Stage, rebuild: Rebuild, is_new: bool = False) -> PreparedStage:
    """The model of a stage, seen to fit the data and the devices; `is_new` says that a training begins.

    The optimizer makes its variables for the weights that `freeze` leaves trained. All that traces a step comes after
    it: a step whose trace makes them would never run (see `build_optimizers`).
    """
    data, hardware = replace(plan.data, spec=stage.spec), plan.hardware
    refuse_untried(plan.cluster, stage, is_new)
    refuse_uneven(plan.cluster, stage.spec, data.batch_size, data.block)
    info = FitInfo(steps=data.steps * stage.epochs, epochs=stage.epochs, is_new=is_new)
    learner, policy = build_as_chosen(plan, stage, info, rebuild)
    refuse_other_sizes(data, learner)
    freeze(stage.spec, learner.model)
    build_optimizers(learner)
    chosen = auto.choose(stage, hardware, learner.model, data.steps, data.batch_size) | {"precision": policy}
    names = reported_names(data, learner, epoch_evaluators(data, learner))
    monitor = best_metric(stage.spec, names, learner.best)
    refuse_unwatched(stage.spec, names, directions_of(learner.model), is_new or stage is not plan.stages[0])
    is_read_often = sum(each.epochs for each in plan.stages) > 1
    if stage.epochs:
        auto.refuse_crash(stage, hardware, learner.model, data.batch_size)
        refuse_too_large(data, learner, hardware.replicas, data.bytes_to_keep if is_read_often else 0)
        if "validation" in data.splits:
            refuse_large_evaluation(data, learner, "validation")
    if is_read_often:
        read_ahead(data)
    return PreparedStage(plan, stage, data, learner, info, chosen, monitor)


def read_ahead(data: Data) -> None:
    """Read what every epoch reads, where it can be kept in memory."""
    for split in ("train", "validation"):
        if split in data.splits:
            with explained(data, split, out_of_memory):
                data.read_ahead(split)


def build_as_chosen(plan: Plan, stage: Stage, info: FitInfo, rebuild: Rebuild) -> tuple[Learner, str]:
    """The learner in the precision that the rules give its model, and that precision.

    The rules look at the layers, which are there only once the model is built: it is built again where they say
    another precision than the one without a model.
    """
    policy = auto.precision(stage, plan.hardware)
    while True:
        learner = build_learner(stage.spec, plan.data.info, info, policy, plan.cluster.strategy, rebuild)
        policy, built = auto.precision(stage, plan.hardware, learner.model), policy
        if policy == built:
            return learner, policy


# --- a new run -------------------------------------------------------------------------------------------------------


def describe(prepared: PreparedStage) -> str:
    """One line: how much data, how large a model, what computes and how."""
    data = prepared.data
    shapes = ", ".join(f"{name} {shape_in_words(field)}" for name, field in data.info.fields.items())
    sizes = ", ".join(f"{size:,} {name}" for name, size in data.info.splits.items())
    model = f"{prepared.learner.model.count_params():,} parameters; {data.steps} steps an epoch"
    return f"{sizes} examples of {shapes}; {model}; {prepared.plan.cluster.in_words}, {prepared.choices['precision']}"


def shape_in_words(field: Field) -> str:
    """The shape of a field: `8x8x1`; a single number is called by its dtype."""
    return "x".join(str(size) for size in field.shape) or field.dtype
