"""Regions of a picture: found in maps of classes, grown over borders, compared. NumPy and SciPy alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

THRESHOLDS = tuple(np.arange(0.5, 0.96, 0.05).round(2).tolist())  # of the overlap, as in the Data Science Bowl 2018
TOUCHING = np.ones((3, 3), int)  # pixels are neighbours over corners too


def watershed(mask: np.ndarray) -> np.ndarray:
    """Objects of a map in which insides are seeds: each seed grows over what is left of the foreground.

    Args:
        mask: `[h, w]`: 0 background, 1 inside of an object, 2 its border.

    Returns:
        Ids from 1, int32 `[h, w]`; a piece of border without an inside is an object of its own.
    """
    seeds, count = ndimage.label(mask == 1)
    foreground = (mask == 1) | (mask == 2)
    grown = grow(seeds, foreground)
    rest, more = ndimage.label(foreground & (grown == 0))
    return np.where(rest > 0, rest + count, grown).astype(np.int32) if more else grown


def grow(seeds: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Ids of seeds that have grown, all at the same pace, over the pixels where they may.

    Args:
        seeds: ids, `[h, w]`; 0 none.
        over: bool `[h, w]`: where they may be.

    Returns:
        Ids, int32 `[h, w]`, 0 where no seed comes to.
    """
    ids = seeds.astype(np.int32)
    while True:
        spread = ndimage.grey_dilation(ids, footprint=TOUCHING)
        grown = np.where((ids == 0) & over, spread, ids)
        if np.array_equal(grown, ids):
            return ids
        ids = grown


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The number of pixels that each two ids share, `[ids of the first, ids of the second]`, 0 among them."""
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    flat = first.astype(np.int64).ravel() * columns + second.ravel()
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns)


def iou_of_objects(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Intersection over union of each object with each answer, `[objects, answers]`; of ids that have pixels."""
    shared = overlaps(truth, answer)
    of_truth, of_answer = shared.sum(1), shared.sum(0)
    inside = shared[1:, 1:]
    union = of_truth[1:, np.newaxis] + of_answer[np.newaxis, 1:] - inside
    found = inside / np.maximum(union, 1)
    return found[of_truth[1:] > 0][:, of_answer[1:] > 0]


def matched(iou: np.ndarray, threshold: float) -> int:
    """The number of objects that an answer hits: from one half on, at most one answer has so large an overlap.

    Args:
        iou: `[objects, answers]`.
        threshold: at least 1/2; the overlap is larger than it, as the organizers' code has it.
    """
    return int((iou > threshold).sum())


def mean_precision(iou: np.ndarray) -> float:
    """The mean over thresholds of TP / (TP + FP + FN), of one picture (Data Science Bowl 2018); 1 where nothing is.

    Args:
        iou: `[objects, answers]`.
    """
    objects, answers = iou.shape
    if not objects + answers:
        return 1.0
    hits = [matched(iou, threshold) for threshold in THRESHOLDS]
    return float(np.mean([hit / (objects + answers - hit) for hit in hits]))


def rand_scores(truth: np.ndarray, answer: np.ndarray) -> tuple[float, float]:
    """The Rand F-score and the information-theoretic one, over the pixels of regions (Arganda-Carreras et al. 2015).

    Args:
        truth: ids of regions, `[h, w]`; 0, borders, counts nowhere.
        answer: ids, `[h, w]`.

    Returns:
        V_Rand and V_Info, each the harmonic mean of its parts for splits and for merges; 1 for equal regions.
    """
    within = truth > 0
    if not within.any():
        return 1.0, 1.0
    joint = overlaps(np.where(within, truth, 0), np.where(within, answer, 0))[1:].astype(float)
    joint /= joint.sum()
    of_truth, of_answer = joint.sum(1), joint.sum(0)
    rand = 2 * (joint**2).sum() / ((of_truth**2).sum() + (of_answer**2).sum())
    own = [_entropy(one) for one in (of_truth, of_answer, joint.ravel())]
    mutual = own[0] + own[1] - own[2]
    total = own[0] + own[1]
    return float(rand), float(2 * mutual / total) if total > 0 else 1.0


def _entropy(shares: np.ndarray) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())


def thinned_regions(is_region: np.ndarray) -> np.ndarray:
    """Regions whose borders are made thin: each pixel of a border goes to the region that is nearest.

    Args:
        is_region: bool `[h, w]`, False on borders.

    Returns:
        Ids from 1, int32 `[h, w]`; 0 everywhere where there is no region.
    """
    seeds, count = ndimage.label(is_region)
    if not count:
        return np.zeros(is_region.shape, np.int32)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)].astype(np.int32)
