"""Capsule networks: their signatures, free of TensorFlow."""

from typing import Annotated

from kplug import (
    DataInfo,
    Evaluator,
    FieldName,
    FitInfo,
    Known,
    LabelName,
    Sees,
    authoring,
    call,
    gives,
    hookimpl,
    rule,
)
from kplug.kinds import Architecture, Count, Loss, Metric, NonNegative, Odd, Optimizer, Task, Unit

kplug_api = 2


@hookimpl
def components():
    return [capsules, capsnet, capsule_decoder, margin]


@hookimpl
def callbacks(run):
    from kplug_capsule.picture import RoutingPicture

    return [RoutingPicture(run)]


@gives("probabilities", "classes", "lengths", "reconstruction")
def capsules(
    data: DataInfo,
    fit: FitInfo,
    model: Annotated[Architecture, Sees("{image}")] = "capsnet",
    loss: Loss = "margin",
    decoder: Architecture | None = "capsule_decoder",
    reconstruction: NonNegative = 0.0005,
    optimizer: Optimizer = call("adam", learning_rate=1e-3),
    metrics: list[Metric] = ("accuracy",),  # type: ignore[assignment]
    image: FieldName = "image",
    label: LabelName = "label",
    report: Evaluator | None = "classification_report",
) -> Task:
    """Tell which class a picture shows by the lengths of class capsules, which also draw the picture again.

    The sum of squares between the picture and what the true class's capsule draws is added to the loss (Sabour et al.
    2017). What is served are lengths, one for each class, and the drawing of the longest capsule.

    Args:
        model: from images in 0 to 1 to a capsule for each class, [b, classes, size], none longer than 1.
        loss: compares lengths, as logits, with targets.
        decoder: from capsules, all but one of them zeros, flat [b, classes * size], to a picture, flat, in 0 to 1;
            null draws nothing.
        reconstruction: weight of the drawing in the loss, for a sum of squares over the pixels of a picture.
        optimizer: changes the weights.
        metrics: compare probabilities, lengths that are made to sum to 1, with targets.
        image: the field of pictures.
        label: the field of classes.
        report: what looks at the answers to a whole split; null: nobody.
    """
    from kplug_capsule.learner import make_learner

    authoring.refuse_unseen_classes(data, fit)
    return make_learner(data, model, loss, decoder, reconstruction, optimizer, metrics, image, label, report)


def _convolutions_fit_the_picture(kernel_size: int, data: Known) -> None:
    from kplug_capsule.pictures import refuse_small

    refuse_small(kernel_size, *data.picture[:2])


@rule(_convolutions_fit_the_picture)
def capsnet(
    data: DataInfo,
    filters: Count = 256,
    kernel_size: Odd = 9,
    primary: Count = 32,
    primary_size: Count = 8,
    size: Count = 16,
    iterations: Count = 3,
) -> Architecture:
    """Capsule network with dynamic routing: images to a capsule for each class (Sabour et al. 2017).

    Args:
        filters: of the first convolution.
        kernel_size: of both convolutions, in pixels; the second has a stride of 2.
        primary: kinds of primary capsules, one of each at every place.
        primary_size: features of a primary capsule.
        size: features of a class capsule.
        iterations: of the routing.
    """
    from kplug_capsule.routing import build_capsnet

    return authoring.Network(
        lambda x: build_capsnet(x, len(data.classes), filters, kernel_size, primary, primary_size, size, iterations),
        "capsnet",
    )


def capsule_decoder(
    data: DataInfo, hidden: tuple[Count, Count] = (512, 1024), image: FieldName = "image"
) -> Architecture:
    """Three dense layers that draw a picture from capsules (Sabour et al. 2017).

    Args:
        hidden: units of the first two.
        image: the field of pictures.
    """
    from kplug_capsule.routing import build_decoder

    return authoring.Network(lambda x: build_decoder(x, data.fields[image].shape, hidden), "capsule_decoder")


def margin(positive: Unit = 0.9, negative: Unit = 0.1, down_weight: Unit = 0.5) -> Loss:
    """Squared shortfall of the true class's probability, and squared excess of the others' (Sabour et al. 2017).

    Each probability is the sigmoid of its score, which for capsules is their length.

    Args:
        positive: from where on a class that is there costs nothing.
        negative: up to where a class that is not there costs nothing.
        down_weight: of the classes that are not there.
    """
    from kplug_capsule.learner import Margin

    return Margin(positive, negative, down_weight)
