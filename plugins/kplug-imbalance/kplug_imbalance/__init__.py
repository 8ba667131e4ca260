"""Classes of uneven size: losses and samplers that make up for it, and a source that makes it."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from annotated_types import Ge

from kplug import Columns, DataInfo, Known, Source, authoring, hookimpl, known, rule
from kplug.kinds import (
    Architecture,
    Count,
    FieldName,
    Fraction,
    LabelName,
    Loss,
    Metric,
    NonNegative,
    Positive,
    Sampler,
    Text,
    Unit,
)

kplug_api = 2

Weights = Literal["balanced"] | dict[Text, Positive]
Factor = Annotated[float, Ge(1)]


@hookimpl
def components():
    return [*LOSSES, cosine_linear, balanced_accuracy, *SAMPLERS, long_tail]


def _weights_are_of_classes(weights: Any, data: Known) -> None:
    from kplug.authoring import refuse_unknown_classes

    refuse_unknown_classes("weights", weights, data.classes)


# --- losses --------------------------------------------------------------------------------------------------------


@rule(_weights_are_of_classes)
def weighted_cross_entropy(data: DataInfo, weights: Weights = "balanced") -> Loss:
    """Cross-entropy in which examples of some classes count more (King and Zeng 2001).

    Args:
        weights: {name: weight}, 1 where none is named, or balanced: n / (classes * count), in the mean over all
            training examples 1.
    """
    from kplug_imbalance.losses import focal as make

    return make(data, 0.0, weights, "weighted_cross_entropy")


@rule(_weights_are_of_classes)
def focal(data: DataInfo, gamma: NonNegative = 2.0, weights: Weights | None = None) -> Loss:
    """Cross-entropy in which examples that are already easy fade (Lin et al. 2017).

    Args:
        gamma: how strongly they fade; 0 not at all.
        weights: of classes, the paper's alpha: {name: weight}, 1 where none is named, or balanced; null is 1 for all.
    """
    from kplug_imbalance.losses import focal as make

    return make(data, gamma, weights)


def effective_number(data: DataInfo, beta: Fraction = 0.9999, gamma: NonNegative = 0.0) -> Loss:
    """Cross-entropy with classes weighed by the inverse of their effective number of examples (Cui et al. 2019).

    Args:
        beta: 0 weighs all alike; towards 1 the weight goes to the inverse of the count. The effective number of n
            examples is (1 - beta^n) / (1 - beta).
        gamma: of the focal loss that is weighed; 0 is cross-entropy.
    """
    from kplug_imbalance.losses import effective_number as make

    return make(data, beta, gamma)


@rule(_weights_are_of_classes)
def ldam(data: DataInfo, margin: Positive = 0.5, scale: Positive = 30.0, weights: Weights | None = None) -> Loss:
    """Cross-entropy with a margin that is the larger the rarer the class, label-distribution-aware (Cao et al. 2019).

    It belongs with `head: {type: cosine_linear, scale: 30}`, whose scores are scale times cosines, and with weights
    that a later stage of the training turns on (deferred re-weighting).

    Args:
        margin: of the rarest class, as a cosine; others have less, by the fourth root of the counts.
        scale: that of the head.
        weights: of classes: {name: weight}, 1 where none is named, or balanced; null is 1 for all.
    """
    from kplug_imbalance.losses import ldam as make

    return make(data, margin, scale, weights)


def logit_adjusted(data: DataInfo, tau: NonNegative = 1.0) -> Loss:
    """Cross-entropy of scores to which training adds the logarithm of each class's share (Menon et al. 2021).

    What is evaluated and served are the scores without it, which treat all classes as equally frequent.

    Args:
        tau: how much of it; 0 is cross-entropy.
    """
    from kplug_imbalance.losses import logit_adjusted as make

    return make(data, tau)


LOSSES = [weighted_cross_entropy, focal, effective_number, ldam, logit_adjusted]

# --- head ----------------------------------------------------------------------------------------------------------


def cosine_linear(data: DataInfo, scale: Positive = 30.0, dropout: Fraction = 0.0) -> Architecture:
    """Head whose scores are cosines between features and a vector for each class (Wang et al. 2018).

    Args:
        scale: by which the cosines are multiplied: the inverse of a temperature.
        dropout: share of the features that training leaves out.
    """
    from kplug_imbalance.heads import build_cosine_linear

    return authoring.Network(lambda x: build_cosine_linear(x, len(data.classes), scale, dropout), "cosine_linear")


# --- metric --------------------------------------------------------------------------------------------------------


def balanced_accuracy(data: DataInfo) -> Metric:
    """Mean recall of the classes, each as important as any other (Brodersen et al. 2010).

    It is by what the best epoch is known where classes are uneven: `fit.best: {maximize: val_balanced_accuracy}`. A
    class without examples does not count.
    """
    from kplug_imbalance.metrics import balanced_accuracy as make

    return make(data)


# --- samplers ------------------------------------------------------------------------------------------------------


def oversampled(columns: Columns, data: DataInfo, batch_size: Count = 64, label: LabelName | None = None) -> Sampler:
    """Examples of each class repeated until it has as many as the largest, each one as often as any other.

    An epoch is as long as the largest class times the classes.

    Args:
        batch_size: examples in a batch.
        label: the field of classes, which joins the data as a column; null is the task's.
    """
    from kplug_imbalance.samplers import evenly

    return evenly(columns, data, batch_size, max)


def undersampled(columns: Columns, data: DataInfo, batch_size: Count = 64, label: LabelName | None = None) -> Sampler:
    """Draw as many examples of each class as the smallest has, others of them each epoch.

    An epoch is as long as the smallest class times the classes.

    Args:
        batch_size: examples in a batch.
        label: the field of classes, which joins the data as a column; null is the task's.
    """
    from kplug_imbalance.samplers import evenly

    return evenly(columns, data, batch_size, min)


def class_balanced(
    columns: Columns, data: DataInfo, batch_size: Count = 64, power: Unit = 0.0, label: LabelName | None = None
) -> Sampler:
    """A class is drawn for each place of a batch, then an example of it (Kang et al. 2020).

    An epoch is as long as the training split; the examples of a class come in turn, none twice before all came once.

    Args:
        batch_size: examples in a batch.
        power: a class of n examples is drawn in proportion to n^power: 0 draws all alike, 0.5 by square roots, 1 as
            they come.
        label: the field of classes, which joins the data as a column; null is the task's.
    """
    from kplug_imbalance.samplers import class_balanced as make

    return make(columns, data, batch_size, power)


def weighted(columns: Columns, column: Text, batch_size: Count = 64) -> Sampler:
    """Examples drawn with replacement, in proportion to a column of the source; an epoch is as long as the split.

    Args:
        column: its numbers, at least 0, are the weights.
        batch_size: examples in a batch.
    """
    from kplug_imbalance.samplers import weighted as make

    return make(columns, column, batch_size)


def repeat_factor(
    columns: Columns, data: DataInfo, batch_size: Count = 64, threshold: Unit = 0.1, label: LabelName | None = None
) -> Sampler:
    """Examples of classes that are rarer than a threshold repeated (Gupta et al. 2019).

    An example comes sqrt(threshold / share) times an epoch where the share of its rarest class is below the threshold,
    else once; fractions are drawn anew each epoch. It is made for several labels an example.

    Args:
        batch_size: examples in a batch.
        threshold: share of the examples.
        label: the field of classes, which joins the data as a column; null is the task's.
    """
    from kplug_imbalance.samplers import repeat_factor as make

    return make(columns, data, batch_size, threshold)


SAMPLERS = [oversampled, undersampled, class_balanced, weighted, repeat_factor]

# --- source --------------------------------------------------------------------------------------------------------


def _with_weight(of: Known) -> Known:
    return of if of.features is None else replace(of, features={**of.features, "weight": None})


@known(_with_weight)
def long_tail(of: Source, factor: Factor = 100.0, label: FieldName = "label") -> Source:
    """Make the training examples of a source uneven: class i of C keeps n * factor^(-i / (C - 1)) (Cui et al. 2019).

    n is the size of the largest class; a class that has fewer than that keeps all. Those that come first in the source
    are kept, and all whose class is not known. Validation and test splits stay as they are. The column `weight` of
    train is the inverse of the size of the example's class, of which those that are not known are one: with it the
    sampler `weighted` draws all classes alike.

    Args:
        of: a source with one label an example.
        factor: the first class by the last.
        label: the field of classes.
    """
    from kplug_imbalance.sources import long_tail as make

    return make(of, factor, label)
