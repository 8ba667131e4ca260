"""Samplers: how often each class and each example comes, the same each time the same epoch is asked for."""

from dataclasses import replace

import kplug_imbalance
import numpy as np
import pytest
from kplug_imbalance import SAMPLERS, class_balanced, long_tail, oversampled, repeat_factor, undersampled, weighted
from kplug_imbalance.sources import tail_rows

import kplug
from kplug import Columns, Source, SpecError, Split
from kplug.data.splits import open_data
from kplug.testing import check, plugged, tiny_info, tiny_pictures

COUNTS = (60, 30, 6)
LABELS = np.repeat(np.arange(3), COUNTS)


def info(classes=3, label=()):
    return tiny_info((8, 8, 1), tuple("abcdef"[:classes]), bool(label))


def columns(labels=LABELS, **more):
    return Columns(len(labels), {"label": labels, **more})


def epoch(sampler, seed=0):
    return sampler(np.random.default_rng(seed))


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not weighted], ids=lambda sampler: sampler.__name__)
def test_the_contract(sampler):
    check(sampler)


def test_the_contract_of_weighted():
    check(weighted, column="label")


def test_oversampled_repeats_evenly():
    table = epoch(oversampled(columns(), info(), 10))
    assert table.shape == (18, 10)
    assert np.bincount(LABELS[table.ravel()]).tolist() == [60, 60, 60]
    assert set(np.bincount(table.ravel(), minlength=96)[90:]) == {10}
    assert not np.array_equal(table, epoch(oversampled(columns(), info(), 10), 1))


def test_undersampled_takes_others_each_epoch():
    sampler = undersampled(columns(), info(), 9)
    first, second = (epoch(sampler, seed).ravel() for seed in (0, 1))
    for rows in (first, second):
        assert len(rows) == len(set(rows)) == 18
        assert np.bincount(LABELS[rows]).tolist() == [6, 6, 6]
    assert set(first) != set(second)


@pytest.mark.parametrize(("power", "shares"), [(0.0, [1 / 3] * 3), (1.0, [60 / 96, 30 / 96, 6 / 96])])
def test_class_balanced_draws_classes_by_power(power, shares):
    sampler = class_balanced(columns(), info(), 8, power)
    drawn = np.concatenate([epoch(sampler, seed).ravel() for seed in range(60)])
    found = np.bincount(LABELS[drawn]) / len(drawn)
    np.testing.assert_allclose(found, shares, atol=0.02)
    once = np.bincount(epoch(sampler).ravel(), minlength=96)
    for label in range(3):
        assert np.ptp(once[label == LABELS]) <= 1


def test_class_balanced_with_several_labels():
    labels = np.zeros((50, 3), np.int64)
    labels[:40, 0] = labels[30:48, 1] = labels[47:, 2] = 1
    rows = epoch(class_balanced(columns(labels), info(label=(3,)), 10)).ravel()
    assert (labels[rows, 2] == 1).mean() > 0.2  # of 6 percent
    with pytest.raises(SpecError, match="take class_balanced"):
        oversampled(columns(labels), info(label=(3,)), 10)


def test_weighted_draws_in_proportion():
    weights = np.array([0.0, 1.0, 3.0])
    sampler = weighted(columns(np.zeros(3, np.int64), w=weights), "w", 3)
    drawn = np.concatenate([epoch(sampler, seed).ravel() for seed in range(400)])
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / len(drawn), [0, 0.25, 0.75], atol=0.04)


def test_repeat_factor():
    sampler = repeat_factor(columns(), info(), 6, threshold=0.25)
    expected = np.sqrt(0.25 / (6 / 96))  # 2 for the rare class, 1 for the others
    tables = [epoch(sampler, seed) for seed in range(50)]
    assert {table.shape for table in tables} == {(int(60 + 30 + 6 * expected) // 6, 6)}
    often = np.mean([np.bincount(table.ravel(), minlength=96) for table in tables], axis=0)
    assert abs(often[90:].mean() - expected) < 0.1
    assert abs(often[:90].mean() - 1) < 0.05


def test_repeat_factor_draws_fractions():
    sampler = repeat_factor(columns(), info(), 1, threshold=0.1)
    factor = np.sqrt(0.1 / (6 / 96))
    tables = [epoch(sampler, seed) for seed in range(300)]
    assert len({table.shape for table in tables}) == 1
    counts = np.array([np.bincount(table.ravel(), minlength=96)[90:] for table in tables])
    assert set(counts.ravel()) <= {0, 1, 2}
    assert abs(counts.mean() - factor) < 0.05


@pytest.mark.parametrize("sampler", [oversampled, undersampled, class_balanced, repeat_factor])
def test_a_class_without_examples(sampler):
    with pytest.raises(SpecError, match="no training examples of 'd'; leave these classes out"):
        sampler(columns(), info(4), 8)
    with pytest.raises(SpecError, match=r"gives no column .label. of classes"):
        sampler(Columns(5, {}), info(), 8)


@pytest.mark.parametrize("sampler", [oversampled, undersampled, class_balanced, repeat_factor])
def test_too_few_examples_for_a_batch(sampler):
    with pytest.raises(SpecError, match="do not fill a batch of 1000; set batch_size to at most"):
        sampler(columns(), info(), 1000)


def test_weights_that_are_none():
    for values, message in (([1, -1, 2], "at least 0"), ([0, 0, 0], "not all 0"), (["x", "y", "z"], "no numbers")):
        with pytest.raises(SpecError, match=message):
            weighted(columns(np.zeros(3, np.int64), w=np.array(values)), "w", 1)
    with pytest.raises(SpecError, match="no column named 'v'"):
        weighted(columns(), "v", 1)


def test_the_long_tail():
    labels = np.tile(np.arange(10), 500)
    rows = tail_rows(labels, 10, 100)
    assert np.bincount(labels[rows]).tolist() == [500, 299, 179, 107, 64, 38, 23, 13, 8, 5]
    assert (np.diff(rows) > 0).all()
    assert rows[labels[rows] == 9].tolist() == [9, 19, 29, 39, 49]


def test_the_long_tail_keeps_what_has_no_class():
    labels = np.array([0, -1, 1, 1, 0, 2, -1, 0, 1, 2], np.int32)
    split = tiny_pictures(examples=10)["train"]
    arrays = split.columns.arrays | {"label": labels}
    made = long_tail({"train": replace(split, columns=Columns(10, arrays))}, 9.0)["train"]
    assert made.columns["label"].tolist() == [0, -1, 1, 0, 2, -1, 0]
    assert made.columns["weight"].tolist() == pytest.approx([1 / 3, 0.5, 1, 1 / 3, 1, 0.5, 1 / 3])


def test_the_long_tail_leaves_other_splits_alone():
    from kplug.default_plugins.sources import digits

    whole = digits()
    made = long_tail(whole, 50.0)
    assert made.keys() == whole.keys()
    assert len(made["train"]) < len(whole["train"]) and made["test"] is whole["test"]
    assert np.array_equal(made["train"].load(0)["image"], whole["train"].load(0)["image"])


def test_the_contract_of_long_tail():
    check(long_tail, of="digits", factor=10.0)


def test_the_weights_of_long_tail_draw_all_classes_alike():
    train = long_tail(tiny_pictures(examples=300), 20.0)["train"]
    labels, weights = train.columns["label"], train.columns["weight"]
    for label in range(3):
        assert weights[labels == label].sum() == pytest.approx(1, rel=1e-5)
    drawn = weighted(train.columns, "weight", batch_size=10)(np.random.default_rng(0))
    shares = np.bincount(labels[drawn.ravel()], minlength=3) / drawn.size
    np.testing.assert_allclose(shares, 1 / 3, atol=0.12)


def test_classes_of_another_name_are_those_of_the_task_unless_a_sampler_names_its_own():
    def beetles() -> Source:
        """Pictures with a `species` of 40, 10 and 10, and a `sex` of 10 and 50."""
        import tensorflow as tf

        rows = np.arange(60)
        arrays = {"species": np.repeat(np.arange(3), (40, 10, 10)), "sex": (rows >= 10).astype("int32")}
        facts = {"image": {"size": (8, 8), "channels": 1}, "species": {"classes": ("a", "b", "c")}}
        features = {"image": "image", "species": "label", "sex": "label"}
        facts |= {"sex": {"classes": ("f", "m")}}
        made = Split(Columns(60, arrays), lambda row: {"image": tf.zeros([8, 8, 1], tf.uint8)}, features, facts)
        return {"train": made}

    text = """
name: beetles
task: {type: classification, model: flatten, label: species}
data: {source: SOURCE, validation: 0, sampler: {type: undersampled, batch_size: 10MORE}}
"""
    with plugged(kplug_imbalance, beetles):
        for more, source, size in (("", "beetles", 3), (", label: sex", "beetles", 2)):
            data = open_data(kplug.loads(text.replace("MORE", more).replace("SOURCE", source)))
            assert data.info.label == "species" and data.steps == size
        long = "{type: long_tail, of: beetles, factor: 10, label: species}"
        data = open_data(kplug.loads(text.replace("MORE", "").replace("SOURCE", long)))
        assert np.bincount(data.split("train").columns["species"]).tolist() == [40, 10, 4]
        with pytest.raises(
            SpecError, match=r"data.sampler.label: the source has no field 'lable'; did you mean 'label'"
        ):
            kplug.loads(text.replace("MORE", ", label: lable").replace("SOURCE", "digits"))
