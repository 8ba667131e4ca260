"""Keras callbacks that remember something, with `state` and `restore`, so that a resumed training goes on as it was."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras

from kplug.default_plugins.training.warmup import Warmed
from kplug.errors import SpecError
from kplug.model.patches import Plateau, directions_of, steps_made
from kplug.model.rates import schedule_of
from kplug.model.variables import optimizers_of
from kplug.storage.metrics import direction_of

State = dict[str, float | int | None]


def _state(callback: Any) -> State:
    values = {name: getattr(callback, name) for name in callback.remembered}
    return {name: value if value is None or isinstance(value, int) else float(value) for name, value in values.items()}


def _restore(callback: Any, state: State) -> None:
    vars(callback).update(state)


def _know_direction(callback: Any) -> None:
    """Have a callback know what is better in every case in which that is known; Keras asks its own metrics alone."""
    if callback.mode == "auto":
        direction = direction_of(callback.monitor, directions_of(callback.model))
        callback.mode = {"minimize": "min", "maximize": "max", None: "auto"}[direction]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's callback, with a memory that can be kept."""

    remembered = ("wait", "best", "best_epoch", "stopped_epoch")
    state, restore = _state, _restore

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _know_direction(self)


class ReduceLROnPlateau(Plateau):
    """Keras's callback, with a memory that can be kept, for every optimizer of a model.

    Of a schedule it lowers the scale, once all warm-ups are over. That takes a schedule with a variable `scale` and
    with `warmup_steps`: `Warmed`. The scale is a variable of the optimizer too, with which it is kept.
    """

    remembered = ("wait", "best", "cooldown_counter")
    state, restore = _state, _restore

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _know_direction(self)
        inner = {id(_plain(one)): _plain(one) for one in optimizers_of(self.model)}
        self.optimizers = [one for one in inner.values() if not hasattr(one, "optimizers")]
        for schedule in map(schedule_of, self.optimizers):
            if not isinstance(schedule, Warmed | None):
                remedy = "one of constant, polynomial, step: {type: constant, peak: ..., warmup: ...}"
                what = f"reduce_lr_on_plateau cannot lower the rates of a {type(schedule).__name__}"
                raise SpecError(f"{what}; take a number for learning_rate, or {remedy}")
        if len(self.optimizers) > 1:
            self.set_model(_Optimized(self.model, self.optimizers))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if all(map(_is_warm, self.optimizers)):
            # of several optimizers Keras would add each rate to the row, which has them already
            super().on_epoch_end(epoch, logs if len(self.optimizers) == 1 else dict(logs or {}))

    def lower_schedule(self, optimizer: Any) -> bool | None:
        schedule: Any = schedule_of(_plain(optimizer))
        if schedule is None:
            return None
        rate = float(optimizer.learning_rate)
        if rate <= keras.ops.convert_to_numpy(keras.ops.cast(self.min_lr, "float32")):
            return False
        schedule.scale.assign(schedule.scale * max(self.factor, self.min_lr / rate))
        return True


class _Optimized:
    """A model whose one optimizer stands for several, over which Keras's callback goes."""

    def __init__(self, model: keras.Model, optimizers: Sequence[Any]) -> None:
        self.of, self.optimizer = model, SimpleNamespace(optimizers=optimizers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)


def _is_warm(optimizer: Any) -> bool:
    schedule: Any = schedule_of(optimizer)
    return schedule is None or steps_made(optimizer) >= schedule.warmup_steps


def _plain(optimizer: Any) -> Any:
    """Return the optimizer that steps, where another scales its loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)
