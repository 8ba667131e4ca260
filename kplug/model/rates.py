"""Learning rates that are lowered for good, after a training diverged."""

from __future__ import annotations

from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from kplug.model.patches import rate_of
from kplug.model.variables import optimizers_of


class Scaled(LearningRateSchedule):
    """A schedule with all its rates multiplied.

    The factor is a number, not a variable: a checkpoint from before the training diverged would put an old one back.

    Args:
        schedule: the schedule; what asks for its class or its attributes finds them here.
        factor: what its rates are multiplied by.
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float) -> None:
        self.schedule, self.factor = schedule, factor

    def __call__(self, step: Any) -> Any:
        return self.schedule(step) * self.factor


def schedule_of(optimizer: Any) -> LearningRateSchedule | None:
    """Return the schedule that an optimizer was given, scaled or not; None where its rate is a number."""
    rate = rate_of(optimizer)
    while isinstance(rate, Scaled):
        rate = rate.schedule
    return rate if isinstance(rate, LearningRateSchedule) else None


def slow_down(model: keras.Model, schedules: float, variables: float) -> None:
    """Multiply the rates of all optimizers of a model.

    Args:
        model: the model; optimizers that others wrap are found too.
        schedules: the factor of the rates that come from a schedule.
        variables: the factor of plain rates, which are variables.
    """
    for optimizer in optimizers_of(model):
        rate = rate_of(optimizer)
        if isinstance(rate, LearningRateSchedule) and schedules != 1:
            optimizer.learning_rate = Scaled(rate, schedules)
        elif isinstance(rate, keras.Variable) and variables != 1:
            rate.assign(rate * variables)
