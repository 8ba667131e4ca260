"""`check` of optimizers, schedules and callbacks: a bad one for each promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import Callback, FitInfo, NonNegative, Optimizer, Schedule, hookimpl
from kplug.testing import check, plugged


def failure(component, *arguments, **small):
    with pytest.raises(AssertionError) as error:
        check(component, *arguments, **small)
    return str(error.value)


class FlawedOptimizer(keras.optimizers.SGD):
    """Gradient descent with a flaw."""

    def __init__(self, flaw):
        super().__init__(learning_rate=0.0 if flaw == "still" else 0.1)
        self.flaw = flaw

    def update_step(self, gradient, variable, learning_rate):
        if self.flaw == "replicas":
            learning_rate = learning_rate * tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        super().update_step(gradient / (0.0 if self.flaw == "infinite" else 1.0), variable, learning_rate)


def flawed_optimizer(flaw: str = "none") -> Optimizer:
    """Gradient descent.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedOptimizer(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("still", "changes every weight"),
        ("infinite", "keeps weights finite"),
        ("replicas", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_optimizer(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_optimizer, flaw=flaw)


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """Falls in a line, past zero if it is told so."""

    def __init__(self, end):
        self.end = end

    def __call__(self, step):
        return 0.1 - 0.1 * tf.cast(step, tf.float32) / self.end


def falling(fit: FitInfo, share: NonNegative = 1.0) -> Schedule:
    """Falls in a line.

    Args:
        share: of all steps in which the rate reaches 0.
    """
    return Falling(fit.steps * share)


def test_schedule():
    check(falling)
    assert "at least 0 at every step, the last too; at step 3 of 4 it is -0.05" in failure(falling, share=0.5)


class Remembering(keras.callbacks.Callback):
    """Counts epochs, with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw, self.epochs = flaw, 0
        if flaw != "half":
            self.restore = self._restore

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        if self.flaw == "name":
            self.epochs = logs["val_jaccard"]

    def state(self):
        return {"epochs": np.float32(self.epochs) if self.flaw == "numpy" else self.epochs}

    def _restore(self, state):
        self.epochs = state["epochs"]


def remembering(flaw: str = "none") -> Callback:
    """Counts epochs.

    Args:
        flaw: what is wrong with it.
    """
    return Remembering(flaw)


def test_callback():
    check(remembering)
    assert "this one has state alone" in failure(remembering, flaw="half")
    assert "what JSON can hold" in failure(remembering, flaw="numpy")
    with pytest.raises(KeyError, match="val_jaccard"):
        check(remembering, flaw="name")


class Schedules:
    @staticmethod
    @hookimpl
    def components():
        return [falling]


def test_components_of_another_plugin_are_known_on_two_replicas_too():
    from kplug.default_plugins.keras_components.optimizers import sgd

    with plugged(Schedules):
        check(sgd, learning_rate={"type": "falling", "share": 2.0})
