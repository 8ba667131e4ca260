"""Losses that compare every pixel of a picture: targets `[b, h, w, classes]` with scores (logits) of that shape.

Each gives a value for each picture, `[b]`, so that one replica and two come to the same.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
from keras import ops

from kplug import SpecError

SMOOTH = 1.0  # joins what is said and what is right in Dice and Tversky: nothing where nothing is, is no error


class PixelLoss(keras.losses.Loss):
    """A loss over the pixels of a picture, which may count more or less or not at all.

    Args:
        several: a pixel may have several classes, and scores are those of a sigmoid each; else of a softmax.
    """

    def __init__(self, name: str, several: bool) -> None:
        super().__init__(name=name)
        self.several = several

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.of_pixels(y_true, y_pred, ops.ones(ops.shape(y_pred)[:-1], y_pred.dtype))

    @abstractmethod
    def of_pixels(self, targets: Any, scores: Any, weights: Any) -> Any:
        """Compare, with weights of pixels.

        Args:
            targets: float `[b, h, w, classes]` of 0 and 1.
            scores: logits of the same shape.
            weights: `[b, h, w]`; 0 where a pixel is not known.

        Returns:
            A value for each picture, `[b]`.
        """

    def probabilities(self, scores: Any) -> Any:
        """The probability of each class, of each pixel."""
        return ops.sigmoid(scores) if self.several else ops.softmax(scores)


def mean_of_known(values: Any, weights: Any) -> Any:
    """The weighted sum of values of pixels, divided by the number of those that count, `[b]`."""
    count = ops.sum(ops.cast(weights > 0, values.dtype), axis=(1, 2))
    return ops.sum(values * weights, axis=(1, 2)) / ops.maximum(count, 1.0)


class PixelCrossEntropy(PixelLoss):
    """Cross-entropy of each pixel, weaker where that is easy already; the components say the parameters."""

    def __init__(self, name: str, several: bool, gamma: float = 0.0, class_weights: Any = None) -> None:
        super().__init__(name, several)
        self.gamma, self.class_weights = gamma, class_weights

    def of_pixels(self, targets: Any, scores: Any, weights: Any) -> Any:
        if self.several:
            each = ops.binary_crossentropy(targets, scores, from_logits=True)
            of_class = self._weights(targets) * each * self._fade(each)
            return mean_of_known(ops.mean(of_class, axis=-1), weights)
        each = ops.categorical_crossentropy(targets, scores, from_logits=True)
        if self.class_weights is not None:
            weights = weights * ops.sum(self._weights(targets) * targets, axis=-1)
        return mean_of_known(each * self._fade(each), weights)

    def _fade(self, cross_entropy: Any) -> Any:
        """(1 - p) ** gamma, where p is the probability of what is right."""
        return ops.power(-ops.expm1(-cross_entropy), self.gamma) if self.gamma else 1.0

    def _weights(self, targets: Any) -> Any:
        return (
            ops.ones((), targets.dtype) if self.class_weights is None else ops.cast(self.class_weights, targets.dtype)
        )


class Overlap(PixelLoss):
    """1 - the Tversky index of each class, whose special case is Dice; the components say the parameters."""

    def __init__(
        self, name: str, several: bool, background: bool, alpha: float = 0.5, beta: float = 0.5, gamma: float = 1.0
    ) -> None:
        super().__init__(name, several)
        self.background, self.alpha, self.beta, self.gamma = background, alpha, beta, gamma

    def of_pixels(self, targets: Any, scores: Any, weights: Any) -> Any:
        known = ops.cast(weights > 0, scores.dtype)[..., None]
        said, right = self.probabilities(scores) * known, targets * known
        if not self.several and not self.background:
            said, right = said[..., 1:], right[..., 1:]
        hits, too_much, missed = (
            ops.sum(one, axis=(1, 2)) for one in (said * right, said * (1 - right), (1 - said) * right)
        )
        index = (hits + SMOOTH / 2) / (hits + self.alpha * too_much + self.beta * missed + SMOOTH / 2)
        return ops.mean(ops.power(ops.maximum(1 - index, 0.0), self.gamma), axis=-1)


class Lovasz(PixelLoss):
    """The Lovász extension of the Jaccard index, over the classes that a picture has (Berman et al. 2018)."""

    def of_pixels(self, targets: Any, scores: Any, weights: Any) -> Any:
        known = ops.cast(weights > 0, scores.dtype)[..., None]
        right = targets * known
        errors = ops.abs(right - self.probabilities(scores) * known)
        # classes before pixels: [b, classes, h * w], errors from the largest to the smallest
        shape = ops.shape(errors)
        errors, right = (
            ops.reshape(ops.transpose(one, (0, 3, 1, 2)), (shape[0], shape[3], shape[1] * shape[2]))
            for one in (errors, right)
        )
        order = ops.argsort(-errors, axis=-1)
        errors, right = (ops.take_along_axis(one, order, axis=-1) for one in (errors, right))
        values = ops.sum(errors * ops.stop_gradient(_steps_of_jaccard(right)), axis=-1)
        there = ops.cast(ops.sum(right, axis=-1) > 0, values.dtype)
        return ops.sum(values * there, axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)


def _steps_of_jaccard(right: Any) -> Any:
    """The share of the index that each pixel, in this order, takes once it is wrong, `[..., pixels]`."""
    count = ops.sum(right, axis=-1, keepdims=True)
    left = count - ops.cumsum(right, axis=-1)
    union = count + ops.cumsum(1 - right, axis=-1)
    lost = 1 - left / union
    return ops.concatenate([lost[..., :1], lost[..., 1:] - lost[..., :-1]], axis=-1)


class WeightedSum(PixelLoss):
    """Several losses over pixels, added up."""

    def __init__(self, several: bool, losses: list[Any], weights: list[float]) -> None:
        super().__init__("weighted_sum", several)
        self.losses, self.weights = losses, weights

    def of_pixels(self, targets: Any, scores: Any, weights: Any) -> Any:
        pairs = zip(self.weights, self.losses, strict=True)
        return sum(weight * of_pixels(loss, targets, scores, weights) for weight, loss in pairs)


def of_pixels(loss: Any, targets: Any, scores: Any, weights: Any) -> Any:
    """The value of a loss for each picture, `[b]`.

    Args:
        loss: of this plugin; or any that gives a value for each pixel, `[b, h, w]`.
        targets: float `[b, h, w, classes]`.
        scores: logits of the same shape.
        weights: of pixels, `[b, h, w]`; 0 where one is not known.

    Raises:
        SpecError: the loss gives other values, from which pixels that are not known cannot be left out.
    """
    if isinstance(loss, PixelLoss):
        return loss.of_pixels(targets, scores, weights)
    values = loss.call(targets, scores)
    if len(values.shape) != 3:
        what = f"'{loss.name}' gives the shape {list(values.shape)} where pictures have a value for each pixel"
        instead = "take one over pixels: pixel_cross_entropy, pixel_focal, soft_dice, soft_tversky, lovasz_softmax"
        raise SpecError(f"{what}, so that pixels that are not known could not be left out; {instead}")
    return mean_of_known(values, weights)
