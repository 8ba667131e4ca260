"""Keras callbacks that remember something, with `state` and `restore`, so that a resumed training goes on as it was."""

from __future__ import annotations

from typing import Any

import keras

State = dict[str, float | int | None]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's, with a memory that can be kept."""

    remembered = ("wait", "best", "best_epoch", "stopped_epoch")
    restored: State | None = None

    def state(self) -> State:
        return _state(self)

    def restore(self, state: State) -> None:
        self.restored = dict(state)

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _put_back(self)


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's, with a memory that can be kept."""

    remembered = ("wait", "best", "cooldown_counter")
    restored: State | None = None

    def state(self) -> State:
        return _state(self)

    def restore(self, state: State) -> None:
        self.restored = dict(state)

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _put_back(self)


def _state(callback: Any) -> State:
    values = {name: getattr(callback, name) for name in callback.remembered}
    return {name: value if value is None or isinstance(value, int) else float(value) for name, value in values.items()}


def _put_back(callback: Any) -> None:
    # Keras forgets everything when a training begins, so what was restored is put back after that, once
    for name, value in (callback.restored or {}).items():
        setattr(callback, name, value)
    callback.restored = None
