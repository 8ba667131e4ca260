"""Courses of a learning rate by the step, and the rise that goes before each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Course = Callable[[Any], Any]  # step, a float32 scalar tensor, to the rate of that step


class Warmed(keras.optimizers.schedules.LearningRateSchedule):
    """A course whose first steps are taken with a growing share of it, and that can be lowered for good.

    All rates are multiplied by `scale`, a variable, since a plateau lowers it while the training goes on.

    Args:
        course: the rate without the rise.
        warmup_steps: steps of the rise; step `warmup_steps` is the first with the whole rate.
    """

    def __init__(self, course: Course, warmup_steps: int) -> None:
        self.course = course
        self.warmup_steps = warmup_steps
        self.scale = keras.Variable(1.0, trainable=False, name="scale", aggregation="only_first_replica")

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        whole = self.warmup_steps + 1.0
        rise = ops.minimum(step + 1.0, whole) / whole  # exactly 1 after the rise
        return self.course(step) * rise * self.scale


def stairs(rates: Sequence[float], boundaries: Sequence[int]) -> Course:
    """A course of the first rate until step `boundaries[0]`, which has the second, and so on."""

    def course(step: Any) -> Any:
        falls = ops.sum(ops.cast(step >= ops.array([*boundaries, float("inf")], "float32"), "int32"))
        return ops.take(ops.array(rates, "float32"), falls)

    return course


def slope(peak: float, final: float, power: float, first: int, last: int) -> Course:
    """A course from the peak at step `first` to the final rate at step `last`, by a power of the share that remains."""

    def course(step: Any) -> Any:
        left = ops.clip((last - step) / max(last - first, 1), 0.0, 1.0) ** power
        return peak * left + final * (1.0 - left)  # in this form both ends are exact

    return course
