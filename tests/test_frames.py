"""Fields that live in a picture are placed where it is placed, and come back into the frame of its upright file."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kplug
from kplug import Columns, Source, SpecError, Split
from kplug.data.codecs.boxes import IGNORED, PADDING, BoxesCodec
from kplug.data.codecs.clip import ClipCodec
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.instances import InstancesCodec, boxes_around
from kplug.data.codecs.mask_files import decode_ids
from kplug.data.codecs.masks import NOT_KNOWN, MaskCodec
from kplug.data.codecs.points import PointsCodec
from kplug.data.geometry import place, place_back
from kplug.data.splits import open_data
from kplug.testing import plugged

RULES = ("pad", "crop", "stretch")


def png(array, mode=None):
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "PNG")
    return file.getvalue()


def spot(height, width, x, y):
    """A picture that is dark but for a soft spot whose middle is at (x, y)."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    return np.round(250 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 3.0**2))).astype(np.uint8)


def middle_of(picture):
    """The (x, y) around which the light of a picture lies."""
    light = np.asarray(picture, np.float64)[..., 0]
    ys, xs = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return np.array([(xs * light).sum(), (ys * light).sum()]) / light.sum()


# --- placement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", RULES)
def test_a_point_is_where_the_picture_shows_it(how):
    """Over 1,000 random sizes in all, within 0.05 pixels, and back again."""
    rng = np.random.default_rng(RULES.index(how))
    away = []
    while len(away) < 334:
        old, new = rng.integers(24, 120, 2), tuple(int(side) for side in rng.integers(24, 120, 2))
        if how == "crop" and (new / (old * np.max(new / old)) * old < 24).any():
            continue  # less than the spot is left
        codec = ImageCodec(new, how, 1)
        x, y = old[1] / 2 + rng.uniform(-1, 1), old[0] / 2 + rng.uniform(-1, 1)  # seen whole, however it is cut
        picture, placement = codec.read_placed(tf.constant(spot(*old, x, y)[..., np.newaxis]))
        there = place(tf.constant([x, y], tf.float32), placement)
        away.append(np.abs(middle_of(picture) - there).max())
        np.testing.assert_allclose(place_back(there, placement), [x, y], atol=1e-3)
    assert max(away) < 0.05


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_point_of_the_upright_picture_whatever_the_file_says(orientation):
    """A JPEG is stored turned or mirrored; truths are of the picture as a person sees it."""
    stored_as = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    rng = np.random.default_rng(orientation)
    for how in RULES:
        height, width = rng.integers(40, 90, 2)
        x, y = width / 2 + rng.uniform(-2, 2), height / 2 + rng.uniform(-2, 2)
        upright = Image.fromarray(spot(height, width, x, y))
        stored = upright.transpose(stored_as[orientation]) if orientation > 1 else upright
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        stored.save(file, "JPEG", quality=100, exif=exif)
        picture, placement = ImageCodec((64, 48), how, 1).read_placed(tf.constant(file.getvalue()))
        assert placement[4:].numpy().tolist() == [height, width]
        there = place(tf.constant([x, y], tf.float32), placement)
        assert np.abs(middle_of(picture) - there).max() < 0.1  # JPEG rounds too


def test_a_batch_of_one_size_is_placed_at_once():
    pictures = tf.zeros([3, 10, 20, 3], tf.uint8)
    read, placements = ImageCodec((20, 20), "pad", 3).read_placed(pictures)
    assert read.shape == (3, 20, 20, 3) and placements.shape == (3, 6)
    np.testing.assert_allclose(placements[2], [1, 1, 5, 0, 10, 20])


# --- masks -----------------------------------------------------------------------------------------------------------


def placed(size, how, old):
    return ImageCodec(size, how, 1).read_placed(tf.zeros([*old, 1], tf.uint8))[1]


@pytest.mark.parametrize("how", RULES)
def test_a_mask_is_where_its_picture_is_and_invents_no_class(how):
    rng = np.random.default_rng(0)
    for _ in range(40):
        old, new = tuple(rng.integers(20, 70, 2)), tuple(int(side) for side in rng.integers(20, 70, 2))
        mask = np.zeros(old, np.uint8)
        mask[old[0] // 4 : old[0] // 2, old[1] // 4 : old[1] // 2] = 2
        codec = MaskCodec(classes=("a", "b", "c"), size=new)
        placement = placed(new, how, old)
        read = codec.read_in(tf.constant(mask), placement).numpy()
        assert set(np.unique(read)) <= {0, 2, NOT_KNOWN} and read.shape == new
        corners = place(tf.constant([[old[1] // 4, old[0] // 4], [old[1] // 2, old[0] // 2]], tf.float32), placement)
        (x1, y1), (x2, y2) = np.clip(corners, 0, [new[1], new[0]])
        ys, xs = np.nonzero(read == 2)
        if len(ys):
            assert np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - [x1, y1, x2, y2]).max() <= 1
        back = decode_ids(codec.restore({"": tf.constant(read)}, placement)["bytes"]).numpy()
        assert back.shape == old and set(np.unique(back)) <= {0, 2, NOT_KNOWN}
        if how == "stretch" and all(n >= o for n, o in zip(new, old, strict=True)):
            np.testing.assert_array_equal(back, mask)


def test_values_of_files_are_the_classes_that_the_spec_lists():
    mask = np.array([[0, 255, 255], [0, 0, 7]], np.uint8)
    codec = MaskCodec(values=(0, 255), classes=("ground", "cell"), size=(2, 3))
    placement = placed((2, 3), "pad", (2, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a mask with the value 7, which is no class"):
        codec.read_in(tf.constant(png(mask)), placement)
    mask[1, 2] = 255
    assert codec.read_in(tf.constant(png(mask)), placement).numpy().tolist() == [[0, 1, 1], [0, 0, 1]]
    wide = np.array([[0, 1000, 300]], np.uint16)
    of_ids = MaskCodec(values=(0, 300, 1000), classes=("a", "b", "c"), size=(1, 3))
    assert of_ids.read_in(tf.constant(png(wide)), placed((1, 3), "pad", (1, 3))).numpy().tolist() == [[0, 2, 1]]


def test_a_palette_keeps_its_indices():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    file = io.BytesIO()
    image.save(file, "PNG")
    codec = MaskCodec(classes=("a", "b", "c"), size=(2, 2))
    assert codec.read_in(tf.constant(file.getvalue()), placed((2, 2), "pad", (2, 2))).numpy().tolist() == [
        [0, 1],
        [2, 1],
    ]


def test_masks_that_are_refused():
    codec, file = MaskCodec(classes=("a", "b"), size=(4, 4)), io.BytesIO()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"another height and width .*\[3 4\] instead of \[4 4\]"):
        codec.read_in(tf.zeros([3, 4], tf.uint8), placed((4, 4), "pad", (4, 4)))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(file, "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="a JPEG changes the values of a mask"):
        codec.read_in(tf.constant(file.getvalue()), placed((4, 4), "pad", (4, 4)))


# --- boxes -----------------------------------------------------------------------------------------------------------


def boxes_of(codec, boxes, classes, how="pad", old=(20, 40)):
    value = {"": tf.constant(boxes, tf.float32), "class": tf.constant(classes)}
    found = codec.read_in(value, placed(codec.size, how, old))
    return found[""].numpy().tolist(), found["class"].numpy().tolist()


def test_boxes_go_with_their_picture():
    codec = BoxesCodec(most=3, classes=("a", "b"), size=(40, 40))
    boxes, classes = boxes_of(codec, [[0, 0, 10, 10], [30, 10, 40, 20]], [1, 0])
    assert boxes == [[0, 10, 10, 20], [30, 20, 40, 30], [0, 0, 0, 0]] and classes == [1, 0, PADDING]
    boxes, classes = boxes_of(codec, [[0, 0, 10, 10], [8, 0, 14, 10], [12, 4, 20, 8]], [1, 0, 1], "crop")
    assert classes == [0, 1, PADDING], "what is cut away is gone"  # the first leaves no place between
    assert boxes[:2] == [[0, 0, 8, 20], [4, 8, 20, 16]]
    boxes, classes = boxes_of(codec, [[0, 0, 11, 10]], [1], "crop")
    assert classes[0] == IGNORED and boxes[0] == [0, 0, 2, 20], "a sliver is no background, and no object"


def test_boxes_come_back_into_the_files_frame():
    codec, placement = BoxesCodec(most=2, classes=("a",), size=(40, 40)), placed((40, 40), "crop", (20, 40))
    arrays = {"": tf.constant([[0.0, 0, 20, 40], [0, 0, 0, 0]]), "class": tf.constant([0, PADDING])}
    back = codec.restore(arrays, placement)
    assert back[""].numpy().tolist() == [[10, 0, 20, 20], [0, 0, 0, 0]] and back["class"].numpy().tolist() == [0, -1]


def test_boxes_out_of_their_picture():
    codec = BoxesCodec(most=2, classes=("a",), size=(20, 40))
    assert boxes_of(codec, [[0, 0, 40.3, 10]], [0])[0][0] == [0, 0, 40, 10], "rounding is forgiven"
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"a box, \[\[0 0 50 10\]\], reaches out .*\[40 20\]"):
        boxes_of(codec, [[0, 0, 50, 10]], [0])
    dropping = BoxesCodec(most=2, bad="drop", classes=("a",), size=(20, 40))
    assert boxes_of(dropping, [[0, 0, 50, 10], [50, 0, 60, 10]], [0, 0])[1] == [0, PADDING]


def objects(boxes: list[list[list[float]]], counts: list[int]) -> Source:
    """Pictures of 20 by 40 pixels with boxes.

    Args:
        boxes: of each picture.
        counts: of its classes.
    """
    rows = [np.asarray(one, np.float32).reshape(-1, 4) for one in boxes]
    most = max(map(len, rows))
    padded = np.stack([np.pad(one, [(0, most - len(one)), (0, 0)]) for one in rows])
    classes = np.array(
        [[number % counts[0] if number < len(one) else -1 for number in range(most)] for one in rows], np.int32
    )
    columns = Columns(len(rows), {"boxes": padded, "boxes_class": classes})
    facts = {"image": {"size": (20, 40), "channels": 1}, "boxes": {"classes": [f"c{n}" for n in range(counts[0])]}}
    features = {"image": "image", "boxes": "boxes"}
    return {"train": Split(columns, lambda row: {"image": tf.zeros([20, 40, 1], tf.uint8)}, features, facts)}


def opened(boxes, extra="", features="{image: {size: [20, 40]}}"):
    text = f"""
name: boxes
task: {{type: classification, model: flatten}}
data:
  source: {{type: objects, boxes: {boxes}, counts: [2]}}
  features: {features}
  validation: 0
{extra}"""
    with plugged(objects):
        return open_data(kplug.loads(text, "b.yaml"))


def test_boxes_without_an_area_are_named():
    bad = [[[0, 0, 9, 9], [5, 5, 5, 9]], [[1, 1, 9, 9]]]
    with pytest.raises(SpecError) as caught:
        opened(bad)
    said = str(caught.value)
    assert "boxes of 'boxes' that have no area" in said and "row 0: [5.0, 5.0, 5.0, 9.0]" in said
    data = opened(bad, features="{boxes: {bad: drop}}")
    batch = next(iter(data.examples("train")))
    assert batch["boxes_class"].numpy().tolist() == [[0, PADDING], [0, PADDING]]
    assert data.info.remarks == ["boxes: boxes without an area are left out: 1 of train"]


def test_more_objects_than_rows():
    with pytest.raises(SpecError, match="'boxes' has up to 2 objects in a picture, of which most: 1 leaves some out"):
        opened([[[0, 0, 9, 9], [5, 5, 8, 9]]], features="{boxes: {most: 1}}")


# --- objects, points, clips ------------------------------------------------------------------------------------------


def test_boxes_are_drawn_around_objects():
    ids = np.zeros((2, 8, 8, 2), np.int32)
    ids[0, 1:3, 2:5, 0], ids[0, 2:6, 4:7, 1], ids[1, 7, 7, 0] = 1, 2, 3
    boxes, is_seen = boxes_around(tf.constant(ids), 3)
    assert boxes[0].numpy().tolist() == [[2, 1, 5, 3], [4, 2, 7, 6], [0, 0, 0, 0]]
    assert boxes[1, 2].numpy().tolist() == [7, 7, 8, 8]
    assert is_seen.numpy().tolist() == [[True, True, False], [False, False, True]]


def test_a_map_of_objects_is_placed_and_comes_back():
    ids = np.zeros((6, 9), np.uint16)
    ids[1:3, 2:4], ids[4:6, 5:9] = 1, 2
    codec = InstancesCodec(most=3, layers=1, classes=("a", "b"), size=(12, 18))
    placement = placed((12, 18), "stretch", (6, 9))
    read = codec.read_in({"": tf.constant(png(ids)), "class": tf.constant([1, 0])}, placement)
    assert read["class"].numpy().tolist() == [1, 0, PADDING]
    np.testing.assert_array_equal(read[""].numpy()[..., 0], ids.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(decode_ids(codec.restore(read, placement)["bytes"]), ids)


def test_points_go_with_their_picture():
    codec = PointsCodec(shape=(2,), size=(40, 40))
    points = tf.constant([[0.0, 0.0, 1.0], [20.0, 10.0, 0.0]])
    placement = placed((40, 40), "pad", (20, 40))
    read = codec.read_in(points, placement)
    assert read.numpy().tolist() == [[0, 10, 1], [0, 0, 0]], "one that is not seen is nowhere"
    assert codec.restore({"": read}, placement)[""].numpy().tolist() == [[0, 0, 1], [0, 0, 0]]
    assert codec.read_in(
        tf.constant([[0.0, 0.0], [30.0, 10.0]]), placed((40, 40), "crop", (20, 40))
    ).numpy().tolist() == [
        [0, 0, 0],
        [40, 20, 1],
    ]


def test_a_clip_has_as_many_pictures_as_asked():
    clip = tf.constant(np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(4, 1).repeat(4, 2))
    three = ClipCodec(frames=3, size=(4, 4), channels=1)
    assert three.read(clip)[:, 0, 0, 0].numpy().tolist() == [1, 3, 5]
    eight = ClipCodec(frames=8, size=(4, 4), channels=1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a clip that ends early: it has 6 pictures"):
        eight.read(clip)
    repeating = ClipCodec(frames=8, size=(4, 4), channels=1, short="repeat")
    assert repeating.read(clip)[:, 0, 0, 0].numpy().tolist() == [0, 1, 2, 3, 4, 5, 5, 5]
    files = tf.constant([tf.io.encode_png(one).numpy() for one in clip.numpy()])
    np.testing.assert_array_equal(three.read(files), three.read(clip))
