"""Callbacks that Keras lacks: a guard against divergence, averaged weights, the best few epochs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Le, Len, Lt

from kplug import Callback, Count, FitInfo, RunDirectory, Text, call, hookimpl
from kplug.kinds import MetricName


@hookimpl
def components():
    return [best_checkpoints, stop_on_blow_up, weight_averaging]


@hookimpl
def callbacks(run):
    from kplug.default_plugins.training.divergence import LossGuard, SlowedDown

    return [LossGuard(run), SlowedDown(run)]


def best_checkpoints(
    run: RunDirectory,
    keep: Count = 3,
    by: Annotated[dict[Literal["minimize", "maximize"], Text], Len(1, 1)] = call(minimize="val_loss"),
) -> Callback:
    """Keeps the weights of the best few epochs of a stage, as best/epoch-N.weights.h5 in the run.

    Args:
        keep: how many epochs; of two that are equally good the earlier is kept.
        by: what says how good an epoch is: {minimize: METRIC} or {maximize: METRIC}.
    """
    from kplug.default_plugins.training.epoch_callbacks import BestCheckpoints
    from kplug.records import Monitor

    return BestCheckpoints(run, keep, Monitor.read(by))


@dataclass(frozen=True, kw_only=True)
class GoBack:
    """The way on for a training that diverged: from its last good checkpoint, slower from there on.

    Args:
        rate: what all learning rates are multiplied by, each time.
        times: how often it goes back before it stops.
    """

    rate: Annotated[float, Gt(0), Lt(1)] = 0.5
    times: Count = 3


def stop_on_blow_up(
    run: RunDirectory,
    monitor: MetricName = "loss",
    factor: Annotated[float, Gt(1)] | None = 10.0,
    go_back: GoBack | None = None,
) -> Callback:
    """Fails the training at the step where its loss is no number, infinite, or far above what it was.

    With `go_back` it goes on instead, from the last checkpoint whose weights are finite, or from the first step where
    there is none, with smaller learning rates; where that leads to no new checkpoint, it goes back one further the
    next time. The file setbacks.jsonl of the run says when and why, and which epochs were given up.

    Args:
        monitor: name of the loss, as reported: the mean of the epoch so far; val_loss is looked at once an epoch.
        factor: how many times its lowest it may be, and always up to its first value; null is no bound.
        go_back: where the training goes on, and how often; null is to stop.
    """
    from kplug.default_plugins.training.divergence import StopOnBlowUp

    return StopOnBlowUp(run, monitor, factor, (go_back.rate, go_back.times) if go_back else None)


def weight_averaging(fit: FitInfo, last: Annotated[float, Gt(0), Le(1)] = 0.25) -> Callback:
    """Ends the training with the mean of the weights that the last epochs ended with (Izmailov et al. 2018).

    The paper's rate stays high in these epochs: `step` or `constant` suit it better than a rate that falls to 0.
    Validation, the kept weights and checkpoints of these epochs have the mean up to then; training goes on with the
    weights themselves. The moving statistics of batch normalization are averaged as well, not measured anew on the
    training data as in the paper. A finished training that is made longer goes on from the mean.

    Args:
        last: share of the epochs whose ends are averaged, the last ones; at least one epoch.
    """
    from kplug.default_plugins.training.epoch_callbacks import epoch_means
    from kplug.training.averaging import SwappedWeights

    return SwappedWeights(epoch_means(max(round(last * fit.epochs), 1)))
