"""The source wrapper `augmented`: the same row is the same picture, and what it refuses."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import AskedFeatures, Augmentation, Columns, Source, SpecError, Split
from kplug.data.splits import choose_rows, open_data
from kplug.default_plugins.images.keras_augmentations import (
    random_brightness,
    random_crop,
    random_flip,
    random_rotation,
)
from kplug.default_plugins.sources import augmented, digits
from kplug.kinds import Size
from kplug.spec.features import known_of_source
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
    return augmented(digits(), AskedFeatures(), [random_rotation, lambda data: random_brightness()], list(splits), seed)


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
    alone = augmented(digits(), AskedFeatures(), [random_rotation], ["test"], 0)["test"]
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
        split = augmented(digits(), AskedFeatures(), [random_flip], ["test"], seed)["test"]
        found = np.stack(pictures(split, range(200)))
        mirrored.append((found == plain[:, :, ::-1]).all((1, 2, 3)))
        assert (mirrored[-1] | (found == plain).all((1, 2, 3))).all()
        assert 70 < mirrored[-1].sum() < 130
    assert 70 < (mirrored[0] != mirrored[1]).sum() < 130


def test_other_splits_are_untouched():
    of = digits()
    found = augmented(of, AskedFeatures(), [random_rotation], ["test"], 0)
    assert found["train"] is of["train"] and found["test"] is not of["test"]
    found = augmented(of, AskedFeatures(), [random_rotation], ["train"], 0)
    assert found["test"] is of["test"] and found["train"] is not of["train"]


def test_files_of_several_sizes():
    """They are changed as they are, before they are brought to one size."""
    of = tiny.tiny_files()
    before = [tf.io.decode_png(file).numpy() for file in pictures(of["test"], range(13))]
    found = pictures(augmented(of, AskedFeatures(), [random_flip], ["test"], 0)["test"], range(13))
    assert len({picture.shape for picture in found}) > 1
    is_mirrored = [(a != b).any() for a, b in zip(before, found, strict=True)]
    for old, new, flipped in zip(before, found, is_mirrored, strict=True):
        np.testing.assert_array_equal(new, old[:, ::-1] if flipped else old)
    assert 0 < sum(is_mirrored) < 13


# --- what lives in pictures ------------------------------------------------------------------------------------------

MIRRORED = {"type": "random_flip", "mode": "horizontal_and_vertical"}
LIVING = """
name: tiny
task: {type: classification, model: {type: layers, layers: [flatten, {type: dense, units: 8}]}, label: kind}
data:
  source: {type: augmented, of: scenes, augment: AUGMENT, splits: [train]}
  features: {image: {size: [40, 50]}, mask: {type: mask, values: [0, 255]}, boxes: {visible: 0.0, smallest: 0}}
"""


def scenes(size: Size = (20, 30), flat: bool = False) -> Source:
    """Draw a bright rectangle with its mask, its object, its box and its middle.

    Args:
        size: [height, width] in pixels.
        flat: one box has no area.
    """
    height, width = size
    ids = np.zeros((height, width), np.int32)
    ids[4:9, 6:20] = 1
    values = {
        "image": (ids * 200).astype(np.uint8)[..., None].repeat(3, -1), "mask": ids * 255, "objects": ids,
        "objects_class": np.zeros(1, np.int32), "boxes": np.array([[6, 4, 20, 9], [3, 3, 3, 3]], np.float32)[:1 + flat],
        "boxes_class": np.zeros(1 + flat, np.int32), "points": np.array([[13, 6.5]], np.float32),
    }  # fmt: skip
    constants = {name: tf.constant(value) for name, value in values.items()}
    features = {"image": "image", "mask": None, "objects": "instances", "boxes": "boxes", "points": "points"}
    facts = {
        "image": {"size": size, "channels": 3},
        "kind": {"classes": ["one", "two"]},
        "mask": {"classes": ["dark", "bright"]},
    }
    columns = Columns(12, {"kind": np.arange(12, dtype=np.int32) % 2})
    split = Split(columns, lambda row: constants, {**features, "kind": "label"}, facts)
    return {"train": split, "test": split}


def living(augment):
    with plugged(scenes):
        return open_data(kplug.loads(LIVING.replace("AUGMENT", json.dumps(augment))))


@pytest.mark.parametrize(
    "augment",
    [
        [MIRRORED, {"type": "random_crop", "padding": 3}],
        [{"type": "random_rotation", "factor": [-0.1, 0.1], "fill_mode": "constant", "fill_value": 0}],
        [{"type": "random_resized_crop", "size": [26, 34], "visible": 0.0}],
    ],
)
def test_what_lives_in_a_picture_goes_with_it(augment):
    data = living(augment)
    batches = list(data.examples("train").as_numpy_iterator())
    for batch in batches:
        bright, mask = batch["image"][..., 0] > 100, batch["mask"]
        assert (bright & (mask == 1)).sum() / (bright | (mask == 1)).sum() > 0.85
        assert set(np.unique(mask)) <= {0, 1, 255}
        for row, box in enumerate(batch["boxes"][:, 0]):
            ys, xs = np.nonzero(mask[row] == 1)
            np.testing.assert_allclose(box, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], atol=2)
            np.testing.assert_array_equal(batch["objects"][row, ..., 0] > 0, mask[row] == 1)
            x, y, seen = batch["points"][row, 0]
            is_whole = box[0] > 1 and box[1] > 1 and box[2] < 49 and box[3] < 39
            assert not is_whole or np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2) < 3 * seen
    pictures = np.concatenate([batch["image"] for batch in batches])
    assert len(np.unique(pictures.reshape(12, -1), axis=0)) > 3


def test_a_box_without_an_area_is_still_found():
    with plugged(scenes), pytest.raises(SpecError, match=r"boxes of 'boxes' that have no area.*\n  row 0: \[3.0, 3.0"):
        open_data(
            kplug.loads(
                LIVING.replace("AUGMENT", "[random_flip]").replace("of: scenes", "of: {type: scenes, flat: true}")
            )
        )


def test_what_lives_in_a_picture_is_refused_what_it_cannot_be_carried_by(tmp_path):
    with plugged(scenes):
        for augment, message in [
            ("[random_rotation]", "data.source.augment.0.fill_mode: reflect shows objects a second time"),
            ("[aug_mix]", "data.source.augment.0: 'boxes' lives in a picture, and aug_mix would leave it behind"),
        ]:
            text = LIVING.replace("of: scenes", "of: tiny_objects").replace("AUGMENT", augment)
            with plugged(tiny), pytest.raises(SpecError, match=message):
                kplug.loads(text.replace("mask: {type: mask, values: [0, 255]}, ", ""))


def test_another_size_is_known_unopened():
    spec = kplug.loads(
        SPEC.replace("SOURCE", "digits")
        .replace("SPLITS", "train")
        .replace("AUGMENT", "[{type: random_resized_crop, size: [6, 7]}]")
    )
    assert known_of_source(spec["data.source"]).facts["image"] == {"size": (6, 7), "channels": 1}
    assert open_data(spec).info.fields["image"].shape == (6, 7, 1)


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
        augmented(tiny.tiny_files(), AskedFeatures(), [random_crop], ["test"], 0)


def test_an_augmentation_that_needs_color():
    with pytest.raises(SpecError, match=r"augment.0: it needs 3 channels, these pictures have 1"):
        open_data(spec(augment="[random_hue]"))
