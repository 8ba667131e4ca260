"""Hostile pictures cost little, break nothing, and leave their neighbours alone, live and exported."""

import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "fuzz_parts" / "pictures.py"))


def test_hostile_pictures_are_those_of_their_seed():
    made, again, others = (list(TOOL["hostile_pictures"](seed, 12)) for seed in (3, 3, 4))
    assert made == again != others
    assert [name.split(" ", 1)[1] for name, _ in made] == list(TOOL["KINDS"])[:12]


def faults(found):
    """What is wrong but for times, which depend on what else a machine does: tools/fuzz tells them."""
    return [one for one in found if set(one["wrong"]) - {TOOL["TOO_SLOW"]}]


def test_a_hostile_picture_of_each_kind_live_and_exported():
    count = len(TOOL["KINDS"])
    found = TOOL["weighed"](seed=1, count=count, channels=1)
    assert faults(found) == []
    assert len(found) == count
    assert 5 < sum(one["valid"] for one in found) < count - 5, "some are read and some are refused"


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_a_thousand_hostile_pictures_live_and_exported(channels):
    found = TOOL["weighed"](seed=0, count=1000, channels=channels)
    assert faults(found) == []
    assert len(found) == 1000
