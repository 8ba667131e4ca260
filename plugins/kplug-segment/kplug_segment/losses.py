"""The signatures of the losses over pixels, free of TensorFlow."""

from typing import Any

from kplug import DataInfo, rule
from kplug.errors import Problem, SpecError
from kplug.kinds import Loss, NonNegative, Positive, Unit


def _several(data: DataInfo) -> bool:
    """True where a pixel may have several classes."""
    return data.label in data.fields and len(data.fields[data.label].shape) == 3


def pixel_cross_entropy(data: DataInfo) -> Loss:
    """Cross-entropy of each pixel: of a softmax, or of a sigmoid per class where a pixel may have several."""
    from kplug_segment.pixel_losses import PixelCrossEntropy

    return PixelCrossEntropy("pixel_cross_entropy", _several(data))


def pixel_focal(data: DataInfo, gamma: NonNegative = 2.0) -> Loss:
    """Cross-entropy of each pixel in which those that are already easy fade (Lin et al. 2017).

    Args:
        gamma: how strongly they fade; 0 not at all.
    """
    from kplug_segment.pixel_losses import PixelCrossEntropy

    return PixelCrossEntropy("pixel_focal", _several(data), gamma)


def soft_dice(data: DataInfo, background: bool = False) -> Loss:
    """1 - Dice of each class in each picture, of probabilities (Milletari et al. 2016).

    Args:
        background: the first class counts too; where pixels may have several, all do.
    """
    from kplug_segment.pixel_losses import Overlap

    return Overlap("soft_dice", _several(data), background)


def soft_tversky(
    data: DataInfo, alpha: Unit = 0.3, beta: Unit = 0.7, gamma: Positive = 1.0, background: bool = False
) -> Loss:
    """1 - the Tversky index of each class in each picture, in which what is missed may count more (Salehi et al. 2017).

    Args:
        alpha: how much a pixel that is said in error counts; 0.5 for both is Dice.
        beta: how much a pixel that is missed counts.
        gamma: the power of each value, such as 0.75, with which rare classes count more (Abraham and Khan 2019).
        background: the first class counts too; where pixels may have several, all do.
    """
    from kplug_segment.pixel_losses import Overlap

    return Overlap("soft_tversky", _several(data), background, alpha, beta, gamma)


def lovasz_softmax(data: DataInfo) -> Loss:
    """The Lovász extension of the Jaccard index, over the classes that a picture has (Berman et al. 2018)."""
    from kplug_segment.pixel_losses import Lovasz

    return Lovasz("lovasz_softmax", _several(data))


def _weights_are_of_losses(losses: list[Any], weights: list[float] | None) -> None:
    if not losses:
        raise SpecError([Problem("no losses to add up", ("losses",))])
    if weights is not None and len(weights) != len(losses):
        raise SpecError([Problem(f"there are {len(weights)} weights of {len(losses)} losses", ("weights",))])


@rule(_weights_are_of_losses)
def weighted_sum(data: DataInfo, losses: list[Loss], weights: list[NonNegative] | None = None) -> Loss:
    """Several losses over pixels, added up.

    Args:
        losses: each gives a value for each pixel, or for each picture.
        weights: of each; null: 1.
    """
    from kplug_segment.pixel_losses import WeightedSum

    return WeightedSum(_several(data), list(losses), list(weights or [1.0] * len(losses)))


LOSSES = [pixel_cross_entropy, pixel_focal, soft_dice, soft_tversky, lovasz_softmax, weighted_sum]
