"""The sections of a spec: what may stand in it, what fills it where nothing is said, and what it means."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len, MinLen

from kplug.errors import SpecError, listed
from kplug.kinds import (
    MOST,
    Augmentation,
    Callback,
    Count,
    Evaluator,
    Executor,
    Feature,
    FieldName,
    Fraction,
    Known,
    Name,
    Natural,
    NonNegative,
    Oracle,
    Positive,
    Pruner,
    Sampler,
    Seed,
    Source,
    Strategy,
    Task,
    Text,
    call,
    rule,
)

# Sections are declared, hardly made, and never compared or printed: eq and repr would cost each start of the command
# line 8 ms, as every method of a dataclass is compiled when its class is.
FORMAT: Literal[2] = 2
MOST_STAGES = 1000
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


def _fold_is_there(fold: int, of: int) -> None:
    if fold >= of:
        raise ValueError(f"fold {fold} is not there: {of} folds are numbered 0 to {of - 1}")


def refuse_few_groups(of: int, by: str | None, data: Known) -> None:
    """The rule of folds by a column whose values are known before the data is opened: classes, or cells of a table."""
    column = by or data.group or ""
    classes = data.facts.get(column, {}).get("classes") or ()
    groups = classes or {*(data.cells(column) or ())}
    if groups and len(groups) < of:
        what = f"{len(groups)} {'classes' if classes else 'groups'}"
        raise ValueError(f"'{column}' has {what}, which cannot be cut into {of} folds")


def refuse_cut_groups(by: str | None, data: Known) -> None:
    """The rule of a column that may not tell rows apart which the source keeps together."""
    if by is None or data.group in (None, by):
        return
    groups, cells = data.cells(str(data.group)), data.cells(by)
    if groups is not None and cells is not None and (cut := cut_groups(groups, cells)):
        raise SpecError(told_cut(str(data.group), by, cut), ("by",))


def cut_groups(groups: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The groups, sorted, whose rows have more than one value of another column."""
    pairs = {*zip(groups, cells, strict=True)}
    counts = Counter(group for group, _ in pairs)
    return sorted(group for group, count in counts.items() if count > 1)


def told_cut(group: str, by: str, cut: Sequence[str]) -> str:
    """The refusal of a column that cuts groups of the source."""
    what = f"'{by}' cuts groups of the source, whose '{group}' says which rows belong together: {listed(cut)}"
    return f"{what}; write by: {group}, or a column that has one value for all rows of a {group}"


@rule(refuse_cut_groups)
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ShareSection:
    """A share of the training examples, which validates.

    Args:
        share: of the examples; exact to within one group.
        by: the column that says which examples belong together (a patient, a recording; the label: classes that
            training never sees), of which none is cut, nor any of the group that the source names; null: that group,
            else each by itself.
        key: what chooses where nothing is a group: the name of an example relative to its source, which is the same
            wherever the data lie; or its whole path, by which kplug 0.1.0 went.
    """

    share: Fraction
    by: FieldName | None = None
    key: Literal["name", "path"] = "name"


@rule(refuse_cut_groups)
@rule(refuse_few_groups)
@rule(_fold_is_there)
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FoldSection:
    """One part of the training examples, which validates (cross-validation).

    Args:
        fold: its number, counted from 0.
        of: how many parts there are, equal in size but for one example, or one group.
        by: the column that says which examples belong together, of which none is cut; null: the group that the source
            names, else each by itself.
        key: what chooses where nothing is a group: the name of an example relative to its source, or its whole path.
    """

    fold: Natural
    of: Annotated[int, Ge(2), Le(MOST)]
    by: FieldName | None = None
    key: Literal["name", "path"] = "name"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DataSection:
    """The data: where examples come from, and in which order and form they reach the model.

    Args:
        source: where the examples come from.
        features: field to the feature that reads it, {image: {size: [96, 96], resize: crop}}; without a type, it is
            that of the source, or that of the field's name.
        validation: the share of train that validates where the source has no validation split, 0 is none; or one fold
            of several, {fold: 0, of: 5}; with {share: 0.1, by: COLUMN} and {fold: 0, of: 5, by: COLUMN} whole groups.
        sampler: which examples stand in which training batch.
        evaluate_with: the same for validation and evaluation: every example once.
        augment: what changes training examples, in this order.
    """

    source: Source
    features: dict[Text, Feature] = call()
    validation: Fraction | ShareSection | FoldSection = 0.1
    sampler: Sampler = call("shuffled", batch_size=64)
    evaluate_with: Sampler = call("sequential", batch_size=256)
    augment: list[Augmentation] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckpointSection:
    """When the whole state of a training is kept, so that a killed run goes on.

    Args:
        steps: after so many steps; null: by time alone.
        seconds: after so many seconds; null: by steps alone.
        keep: how many are kept, the newest.
    """

    steps: Count | None = None
    seconds: Positive | None = 300.0
    keep: Count = 2


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StageSection:
    """A further stage of a training: the model built anew with some values changed, its weights carried over.

    Args:
        epochs: how many the stage has.
        set: dotted path to value, as after `--set`: {fit.trainable: ["*"], task.optimizer.learning_rate: 1e-4}.
    """

    epochs: Count
    set: dict[Text, Any] = call()


def _few_stages(stages: list[Any]) -> None:
    if len(stages) > MOST_STAGES:
        raise ValueError(f"a training has at most {MOST_STAGES:,} stages; received {len(stages):,}")


@rule(_few_stages)
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FitSection:
    """The training of the model.

    Args:
        epochs: how often every training example is seen; 0 makes a run of the initial weights.
        best: which epoch's weights the run keeps: that of {minimize: METRIC}, of {maximize: METRIC}, or the last; auto
            is what the task says, and {minimize: val_loss} where it says nothing.
        trainable: patterns of layer paths; layers that match none are frozen.
        threads: how many TensorFlow computes with; null: as many as the machine has.
        callbacks: what else happens during training.
        precision: a mixed one computes in 16 bits, weights, heads, losses stay float32; auto goes by device and model.
        jit: compile the step with XLA; auto goes by the device and the model.
        steps_per_execution: steps made at once, a divisor of those of an epoch; auto: several of small steps.
        strategy: on which devices it is trained.
        checkpoint: when the whole state is kept, for `kplug train --resume`.
        stages: what follows once these epochs are trained.
    """

    epochs: Natural = 10
    best: Literal["auto", "last"] | Annotated[dict[Literal["minimize", "maximize"], Text], Len(1, 1)] = "auto"
    trainable: list[Text] = ("*",)  # type: ignore[assignment]
    threads: Annotated[int, Ge(1), Le(1024)] | None = None
    callbacks: list[Callback] = ()  # type: ignore[assignment]
    precision: Literal["auto"] | Precision = "auto"
    jit: Literal["auto"] | bool = "auto"
    steps_per_execution: Literal["auto"] | Count = "auto"
    strategy: Strategy = "auto"
    checkpoint: CheckpointSection = call()
    stages: list[StageSection] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExportSection:
    """The export: what it offers to those who serve it.

    Args:
        signatures: the names of the task's signatures, or all.
        precision: what the run's weights compute in once they are trained: in evaluate, predict and export.
    """

    signatures: Literal["all"] | Annotated[list[Text], MinLen(1)] = "all"
    precision: Precision = "float32"


def _one_direction(minimize: str | None, maximize: str | None) -> None:
    if (minimize is None) == (maximize is None):
        raise ValueError("write {minimize: NAME} or {maximize: NAME}")


@rule(_one_direction)
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ObjectiveSection:
    """A number that a search makes small or large.

    Args:
        minimize: a metric that the training reports, or parameters, flops or latency_ms.
        maximize: the same.
        target: of a second objective and those that follow: its value at which the first counts as it is.
        weight: of the same: how much being a share above or below its target weighs (EfficientNet's product has 0.07).
    """

    minimize: Text | None = None
    maximize: Text | None = None
    target: Positive | None = None
    weight: NonNegative = 0.07


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LimitSection:
    """The limits that a trial's number must keep to.

    Args:
        at_least: its least.
        at_most: its greatest.
    """

    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RepeatsSection:
    """The trainings of each point; its objective is their mean, and the spread is told beside it.

    Args:
        seeds: with the seed of the spec and those that follow.
        folds: cross-validation: the training examples are cut into so many parts, each validating in turn; null: no.
            No group is cut: that of `data.validation.by`, else the source's.
    """

    seeds: Count = 1
    folds: Annotated[int, Ge(2), Le(MOST)] | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SearchSection:
    """The search: which values of a spec are tried, and what is best.

    Args:
        space: path to range: {choice: [...]}, {choice: {LABEL: sub-tree}}, {int: [LOW, HIGH]}, {float: [LOW, HIGH]},
            {log: [LOW, HIGH]} or bool; under a label, task.model[LABEL].patch.
        oracle: what proposes the points.
        first: points that are tried before the oracle's own, each path to value, of sub-trees the label; what one
            leaves out is as the spec has it: {} is the spec itself.
        objective: what is best; null: what `fit.best` says. A list: a front of trials that no other beats in all, each
            but the first with its target.
        constraints: name to limits that a trial must keep to; parameters and flops are counted before it trains.
        prune: what stops a trial that falls behind.
        repeats: with how many seeds, on how many folds each point is trained.
        executor: where trials are trained.
        keep: how many of the best trials keep their weights.
        timeout: seconds after which a search begins no further trial, each time that it runs; null: any.
        trial_timeout: seconds that a training may take before it counts as hanging; null: any.
        trial_memory: GiB that a training may take; null: any.
        failures: so many failed trials in a row stop the search.
    """

    space: dict[Text, Any]
    oracle: Oracle = call("random")
    first: list[dict[Text, Any]] = ()  # type: ignore[assignment]
    objective: ObjectiveSection | list[ObjectiveSection] | None = None
    constraints: dict[Text, LimitSection] = call()
    prune: Pruner | None = None
    repeats: RepeatsSection = call()
    executor: Executor = "processes"
    keep: Natural = 1
    timeout: Positive | None = None
    trial_timeout: Positive | None = None
    trial_memory: Positive | None = None
    failures: Count = 5


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SpecSection:
    """One experiment: a task, its data, and how it is trained.

    Args:
        kplug: the format number, written by `kplug fill`.
        name: the experiment's name; its runs are kept in runs/NAME.
        seed: every random choice follows from it.
        task: what is learned, with which model, loss and optimizer.
        data: which examples, in which order and form.
        evaluators: what looks at answers to a whole split, beside those that the task brings.
        fit: how the model is trained.
        search: which values of it are tried, and what the best is; null: no search.
        export: what an export offers.
    """

    kplug: Literal[2] = FORMAT
    name: Name
    seed: Seed = 0
    task: Task
    data: DataSection
    evaluators: list[Evaluator] = ()  # type: ignore[assignment]
    fit: FitSection = call()
    search: SearchSection | None = None
    export: ExportSection = call()
