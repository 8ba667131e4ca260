"""Keras callbacks that remember something, with `state` and `restore`, so that a resumed training goes on as it was."""

from __future__ import annotations

from typing import Any

import keras

State = dict[str, float | int | None]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's, with a memory that can be kept."""

    remembered = ("wait", "best", "best_epoch", "stopped_epoch")

    def state(self) -> State:
        return _state(self)

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's, with a memory that can be kept."""

    remembered = ("wait", "best", "cooldown_counter")

    def state(self) -> State:
        return _state(self)

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _state(callback: Any) -> State:
    values = {name: getattr(callback, name) for name in callback.remembered}
    return {name: value if value is None or isinstance(value, int) else float(value) for name, value in values.items()}
