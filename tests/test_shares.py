"""A stable share is exact, deterministic, and nearly unmoved by further examples."""

import pytest

from kplug.data.splits import stable_share

KEYS = [f"cat/{number}.jpg" for number in range(500)]


@pytest.mark.parametrize("share", [0, 0.1, 0.333, 0.5, 1])
def test_the_count_is_exact(share):
    chosen = stable_share(KEYS, share)
    assert chosen.dtype == bool and chosen.shape == (500,)
    assert chosen.sum() == round(share * 500)


def test_no_keys():
    assert stable_share([], 0.2).shape == (0,)


def test_the_choice_goes_with_the_key_and_not_the_place():
    forward = dict(zip(KEYS, stable_share(KEYS, 0.2), strict=True))
    backward = dict(zip(KEYS[::-1], stable_share(KEYS[::-1], 0.2), strict=True))
    assert forward == backward


def test_a_further_example_moves_at_most_one():
    before = stable_share(KEYS, 0.2)
    for number in range(50):
        after = stable_share([*KEYS, f"dog/{number}.jpg"], 0.2)
        assert (before != after[:-1]).sum() <= 1


def test_the_choice_is_the_same_in_every_version():
    keys = [str(number) for number in range(20)]
    assert [key for key, inside in zip(keys, stable_share(keys, 0.25), strict=True) if inside] == CHOSEN


CHOSEN = ["2", "6", "14", "17", "18"]
