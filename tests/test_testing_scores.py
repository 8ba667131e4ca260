"""`check` of losses and metrics: a bad one for each promise, and two replicas."""

import re
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

from kplug import Loss, Metric, NonNegative
from kplug.testing import check


def failure(component, *arguments, **small):
    with pytest.raises(AssertionError) as error:
        check(component, *arguments, **small)
    return str(error.value)


# --- loss and metric -------------------------------------------------------------------------------------------------


class FlawedLoss(keras.losses.Loss):
    """Squared error with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw

    def call(self, y, logits):
        error = tf.reduce_mean(tf.square(y - logits), -1)
        if self.flaw == "scalar":
            return tf.reduce_mean(error)
        if self.flaw == "batch":  # the right shape, and still a mean over what one replica sees
            return error / tf.reduce_sum(error)
        if self.flaw == "infinite":
            return tf.exp(tf.exp(error))
        if self.flaw == "gradient":
            return tf.reduce_sum(tf.sqrt(tf.nn.relu(logits)), -1)
        return tf.stop_gradient(error) if self.flaw == "none reaches" else error


def flawed_loss(flaw: str = "none") -> Loss:
    """Squared error.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedLoss(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("scalar", r"values for each example: shape \(8, ...\) for 8 examples; loss.call gave the shape \(\)"),
        ("batch", "does not give the same on 2 replicas as on 1"),
        ("infinite", "a loss is finite"),
        ("gradient", "the gradient of a loss is finite"),
        ("none reaches", "this one has none"),
    ],
)
def test_loss(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_loss, flaw=flaw)


class FlawedMetric(keras.metrics.Mean):
    """Share of positives with a flaw."""

    def __init__(self, flaw):
        super().__init__(name="flawed")
        self.flaw = flaw
        self.seen = 0

    def update_state(self, y, probabilities, sample_weight=None):
        self.seen += 1
        values = tf.reduce_mean(tf.cast(probabilities, tf.float32) * tf.cast(y, tf.float32), -1)
        if self.flaw == "replicas":  # a mean of means: wrong where batches are of different sizes
            values = tf.reduce_mean(values)
        super().update_state(values)

    def reset_state(self):
        if self.flaw != "reset":
            super().reset_state()

    def result(self):
        return super().result() / (0.0 if self.flaw == "infinite" else 1.0) + (self.seen if self.flaw == "past" else 0)


def flawed_metric(flaw: str = "none") -> Metric:
    """Mean probability of what is true.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedMetric(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("past", "after reset_state a metric starts afresh"),
        ("infinite", "a metric is finite on probabilities"),
        ("replicas", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_metric(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_metric, flaw=flaw)


def test_targets_of_another_shape():
    check(flawed_loss, (5,))
    check(flawed_metric, (2,))


def boxes(rng):
    """Two boxes each, with their classes: -1 is padding."""
    corners = rng.random((6, 2, 4)).astype(np.float32)
    targets = {"boxes": corners, "classes": rng.integers(-1, 3, (6, 2)).astype(np.int32)}
    targets["classes"][:, 0] = 1
    return targets, (corners + rng.normal(size=(6, 2, 4)) * 0.1).astype(np.float32)


class OfBoxes(keras.losses.Loss):
    """The distance of boxes that are there, with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw

    def call(self, targets, predictions):
        there = tf.cast(targets["classes"] >= 0, predictions.dtype)
        error = tf.reduce_sum(tf.abs(targets["boxes"] - predictions), -1) * there
        if self.flaw == "batch":
            return error / tf.reduce_sum(there)
        return tf.reduce_mean(error) if self.flaw == "scalar" else error


def of_boxes(flaw: str = "none") -> Loss:
    """The distance of boxes that are there.

    Args:
        flaw: what is wrong with it.
    """
    return OfBoxes(flaw)


class Near(keras.metrics.Mean):
    """The share of boxes that are near, with a flaw."""

    def __init__(self, flaw):
        super().__init__(name="near")
        self.flaw = flaw

    def update_state(self, targets, predictions, sample_weight=None):
        near = tf.reduce_max(tf.abs(targets["boxes"] - predictions), -1) < 0.1
        near = tf.cast(near, tf.float32)
        super().update_state(tf.reduce_mean(near) if self.flaw == "replicas" else near, targets["classes"] >= 0)


def near(flaw: str = "none") -> Metric:
    """The share of boxes that are near.

    Args:
        flaw: what is wrong with it.
    """
    return Near(flaw)


def test_targets_of_any_form():
    check(of_boxes, boxes)
    check(near, boxes)
    assert "values for each example: shape (6, ...)" in failure(of_boxes, boxes, flaw="scalar")
    assert "does not give the same on 2 replicas as on 1" in failure(of_boxes, boxes, flaw="batch")


def uneven(rng):
    return rng.random((6, 2)), rng.random((5, 2))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (uneven, r"the same number of examples, 4 at least, in all arrays; received \[5, 6\]"),
        (lambda rng: rng.random((6, 2)), r"gives \(targets, predictions\) for a generator; received ndarray"),
        (lambda rng: boxes(rng), "`inputs` is needed on 2 replicas in another process, which imports it: define it"),
    ],
)
def test_functions_that_draw_nothing_of_use(inputs, message):
    assert re.search(message, failure(of_boxes, inputs))


# --- replicas --------------------------------------------------------------------------------------------------------


def fading(gamma: NonNegative = 2.0) -> Loss:
    """Down-weight the examples that are already easy (Lin et al. 2017).

    Args:
        gamma: how strongly easy examples fade; 0 is cross-entropy.
    """
    return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True)


def counting(where: Literal["here", "elsewhere"] = "here") -> Loss:
    """Cross-entropy that cannot be made in a process with two devices.

    Args:
        where: not used.
    """
    if len(tf.config.list_logical_devices("CPU")) == 2 and tf.distribute.get_strategy().num_replicas_in_sync == 2:
        raise RuntimeError("no two replicas")
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def test_a_component_that_fails_on_two_replicas_is_told_with_its_traceback():
    message = failure(counting)
    assert "loss 'counting' fails on two replicas" in message and "RuntimeError: no two replicas" in message
    check(fading)  # the process answers on


def test_a_component_inside_a_function_cannot_be_imported_elsewhere():
    def local() -> Loss:
        """Cross-entropy."""
        return keras.losses.CategoricalCrossentropy(from_logits=True)

    assert "define it at the top of a module" in failure(local)


@pytest.mark.slow
def test_there_is_one_process_for_all_checks():
    from kplug.contracts import two_replicas as replicas

    check(fading)
    process = replicas._running.process
    check(fading)
    assert replicas._running.process is process and process.poll() is None
    process.kill()
    process.wait()
    check(fading)
    assert replicas._running.process is not process
