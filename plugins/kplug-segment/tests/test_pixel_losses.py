"""Losses of pixels against their formulas, written out pixel by pixel."""

import keras
import numpy as np
import pytest
from kplug_segment import LOSSES, pixel_losses, soft_dice, soft_tversky
from kplug_segment.learner import OfPixels
from kplug_segment.pixel_losses import Lovasz, Overlap, PixelCrossEntropy, WeightedSum, of_pixels

from kplug import SpecError
from kplug.testing import check, tiny_info

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, (2, 4, 5))
Y = np.eye(3, dtype=np.float32)[LABELS]
LOGITS = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
KNOWN = (RNG.random((2, 4, 5)) > 0.3).astype(np.float32)
P = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


def of(loss, weights=KNOWN):
    tensors = map(keras.ops.convert_to_tensor, (Y, LOGITS, weights))
    return keras.ops.convert_to_numpy(of_pixels(loss, *tensors))


@pytest.mark.parametrize("component", [one for one in LOSSES if one.__name__ != "weighted_sum"])
def test_the_contract(component):
    check(component, inputs=(6, 5, 3))


def test_the_contract_of_a_sum():
    losses = [{"type": "pixel_cross_entropy"}, {"type": "soft_dice", "background": True}]
    check(LOSSES[-1], inputs=(6, 5, 3), losses=losses, weights=[1.0, 0.5])


def test_cross_entropy_is_the_mean_over_known_pixels():
    each = -np.log(np.take_along_axis(P, LABELS[..., None], -1)[..., 0])
    np.testing.assert_allclose(
        of(PixelCrossEntropy("a", False)), (each * KNOWN).sum((1, 2)) / KNOWN.sum((1, 2)), rtol=1e-5
    )
    heavy = 3 * KNOWN  # a weight makes a pixel count more; what is divided by is how many there are
    np.testing.assert_allclose(
        of(PixelCrossEntropy("a", False), heavy), 3 * of(PixelCrossEntropy("a", False)), rtol=1e-5
    )


def test_focal_fades_what_is_easy():
    right = np.take_along_axis(P, LABELS[..., None], -1)[..., 0]
    wanted = ((1 - right) ** 2 * -np.log(right) * KNOWN).sum((1, 2)) / KNOWN.sum((1, 2))
    np.testing.assert_allclose(of(PixelCrossEntropy("a", False, 2.0)), wanted, rtol=1e-4)


def test_dice_and_tversky():
    said, right = P * KNOWN[..., None], Y * KNOWN[..., None]
    hits, both = (said * right).sum((1, 2)), (said + right).sum((1, 2))
    wanted = 1 - (2 * hits + 1) / (both + 1)
    np.testing.assert_allclose(of(Overlap("a", False, True)), wanted.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(of(Overlap("a", False, False)), wanted[:, 1:].mean(-1), rtol=1e-5)
    missed, too_much = ((1 - said) * right).sum((1, 2)), (said * (1 - right)).sum((1, 2))
    index = (hits + 0.5) / (hits + 0.3 * too_much + 0.7 * missed + 0.5)
    np.testing.assert_allclose(of(Overlap("a", False, True, 0.3, 0.7)), (1 - index).mean(-1), rtol=1e-5)


def test_nothing_where_nothing_is_is_no_error():
    """keras.losses.Dice says 1, the worst, of an empty mask and an empty answer."""
    empty = np.zeros((1, 8, 8, 2), np.float32)
    empty[..., 0] = 1
    sure = np.where(empty > 0, 50.0, -50.0).astype(np.float32)
    for loss in (soft_dice(tiny_info()), soft_tversky(tiny_info())):
        assert float(loss.call(empty, sure)[0]) < 1e-6


def lovasz_of(errors, right):
    """The sum over thresholds by which the set of errors grows (Berman et al. 2018, equation 9)."""
    order = np.argsort(-errors, kind="stable")
    value, before, wrong = 0.0, 0.0, set()
    truth = set(np.flatnonzero(right).tolist())
    for pixel in order:
        wrong.add(pixel)
        jaccard = len(wrong) / len(truth | wrong) if truth | wrong else 0.0
        value += errors[pixel] * (jaccard - before)
        before = jaccard
    return value


def test_lovasz_is_its_definition():
    for picture in range(2):
        found = []
        for number in range(3):
            known = KNOWN[picture].ravel() > 0
            right = Y[picture, ..., number].ravel()[known]
            errors = np.abs(right - P[picture, ..., number].ravel()[known])
            found += [lovasz_of(errors, right)] if right.any() else []
        np.testing.assert_allclose(of(Lovasz("a", False))[picture], np.mean(found), rtol=1e-4)


def test_what_is_not_known_changes_no_loss():
    other = np.where(KNOWN[..., None] > 0, LOGITS, RNG.normal(size=LOGITS.shape) * 9).astype(np.float32)
    for loss in (
        PixelCrossEntropy("a", False),
        Overlap("b", False, True),
        Lovasz("c", False),
        WeightedSum(False, [keras.losses.CategoricalCrossentropy(from_logits=True)], [1.0]),
    ):
        tensors = map(keras.ops.convert_to_tensor, (Y, other, KNOWN))
        np.testing.assert_allclose(of(loss), of_pixels(loss, *tensors), rtol=1e-5)


def test_a_loss_of_whole_pictures_is_refused():
    with pytest.raises(SpecError, match="gives the shape"):
        of(keras.losses.Dice(axis=(1, 2, 3)))


def test_keras_is_given_the_weights_with_the_targets():
    loss = OfPixels(PixelCrossEntropy("a", False), [1.0, 0.5])
    y = np.concatenate([Y, KNOWN[..., None]], -1)
    both = np.concatenate([LOGITS, LOGITS], -1)
    np.testing.assert_allclose(loss.call(y, keras.ops.convert_to_tensor(both)), 1.5 * of(loss.loss), rtol=1e-5)


def test_steps_of_jaccard_add_up_to_one():
    right = (RNG.random((3, 40)) > 0.5).astype(np.float32)
    steps = pixel_losses._steps_of_jaccard(keras.ops.convert_to_tensor(right))
    np.testing.assert_allclose(keras.ops.sum(steps, -1), 1, rtol=1e-5)
