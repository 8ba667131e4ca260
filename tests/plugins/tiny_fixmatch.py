"""A plugin of the tests: FixMatch (Sohn et al. 2020), which learns from a few labels and many pictures without."""

from dataclasses import replace
from typing import Annotated

from kplug import (
    Architecture,
    Augmentation,
    Columns,
    Count,
    DataInfo,
    Evaluator,
    FieldName,
    LabelName,
    NonNegative,
    Optimizer,
    Sampler,
    Sees,
    Source,
    Split,
    Table,
    Task,
    Unit,
    call,
    hookimpl,
    known,
)
from kplug.kinds import gives

kplug_api = 2


@hookimpl
def components():
    return [fixmatch, few_labels, some_labelled]


@known(lambda of: of)
def few_labels(of: Source, each: Count = 4) -> Source:
    """Hide the labels of train but for a few of each class.

    Args:
        of: a source with one label an example.
        each: labels of each class that stay, the first.
    """
    import numpy as np

    train: Split = of["train"]
    labels = train.columns["label"]
    place = np.zeros(len(labels), int)
    for label in np.unique(labels):
        place[labels == label] = np.arange((labels == label).sum())
    hidden = np.where(place < each, labels, -1).astype(np.int32)
    columns = replace(train.columns, arrays={**train.columns.arrays, "label": hidden})
    return {**of, "train": replace(train, columns=columns)}


def some_labelled(columns: Columns, data: DataInfo, labelled: Count = 8, unlabelled: Count = 7) -> Sampler:
    """Batches of examples with a label, each followed by some without; an epoch sees those without once.

    Args:
        labelled: examples with a label in a batch.
        unlabelled: examples without that follow each of them.
    """
    import numpy as np

    labels = columns[data.label]
    known, others = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    steps = len(others) // (labelled * unlabelled)

    def sample(rng):
        with_label = rng.choice(known, (steps, labelled, 1))
        without = rng.permutation(others)[: steps * labelled * unlabelled].reshape(steps, labelled, unlabelled)
        return Table(np.concatenate([with_label, without], -1).reshape(steps, -1), block=1 + unlabelled)

    return sample


@gives("probabilities", "classes")
def fixmatch(
    data: DataInfo,
    model: Annotated[Architecture, Sees("{image}")],
    weak: list[Augmentation],
    strong: list[Augmentation],
    head: Architecture = "linear",
    threshold: Unit = 0.95,
    weight: NonNegative = 1.0,
    optimizer: Optimizer = call("adamw", learning_rate=1e-3),
    image: FieldName = "image",
    label: LabelName = "label",
    report: Evaluator | None = "classification_report",
) -> Task:
    """Learn what a model is sure of on a weak view also on a strong one, beside a few labels.

    Args:
        model: from images in 0 to 1 to features.
        weak: makes the view that labels are guessed on.
        strong: makes the view that is to get the guessed label.
        head: from features to a score for each class.
        threshold: the probability from which a guess counts.
        weight: of the guessed labels in the loss.
        optimizer: changes the weights.
        image: the field of pictures.
        label: the field of classes; -1 is not known.
        report: what looks at the answers to a whole split; null: nobody.
    """
    from tiny_fixmatch_model import make_learner

    return make_learner(data, model, head, weak, strong, threshold, weight, optimizer, image, label, report)
