"""A plugin of the tests: pictures of shapes with boxes around them, and a detector of one scale."""

from typing import Annotated

from kplug import Architecture, Count, DataInfo, FieldName, Optimizer, Sees, Source, Task, call, gives, hookimpl, known
from kplug.kinds import Known, Seed

kplug_api = 2

CLASSES = ("disc", "square")
FEATURES = {"image": "image", "boxes": "boxes"}


@hookimpl
def components():
    return [objects, detection]


def told() -> Known:
    return Known(features=FEATURES, facts={"image": {"channels": 3}, "boxes": {"classes": CLASSES}})


@known(told)
def objects(examples: Count = 48, seed: Seed = 0) -> Source:
    """One to three coloured shapes on grey ground, 30 to 48 pixels a side, as PNG files with boxes.

    Args:
        examples: how many there are to train on; half as many are to test on.
        seed: of the drawing.
    """
    from tiny_boxes_model import drawn

    return drawn(examples, seed)


@gives("{boxes}")
def detection(
    data: DataInfo,
    model: Annotated[Architecture, Sees("{image}")],
    optimizer: Optimizer = call("adam", learning_rate=3e-3),
    kept: Count = 5,
    image: FieldName = "image",
    boxes: FieldName = "boxes",
) -> Task:
    """Find objects: each cell of a map tells what its middle shows, and how far its edges are (Tian et al. 2019).

    Args:
        model: from pictures in 0 to 1 to a map of features [b, h / 4, w / 4, c].
        optimizer: changes the weights.
        kept: objects that are told of a picture, at most.
        image: the field of pictures.
        boxes: the field of boxes.
    """
    from tiny_boxes_model import make_learner

    return make_learner(data, model, optimizer, kept, image, boxes)
