"""Augmentations that move pictures: boxes are those of the moved mask, and masks invent no value."""

from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import Codec, DataInfo, Field, Geometry, SpecError
from kplug.data.augment import fold_in
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.masks import MaskCodec
from kplug.data.codecs.pixels import to_uint8
from kplug.data.geometry import from_indices, mix, move, move_boxes, move_points, scaled, warp
from kplug.default_plugins.images import (
    aug_mix,
    keras_augmentations,
    rand_augment,
    random_quarter_turns,
    random_resized_crop,
    trivial_augment,
)
from kplug.default_plugins.images.keras_augmentations import (
    cut_mix,
    mix_up,
    random_crop,
    random_elastic_transform,
    random_flip,
    random_perspective,
    random_rotation,
    random_shear,
    random_translation,
    random_zoom,
)
from kplug.spec.plugins import host
from kplug.testing import check, tiny_info

COUNT = 48
SIZES = [(64, 64), (48, 128), (33, 57)]
BLANK = 255
FINE = 4
SEED = tf.constant([3, 14])


@dataclass(frozen=True)
class Areas(Codec):
    """Class ids by pixel, `[h, w]`."""

    frame: str = "image"
    in_frame = moves = True

    @property
    def field(self):
        return Field((None, None), "uint8")

    def read(self, value):
        return value

    def warp(self, arrays, geometry):
        return {"": warp(arrays[""], geometry, "nearest", BLANK)}


@dataclass(frozen=True)
class Frames(Codec):
    """Boxes, and the share of each that is seen."""

    frame: str = "image"
    in_frame = moves = shown_once = True

    @property
    def field(self):
        return Field((None, 4), "float32")

    @property
    def arrays(self):
        return {"": self.field, "seen": Field((None,), "float32")}

    def read(self, value):
        return value

    def warp(self, arrays, geometry):
        moved, seen = move_boxes(arrays[""], geometry)
        return {"": moved, "seen": seen}


def info(size, **codecs):
    pictures = {"image": ImageCodec(size, channels=3)}
    return DataInfo({}, codecs={**pictures, **codecs})


def everything(size):
    return info(size, areas=Areas(), frames=Frames())


@dataclass(frozen=True)
class Linked(ImageCodec):
    """Pictures that show the same as others, larger."""

    linked: str = "image"


def finely(size):
    """The same with a mask in a picture that is FINE times as large, in which a tip is no pixel wide."""
    codecs = everything(size).codecs
    fine = {"fine": Linked((FINE * size[0], FINE * size[1]), channels=1), "fine_areas": Areas("fine")}
    return DataInfo({}, codecs={**fine, **codecs})  # the picture that is linked stands before the other


def drawn(size, seed=0):
    """Pictures of noise with one filled rectangle each, which touches no side: its mask, and its box."""
    rng = np.random.default_rng(seed)
    height, width = size
    boxes, masks = np.zeros((COUNT, 1, 4), np.float32), np.zeros((COUNT, *size), np.uint8)
    for number in range(COUNT):
        tall, wide = (int(rng.integers(0.45 * side, 0.8 * side)) for side in size)
        y, x = int(rng.integers(1, height - tall)), int(rng.integers(1, width - wide))
        boxes[number, 0] = x, y, x + wide, y + tall
        masks[number, y : y + tall, x : x + wide] = 1 + number % 7
    pictures = rng.integers(0, 256, (COUNT, *size, 3), dtype=np.uint8)
    return {name: tf.constant(values) for name, values in {"image": pictures, "areas": masks, "frames": boxes}.items()}


def tight(mask):
    """The smallest box around what is not 0 or blank; None where there is nothing."""
    rows, columns = np.nonzero((mask > 0) & (mask != BLANK))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) if len(rows) else None


def iou(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.maximum(high - low, 0))
    return both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both)


def agreement(moved, masks="areas", scale=1, least=12):
    """How well each moved box fits the moved mask, of those that are seen well enough to tell."""
    found = []
    for mask, box, seen in zip(*(moved[name].numpy() for name in (masks, "frames", "frames_seen")), strict=True):
        around = tight(mask)
        if around is None:  # what is not seen by any pixel
            assert seen[0] < 0.1 or np.min(box[0, 2:] - box[0, :2]) < 2
        elif min(around[2:] - around[:2]) >= least * scale:
            found.append(iou(around / scale, box[0]))
    return np.array(found)


def with_fine(batch):
    masks = tf.repeat(tf.repeat(batch["areas"], FINE, axis=1), FINE, axis=2)
    return batch | {"fine": masks[..., tf.newaxis], "fine_areas": masks}


SQUARE = {"random_quarter_turns"}
MOVES = {
    "random_flip": (random_flip, {"mode": "horizontal_and_vertical"}),
    "random_crop": (random_crop, {"padding": 9}),
    "random_crop_to_a_size": (random_crop, {"size": (30, 41)}),
    "random_translation": (random_translation, {"fill_mode": "constant", "width_factor": (-0.4, 0.4)}),
    "random_translation_nearest": (random_translation, {"fill_mode": "nearest"}),
    "random_rotation": (random_rotation, {"fill_mode": "constant"}),
    "random_rotation_by_any": (random_rotation, {"fill_mode": "constant", "factor": (-0.5, 0.5)}),
    "random_shear": (random_shear, {"fill_mode": "constant"}),
    "random_zoom": (random_zoom, {"fill_mode": "constant", "width_factor": (-0.5, 0.1)}),
    "random_perspective": (random_perspective, {"probability": 1.0}),
    "random_perspective_strong": (random_perspective, {"probability": 1.0, "scale": 1.0}),
    "random_elastic_transform": (random_elastic_transform, {"probability": 1.0}),
    "random_quarter_turns": (random_quarter_turns, {}),
    "random_resized_crop": (random_resized_crop, {}),
    "random_resized_crop_to_a_size": (random_resized_crop, {"scale": (0.3, 1.0), "size": (50, 70)}),
}


POLICIES = {
    "rand_augment": (rand_augment, {"operations": 3}),
    "trivial_augment": (trivial_augment, {}),
}


def refused(name, size):
    """True where an augmentation needs square pictures and says so."""
    if name not in SQUARE or size[0] == size[1]:
        return False
    make, arguments = MOVES[name]
    with pytest.raises(SpecError, match=rf"need square pictures, these are {size[0]} x {size[1]}; give"):
        make(everything(size), **arguments)(drawn(size), SEED)
    return True


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", MOVES)
def test_boxes_are_those_of_the_moved_mask(name, size):
    if refused(name, size):
        return
    make, arguments = MOVES[name]
    before = with_fine(drawn(size))
    moved = make(finely(size), **arguments)(before, SEED)
    assert moved["areas"].dtype == tf.uint8 and moved["areas"].shape == moved["image"].shape[:3]
    assert_no_new_value(before, moved)
    # a field is asked at whole pixels
    found = agreement(moved) if "elastic" in name else agreement(moved, "fine_areas", FINE)
    assert len(found) > COUNT / 4 and found.mean() >= 0.97 and found.min() >= 0.9, (
        len(found),
        found.mean(),
        found.min(),
    )


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
@pytest.mark.parametrize("name", MOVES | POLICIES)
def test_boxes_are_those_of_the_mask_beside(name, size):
    """A mask of few pixels ends up to half a pixel away from the box; on the smallest pictures that is much."""
    if refused(name, size):
        return
    make, arguments = (MOVES | POLICIES)[name]
    before = drawn(size)
    moved = make(everything(size), **arguments)(before, SEED)
    assert_no_new_value(before, moved)
    found = agreement(moved)
    assert len(found) > COUNT / 4 and found.mean() >= 0.97 and found.min() >= 0.9, (
        len(found),
        found.mean(),
        found.min(),
    )


def assert_no_new_value(before, moved):
    for old, new in zip(before["areas"].numpy(), moved["areas"].numpy(), strict=True):
        assert set(np.unique(new)) <= {*np.unique(old), BLANK}


@pytest.mark.parametrize("name", MOVES | POLICIES)
def test_pictures_do_not_depend_on_what_lives_in_them(name):
    make, arguments = (MOVES | POLICIES)[name]
    batch = drawn((64, 64))
    alone = make(info((64, 64)), **arguments)({"image": batch["image"]}, SEED)["image"]
    beside = make(everything((64, 64)), **arguments)(batch, SEED)["image"]
    assert np.array_equal(alone, beside)


@pytest.mark.parametrize("name", ["random_flip", "rand_augment"])
def test_a_training_reads_no_warning_of_the_graph(name, caplog, monkeypatch):
    """AutoGraph, through which tf.data has functions go, warns of what it cannot read."""
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    make, arguments = next(value for key, value in (MOVES | POLICIES).items() if key.startswith(name))
    augment = make(everything((64, 64)), **arguments)
    batches = tf.data.Dataset.from_tensors(drawn((64, 64))).map(lambda batch: augment(batch, SEED))
    assert set(batches.element_spec) >= set(drawn((64, 64)))
    assert caplog.messages == []


@pytest.mark.parametrize("name", MOVES)
def test_a_size_that_a_graph_does_not_know_gives_the_same(name):
    """`augmented` moves files of several sizes; what cannot says that it needs one size."""
    make, arguments = MOVES[name]
    augment = make(info((None, None)), **arguments)
    images = drawn((64, 64))["image"]
    signature = [{"image": tf.TensorSpec([None, None, None, 3], tf.uint8)}, tf.TensorSpec([2], tf.int32)]
    traced = tf.function(augment, input_signature=signature, autograph=False)
    if any(name.startswith(one) for one in ("random_crop", "random_elastic", "random_quarter")):
        with pytest.raises(ValueError, match="it works on pictures of one known size"):
            traced({"image": images}, SEED)
        return
    expected = augment({"image": images}, SEED)["image"]
    assert np.allclose(traced({"image": images}, SEED)["image"], expected, atol=0.01)


@pytest.mark.parametrize("policy", [rand_augment, trivial_augment])
def test_policies_move_a_picture_and_its_mask_alike(policy):
    """A picture that is its own mask stays it where no operation recolours: all but black and the fill is white."""
    batch = drawn((64, 64))
    white = tf.where(batch["areas"] > 0, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))
    batch["image"] = tf.repeat(white[..., tf.newaxis], 3, axis=-1)
    moved = policy(everything((64, 64)), fill=0.0)(batch, SEED)
    is_object = (moved["areas"].numpy() > 0) & (moved["areas"].numpy() != BLANK)
    image = moved["image"].numpy()[..., 0]
    agree = [np.mean((one >= one.max() / 2) == other) for one, other in zip(image, is_object, strict=True) if one.max()]
    assert len(agree) > COUNT / 2 and np.mean(np.array(agree) > 0.98) > 0.7


def test_policies_change_the_pictures_of_a_clip_alike():
    image = drawn((33, 57))["image"]
    masks = drawn((33, 57))["areas"]
    data = info((33, 57), areas=Areas())
    alone = rand_augment(data)({"image": image, "areas": masks}, SEED)
    clips = rand_augment(data)({"image": tf.stack([image, image], axis=1), "areas": masks}, SEED)
    assert np.array_equal(clips["image"][:, 1], alone["image"]) and np.array_equal(clips["areas"], alone["areas"])


def test_policies_refuse_linked_pictures_of_another_size():
    batch = with_fine(drawn((64, 64)))
    with pytest.raises(SpecError, match="'fine' is linked to 'image' and of another size"):
        rand_augment(finely((64, 64)))(batch, SEED)


# --- pictures are as before ------------------------------------------------------------------------------------------

LARGE = 48 * 48


def flips_of_0_1_0(mode, image, seed):
    axes = [{"horizontal": 2, "vertical": 1}[direction] for direction in mode.split("_and_")]
    draws = tf.random.stateless_uniform([len(axes), tf.shape(image)[0]], seed)
    for axis, draw in zip(axes, tf.unstack(draws), strict=True):
        both, count = tf.concat([image, tf.reverse(image, [axis])], axis=0), tf.shape(image)[0]
        image = tf.gather(both, tf.range(count) + tf.where(draw < 0.5, count, 0))
    return image


def crops_of_0_1_0(padding, fill, image, seed):
    def at_once(padded, corners, shape):
        rows = tf.gather(padded, corners[0][:, tf.newaxis] + tf.range(shape[0]), axis=1, batch_dims=1)
        return tf.gather(rows, corners[1][:, tf.newaxis] + tf.range(shape[1]), axis=2, batch_dims=1)

    def one_by_one(padded, corners, shape):
        corners = tf.stack([*tf.unstack(corners), tf.zeros_like(corners[0])], axis=-1)
        one = tf.TensorSpec(shape, padded.dtype)
        return tf.map_fn(lambda pair: tf.slice(*pair, shape), (padded, corners), fn_output_signature=one)

    padded = tf.pad(image, [[0, 0], [padding, padding], [padding, padding], [0, 0]], mode=fill.upper())
    corners = tf.random.stateless_uniform([2, tf.shape(image)[0]], seed, 0, 2 * padding + 1, tf.int32)
    cut = one_by_one if image.shape[1] * image.shape[2] > LARGE else at_once
    return cut(padded, corners, image.shape[1:])


@pytest.mark.parametrize("size", [(32, 32), (33, 57), (48, 48), (48, 49), (64, 64)], ids=str)
def test_flips_and_crops_give_the_pictures_of_0_1_0(size):
    image = drawn(size)["image"]
    for step in range(3):
        seed = fold_in(SEED, step)
        for mode in ("horizontal", "vertical", "horizontal_and_vertical"):
            found = random_flip(info(size), mode=mode)({"image": image}, seed)["image"]
            assert found.dtype == tf.uint8 and np.array_equal(found, flips_of_0_1_0(mode, image, seed))
        for fill in ("constant", "reflect", "symmetric"):
            found = random_crop(info(size), fill=fill)({"image": image}, seed)["image"]
            assert found.dtype == tf.uint8 and np.array_equal(found, crops_of_0_1_0(4, fill, image, seed))


LAYERS = {
    "random_rotation": (keras.layers.RandomRotation, {"factor": (-0.05, 0.05)}),
    "random_shear": (keras.layers.RandomShear, {"x_factor": (0.0, 0.2), "y_factor": (0.0, 0.2)}),
    "random_translation": (
        keras.layers.RandomTranslation,
        {"height_factor": (-0.1, 0.1), "width_factor": (-0.1, 0.1)},
    ),
    "random_zoom": (keras.layers.RandomZoom, {"height_factor": (-0.2, 0.2)}),
}


@pytest.mark.parametrize("name", [*LAYERS, "random_perspective"])
def test_moves_by_a_matrix_give_the_pictures_of_keras(name):
    from kplug.default_plugins.images.pure_layers import image_layers

    for size in SIZES:
        image = drawn(size)["image"]
        for fill in ("constant", "reflect", "nearest", "wrap") if name in LAYERS else (None,):
            for interpolation in ("nearest", "bilinear"):
                look = {"interpolation": interpolation, "fill_value": 33.0} | ({"fill_mode": fill} if fill else {})
                if name in LAYERS:
                    make, arguments = LAYERS[name]
                    layer = make(**arguments, **look, dtype="float32")
                else:
                    layer = keras.layers.RandomPerspective(factor=(0.5, 0.5), scale=0.5, **look, dtype="float32")
                expected = image_layers(layer)({"image": image}, SEED)["image"]
                found = getattr(keras_augmentations, name)(info(size), **look)({"image": image}, SEED)["image"]
                assert np.array_equal(to_uint8(found), to_uint8(expected)), (size, fill, interpolation)


# --- crops to a size, quarter turns ----------------------------------------------------------------------------------


def test_a_crop_to_a_size_is_a_window_of_the_picture():
    batch = drawn((33, 57))
    for padding, size in ((None, (20, 30)), (2, (36, 58)), (0, (33, 57))):
        cut = random_crop(info((33, 57)), padding=padding, size=size)({"image": batch["image"]}, SEED)["image"].numpy()
        border = padding or 0
        padded = np.pad(batch["image"], [(0, 0), (border, border), (border, border), (0, 0)])
        places = set()
        for whole, part in zip(padded, cut, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(whole, (*size, 3))[:, :, 0]
            (place,) = np.argwhere((windows == part).all((2, 3, 4)))
            places.add(tuple(place))
        assert cut.shape == (COUNT, *size, 3) and len(places) > (1 if size != (33, 57) else 0)
    with pytest.raises(SpecError, match=r"window of 40 x 40 does not fit pictures of 33 x 57, padded by 0; give a"):
        random_crop(info((33, 57)), size=(40, 40))({"image": batch["image"]}, SEED)


def test_quarter_turns_are_exact_and_each_as_often():
    image = tf.tile(drawn((64, 64))["image"][:1], [400, 1, 1, 1])
    turned = tf.function(random_quarter_turns(info((64, 64))))({"image": image}, SEED)["image"].numpy()
    ways = [np.rot90(image[0], number) for number in range(4)]
    counts = [sum(np.array_equal(one, way) for one in turned) for way in ways]
    assert sum(counts) == 400 and min(counts) > 70


def test_resized_crops_are_of_the_areas_and_shapes_that_are_asked_for():
    from kplug.default_plugins.images.motions import _parts

    sides = [tf.constant(48.0), tf.constant(128.0)]
    area = 48 * 128 * tf.random.stateless_uniform([4000], SEED, 0.08, 1.0)
    high, wide = (part.numpy() for part in _parts(area, sides, (3 / 4, 4 / 3), SEED + 1))
    ratio = wide / high
    assert ratio.min() > 0.749 and ratio.max() < 1.334 and high.max() < 48.01 and wide.max() < 128.01
    fits = area.numpy() < 48 * 48 * 3 / 4
    assert np.allclose((high * wide)[fits], area.numpy()[fits], rtol=1e-3)
    free = np.log(ratio[area.numpy() < 48 * 48 * 0.7])
    assert abs(free.mean()) < 0.02 and 0.15 < free.std() < 0.18  # even between the logarithms of the ends


def test_resized_crops_say_how_much_of_an_object_must_be_seen():
    told = []

    class Noting(Areas):
        def warp(self, arrays, geometry):
            told.append((geometry.visible, geometry.after))
            return super().warp(arrays, geometry)

    batch = drawn((33, 57))
    augment = random_resized_crop(info((33, 57), areas=Noting()), size=(20, 24), visible=0.5)
    moved = augment({name: batch[name] for name in ("image", "areas")}, SEED)
    assert told == [(0.5, (20, 24))] and moved["image"].shape == (COUNT, 20, 24, 3)


def test_a_resized_crop_of_all_is_the_picture():
    batch = {"image": drawn((33, 57))["image"]}
    whole = random_resized_crop(info((33, 57)), scale=(1.0, 1.0), ratio=(57 / 33, 57 / 33))(batch, SEED)["image"]
    assert np.abs(whole.numpy() - batch["image"].numpy()).max() < 0.1


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOVES | POLICIES)
def test_a_batch_without_a_known_picture_is_refused(name):
    make, arguments = (MOVES | POLICIES)[name]
    augment = make(DataInfo({"image": Field((64, 64, 3), "uint8")}), **arguments)
    with pytest.raises(SpecError, match=r"it moves pictures, and no field here is one \(fields: image\)"):
        augment({"image": drawn((64, 64))["image"]}, SEED)


def test_every_augmentation_says_what_it_does():
    silent = [component.name for component in host().registry.components if says_nothing(component)]
    assert silent == []


def says_nothing(component):
    return component.kind is not None and component.kind.name == "augmentation" and component.effect is None


def test_aug_mix_stands_beside_pictures_alone():
    from kplug.spec.effects import refused as reasons

    spec = kplug.loads(
        "name: a\ntask: {type: classification, model: resnet}\ndata: {source: digits, augment: [aug_mix]}\n"
    )
    node = spec["data.augment.0"]
    assert not list(reasons(node, tiny_info().codecs))
    ((_, message),) = reasons(node, everything((64, 64)).codecs | {"frames": ImageCodec()})
    assert "'areas' lives in a picture, and aug_mix would leave it behind: it mixes a picture with" in message
    assert np.array_equal(aug_mix()({"image": drawn((33, 57))["image"]}, SEED)["image"].shape, (COUNT, 33, 57, 3))


# --- mixing ----------------------------------------------------------------------------------------------------------


def labelled(size=(33, 57)):
    """Pictures of the value of their number, and the number as their label."""
    numbers = tf.range(COUNT)
    image = tf.tile(tf.cast(5 * numbers, tf.uint8)[:, None, None, None], [1, *size, 3])
    return tiny_info((*size, 3), tuple(map(str, range(COUNT)))), {"image": image, "label": numbers}


@pytest.mark.parametrize("make", [mix_up, cut_mix])
def test_each_example_is_the_other_of_one(make):
    data, batch = labelled()
    rows = make(data, alpha=1.0)(batch, SEED)["label"].numpy()
    others = rows.sum(0) - np.diag(rows)
    assert np.allclose(rows.sum(1), 1, atol=1e-5) and np.all((rows > 0).sum(1) <= 2)
    assert np.all(((rows > 0) & ~np.eye(COUNT, dtype=bool)).sum(0) <= 1) and np.all(others <= 1)


def test_a_label_has_the_share_that_was_pasted():
    data, batch = labelled()
    mixed = cut_mix(data)(batch, SEED)
    for number, (image, row) in enumerate(zip(mixed["image"].numpy(), mixed["label"].numpy(), strict=True)):
        own = image[..., 0] == 5 * number
        assert row[number] == pytest.approx(own.mean(), abs=1e-6)
        box = tight(np.where(own, 0, 1).astype(np.uint8))
        if box is not None:
            assert (~own).sum() == np.prod(box[2:] - box[:2])  # a rectangle, of the shape of the picture
            assert abs((box[2] - box[0]) / 57 - (box[3] - box[1]) / 33) < 0.04


def test_a_mask_is_pasted_with_its_picture():
    data, batch = labelled()
    numbers = tuple(map(str, range(COUNT)))
    data = replace(data, codecs=data.codecs | {"mask": MaskCodec("image", classes=numbers, size=(33, 57))})
    mask = tf.tile(tf.cast(tf.range(COUNT), tf.uint8)[:, None, None], [1, 33, 57])
    mixed = cut_mix(data)(batch | {"mask": mask}, SEED)
    np.testing.assert_array_equal(mixed["mask"].numpy() * 5, mixed["image"].numpy()[..., 0])
    assert any(len(np.unique(one)) == 2 for one in mixed["mask"].numpy())


def test_every_augmentation_that_pastes_or_mixes_keeps_to_the_contract():
    for make in (mix_up, cut_mix):
        check(make)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_beta(alpha):
    from scipy import stats

    from kplug.default_plugins.images.mixtures import beta

    found = beta(4000, alpha, SEED).numpy()
    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert np.all(np.isfinite(beta(1000, 1e-3, SEED)))


def test_partners_are_a_permutation():
    from kplug.default_plugins.images.mixtures import partners

    drawn_twice = [partners(COUNT, fold_in(SEED, number)).numpy() for number in range(2)]
    assert all(sorted(one) == list(range(COUNT)) for one in drawn_twice)
    assert not np.array_equal(*drawn_twice)


def test_a_part_of_a_mask_is_not_mixed_where_it_cannot_be():
    data, batch = labelled()
    assert set(mix(data, batch, tf.range(COUNT), tf.ones([COUNT]))) == {"image", "label"}


# --- the geometry itself ---------------------------------------------------------------------------------------------


def rotated(size, degrees):
    angle = np.deg2rad(degrees)
    y, x = size[0] / 2, size[1] / 2
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = [[cos, -sin, x - x * cos + y * sin], [sin, cos, y - x * sin - y * cos], [0, 0, 1]]
    return Geometry(size, size, tf.constant([matrix], tf.float64))


def test_points_go_the_other_way_than_pixels():
    for degrees in (0, 30, 90, -135):
        geometry = rotated((40, 40), degrees)
        image = np.zeros((1, 40, 40), np.uint8)
        image[0, 12, 25] = 1
        (row, column) = np.argwhere(warp(tf.constant(image), geometry, "nearest", 0).numpy()[0])[0]
        (point,) = move_points(tf.constant([[[25.5, 12.5]]]), geometry).numpy()[0]
        assert np.abs(point - [column + 0.5, row + 0.5]).max() < 0.8


def test_points_follow_a_field_and_are_nowhere_where_nothing_shows_them():
    field = tf.fill([1, 20, 30, 2], 0.0) + tf.constant([3.0, -2.0])  # each pixel shows what was right and above
    geometry = Geometry((20, 30), (20, 30), field=field)
    found = move_points(tf.constant([[[10.25, 10.75], [1.0, 10.0]]]), geometry).numpy()[0]
    assert np.allclose(found[0], [7.25, 12.75]) and np.isnan(found[1]).all()


def test_a_share_is_what_is_seen():
    boxes = tf.constant([[[10.0, 10.0, 20.0, 20.0], [0.0, 0.0, 40.0, 40.0], [-10.0, 0.0, -2.0, 9.0], [0, 0, 0, 0]]])
    shift = tf.constant([[[1.0, 0.0, 15.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])  # 15 pixels to the left
    by_field = {"field": tf.zeros([1, 40, 40, 2]) + tf.constant([15.0, 0.0])}
    for way in ({"matrix": shift}, by_field):
        moved, seen = move_boxes(boxes, Geometry((40, 40), (40, 40), **way))
        assert np.allclose(seen[0, :3], [0.5, 0.625, 0.0], atol=0.05), way
        assert np.allclose(moved[0, :3], [[0, 10, 5, 20], [0, 0, 25, 40], [0, 0, 0, 0]]), way


def test_a_move_that_flattens_a_picture_is_no_error():
    flat = tf.constant([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    moved, seen = move_boxes(tf.constant([[[1.0, 2.0, 9.0, 9.0]]]), Geometry((20, 20), (20, 20), flat))
    assert np.all(np.isfinite(moved)) and np.all(np.isfinite(seen))


def test_clips_move_as_their_frames_do():
    image = drawn((33, 57))["image"]
    clips = tf.stack([image, tf.reverse(image, [3])], axis=1)
    geometry = replace(rotated((33, 57), 20), matrix=tf.tile(rotated((33, 57), 20).matrix, [COUNT, 1, 1]))
    moved = warp(clips, geometry, "bilinear", 0)
    assert moved.shape == clips.shape
    assert np.array_equal(moved[:, 0], warp(image, geometry, "bilinear", 0))
    flip = random_flip(info((33, 57), clip=Clip()))({"image": image, "clip": clips}, SEED)
    assert np.array_equal(flip["clip"][:, 0], flip["image"])


@dataclass(frozen=True)
class Clip(Areas):
    def warp(self, arrays, geometry):
        return {"": warp(arrays[""], geometry, "nearest", 0)}


def test_a_larger_picture_is_moved_by_more():
    geometry = rotated((40, 60), 25)
    image = drawn((40, 60))["areas"][:1]
    larger = tf.repeat(tf.repeat(image, 3, axis=1), 3, axis=2)
    small, large = (
        tight(warp(values, move_, "nearest", 0).numpy()[0])
        for values, move_ in ((image, geometry), (larger, scaled(geometry, (120, 180))))
    )
    assert np.abs(small - large / 3).max() <= 1
    assert scaled(geometry, (40, 60)) is geometry


def test_a_matrix_of_numbers_of_pixels_stays_exact():
    rng = np.random.default_rng(0)
    matrix = np.tile(np.eye(3, dtype=np.float32), (100, 1, 1))
    matrix[:, :2] += rng.normal(size=(100, 2, 3)).astype(np.float32)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = np.linalg.inv(half) @ from_indices(tf.constant(matrix)).numpy() @ half
    assert np.array_equal(back.astype(np.float32), matrix)


def test_linked_pictures_share_a_draw_and_others_have_their_own():
    seen = {}

    def draw(count, size, seed):
        seen[size] = seed.numpy().tolist()
        return Geometry(size, size, tf.tile(rotated(size, 10).matrix, [count, 1, 1]))

    data = DataInfo({}, codecs={**finely((33, 57)).codecs, "other": ImageCodec((8, 8), channels=1)})
    batch = with_fine(drawn((33, 57))) | {"other": tf.zeros([COUNT, 8, 8, 1], tf.uint8)}
    move(data, batch, SEED, draw)
    assert set(seen) == {(33, 57), (8, 8)} and seen[(33, 57)] != seen[(8, 8)]
