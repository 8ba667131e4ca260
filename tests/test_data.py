"""Data as a function of (seed, step): the same batches in any order of asking, every example where it belongs."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kplug
from kplug.data.splits import open_data
from kplug.kinds import Columns, Learner, Split
from kplug.spec.build import build_plain
from kplug.spec.plugins import using

CLASSES = ("a", "b", "c")


def source_of(images, labels, **more):
    """A plugin with the source `pictures`, in memory; pixel [0, 0, 0] of a picture is its number."""
    table = tf.constant(images)

    class Plugin:
        @kplug.hookimpl
        def components(self):
            return [pictures]

    def pictures() -> kplug.Source:
        def split(rows):
            columns = Columns(len(rows), {"label": labels[rows], "weight": np.arange(len(images))[rows] / 2} | more)
            height, width, channels = images.shape[1:]
            return Split(
                columns,
                lambda row: {"image": tf.gather(table, tf.gather(rows, row))},
                {"image": "image", "label": "label"},
                {"image": {"size": (height, width), "channels": channels}, "label": {"classes": CLASSES}},
                batched=True,
            )

        return {"train": split(np.arange(40)), "test": split(np.arange(40, len(images)))}

    return Plugin()


@pytest.fixture(scope="module")
def plugin():
    images = np.zeros((50, 6, 6, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(50)
    return source_of(images, (np.arange(50) % 3).astype(np.int32))


def spec_of(data="", seed=0):
    return kplug.loads(f"""
name: test
seed: {seed}
task: {{type: classification, model: flatten}}
data: {{source: pictures, validation: 0.2, sampler: {{type: shuffled, batch_size: 6}}{data}}}
""")


LEARNER = Learner(None, lambda batch, seed, training: (batch["image"], batch["label"], batch["weight"], seed))


def seen(dataset):
    return [[np.asarray(part) for part in batch] for batch in dataset]


def flat(batches):
    return [number for batch in batches for number in batch]


def numbers(dataset):
    return [np.asarray(batch[0])[:, 0, 0, 0].tolist() for batch in dataset]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_batch_depends_on_seed_and_step_alone(plugin):
    with using([plugin]):
        spec = spec_of(", augment: [random_flip, random_erasing, {type: random_crop, padding: 1}]")
        whole = seen(open_data(spec).training(LEARNER, epochs=3))
        data = open_data(spec)
        for step in (2 * data.steps, 1, 2 * data.steps + 3):
            same(seen(data.training(LEARNER, epochs=3, first_step=step)), whole[step:])
        other = seen(open_data(spec.at({"seed": 1})).training(LEARNER, epochs=3))
    assert not np.array_equal(whole[0][0], other[0][0])


def test_every_epoch_leaves_out_others(plugin):
    with using([plugin]):
        data = open_data(spec_of())
        batches = numbers(data.training(LEARNER, epochs=2))
    assert data.steps == 5 and len(batches) == 10
    first, second = flat(batches[:5]), flat(batches[5:])
    assert len(set(first)) == len(set(second)) == 30
    assert first != second


def test_cardinality_is_known(plugin):
    with using([plugin]):
        data = open_data(spec_of(", evaluate_with: {type: sequential, batch_size: 7}"))
        assert data.training(LEARNER, epochs=3).cardinality() == 3 * data.steps
        assert data.evaluation(LEARNER, "test").cardinality() == 2
        assert data.evaluation(LEARNER, "validation").cardinality() == 2


def test_an_evaluation_sees_every_example_once(plugin):
    with using([plugin]):
        data = open_data(spec_of(", evaluate_with: {type: sequential, batch_size: 7}"))
        batches = numbers(data.evaluation(LEARNER, "test"))
    assert batches == [list(range(40, 47)), list(range(47, 50))]


def test_validation_is_a_stable_share_of_train_and_never_of_test(plugin):
    with using([plugin]):
        data, again = open_data(spec_of()), open_data(spec_of(seed=7))
        held = flat(numbers(data.evaluation(LEARNER, "validation")))
        assert held == flat(numbers(again.evaluation(LEARNER, "validation")))
        trained = set(flat(numbers(data.training(LEARNER, epochs=4))))
    assert len(held) == 8 and max(held) < 40
    assert not trained & set(held)


def test_columns_stay_with_their_rows(plugin):
    with using([plugin]):
        for image, label, weight, _ in seen(open_data(spec_of()).training(LEARNER, epochs=1)):
            number = image[:, 0, 0, 0]
            np.testing.assert_array_equal(label, number % 3)
            np.testing.assert_array_equal(weight, number / 2)


def test_augmentation_gives_rounded_uint8_and_spares_evaluation(plugin):
    class Brighter:
        @staticmethod
        @kplug.hookimpl
        def components():
            return [brighter]

    def brighter() -> kplug.Augmentation:
        return lambda batch, seed: batch | {"image": tf.cast(batch["image"], tf.float32) + 0.6}

    with using([plugin, Brighter]):
        data = open_data(spec_of(", augment: [brighter]"))
        image = seen(data.training(LEARNER, epochs=1))[0][0]
        assert image.dtype == np.uint8 and image[:, 1, 1].max() == image[:, 1, 1].min() == 1
        assert seen(data.evaluation(LEARNER, "validation"))[0][0][:, 1, 1].max() == 0


def test_the_description(plugin):
    with using([plugin]):
        info = open_data(spec_of()).info
    assert info.fields["image"].shape == (6, 6, 3) and info.fields["weight"].dtype == "float64"
    assert info.splits == {"train": 32, "validation": 8, "test": 10}
    assert sum(info.counts) == 32 and not info.multi_label
    kept = json.loads(json.dumps(info.to_json()))
    assert kplug.DataInfo.from_json(kept, functools.partial(build_plain, kplug.Feature)) == info


def folder_with(path, sizes, mode="RGB"):
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (path / name).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            pixels = generator.integers(0, 255, (height, width, 3), np.uint8)
            Image.fromarray(pixels).convert(mode).save(path / name / f"{number}.png")
    return path


def folder_spec(path, **values):
    return kplug.loads(f"""
name: test
task: {{type: classification, model: flatten}}
data: {{source: {{type: folder, path: {path}}}, sampler: {{type: shuffled, batch_size: 2}}}}
""").at(values)


def test_pictures_of_one_size_need_no_size(tmp_path):
    data = open_data(folder_spec(folder_with(tmp_path / "p", [(9, 7)] * 5)))
    assert data.info.fields["image"].shape == (9, 7, 3)


def test_pictures_of_several_sizes_need_one(tmp_path):
    path = folder_with(tmp_path / "p", [(9, 7), (8, 8), (5, 9), (7, 7), (6, 6)])
    with pytest.raises(kplug.SpecError, match=r"data.features.image.size: the pictures differ in size"):
        open_data(folder_spec(path))
    data = open_data(folder_spec(path, **{"data.features.image": {"size": [8, 8], "resize": "crop", "channels": 1}}))
    learner = Learner(None, lambda batch, seed, training: (batch["image"], batch["label"]))
    for images, _ in data.training(learner, epochs=1):
        assert images.shape == (2, 8, 8, 1) and images.dtype == tf.uint8


def test_a_split_that_does_not_exist(plugin):
    with (
        using([plugin]),
        pytest.raises(kplug.SpecError, match="no split 'tset'; the source has train, validation, test"),
    ):
        open_data(spec_of()).split("tset")


def test_fewer_examples_than_a_batch(plugin):
    with using([plugin]), pytest.raises(kplug.SpecError, match=r"data.sampler: 32 training examples do not fill"):
        _ = open_data(spec_of().at({"data.sampler.batch_size": 64})).steps


def test_a_source_with_an_empty_split():
    images = np.zeros((40, 6, 6, 3), np.uint8)
    empty = pytest.raises(kplug.SpecError, match=r"spec:5:.*data.source: the split 'test' is empty")
    with using([source_of(images, np.zeros(40, np.int32))]), empty:
        open_data(spec_of())
