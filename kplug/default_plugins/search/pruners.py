"""Pruners: what stops a trial that falls behind the others at the same epoch."""

from typing import Annotated

from annotated_types import Ge, Le

from kplug import Count, Pruner, hookimpl
from kplug.kinds import MOST


@hookimpl
def components():
    return [median, successive_halving]


def median(trials: Count = 5, epochs: Count = 1) -> Pruner:
    """Stop a trial whose best so far is worse than half of the others had at its epoch (Golovin et al. 2017).

    Args:
        trials: so many others must have come as far.
        epochs: none is stopped before it has trained so many.
    """
    import statistics

    def falls_behind(costs, others):
        now = len(costs)
        if now < epochs:
            return False
        theirs = [min(other[:now]) for other in others if len(other) >= now]
        return len(theirs) >= trials and min(costs) > statistics.median(theirs)

    return falls_behind


def successive_halving(factor: Annotated[int, Ge(2), Le(MOST)] = 3, epochs: Count = 1) -> Pruner:
    """At each rung, a trial goes on if it is in the best share of all that came there (ASHA, Li et al. 2020).

    Rungs are at `epochs`, `epochs * factor`, `epochs * factor ** 2` and so on. Nobody waits: the first trials that come
    to a rung go on with few to be compared with.

    Args:
        factor: one in so many goes on.
        epochs: that the first rung is after.
    """

    def falls_behind(costs, others):
        rung = epochs
        while rung < len(costs):
            rung *= factor
        if rung > len(costs):
            return False
        here = [min(other[:rung]) for other in others if len(other) >= rung]
        better = sum(other < min(costs) for other in here)
        return better >= max(1, (len(here) + 1) // factor)

    return falls_behind
