"""Sources of masks and of objects: pairs, splits by name, values, colours, what is wrong with them."""

import io

import numpy as np
import pytest
from kplug_segment.chosen import chosen_rows, in_natural_order
from PIL import Image

import kplug
from kplug import SpecError
from kplug.data.splits import open_data

NAMES = [str(number) for number in range(12)]


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of 24 x 16 pixels with masks of 0 and 255."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (16, 24), dtype=np.uint8)).save(tmp_path / f"images/{name}.png")
        Image.fromarray(((rng.random((16, 24)) > 0.5) * 255).astype(np.uint8)).save(tmp_path / f"masks/{name}.png")
    return tmp_path


def opened(source, features="{}"):
    text = "name: a\ntask: {type: segmentation, model: {type: unet, depth: 1}}\n"
    text += f"data: {{source: {source}, features: {features}, sampler: {{type: shuffled, batch_size: 2}}}}\n"
    return open_data(kplug.loads(text, "a.yaml"))


def rows(data, split):
    return [path.rpartition("/")[2][:-4] for path in data.split(split).columns["path"]]


def values(data, split, field):
    from kplug.data.values import value_of

    return [value_of(data.split(split), field, row) for row in range(len(data.split(split)))]


def test_names_are_in_the_order_in_which_one_counts():
    assert in_natural_order(["10", "2", "a10", "a2", "1"]) == ["1", "2", "10", "a2", "a10"]


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["3::4"], {3, 7, 11}),
        (["9:"], {9, 10, 11}),
        (["-2:"], {10, 11}),
        (["1?"], {10, 11}),
        (["[0-2]", "5"], {0, 1, 2, 5}),
    ],
)
def test_rows_are_chosen_by_place_or_by_name(patterns, wanted):
    assert chosen_rows(NAMES, patterns, "test") == wanted


def test_splits_are_said_by_name(folder):
    source = f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}, test: ['3::4'], validation: ['2::4']}}"
    data = opened(source)
    assert rows(data, "test") == ["3", "7", "11"]
    assert rows(data, "validation") == ["2", "6", "10"]
    assert rows(data, "train") == ["0", "1", "4", "5", "8", "9"]
    assert data.info.facts["mask"]["classes"] == ["no", "yes"]


def test_a_share_moves_no_other_picture(folder):
    source = f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}, test: 0.25}}"
    before = set(rows(opened(source), "test"))
    assert len(before) == 3
    for name in ("images", "masks"):
        (folder / name / "new.png").write_bytes((folder / name / "0.png").read_bytes())
    assert len(before & set(rows(opened(source), "test"))) >= 2


def batch_of(data, split="train"):
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner

    learner = build_learner(data.spec, data.info, FitInfo(1, 1), "float32")
    return next(iter(data.evaluation(learner, split)))


def test_masks_are_what_the_files_say(folder):
    data = opened(f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}, test: ['3::4']}}")
    _, targets = batch_of(data, "test")
    for row, name in enumerate(rows(data, "test")):
        wanted = np.asarray(Image.open(folder / f"masks/{name}.png")) > 0
        np.testing.assert_array_equal(targets[row, ..., 1], wanted)
        assert (targets[row, ..., 2].numpy() == 1).all()


def test_palettes_and_colours_are_classes(folder):
    wanted = {}
    for number, name in enumerate(NAMES):
        ids = np.random.default_rng(number).integers(0, 2, (16, 24), dtype=np.uint8)
        wanted[name] = ids
        picture = Image.fromarray(ids)
        picture.putpalette([10, 20, 30, 200, 100, 0])
        picture.save(folder / f"masks/{name}.png")
    by_index = f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 1}}, test: ['3::4']}}"
    by_colour = (
        f"{{type: mask_folder, path: {folder}, values: {{no: [10, 20, 30], yes: [200, 100, 0]}}, test: ['3::4']}}"
    )
    for source in (by_index, by_colour):
        data = opened(source)
        _, targets = batch_of(data, "test")
        for row, name in enumerate(rows(data, "test")):
            np.testing.assert_array_equal(targets[row, ..., 1], wanted[name])


def test_a_pixel_may_have_several_classes(folder):
    (folder / "more").mkdir()
    for name in NAMES:
        Image.new("L", (24, 16), 255 * (int(name) % 2)).save(folder / f"more/{name}.png")
    data = opened(f"{{type: mask_folder, path: {folder}, masks: {{cell: masks, odd: more}}, test: ['0:2']}}")
    _, targets = batch_of(data, "test")
    assert targets.shape == (2, 16, 24, 3)
    assert targets[..., 1].numpy().mean((1, 2)).tolist() == [0, 1]
    for row, name in enumerate(("0", "1")):
        np.testing.assert_array_equal(targets[row, ..., 0], np.asarray(Image.open(folder / f"masks/{name}.png")) > 0)


@pytest.mark.parametrize(
    ("change", "source", "said"),
    [
        (lambda f: (f / "masks/3.png").unlink(), "", "pictures in images/ without a mask of their name: 3"),
        (lambda f: (f / "images/3.png").unlink(), "", "masks in masks/ without a picture of their name in images/: 3"),
        (lambda f: None, ", images: pictures", "there is no folder"),
        (lambda f: None, ", test: ['x*']", "test: 'x*' chooses none of the 12 names: 0, 1, 2, 3, 4, ..."),
        (lambda f: None, ", test: ['1'], validation: ['1']", "validation and test both choose 1"),
        (lambda f: None, ", test: [':']", "leave none to train"),
        (lambda f: (f / "images/3.jpg").write_bytes(_jpeg()), "", "has two pictures of the name 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(folder, change, source, said):
    change(folder)
    with pytest.raises(SpecError) as caught:
        opened(f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}{source}}}")
    assert said in str(caught.value)


def _jpeg():
    file = io.BytesIO()
    Image.new("L", (24, 16)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (Image.new("L", (24, 16), 77), "a mask with the value 77, which is no class"),
        (Image.new("L", (20, 16), 0), "a mask of another height and width than its picture"),
    ],
)
def test_a_mask_that_is_wrong_is_named_with_its_file(folder, mask, said, tmp_path):
    mask.save(folder / "masks/4.png")
    text = "name: a\ntask: {type: segmentation, model: {type: unet, depth: 1, width: 4}}\n"
    text += f"data: {{source: {{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}, test: ['3::4']}}, "
    text += "sampler: {type: shuffled, batch_size: 2}}\nfit: {epochs: 1}\n"
    with pytest.raises(SpecError) as caught:
        kplug.train(kplug.loads(text), tmp_path / "run")
    assert said in str(caught.value) and "images/4.png" in str(caught.value)


# --- objects ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def objects(tmp_path):
    """Four pictures, the second with two objects that overlap, the third with none."""
    for number in range(4):
        here = tmp_path / f"p{number}"
        for name in ("images", "masks"):
            (here / name).mkdir(parents=True)
        Image.new("L", (24, 16), 40 * number).save(here / f"images/p{number}.png")
        places = {0: [(0, 0)], 1: [(0, 0), (2, 2)], 2: [], 3: [(0, 0), (6, 6), (0, 10)]}[number]
        for index, (y, x) in enumerate(places):
            mask = np.zeros((16, 24), np.uint8)
            mask[y : y + 4, x : x + 4] = 255
            Image.fromarray(mask).save(here / f"masks/{index}.png")
    return tmp_path


def test_objects_have_ids_and_layers_where_they_overlap(objects):
    from kplug_segment.folders import open_instance_folders

    splits = open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)
    found = [splits["train"].load(row) for row in range(3)]
    assert [int(one["instances"].numpy().max()) for one in found] == [1, 2, 0]
    assert found[1]["instances"].shape == (16, 24, 2)
    assert (found[1]["instances"].numpy()[2:4, 2:4] == [1, 2]).all()
    assert splits["train"].facts == {"instances": {"classes": ("cell",)}}
    assert [path.split("/")[-1] for path in splits["test"].columns["path"]] == ["p3.png"]


def test_a_mask_of_an_object_has_the_size_of_its_picture(objects):
    from kplug_segment.folders import open_instance_folders

    Image.new("L", (25, 16), 255).save(objects / "p0/masks/7.png")
    with pytest.raises(SpecError, match=r"p0/masks/7\.png has 25 x 16 pixels, its picture 24 x 16"):
        open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)


def test_a_file_that_changes_values_is_no_mask_of_an_object(objects):
    """The noise of a JPEG around an object would be part of it; pixels that are green alone would be none."""
    from kplug_segment.folders import open_instance_folders

    (objects / "p0/masks/7.jpg").write_bytes(_jpeg())
    with pytest.raises(SpecError, match=r"p0/masks/7\.jpg: a JPEG changes the values of a mask"):
        open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)
    (objects / "p0/masks/7.jpg").unlink()
    Image.new("RGB", (24, 16), (0, 255, 0)).save(objects / "p0/masks/7.png")
    with pytest.raises(SpecError, match=r"p0/masks/7\.png: colours are not class numbers"):
        open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)


def test_a_picture_on_its_side_has_masks_of_the_upright_one(objects):
    from kplug_segment.folders import open_instance_folders

    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.new("L", (16, 24))  # which is shown as 24 x 16
    stored.save(objects / "p0/images/p0.png", exif=exif)
    splits = open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)
    assert splits["train"].load(0)["instances"].shape[:2] == (16, 24)


def test_ids_in_8_bits_are_what_the_file_has(objects):
    from kplug_segment.folders import _reader_of_regions
    from tensorflow.io import encode_png

    from kplug import AskedFeatures, Columns, Split

    ids = np.random.default_rng(0).integers(0, 9, (5, 6), dtype=np.uint8)
    split = Split(Columns(1), lambda row: {}, {"ids": "instances"})
    np.testing.assert_array_equal(
        _reader_of_regions(split, AskedFeatures(), "ids", None)(encode_png(ids[..., None])), ids
    )


def test_weights_of_borders_join_the_batch(objects):
    from kplug_segment.folders import closeness, open_instance_folders, weigh_borders

    from kplug import AskedFeatures

    plain = open_instance_folders(str(objects), "images", "masks", "cell", ["p3"], None, 0)
    weighed = weigh_borders(plain, AskedFeatures(), "instances", None, 3.0, "weights")
    value = weighed["test"].load(0)
    np.testing.assert_array_equal(value["weights"], closeness(value["instances"].numpy().max(-1), 3.0))
    with pytest.raises(SpecError, match="the source has no field 'cells'"):
        weigh_borders(plain, AskedFeatures(), "cells", None, 3.0, "weights")


def test_weights_of_regions_of_a_mask(folder):
    from kplug_segment.folders import closeness
    from scipy import ndimage

    inner = f"{{type: mask_folder, path: {folder}, values: {{no: 0, yes: 255}}, test: ['3::4']}}"
    data = opened(f"{{type: border_weights, of: {inner}, objects: mask, region: yes, width: 2}}")
    name = rows(data, "test")[0]
    wanted = closeness(ndimage.label(np.asarray(Image.open(folder / f"masks/{name}.png")) > 0)[0], 2.0)
    np.testing.assert_array_equal(values(data, "test", "weights")[0], wanted)
    with pytest.raises(SpecError, match=r"'mask' has no class maybe \(classes: no, yes\)"):
        opened(f"{{type: border_weights, of: {inner}, objects: mask, region: maybe}}")
