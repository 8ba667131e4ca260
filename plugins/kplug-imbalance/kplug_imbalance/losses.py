"""Losses that know how many training examples each class has: float targets `[b, classes]` and logits to `[b]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import numpy as np

from kplug import DataInfo, SpecError
from kplug.authoring import class_weight_vector, example_weights
from kplug.errors import listed

ops = keras.ops
Weights = Literal["balanced"] | Mapping[str, float] | None


class Adjusted(keras.losses.Loss):
    """Focal cross-entropy of adjusted logits, weighed by class.

    Args:
        name: of the loss.
        weights: of the classes, `[classes]`.
        multi_label: a sigmoid per class instead of a softmax.
        gamma: of the focal loss.
        adjust: (targets, logits) to the logits that are compared.
        label_smoothing: share of the targets that is spread over all classes, once weights were taken of them.
    """

    def __init__(
        self,
        name: str,
        weights: np.ndarray,
        multi_label: bool,
        gamma: float = 0.0,
        adjust: Callable[[Any, Any], Any] = lambda targets, logits: logits,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name=name)
        self.weights, self.multi_label, self.gamma, self.adjust = weights, multi_label, gamma, adjust
        self.label_smoothing = label_smoothing

    def with_label_smoothing(self, share: float) -> Adjusted:
        """The same of targets that it smooths itself, after it has taken weights and margins of them."""
        return Adjusted(self.name, self.weights, self.multi_label, self.gamma, self.adjust, share)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets = ops.cast(y_true, y_pred.dtype)
        logits, weights = self.adjust(targets, y_pred), example_weights(targets, self.weights)
        spread = 0.5 if self.multi_label else 1 / targets.shape[-1]
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing * spread
        return (self._of_sigmoids if self.multi_label else self._of_softmax)(targets, logits) * weights

    def _of_softmax(self, targets: Any, logits: Any) -> Any:
        logs = ops.log_softmax(logits, axis=-1)
        return -ops.sum(targets * self._faded(ops.exp(logs)) * logs, axis=-1)

    def _of_sigmoids(self, targets: Any, logits: Any) -> Any:
        yes, no = ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
        faded = targets * self._faded(ops.exp(yes)) * yes + (1 - targets) * self._faded(ops.exp(no)) * no
        return -ops.mean(faded, axis=-1)

    def _faded(self, probabilities: Any) -> Any:
        """The weight (1 - p)^gamma of a right answer's probability p; for gamma < 1 its gradient is infinite at 1."""
        if not self.gamma:
            return 1.0
        return ops.power(ops.maximum(1 - probabilities, keras.config.epsilon()), self.gamma)


def focal(data: DataInfo, gamma: float, weights: Weights, name: str = "focal") -> keras.losses.Loss:
    return Adjusted(name, class_weight_vector(weights, data, "weights"), data.multi_label, gamma)


def effective_number(data: DataInfo, beta: float, gamma: float) -> keras.losses.Loss:
    """Weights are scaled to the sum of the classes' number, as the paper does."""
    counts = known_counts(data, "effective_number")
    # (1 - beta) / (1 - beta^n), exact where beta is next to 1
    weights = (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)
    weights = weights * len(weights) / weights.sum()
    return Adjusted("effective_number", weights.astype(np.float32), data.multi_label, gamma)


def ldam(data: DataInfo, margin: float, scale: float, weights: Weights) -> keras.losses.Loss:
    counts = known_counts(data, "ldam", multi_label=False)
    margins = (scale * margin * (counts.min() / counts) ** 0.25).astype(np.float32)
    vector = class_weight_vector(weights, data, "weights")
    return Adjusted("ldam", vector, False, adjust=lambda targets, logits: logits - targets * margins)


def logit_adjusted(data: DataInfo, tau: float) -> keras.losses.Loss:
    counts = known_counts(data, "logit_adjusted", multi_label=False)
    shift = (tau * np.log(counts / counts.sum())).astype(np.float32)
    ones = class_weight_vector(None, data)
    return Adjusted("logit_adjusted", ones, False, adjust=lambda targets, logits: logits + shift)


def known_counts(data: DataInfo, name: str, multi_label: bool = True) -> np.ndarray:
    """Training examples of each class, float64 `[classes]`, none of them 0.

    Raises:
        SpecError: the source does not say, a class has none, or examples have several labels where they may not.
    """
    if data.multi_label and not multi_label:
        raise SpecError(
            f"{name} is for one label an example, and the source gives several; take weighted_cross_entropy"
        )
    if not data.counts:
        raise SpecError(f"{name} needs the number of examples of each class, which the source lacks")
    empty = [f"'{one}'" for one, count in zip(data.classes, data.counts, strict=True) if not count]
    if empty:
        raise SpecError(f"{name} divides by the number of training examples, and there are none of {listed(empty)}")
    return np.asarray(data.counts, np.float64)
