"""Image classification: one class a picture, or several; and a report on its predictions, class by class."""

from typing import Annotated, Any, Literal

from kplug import DataInfo, FitInfo, Known, Loss, Metric, Task, call, gives, hookimpl, needs, rule
from kplug.kinds import (
    Architecture,
    Count,
    Evaluator,
    FieldName,
    Fraction,
    LabelName,
    NonNegative,
    Optimizer,
    Positive,
    Sees,
    Text,
)


@hookimpl
def components():
    return [classification, cross_entropy, accuracy, classification_report]


def _weights_are_of_classes(class_weights: Any, data: Known) -> None:
    from kplug.spec.class_weights import refuse_unknown_classes

    refuse_unknown_classes("class_weights", class_weights, data.classes)


@gives("probabilities", "classes")
@rule(_weights_are_of_classes)
def classification(
    data: DataInfo,
    fit: FitInfo,
    model: Annotated[Architecture, Sees("{image}")],
    head: Architecture = "linear",
    loss: Loss = "cross_entropy",
    optimizer: Optimizer = call("adamw", learning_rate=1e-3),
    metrics: list[Metric] = ("accuracy",),  # type: ignore[assignment]
    label_smoothing: Fraction = 0.0,
    class_weights: Literal["balanced"] | dict[Text, Positive] | None = None,
    l2: NonNegative = 0.0,
    image: FieldName = "image",
    label: LabelName = "label",
    report: Evaluator | None = "classification_report",
) -> Task:
    """Tell which class a picture shows; which classes, where the source gives several labels an example.

    Args:
        model: from images in 0 to 1 to features.
        head: from features to a score for each class; `none` where the model gives scores by itself.
        loss: compares scores (logits) with targets, float [batch, classes].
        optimizer: changes the weights.
        metrics: compare probabilities with targets.
        label_smoothing: the share of each target that is spread over all classes, in the loss alone; a loss that has a
            method `with_label_smoothing(share)`, such as one that weighs by the targets as they are, does it itself.
        class_weights: how much an example of each class counts in the training loss; {name: weight}, 1 where none is
            named, or balanced: the rarer the more. Validation and all metrics stay unweighted. An example of several
            labels counts as much as these on average.
        l2: adds l2 / 2 times the sum of the squares of all trained kernels to the loss, which papers call a weight
            decay of l2 (biases and normalization are left out); an optimizer's weight_decay does without the loss.
        image: the field of pictures.
        label: the field of classes.
        report: what looks at the answers to a whole split; null: nobody.
    """
    from kplug.default_plugins.classification.classifier import classifier
    from kplug.model.scores import refuse_unseen_classes

    refuse_unseen_classes(data, fit)
    return classifier(
        data, model, head, loss, optimizer, metrics, label_smoothing, class_weights, l2, image, label, report
    )


@needs("probabilities")
def classification_report(data: DataInfo, label: LabelName | None = None, every: Count | None = None) -> Evaluator:
    """Accuracy, balanced and by class, F1, confusion, calibration, and figures of each group that a column tells.

    It writes `report-SPLIT.json` and pictures of it below `plots/`.

    Args:
        label: the field of classes; null is the task's.
        every: it looks at validation too, after so many epochs each; null: not while training.
    """
    from kplug.default_plugins.classification.report import Report

    return Report(label or data.label, every)


def cross_entropy(data: DataInfo) -> Loss:
    """Cross-entropy of softmax scores, or of a sigmoid per class where an example has several labels."""
    import keras

    loss = keras.losses.BinaryCrossentropy if data.multi_label else keras.losses.CategoricalCrossentropy
    return loss(from_logits=True, name="cross_entropy")


def accuracy(data: DataInfo) -> Metric:
    """Share of examples whose most probable class is right; share of right yes-or-no answers with several labels."""
    import keras

    metric = keras.metrics.BinaryAccuracy if data.multi_label else keras.metrics.CategoricalAccuracy
    return metric(name="accuracy")
