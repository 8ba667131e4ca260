"""A plugin of the tests: prototypical networks (Snell et al. 2017), which tell classes from a few examples of each."""

from typing import Annotated

from kplug import (
    Architecture,
    Columns,
    Count,
    DataInfo,
    FieldName,
    LabelName,
    Optimizer,
    Sampler,
    Sees,
    SpecError,
    Table,
    Task,
    call,
    hookimpl,
)
from kplug.kinds import gives, needs

kplug_api = 2


@hookimpl
def components():
    return [episodes, prototypes]


@gives("place", "is_support")
def episodes(
    columns: Columns,
    way: Count = 5,
    shot: Count = 1,
    query: Count = 5,
    batches: Count = 50,
    label: LabelName = "label",
) -> Sampler:
    """An episode a batch: some classes, of each some examples that show it and some that ask for it.

    Args:
        way: classes of an episode.
        shot: examples of each that show it.
        query: examples of each that ask.
        batches: episodes of an epoch.
        label: the field of classes.
    """
    import numpy as np

    labels = columns[label]
    rows = {one: np.flatnonzero(labels == one) for one in np.unique(labels[labels >= 0])}
    enough = [one for one, those in rows.items() if len(those) >= shot + query]
    if len(enough) < way:
        raise SpecError(f"{len(enough)} classes have {shot + query} examples; an episode needs {way}")

    def sample(rng):
        chosen = [
            [rng.choice(rows[one], shot + query, replace=False) for one in rng.choice(enough, way, replace=False)]
            for _ in range(batches)
        ]
        place, number = np.repeat(np.arange(way), shot + query), np.tile(np.arange(shot + query), way)
        every = {"place": place, "is_support": (number < shot).astype(int)}
        whole = {name: np.tile(values, (batches, 1)) for name, values in every.items()}
        return Table(np.array(chosen).reshape(batches, -1), whole, block=way * (shot + query))

    return sample


@needs("place", "is_support")
def prototypes(
    data: DataInfo,
    encoder: Annotated[Architecture, Sees("{image}")],
    optimizer: Optimizer = call("adam", learning_rate=1e-3),
    image: FieldName = "image",
) -> Task:
    """Put examples near the mean of those that show their class; how many there are, the sampler says.

    Args:
        encoder: from images in 0 to 1 to features [b, n].
        optimizer: changes the weights.
        image: the field of pictures.
    """
    from tiny_protonet_model import make_learner

    return make_learner(data, encoder, optimizer, image)
