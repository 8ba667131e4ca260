"""The sections of a spec: what may stand in it, what fills it where nothing is said, and what it means."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Len

from kplug.kinds import (
    Augmentation,
    Callback,
    Count,
    Fraction,
    Name,
    Natural,
    Positive,
    Sampler,
    Seed,
    Size,
    Source,
    Strategy,
    Task,
    Text,
    call,
)

FORMAT: Literal[1] = 1
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True, kw_only=True)
class ImageSection:
    """How pictures are brought to one size, in training and in what is served.

    Args:
        size: [height, width] in pixels; null: as the source has it.
        resize: pad keeps the whole picture and adds black, crop fills the size and cuts, stretch does neither.
        channels: 1 (grey) or 3 (red, green, blue); null: as the source has it.
    """

    size: Size | None = None
    resize: Literal["pad", "crop", "stretch"] = "pad"
    channels: Literal[1, 3] | None = None


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """Where the pictures come from, and in which order and form they reach the model.

    Args:
        source: where the pictures come from.
        image: how they are brought to one size.
        validation: the share of train that validates where the source has no validation split; 0 is none.
        sampler: which examples stand in which training batch.
        evaluate_with: the same for validation and evaluation: every example once.
        augment: what changes training pictures, in this order.
    """

    source: Source
    image: ImageSection = call()
    validation: Fraction = 0.1
    sampler: Sampler = call("shuffled", batch_size=64)
    evaluate_with: Sampler = call("sequential", batch_size=256)
    augment: list[Augmentation] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class StageSection:
    """A further stage of a training: the model built anew with some values changed, its weights carried over.

    Args:
        epochs: how many the stage has.
        set: dotted path to value, as after `--set`: {fit.trainable: ["*"], task.optimizer.learning_rate: 1e-4}.
    """

    epochs: Count
    set: dict[Text, Any] = call()


@dataclass(frozen=True, kw_only=True)
class FitSection:
    """How the model is trained.

    Args:
        epochs: how often every training example is seen; 0 makes a run of the initial weights.
        best: which epoch's weights the run keeps: that of {minimize: METRIC}, of {maximize: METRIC}, or the last.
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
    best: Literal["last"] | Annotated[dict[Literal["minimize", "maximize"], Text], Len(1, 1)] = call(
        minimize="val_loss"
    )
    trainable: list[Text] = ("*",)  # type: ignore[assignment]
    threads: Count | None = None
    callbacks: list[Callback] = ()  # type: ignore[assignment]
    precision: Literal["auto"] | Precision = "auto"
    jit: Literal["auto"] | bool = "auto"
    steps_per_execution: Literal["auto"] | Count = "auto"
    strategy: Strategy = "auto"
    checkpoint: CheckpointSection = call()
    stages: list[StageSection] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class ExportSection:
    """What an export offers.

    Args:
        signatures: the names of the task's signatures, or all.
        precision: what the run's weights compute in once they are trained: in evaluate, predict and export.
    """

    signatures: Literal["all"] | list[Text] = "all"
    precision: Precision = "float32"


@dataclass(frozen=True, kw_only=True)
class SpecSection:
    """One experiment: a task, its data, and how it is trained.

    Args:
        kplug: the format number, written by `kplug fill`.
        name: the experiment's name; its runs are kept in runs/NAME.
        seed: every random choice follows from it.
        task: what is learned, with which model, loss and optimizer.
        data: which pictures, in which order and form.
        fit: how the model is trained.
        export: what an export offers.
    """

    kplug: Literal[1] = FORMAT
    name: Name
    seed: Seed = 0
    task: Task
    data: DataSection
    fit: FitSection = call()
    export: ExportSection = call()
