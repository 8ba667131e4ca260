"""A plugin of the tests: pictures of shapes in all sizes with a class for each pixel, and a task that learns it."""

from typing import Annotated

from kplug import Architecture, Count, DataInfo, FieldName, Optimizer, Sees, Source, Task, call, gives, hookimpl, known
from kplug.kinds import Known, Seed

kplug_api = 2

CLASSES = ("ground", "disc", "square")
FEATURES = {"image": "image", "mask": "mask"}


@hookimpl
def components():
    return [shapes, segmentation]


def told() -> Known:
    return Known(features=FEATURES, facts={"image": {"channels": 3}, "mask": {"classes": CLASSES}})


@known(told)
def shapes(examples: Count = 48, seed: Seed = 0) -> Source:
    """Coloured discs and squares on grey ground, 20 to 40 pixels a side, as PNG files with their masks.

    Args:
        examples: how many there are to train on; half as many are to test on.
        seed: of the drawing.
    """
    from tiny_masks_model import drawn

    return drawn(examples, seed)


@gives("{mask}")
def segmentation(
    data: DataInfo,
    model: Annotated[Architecture, Sees("{image}")],
    optimizer: Optimizer = call("adam", learning_rate=3e-3),
    image: FieldName = "image",
    mask: FieldName = "mask",
) -> Task:
    """Tell the class of each pixel (Long et al. 2015).

    Args:
        model: from pictures in 0 to 1 to features [b, h, w, c] in their size.
        optimizer: changes the weights.
        image: the field of pictures.
        mask: the field of their masks.
    """
    from tiny_masks_model import make_learner

    return make_learner(data, model, optimizer, image, mask)
