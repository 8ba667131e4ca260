"""Losses that Keras defines on probabilities or rates, made to take what a network puts out: logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Activated(keras.losses.Loss):
    """A loss of one value per example: a function of the targets and of the outputs after an activation.

    Args:
        function: (targets, activated outputs), both [batch, ...], to values whose first axis is the batch.
        activation: name of a Keras activation.
        per_example: flatten all that belongs to an example first, as losses over sets of pixels or classes need.
    """

    def __init__(
        self, function: Callable[[Any, Any], Any], activation: str, name: str, per_example: bool = False
    ) -> None:
        super().__init__(name=name)
        self.function = function
        self.activation = keras.activations.get(activation)
        self.per_example = per_example

    def call(self, y_true: Any, y_pred: Any) -> Any:
        activated = self.activation(y_pred)
        if self.per_example:
            y_true = keras.ops.reshape(y_true, (keras.ops.shape(y_true)[0], -1))
            activated = keras.ops.reshape(activated, (keras.ops.shape(activated)[0], -1))
        return self.function(y_true, activated)


def dice(activation: str) -> keras.losses.Loss:
    """Dice loss within each example: 1 - 2 |A and B| / (|A| + |B|)."""
    return Activated(lambda t, p: keras.losses.dice(t, p, axis=-1), activation, "dice", per_example=True)


def tversky(alpha: float, beta: float, activation: str) -> keras.losses.Loss:
    """Tversky loss: alpha weighs false positives, beta false negatives, as in the paper; Keras 3.15 swaps the two."""

    def swapped(y_true: Any, y_pred: Any) -> Any:
        return keras.losses.tversky(y_true, y_pred, alpha=beta, beta=alpha, axis=-1)

    return Activated(swapped, activation, "tversky", per_example=True)


def generalized_cross_entropy(q: float, activation: str) -> keras.losses.Loss:
    """Loss (1 - p^q) / q, p the probability of the true class; Keras's own takes class numbers, not one-hot rows."""

    def value(y_true: Any, y_pred: Any) -> Any:
        p = keras.ops.sum(keras.ops.cast(y_true, y_pred.dtype) * y_pred, axis=-1)
        # the gradient of p^q is infinite at 0
        return (1 - keras.ops.power(keras.ops.maximum(p, keras.config.epsilon()), q)) / q

    return Activated(value, activation, "categorical_generalized_cross_entropy")


def kl_divergence(activation: str) -> keras.losses.Loss:
    """Kullback-Leibler divergence: the sum of t log(t / p)."""
    return Activated(keras.losses.kl_divergence, activation, "kl_divergence")


def poisson(activation: str) -> keras.losses.Loss:
    """Poisson loss: the mean of rate - t log(rate)."""
    return Activated(keras.losses.poisson, activation, "poisson")
