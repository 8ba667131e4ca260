"""The source wrapper `augmented`: the same row is the same picture, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import Augmentation, SpecError
from kplug.data.splits import choose_rows, open_data
from kplug.default_plugins.images.keras_augmentations import (
    random_brightness,
    random_crop,
    random_flip,
    random_rotation,
)
from kplug.default_plugins.sources import augmented, digits
from kplug.testing import check, no_tensorflow, plugged, tiny

SPEC = """
name: tiny
task: {type: classification, model: {type: layers, layers: [flatten, {type: dense, units: 8}]}}
data:
  source:
    type: augmented
    of: SOURCE
    augment: AUGMENT
    splits: [SPLITS]
  sampler: {type: shuffled, batch_size: 32}
fit: {epochs: 1}
"""


def spec(source="digits", augment="[random_rotation]", splits="test"):
    return kplug.loads(SPEC.replace("SOURCE", source).replace("AUGMENT", augment).replace("SPLITS", splits))


def pictures(split, rows, parallel=None):
    loaded = tf.data.Dataset.from_tensor_slices(np.array(rows, np.int64)).map(split.load, num_parallel_calls=parallel)
    return [features["image"] for features in loaded.as_numpy_iterator()]


def changed(seed=0, splits=("test",)):
    return augmented(digits(), [random_rotation, lambda data: random_brightness()], list(splits), seed)


def test_the_contract():
    check(augmented, of="tiny_pictures", augment=["random_flip", "random_crop"], splits=["train", "test"])


def test_the_contract_where_pictures_are_files():
    check(augmented, of="tiny_files", augment=["random_flip"], splits=["test"], seed=3)


def test_a_row_is_the_same_picture_in_any_order_and_batch():
    split = changed()["test"]
    rows = [5, 0, 7, 5]
    found = pictures(split, rows)
    np.testing.assert_array_equal(found[0], found[3])
    for one, other in zip(found[::-1], pictures(changed()["test"], rows[::-1], parallel=4), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(pictures(choose_rows(split, np.array([7, 5])), [1])[0], found[0])


@pytest.mark.parametrize("batch_size", [7, 100])
def test_an_evaluation_sees_the_same_pictures_whatever_its_batches(batch_size):
    data = open_data(spec().at({"data.evaluate_with.batch_size": batch_size}))
    seen = np.concatenate([batch["image"] for batch in data.examples("test").as_numpy_iterator()])
    alone = augmented(digits(), [random_rotation], ["test"], 0)["test"]
    np.testing.assert_array_equal(seen, pictures(alone, range(len(alone))))


def test_rows_and_seeds_change_otherwise():
    plain, of = digits()["test"], changed()["test"]
    columns = plain.columns["label"]
    np.testing.assert_array_equal(of.columns["label"], columns)
    rows = range(50)
    before, after, other = pictures(plain, rows), pictures(of, rows), pictures(changed(seed=1)["test"], rows)
    assert all(a.dtype == np.uint8 and a.shape == (8, 8, 1) for a in after)
    assert sum((a != b).any() for a, b in zip(before, after, strict=True)) > 45
    assert sum((a != b).any() for a, b in zip(other, after, strict=True)) > 45


def test_each_row_draws_by_itself():
    """About half of all pictures are mirrored, and not the same half under another seed."""
    plain = np.stack(pictures(digits()["test"], range(200)))
    mirrored = []
    for seed in range(2):
        split = augmented(digits(), [random_flip], ["test"], seed)["test"]
        found = np.stack(pictures(split, range(200)))
        mirrored.append((found == plain[:, :, ::-1]).all((1, 2, 3)))
        assert (mirrored[-1] | (found == plain).all((1, 2, 3))).all()
        assert 70 < mirrored[-1].sum() < 130
    assert 70 < (mirrored[0] != mirrored[1]).sum() < 130


def test_other_splits_are_untouched():
    of = digits()
    found = augmented(of, [random_rotation], ["test"], 0)
    assert found["train"] is of["train"] and found["test"] is not of["test"]
    found = augmented(of, [random_rotation], ["train"], 0)
    assert found["test"] is of["test"] and found["train"] is not of["train"]


def test_files_of_several_sizes():
    """They are changed as they are, before they are brought to one size."""
    of = tiny.tiny_files()
    before = [tf.io.decode_png(file).numpy() for file in pictures(of["test"], range(13))]
    found = pictures(augmented(of, [random_flip], ["test"], 0)["test"], range(13))
    assert len({picture.shape for picture in found}) > 1
    is_mirrored = [(a != b).any() for a, b in zip(before, found, strict=True)]
    for old, new, flipped in zip(before, found, is_mirrored, strict=True):
        np.testing.assert_array_equal(new, old[:, ::-1] if flipped else old)
    assert 0 < sum(is_mirrored) < 13


@pytest.mark.slow
def test_a_spec_trains(tmp_path):
    with plugged(tiny):
        small = spec("tiny_pictures", "[random_flip, {type: random_translation, fill_mode: constant}]", "train, test")
        run = kplug.train(small, tmp_path / "run")
        assert run.evaluate("test") == run.evaluate("test")


# --- bad input -----------------------------------------------------------------------------------------------------


def test_a_wrong_split_is_answered_without_tensorflow(tmp_path):
    text = SPEC.replace("SOURCE", "digits").replace("AUGMENT", "[random_flip]").replace("SPLITS", "tests")
    (tmp_path / "tiny.yaml").write_text(text)
    done = no_tensorflow("check", str(tmp_path / "tiny.yaml"))
    assert done.returncode == 2 and "data.source.splits.0" in done.stderr and "'tests'" in done.stderr


@pytest.mark.parametrize("name", ["mix_up", "cut_mix"])
def test_what_mixes_examples_is_answered_without_tensorflow(name, tmp_path):
    text = SPEC.replace("SOURCE", "digits").replace("AUGMENT", f"[random_flip, {name}]").replace("SPLITS", "test")
    (tmp_path / "tiny.yaml").write_text(text)
    done = no_tensorflow("check", str(tmp_path / "tiny.yaml"))
    assert done.returncode == 2 and f"data.source.augment.1: '{name}' goes by the classes" in done.stderr


def test_a_split_that_is_not_there():
    with pytest.raises(SpecError, match="no split 'validation' to change; the source has train, test"):
        open_data(spec(splits="validation"))


def averaged() -> Augmentation:
    """Let every picture be the mean of two."""
    return lambda batch, seed: batch | {"image": (batch["image"] // 2 + tf.roll(batch["image"], 1, 0) // 2)}


def relabelled() -> Augmentation:
    """Change labels."""
    return lambda batch, seed: batch | {"label": 1 - batch["label"]}


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (averaged, r"augment.1 lets a picture depend on the others of its batch"),
        (relabelled, r"augment.1 changes 'label'"),
    ],
)
def test_strangers_that_mix_are_found_out(augment, message):
    with plugged(augment), pytest.raises(SpecError, match=message):
        open_data(spec(augment=f"[random_flip, {augment.__name__}]"))


def test_an_augmentation_that_needs_one_size():
    with pytest.raises(
        SpecError, match=r"augment.0 works on pictures of one known size, and those of this source differ"
    ):
        augmented(tiny.tiny_files(), [random_crop], ["test"], 0)


def test_an_augmentation_that_needs_color():
    with pytest.raises(SpecError, match="RandomHue needs 3 channels, these pictures have 1"):
        open_data(spec(augment="[random_hue]"))
