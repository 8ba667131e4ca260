"""Rates of the built-in schedules: at the first step, in the rise, at the peak, at each fall, at the end."""

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import FitInfo
from kplug.default_plugins.training.schedules import constant, cosine, polynomial, step
from kplug.testing import check

FIT = FitInfo(steps=100, epochs=10)
PEAK = np.float32(0.3)
ALL = (constant, cosine, polynomial, step)


def rates(schedule, steps):
    return [np.float32(schedule(tf.constant(number, tf.int64))) for number in steps]


@pytest.mark.parametrize("component", ALL)
def test_the_contract(component):
    check(component)
    check(component, peak=0.5, warmup=0.5)


@pytest.mark.parametrize("component", ALL)
def test_the_rise_is_a_line_from_above_0_to_the_peak(component):
    first, second, last, peak = rates(component(FIT, peak=0.3, warmup=0.2), [0, 1, 19, 20])
    assert first > 0 and peak == PEAK
    assert [first, second, last] == pytest.approx([0.3 / 21, 0.3 * 2 / 21, 0.3 * 20 / 21], rel=1e-6)


@pytest.mark.parametrize("component", [constant, polynomial, step])
def test_the_rise_starts_exactly(component):
    share = np.float32(1) / np.float32(21), np.float32(10) / np.float32(21)
    assert rates(component(FIT, peak=0.3, warmup=0.2), [0, 9]) == [PEAK * share[0], PEAK * share[1]]


@pytest.mark.parametrize("component", ALL)
def test_without_warm_up_the_first_step_has_the_peak(component):
    assert rates(component(FIT, peak=0.3), [0]) == [PEAK]


def test_constant_stays():
    assert rates(constant(FIT, peak=0.3, warmup=0.1), [10, 50, 99, 100, 1000]) == [PEAK] * 5


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_ends_at_final(power):
    schedule = polynomial(FIT, peak=0.3, power=power, warmup=0.2, final=0.1)
    assert rates(schedule, [20, 100, 200]) == [PEAK, np.float32(0.1), np.float32(0.1)]
    assert rates(schedule, [60]) == pytest.approx([0.1 + 0.2 * 0.5**power], rel=1e-6)
    falling = rates(schedule, range(20, 101))
    assert falling == sorted(falling, reverse=True) and len(set(falling)) == 81


def test_polynomial_without_final_ends_at_0():
    assert rates(polynomial(FIT, peak=0.3), [50, 100]) == [np.float32(0.15), 0]


def test_step_falls_at_shares():
    schedule = step(FIT, peak=1.0, factor=0.5, at=(0.25, 0.9))
    assert rates(schedule, [0, 24, 25, 89, 90, 99]) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_step_falls_after_epochs():
    schedule = step(FIT, peak=1.0, factor=0.5, at=(3, 5, 40), unit="epoch", warmup=0.1)
    assert rates(schedule, [10, 29, 30, 49, 50, 100]) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_fall_in_the_rise_shortens_it():
    schedule = step(FIT, peak=1.0, factor=0.5, at=(1,), unit="epoch", warmup=0.31)
    assert rates(schedule, [9, 10, 31, 99]) == [10 / 32, 0.5 * 11 / 32, 0.5, 0.5]


@pytest.mark.parametrize("component", ALL)
def test_a_training_of_no_or_one_step_has_rates(component):
    for fit in (FitInfo(steps=0, epochs=0), FitInfo(steps=1, epochs=1)):
        assert np.isfinite(rates(component(fit, warmup=0.9), [0, 1])).all()


SPEC = """
name: x
task: {type: classification, model: flatten, optimizer: {type: sgd, learning_rate: %s}}
data: {source: digits}
"""


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{type: polynomial, peak: 0.1, final: 0.2}", r"final \(0.2\) is over peak \(0.1\)"),
        ("{type: cosine, peak: 0.1, final: 0.2}", r"final \(0.2\) is over peak \(0.1\)"),
        ("{type: step, at: [0.5, 0.2]}", r"at must increase; these are 0.5, 0.2"),
        ("{type: step, at: [30, 60]}", r"at holds 60.0, a share must be under 1; unit: epoch counts in epochs"),
        ("{type: step, at: [0.1], warmup: 0.2}", r"at holds 0.1, which lies in the warm-up \(0.2 of the training\)"),
        ("{type: step, at: []}", r"learning_rate.at"),
        ("{type: step, factor: 1}", r"learning_rate.factor"),
        ("{type: constant, warmup: 1}", r"learning_rate.warmup"),
    ],
)
def test_bad_input_is_named(node, message):
    with pytest.raises(kplug.SpecError, match=message):
        kplug.loads(SPEC % node)


@pytest.mark.slow
def test_a_training_with_each(tmp_path):
    from kplug.training.fit import train

    text = SPEC.replace("data:", "fit: {epochs: 2}\ndata:").replace(
        "{source: digits}", "{source: digits, sampler: {type: shuffled, batch_size: 400}}"
    )
    ends = {"constant": 1e-3, "polynomial": 0.0, "step": 1e-5}
    for name, end in ends.items():
        run = train(kplug.loads(text % f"{{type: {name}, warmup: 0.3}}"), tmp_path / name)
        assert run.rows("metrics.jsonl")[-1]["learning_rate"] == float(np.float32(end))


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_cosine_at_its_corners(warmup):
    schedule = cosine(FIT, peak=0.3, warmup=warmup, final=0.1)
    rise = round(warmup * 100)
    middle = (rise + 100) // 2
    found = rates(schedule, [rise, middle, 100, 200])
    assert found == pytest.approx([0.3, 0.2, 0.1, 0.1], rel=1e-6)
    falling = rates(schedule, range(rise, 101))
    assert falling == sorted(falling, reverse=True)
    last = 0.1 + 0.2 * (1 + np.cos(np.pi * (99 - rise) / (100 - rise))) / 2
    assert rates(schedule, [99]) == pytest.approx([last], rel=1e-5)


def test_a_scale_lowers_every_rate():
    for component in (constant, polynomial, step):
        schedule = component(FIT, peak=0.3, warmup=0.2)
        before = rates(schedule, range(0, 100, 7))
        schedule.scale.assign(0.5)
        assert rates(schedule, range(0, 100, 7)) == [np.float32(0.5) * rate for rate in before]
