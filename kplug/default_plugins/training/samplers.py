"""Samplers: which examples stand in which batch."""

from kplug import Columns, Count, Sampler, hookimpl


@hookimpl
def components():
    return [shuffled, sequential]


def shuffled(columns: Columns, batch_size: Count = 64) -> Sampler:
    """Every example once an epoch in random order; the remainder of a last batch is left out, another each epoch.

    Args:
        batch_size: examples in a batch.
    """
    from kplug import SpecError

    steps = columns.size // batch_size
    if steps == 0:
        what = f"{columns.size} training examples do not fill a batch of {batch_size}"
        raise SpecError(f"{what}; set batch_size to at most {columns.size}")
    return lambda rng: rng.permutation(columns.size)[: steps * batch_size].reshape(steps, batch_size)


def sequential(columns: Columns, batch_size: Count = 256) -> Sampler:
    """Every example once in the source's order; the last batch may be smaller.

    Args:
        batch_size: examples in a batch.
    """
    import numpy

    rows = numpy.arange(-(-columns.size // batch_size) * batch_size, dtype=numpy.int64)
    rows[columns.size :] = -1
    return lambda rng: rows.reshape(-1, batch_size)
