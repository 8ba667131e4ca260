"""Regions and their scores, against scikit-learn and against what a person counts."""

import numpy as np
import pytest
from kplug_segment.folders import closeness
from kplug_segment.regions import (
    THRESHOLDS,
    grow,
    iou_of_objects,
    matched,
    mean_precision,
    rand_scores,
    thinned_regions,
    watershed,
)
from kplug_segment.reports import counted, dice, iou
from scipy import ndimage
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix


def squares(size=(40, 60), side=8, gap=10):
    """Ids of squares in a grid, a gap wide apart from corner to corner."""
    ids = np.zeros(size, np.int32)
    number = 0
    for y in range(1, size[0] - side, gap):
        for x in range(1, size[1] - side, gap):
            number += 1
            ids[y : y + side, x : x + side] = number
    return ids


def with_borders(ids):
    inside = ids * (ndimage.minimum_filter(ids, 3) == ndimage.maximum_filter(ids, 3))
    return np.where(inside > 0, 1, np.where(ids > 0, 2, 0))


@pytest.mark.parametrize("gap", [8, 9, 12])
def test_a_watershed_finds_objects_again_that_touch(gap):
    ids = squares(gap=gap)
    found = watershed(with_borders(ids))
    overlap = iou_of_objects(ids, found)
    assert overlap.shape == (ids.max(), ids.max())
    assert mean_precision(overlap) == 1.0
    assert (ndimage.label(ids > 0, np.ones((3, 3)))[1] < ids.max()) == (gap == 8)  # as pieces they are fewer there


def test_a_border_without_an_inside_is_an_object():
    mask = np.zeros((9, 9), int)
    mask[1:3, 1:3] = 2
    mask[4:9, 4:9] = 2
    mask[5:8, 5:8] = 1
    found = watershed(mask)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert (found > 0).sum() == (mask > 0).sum()
    assert watershed(np.zeros((3, 3), int)).max() == 0


def test_what_grows_stays_within_and_meets_in_the_middle():
    seeds = np.zeros((3, 12), int)
    seeds[1, 1], seeds[1, 10] = 1, 2
    over = np.ones((3, 12), bool)
    over[:, 5] = False
    found = grow(seeds, over)
    assert (found[:, :5] == 1).all() and (found[:, 6:] == 2).all() and (found[:, 5] == 0).all()
    assert (grow(seeds, np.ones((3, 12), bool))[1] == [1] * 6 + [2] * 6).all()


def test_overlaps_against_a_count_by_hand():
    truth = np.array([[1, 1, 0, 3, 3], [1, 1, 0, 3, 3]])  # 2 has no pixel
    answer = np.array([[1, 1, 1, 0, 2], [1, 1, 1, 0, 2]])
    np.testing.assert_allclose(iou_of_objects(truth, answer), [[4 / 6, 0], [0, 2 / 4]])
    assert matched(np.array([[0.5, 0.0], [0.0, 0.51]]), 0.5) == 1
    assert mean_precision(np.zeros((0, 0))) == 1.0
    assert mean_precision(np.zeros((2, 0))) == 0.0
    found = mean_precision(np.array([[0.72, 0.0], [0.0, 0.0]]))
    assert found == pytest.approx(sum(1 / 3 for threshold in THRESHOLDS if threshold < 0.72) / len(THRESHOLDS))


@pytest.mark.parametrize("seed", range(20))
def test_rand_and_information_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, answer = rng.integers(0, 5, (13, 17)), rng.integers(0, 4, (13, 17))
    within = truth > 0
    rand, info = rand_scores(truth, answer)
    (_, only_answer), (only_truth, both) = pair_confusion_matrix(truth[within], answer[within]).tolist()
    count = within.sum()  # a pixel with itself counts too in the published score
    joint = both + count
    assert rand == pytest.approx(2 * joint / ((joint + only_truth) + (joint + only_answer)))
    mutual = mutual_info_score(truth[within], answer[within])
    own = [mutual_info_score(one[within], one[within]) for one in (truth, answer)]
    assert info == pytest.approx(2 * mutual / sum(own))


def test_regions_score_1_against_themselves_however_wide_their_borders():
    ids = squares(side=7)
    thin, thick = ids > 0, ndimage.minimum_filter(ids, 3) > 0
    truth = np.where(ids > 0, thinned_regions(ids > 0), 0)
    assert rand_scores(truth, thinned_regions(thin)) == (1.0, 1.0)
    assert rand_scores(truth, thinned_regions(thick)) == (1.0, 1.0)
    assert rand_scores(truth, thinned_regions(np.ones_like(thin)))[0] < 0.2
    assert rand_scores(np.zeros((3, 3), int), np.zeros((3, 3), int)) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_overlap_of_classes_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    right, said = rng.integers(0, 4, (9, 11)).astype(np.uint8), rng.integers(0, 4, (9, 11)).astype(np.uint8)
    right[rng.random((9, 11)) < 0.2] = 255
    known = right != 255
    counts, (pixels, hits) = counted(right, said, 4, several=False)
    matrix = confusion_matrix(right[known], said[known], labels=range(4))
    assert pixels == known.sum() and hits == np.trace(matrix)
    np.testing.assert_allclose(dice(counts), f1_score(right[known], said[known], labels=range(4), average=None))
    np.testing.assert_allclose(iou(counts), jaccard_score(right[known], said[known], labels=range(4), average=None))


def test_overlap_of_several_classes_against_scikit_learn():
    rng = np.random.default_rng(0)
    right, said = rng.integers(0, 2, (9, 11, 3)).astype(np.uint8), rng.integers(0, 2, (9, 11, 3)).astype(np.uint8)
    right[2, 3] = 255
    known = (right != 255).all(-1)
    counts, (pixels, hits) = counted(right, said, 3, several=True)
    np.testing.assert_allclose(dice(counts), f1_score(right[known], said[known], average=None))
    assert (pixels, hits) == (3 * known.sum(), (right[known] == said[known]).sum())


def test_a_class_that_is_nowhere_has_no_overlap():
    counts, _ = counted(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), 3, several=False)
    assert np.isnan(dice(counts)).tolist() == [False, True, True]


@pytest.mark.parametrize("width", [2.0, 5.0])
def test_weights_of_borders_are_the_papers_formula(width):
    ids = squares(size=(24, 30), side=6, gap=9)
    distances = np.stack([ndimage.distance_transform_edt(ids != n) for n in range(1, ids.max() + 1)])
    first, second = np.sort(distances, axis=0)[:2]
    wanted = np.where(ids > 0, 0, np.exp(-((first + second) ** 2) / (2 * width**2)))
    np.testing.assert_allclose(closeness(ids, width) / 255, wanted, atol=0.003)
    assert closeness(np.zeros((5, 5), np.int32), width).max() == 0
    assert closeness(np.eye(5, dtype=np.int32), width).max() == 0
