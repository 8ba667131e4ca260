"""A plugin of the tests: bootstrap your own latent (Grill et al. 2020), judged by nearest neighbours in train."""

from collections.abc import Callable
from typing import Annotated

from kplug import (
    Architecture,
    Augmentation,
    Count,
    DataInfo,
    Evaluator,
    FieldName,
    FitInfo,
    LabelName,
    Optimizer,
    Sees,
    Task,
    Unit,
    call,
    hookimpl,
)

kplug_api = 2


@hookimpl
def components():
    return [byol, nearest_neighbours]


def byol(
    data: DataInfo,
    fit: FitInfo,
    encoder: Callable[[], Annotated[Architecture, Sees("{image}")]],
    projector: Callable[[], Architecture],
    predictor: Architecture,
    augment: list[Augmentation],
    momentum: Unit = 0.99,
    optimizer: Optimizer = call("adamw", learning_rate=1e-3),
    image: FieldName = "image",
    evaluator: Evaluator | None = "nearest_neighbours",
) -> Task:
    """Learn features without labels: one view of a picture foretells what a momentum copy makes of another.

    Args:
        encoder: from pictures in 0 to 1 to features [b, n].
        projector: from features to a projection.
        predictor: from one projection to another.
        augment: makes the views.
        momentum: what the copy keeps of itself at the first step; it goes to 1 along a half cosine.
        optimizer: changes encoder, projector and predictor.
        image: the field of pictures.
        evaluator: judges the features.
    """
    from tiny_byol_model import make_learner

    return make_learner(data, fit, encoder, projector, predictor, augment, momentum, optimizer, image, evaluator)


def nearest_neighbours(
    data: DataInfo, label: LabelName | None = None, neighbours: Count = 5, every: Count | None = None
) -> Evaluator:
    """Share of examples whose class is that of most of their nearest neighbours in train, by cosine.

    Args:
        label: the field of classes; null is the task's.
        neighbours: how many vote.
        every: it looks after so many epochs each; null: not while training.
    """
    from tiny_byol_model import NearestNeighbours

    return NearestNeighbours(label or data.label, neighbours, every)
