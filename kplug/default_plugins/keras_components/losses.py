"""Losses of Keras: float targets and logits, or outputs of a regression, to one value per example.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from typing import Literal

from kplug.default_plugins.keras_components.types import OpenUnit
from kplug.kinds import Fraction, Loss, NonNegative, Positive, Unit


def binary_crossentropy(label_smoothing: Fraction = 0.0) -> Loss:
    """Cross-entropy of each class by itself: for several labels.

    Args:
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing, from_logits=True)


def binary_focal_crossentropy(
    apply_class_balancing: bool = False, alpha: Unit = 0.25, gamma: NonNegative = 2.0, label_smoothing: Fraction = 0.0
) -> Loss:
    """Cross-entropy of each class by itself, easy examples faded (Lin et al. 2017).

    Args:
        apply_class_balancing: weigh ones by alpha and zeros by 1 - alpha.
        alpha: weight of the ones where apply_class_balancing is true.
        gamma: how strongly easy examples fade; 0 not at all.
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=apply_class_balancing,
        alpha=alpha,
        gamma=gamma,
        label_smoothing=label_smoothing,
        from_logits=True,
    )


def categorical_crossentropy(label_smoothing: Fraction = 0.0) -> Loss:
    """Cross-entropy of one class among several.

    Args:
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing, from_logits=True)


def categorical_focal_crossentropy(
    alpha: Positive | tuple[Positive, ...] = 1.0, gamma: NonNegative = 2.0, label_smoothing: Fraction = 0.0
) -> Loss:
    """Cross-entropy of one class among several, easy examples faded (Lin et al. 2017).

    Args:
        alpha: weight of all classes, or of each.
        gamma: how strongly easy examples fade; 0 not at all.
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.losses.CategoricalFocalCrossentropy(
        alpha=alpha, gamma=gamma, label_smoothing=label_smoothing, from_logits=True
    )


def categorical_generalized_cross_entropy(
    q: OpenUnit = 0.5, activation: Literal["softmax", "sigmoid"] = "softmax"
) -> Loss:
    """Between cross-entropy and absolute error, for noisy labels (Zhang and Sabuncu 2018).

    Args:
        q: near 0 it is cross-entropy, 1 is absolute error.
        activation: makes probabilities of the logits: one class, or each by itself.
    """
    from kplug.default_plugins.keras_components.logit_losses import generalized_cross_entropy

    return generalized_cross_entropy(q, activation)


def categorical_hinge() -> Loss:
    """Margin of 1 between the true class and the best other one."""
    import keras

    return keras.losses.CategoricalHinge()


def cosine_similarity() -> Loss:
    """Minus the cosine between target and output."""
    import keras

    return keras.losses.CosineSimilarity()


def dice(activation: Literal["softmax", "sigmoid"] = "softmax") -> Loss:
    """1 - overlap within each example (Milletari et al. 2016).

    Args:
        activation: makes probabilities of the logits: one class, or each by itself.
    """
    from kplug.default_plugins.keras_components.logit_losses import dice

    return dice(activation)


def hinge() -> Loss:
    """Margin of 1 for each class by itself; targets 0 and 1 are read as -1 and 1."""
    import keras

    return keras.losses.Hinge()


def huber(delta: Positive = 1.0) -> Loss:
    """Squared error for small errors, absolute for large ones (Huber 1964).

    Args:
        delta: the error at which squared becomes absolute.
    """
    import keras

    return keras.losses.Huber(delta=delta)


def kl_divergence(activation: Literal["softmax", "sigmoid"] = "softmax") -> Loss:
    """Divergence of the output's distribution from the target's.

    Args:
        activation: makes probabilities of the logits: one class, or each by itself.
    """
    from kplug.default_plugins.keras_components.logit_losses import kl_divergence

    return kl_divergence(activation)


def log_cosh() -> Loss:
    """Logarithm of the error's hyperbolic cosine: like Huber, smooth."""
    import keras

    return keras.losses.LogCosh()


def mean_absolute_error() -> Loss:
    """Mean of the absolute errors."""
    import keras

    return keras.losses.MeanAbsoluteError()


def mean_absolute_percentage_error() -> Loss:
    """Mean of the absolute errors as percentages of the target."""
    import keras

    return keras.losses.MeanAbsolutePercentageError()


def mean_squared_error() -> Loss:
    """Mean of the squared errors."""
    import keras

    return keras.losses.MeanSquaredError()


def mean_squared_logarithmic_error() -> Loss:
    """Mean of the squared errors of logarithms; negative outputs count as 0."""
    import keras

    return keras.losses.MeanSquaredLogarithmicError()


def poisson(activation: Literal["exponential", "softplus"] = "exponential") -> Loss:
    """Negative log-likelihood of counts.

    Args:
        activation: makes positive rates of the outputs.
    """
    from kplug.default_plugins.keras_components.logit_losses import poisson

    return poisson(activation)


def squared_hinge() -> Loss:
    """Square of the hinge loss; targets 0 and 1 are read as -1 and 1."""
    import keras

    return keras.losses.SquaredHinge()


def tversky(
    alpha: NonNegative = 0.5, beta: NonNegative = 0.5, activation: Literal["softmax", "sigmoid"] = "softmax"
) -> Loss:
    """Overlap that weighs false positives and negatives apart (Salehi et al. 2017).

    Args:
        alpha: weight of the false positives.
        beta: weight of the false negatives.
        activation: makes probabilities of the logits: one class, or each by itself.
    """
    from kplug.default_plugins.keras_components.logit_losses import tversky

    return tversky(alpha, beta, activation)


COMPONENTS = [
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    cosine_similarity,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    squared_hinge,
    tversky,
]
