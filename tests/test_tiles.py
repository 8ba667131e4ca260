"""Large pictures in tiles: a function over tiles inside of an endpoint, and the source wrapper `tiles`."""

import dataclasses
import importlib
import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kplug
from kplug import AskedFeatures, Codec, Columns, Feature, Field, Learner, Signature, Source, SpecError, Split, call
from kplug.authoring import tiled
from kplug.data.codecs.boxes import IGNORED
from kplug.data.codecs.decoding import decode, size_of
from kplug.data.splits import open_data
from kplug.data.tiling import starts
from kplug.default_plugins.sources import digits, tiles
from kplug.inference.endpoints import endpoints, predictor
from kplug.spec.features import known_of_source
from kplug.testing import check, no_tensorflow, plugged, tiny

PLUGINS = Path(__file__).parent / "plugins"

# --- a function over tiles -------------------------------------------------------------------------------------------

TILE, SEEN = (24, 20), 3  # pixels; three convolutions of 3 see as far


@pytest.fixture(scope="module")
def network():
    """Convolutions with biases, that see borders as zeros at each step."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((None, None, 3))
    for filters in (6, 6, 2):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="tanh", bias_initializer="uniform")(x)
    return keras.Model(inputs, x)


def pictures(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def over_tiles(function, overlap=2 * SEEN, tile=TILE, shape=(None, None, None, 3), dtype="uint8"):
    """A graph that knows no size."""
    spec = tf.TensorSpec(shape, dtype)
    return tf.function(lambda x: tiled(function, x, tile, overlap), autograph=False).get_concrete_function(spec)


def test_tiles_begin_so_that_they_cover_a_side():
    assert starts(24, 24, 6).numpy().tolist() == [0]
    assert starts(25, 24, 6).numpy().tolist() == [0, 1]
    assert starts(60, 24, 6).numpy().tolist() == [0, 18, 36]
    for side in range(7, 40):
        begin = starts(side, 7, 3).numpy()
        assert begin[0] == 0 and begin[-1] == side - 7 and (np.diff(begin) <= 4).all()
        assert len(begin) == 1 or len(begin) - 1 < (side - 3) / 4, "one of them is not needed"


@pytest.mark.parametrize("overlap", [2 * SEEN, (7, 11)])
def test_it_is_the_function_on_the_whole_picture(network, overlap):
    graph = over_tiles(lambda x: network(tf.cast(x, tf.float32) / 255), overlap)
    for height, width in [(24, 20), (25, 20), (24, 57), (61, 83), (100, 21)]:
        x = pictures(2, height, width, 3)
        whole = network(x.astype("float32") / 255).numpy()
        np.testing.assert_allclose(graph(tf.constant(x)).numpy(), whole, atol=1e-5, rtol=0)


def test_less_overlap_is_not_enough(network):
    """The test above would see a seam: one pixel of overlap less shows one."""
    x = pictures(1, 61, 83, 3)
    found = over_tiles(lambda x: network(tf.cast(x, tf.float32) / 255), 2 * SEEN - 2)(tf.constant(x))
    assert np.abs(found.numpy() - network(x.astype("float32") / 255).numpy()).max() > 1e-3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_pictures_of_any_size(count):
    graph = over_tiles(lambda x: x[..., :2])
    for size in [(1, 1), (24, 20), (23, 50), (50, 19), (49, 41)]:
        x = pictures(count, *size, 3)
        np.testing.assert_array_equal(graph(tf.constant(x)).numpy(), x[..., :2])


def test_a_small_picture_is_padded_with_zeros(network):
    x = pictures(1, 10, 50, 3)
    padded = np.pad(x, [(0, 0), (0, 14), (0, 0), (0, 0)])
    found = over_tiles(lambda x: network(tf.cast(x, tf.float32) / 255))(tf.constant(x))
    whole = network(padded.astype("float32") / 255).numpy()[:, :10]
    np.testing.assert_allclose(found.numpy(), whole, atol=1e-5, rtol=0)


def test_several_maps_of_their_own_dtypes():
    def answer(x):
        assert x.dtype == tf.uint8 and x.shape == (1, *TILE, 3)
        return {"best": tf.argmax(x, -1), "half": tf.cast(x, tf.bfloat16), "dark": x < 9, "same": x}

    x = pictures(2, 40, 33, 3)
    found = over_tiles(answer)(tf.constant(x))
    dtypes = {"best": "int64", "half": "bfloat16", "dark": "bool", "same": "uint8"}
    assert {name: one.dtype.name for name, one in found.items()} == dtypes
    np.testing.assert_array_equal(found["best"], x.argmax(-1))
    np.testing.assert_array_equal(found["dark"], x < 9)
    np.testing.assert_array_equal(found["same"], x)


def test_shapes_that_are_known_stay_known():
    graph = over_tiles(lambda x: x[..., 0], shape=(None, 30, None, 3))
    assert graph.structured_outputs.shape.as_list() == [None, 30, None]


@pytest.mark.parametrize("overlap", [-1, 20, (3, 20)])
def test_an_overlap_of_a_whole_tile(overlap):
    with pytest.raises(ValueError, match=r"less than a tile\. Received: tile="):
        tiled(lambda x: x, np.zeros([1, 30, 30, 3]), TILE, overlap)


def test_a_function_that_gives_no_maps():
    with pytest.raises(ValueError, match=r"maps \[n, 24, 20, ...\].*Received: \[1, 12, 10, 3\]"):
        tiled(lambda x: x[:, ::2, ::2], np.zeros([1, 30, 30, 3]), TILE, 2)


def test_an_endpoint_and_its_saved_model(network, tmp_path):
    network.compile("sgd", "mse")

    def segment(image):
        return {"scores": tiled(lambda x: network(tf.cast(x, tf.float32) / 255), image, TILE, 2 * SEEN)}

    given, wanted = {"image": Field((None, None, 3), "uint8")}, {"scores": Field((None, None, 2), "float32")}
    learner = Learner(network, None, {"segment": Signature(segment, given, wanted)}, {"network": network})
    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(tmp_path), {name: one.traced for name, one in endpoints(learner).items()})
    kept, ask = tf.saved_model.load(str(tmp_path)).signatures["segment"], predictor(learner)
    for shape in [(2, 30, 47), (1, 24, 20), (0, 30, 47), (1, 60, 90)]:
        x = pictures(*shape, 3)
        whole = network(x.astype("float32") / 255).numpy() if len(x) else np.zeros([*shape, 2])
        np.testing.assert_allclose(ask(image=x)["scores"], whole, atol=1e-5, rtol=0)
        np.testing.assert_allclose(kept(image=tf.constant(x))["scores"].numpy(), whole, atol=1e-5, rtol=0)


# --- sizes of files --------------------------------------------------------------------------------------------------


def file_of(array, kind="PNG", **how):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **how)
    return file.getvalue()


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("upright", [True, False])
def test_the_size_of_a_file_is_that_of_its_picture(upright):
    picture = pictures(13, 21, 3)
    files = [file_of(picture, kind) for kind in ("PNG", "JPEG", "BMP", "GIF")]
    files += [file_of(picture, "JPEG", exif=exif(orientation)) for orientation in range(1, 9)]
    graph = tf.function(lambda data: size_of(data, upright), autograph=False)
    for file in files:
        size = graph(tf.constant(file)).numpy().tolist()
        assert size == list(decode(file, 3, upright).shape[:2])
    assert size == ([21, 13] if upright else [13, 21])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a JPEG, PNG, BMP or GIF file"):
        graph(tf.constant(b"nothing"))


# --- a source of whole pictures --------------------------------------------------------------------------------------

SIZES = [(40, 50), (32, 32), (47, 33)]
FEATURES = {name: name for name in ("image", "mask", "instances", "boxes", "points")}
FACTS = {"image": {"channels": 3}} | {name: {"classes": ("a", "b", "c")} for name in ("mask", "instances", "boxes")}


def scenes(in_files: bool = True) -> Source:
    """Pictures of several sizes, and everything that lives in them.

    Args:
        in_files: pictures and masks are PNG files.
    """
    return {name: _scenes(sizes, in_files) for name, sizes in {"train": SIZES, "test": SIZES[::-1]}.items()}


def _scenes(sizes, in_files):
    given = [_scene(number, *size) for number, size in enumerate(sizes)]
    ragged = {name: [one[name] for one in given] for name in ("boxes", "boxes_class", "instances_class")}
    maps = ("image", "mask", "instances")

    def load(row):
        found = {name: tf.ragged.constant(values, ragged_rank=1)[row] for name, values in ragged.items()}
        found["boxes"] = (
            found["boxes"].to_tensor(shape=[None, 4]) if hasattr(found["boxes"], "to_tensor") else found["boxes"]
        )
        for name in maps:
            if in_files and name != "instances":
                found[name] = tf.gather(tf.constant([file_of(one[name]) for one in given]), row)
            else:
                branches = [lambda one=one, name=name: _any(one[name]) for one in given]
                found[name] = tf.switch_case(tf.cast(row, tf.int32), branches)
        return found

    columns = {
        "points": np.stack([one["points"] for one in given]),
        "number": np.arange(len(given)) * 10,
        "path": np.array([f"{row}.png" for row in range(len(given))], object),
    }
    return Split(Columns(len(given), columns), load, FEATURES, FACTS)


def _any(array):
    return tf.raw_ops.PlaceholderWithDefault(input=array, shape=[None, None, *array.shape[2:]])


def _scene(number, height, width):
    rng = np.random.default_rng((number, height, width))
    corner = rng.uniform(0, [width - 12, height - 12], (9, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 12, (9, 2))], 1).astype("float32")
    return {
        "image": rng.integers(0, 256, (height, width, 3), np.uint8),
        "mask": rng.integers(0, 3, (height, width), np.uint8),
        "instances": rng.integers(0, 5, (height, width, 1), np.int32),
        "instances_class": rng.integers(0, 3, 4).astype("int32").tolist(),
        "boxes": boxes.tolist(),
        "boxes_class": rng.integers(-2, 3, 9).astype("int32").tolist(),
        "points": rng.uniform(0, 60, (4, 2)).astype("float32"),
    }


def loaded(split, rows=None):
    rows = tf.data.Dataset.from_tensor_slices(np.arange(len(split)) if rows is None else np.array(rows, np.int64))
    return list(rows.map(split.load).as_numpy_iterator())


def wholes(split):
    """What a source gives in each row, pictures and masks decoded, columns among it."""
    names = ("number", "points")
    found = [one | {n: split.columns[n][row] for n in names} for row, one in enumerate(loaded(split))]
    for one in found:
        for name in ("image", "mask"):
            if isinstance(one[name], bytes):
                one[name] = np.array(Image.open(io.BytesIO(one[name])))
    return found


# --- the source of tiles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("small", [{}, {"overlap": [8, 4], "splits": ["train"]}, {"splits": ["test"]}])
def test_the_contract(small):
    check(tiles, of="tiny_pictures", size=[12, 16], **small)


def test_the_contract_where_pictures_are_files():
    check(tiles, of="tiny_files", size=[16, 20], overlap=[3, 0])


@pytest.mark.parametrize("in_files", [True, False])
def test_the_contract_where_much_lives_in_pictures(in_files):
    with plugged(scenes):
        check(tiles, of={"type": "scenes", "in_files": in_files}, size=[16, 20], overlap=[4, 4])


@pytest.mark.parametrize("in_files", [True, False])
def test_a_tile_has_what_is_in_its_part_of_the_picture(in_files):
    of, (h, w) = scenes(in_files)["train"], (16, 20)
    split, given = tiles({"train": of}, AskedFeatures(), (h, w), (4, 6))["train"], wholes(of)
    covered = [np.zeros(size, bool) for size in SIZES]
    assert len(split) == 3 * 4 + 3 * 2 + 4 * 2
    for row, tile in enumerate(loaded(split)):
        at, y, x = (int(split.columns[name][row]) for name in ("picture", "tile_y", "tile_x"))
        one, part = given[at], (slice(y, y + h), slice(x, x + w))
        covered[at][part] = True
        assert split.columns["number"][row] == at * 10
        for name in ("image", "mask", "instances"):
            np.testing.assert_array_equal(tile[name], one[name][part])
        assert tile["image"].dtype == np.uint8 and tile["mask"].dtype == (np.int32 if in_files else np.uint8)
        np.testing.assert_array_equal(tile["instances_class"], one["instances_class"])
        check_boxes(tile, one, y, x, h, w)
        moved = one["points"] - [x, y]
        seen = ((moved >= 0) & (moved <= [w, h])).all(1, keepdims=True)
        np.testing.assert_allclose(tile["points"], np.where(seen, np.concatenate([moved, seen], 1), 0), atol=1e-5)
    assert all(one.all() for one in covered)


def check_boxes(tile, one, y, x, h, w):
    """As plain Python does it, box by box."""
    boxes, classes = [], []
    for (x1, y1, x2, y2), number in zip(one["boxes"].tolist(), one["boxes_class"].tolist(), strict=True):
        height, width = one["mask"].shape
        x2, y2 = min(x2, width), min(y2, height)
        left, top, right, bottom = max(x1, x), max(y1, y), min(x2, x + w), min(y2, y + h)
        if number != -1 and right > left and bottom > top:
            share = (right - left) * (bottom - top) / ((x2 - x1) * (y2 - y1))
            boxes.append([left - x, top - y, right - x, bottom - y])
            classes.append(IGNORED if share < 0.3 else number)
    np.testing.assert_allclose(tile["boxes"], np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert tile["boxes_class"].tolist() == classes


def boxed(boxes, classes=None, size=(20, 40), features=None):
    """A source of one dark picture with boxes."""
    values = {"image": np.zeros([*size, 3], np.uint8), "boxes": np.array(boxes, np.float32)}
    values |= {} if classes is None else {"boxes_class": np.array(classes, np.int32)}
    constants = {name: tf.constant(value) for name, value in values.items()}
    return {"train": Split(Columns(1), lambda row: constants, features or {"image": "image", "boxes": "boxes"})}


def test_of_a_box_enough_must_be_seen():
    """Shares of 0.3, a little less, and nothing, in the tile on the left; without classes all are of class 0."""
    of = boxed([[17, 0, 27, 10], [17.1, 0, 27.1, 10], [20, 0, 30, 10]])
    left, right = loaded(tiles(of, AskedFeatures(), (20, 20))["train"])
    assert left["boxes_class"].tolist() == [0, IGNORED] and right["boxes_class"].tolist() == [0, 0, 0]
    np.testing.assert_allclose(left["boxes"], [[17, 0, 20, 10], [17.1, 0, 20, 10]])
    np.testing.assert_allclose(right["boxes"], [[0, 0, 7, 10], [0, 0, 7.1, 10], [0, 0, 10, 10]], atol=1e-5)
    assert loaded(tiles(of, AskedFeatures(), (20, 20), visible=0.0)["train"])[0]["boxes_class"].tolist() == [0, 0]
    assert loaded(tiles(of, AskedFeatures(), (20, 20), visible=1.0)["train"])[1]["boxes_class"].tolist() == [
        IGNORED,
        IGNORED,
        0,
    ]


@pytest.mark.parametrize("box", [[25, 5, 25, 9], [30, 5, 49, 9], [45, 5, 50, 9], [-9, -9, -2, 4]])
def test_bad_boxes_are_still_found(box):
    """One without an area, and some that reach out of the picture: refused, or left out where a spec says so."""

    def source() -> Source:
        """Give one."""
        return boxed([box, [1, 1, 9, 9], [21, 1, 29, 9]], [0, 1, 1])

    spec = """
name: tiny
task: {type: classification, model: flatten}
data:
  source: {type: tiles, of: source, size: [20, 20]}
  features: {boxes: {bad: BAD}}
  validation: 0
"""
    with plugged(source):
        refused = (SpecError, tf.errors.InvalidArgumentError)
        with pytest.raises(refused, match=r"row 0, tile at y 0, x 20|reaches out of its picture"):
            data = open_data(kplug.loads(spec.replace("BAD", "refuse")))
            list(data.examples("train").as_numpy_iterator())
        data = open_data(kplug.loads(spec.replace("BAD", "drop")))
        (batch,) = data.examples("train").as_numpy_iterator()
        assert (batch["boxes_class"] == 1).sum() == 2


def test_a_picture_is_in_one_part_of_the_data():
    """Its number is counted over all splits; folds and validation cut none, nor a group of the source."""
    of = tiny.tiny_files()
    found = tiles(of, AskedFeatures(), (16, 16))
    numbers = {name: set(split.columns["picture"].tolist()) for name, split in found.items()}
    assert numbers == {"train": set(range(64)), "test": set(range(64, 77))}
    assert found["train"].group == "picture" and found["train"].columns["picture"].dtype == np.int64
    grouped = {name: dataclasses.replace(split, group="label") for name, split in of.items()}
    assert tiles(grouped, AskedFeatures(), (16, 16))["train"].group == "label"
    with plugged(tiny):
        data = open_data(kplug.loads(SPEC.replace("OF", "tiny_files")))
    parts = [set(data.splits[name].columns["picture"].tolist()) for name in ("train", "validation", "test")]
    assert all(parts) and len(set.union(*parts)) == sum(map(len, parts)) == 77


SPEC = """
name: tiny
task: {type: classification, model: {type: layers, layers: [flatten, {type: dense, units: 8}]}}
data:
  source: {type: tiles, of: OF, size: [16, 16]}
  sampler: {type: shuffled, batch_size: 32}
fit: {epochs: 1}
"""


def test_other_splits_keep_whole_pictures():
    of = digits()
    found = tiles(of, AskedFeatures(), (4, 4), splits=["train"])
    assert len(found["train"]) == 4 * len(of["train"]) and len(found["test"]) == len(of["test"])
    assert found["test"].facts == of["test"].facts and found["test"].load is of["test"].load
    assert found["test"].columns["picture"][0] == len(of["train"]) and not found["test"].columns["tile_y"].any()
    with pytest.raises(SpecError, match="no split 'validation' to cut; the source has train, test"):
        tiles(of, AskedFeatures(), (4, 4), splits=["validation"])


def test_tiles_of_files_that_are_turned():
    """A tile is cut of the upright picture; where the source's feature says otherwise, of the stored one."""
    files = tf.constant([file_of(pictures(16, 33, 3), "JPEG", exif=exif(6))])
    for feature, size in (("image", (33, 16)), (call("image", orientation=False), (16, 33))):
        of = Split(Columns(1), lambda row: {"image": tf.gather(files, row)}, {"image": feature})
        (tile,) = loaded(tiles({"train": of}, AskedFeatures(), size)["train"])
        np.testing.assert_array_equal(tile["image"], decode(files[0], 3, feature == "image"))


def test_where_a_tile_is_from():
    split = tiles(scenes(), AskedFeatures(), (32, 30))["train"]
    assert split.where(1) == "0.png (tile at y 0, x 20)"
    split = tiles(boxed([[1, 1, 9, 9]]), AskedFeatures(), (20, 20))["train"]
    assert split.where(1) == "row 0, tile at y 0, x 20"


def told(text):
    spec = kplug.loads(SPEC.replace("{type: tiles, of: OF, size: [16, 16]}", text))
    return known_of_source(spec["data.source"])


def test_what_is_known_unopened():
    known = told("{type: tiles, of: digits, size: [4, 6]}")
    assert known.facts["image"] == {"size": (4, 6), "channels": 1} and len(known.classes) == 10
    columns = {"picture": None, "tile_y": None, "tile_x": None}
    assert known.features == {"image": "image", "label": "label", **columns}
    assert told("{type: tiles, of: digits, size: [4, 6], splits: [test]}").facts["image"]["size"] == (8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_masks", "tiny_boxes"])
def test_a_spec_trains(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGINS))
    module = importlib.import_module(name)
    text = (PLUGINS / f"{name}.yaml").read_text()
    of = module.components()[0].__name__
    source = {"type": "tiles", "of": of, "size": [16, 16], "overlap": [4, 4]}
    with plugged(module):
        spec = kplug.loads(text).at({"data.source": source, "data.features": {}, "fit.epochs": 1})
        run = kplug.train(spec, tmp_path / "run")
        assert run.info.fields["image"].shape == (16, 16, 3)
        assert np.isfinite(list(run.evaluate("test").values())).all()


def test_what_the_spec_asks_of_a_feature_counts_when_pictures_are_cut(tmp_path):
    ids = np.zeros((8, 12, 1), np.uint8)
    ids[:, 6:] = 200
    files = {"image": tf.constant(file_of(pictures(8, 12, 3))), "mask": tf.constant(file_of(ids[..., 0]))}

    def stripes() -> Source:
        """Give one picture."""
        split = Split(Columns(1), lambda row: files, {"image": "image", "mask": None})
        return {"train": split, "test": split}

    asked = AskedFeatures({"mask": {"type": "mask", "values": [0, 200]}})
    found = loaded(tiles(stripes(), asked, (8, 6))["train"])
    assert [tile["mask"].max() for tile in found] == [0, 200]


# --- bad input -------------------------------------------------------------------------------------------------------


def test_an_overlap_is_answered_without_tensorflow(tmp_path):
    text = SPEC.replace("OF, size: [16, 16]", "digits, size: [4, 4], overlap: [2, 4]")
    (tmp_path / "tiny.yaml").write_text(text)
    done = no_tensorflow("check", str(tmp_path / "tiny.yaml"))
    assert done.returncode == 2 and "data.source.overlap.1: tiles of 4 pixels cannot share 4 of them" in done.stderr


def test_small_pictures_are_named():
    with pytest.raises(SpecError) as caught:
        tiles(scenes(), AskedFeatures(), (33, 33))
    assert str(caught.value) == "these pictures are smaller than tiles of 33 x 33:\n  1.png: 32 x 32"
    with pytest.raises(SpecError, match=r"(?s)of 9 x 4:\n  row 0: 8 x 8\n  .*\(\d+ in all\)"):
        tiles(digits(), AskedFeatures(), (9, 4))


def test_files_that_are_none_are_named():
    files = tf.constant([file_of(pictures(9, 9, 3)), b"nothing"])
    split = Split(Columns(2), lambda row: {"photo": tf.gather(files, row)}, {"photo": "image"})
    with pytest.raises(SpecError, match=r"row 1: photo: not a JPEG, PNG, BMP or GIF file"):
        tiles({"train": split}, AskedFeatures(), (4, 4))


def test_a_mask_of_another_size():
    values = {"image": tf.zeros([9, 9, 3], tf.uint8), "mask": tf.zeros([9, 10], tf.uint8)}
    split = Split(Columns(1), lambda row: values, {"image": "image", "mask": "mask"})
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask: another height and width than its picture"):
        loaded(tiles({"train": split}, AskedFeatures(), (4, 4))["train"])


@dataclasses.dataclass(frozen=True)
class Depths(Codec):
    """Lives in a picture."""

    in_frame = True

    @property
    def field(self):
        return Field((), "float32")

    def read(self, value):
        return value


def depths() -> Feature:
    """How far each pixel is."""
    return Depths()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": "image", "x": "depths"}, "'x', which is read by Depths, lives in the picture, and only masks, inst"),
        ({"image": "image", "x": "image"}, "tiles are cut of one picture, and the source gives image, x"),
        ({"x": "clip"}, "'x' is no picture that tiles are cut of, but is read by ClipCodec"),
        ({"x": "tensor"}, "tiles are cut of one picture, and the source gives none"),
        ({"image": "image", "tile_y": None}, "the source has a field 'tile_y', as tiles have one"),
    ],
)
def test_what_cannot_be_cut(features, message):
    columns = Columns(1, {name: np.zeros(1) for name in features if name == "tile_y"})
    values = {name: tf.zeros([9, 9, 3], tf.uint8) for name in features if name != "tile_y"}
    with plugged(depths), pytest.raises(SpecError, match=message):
        tiles({"train": Split(columns, lambda row: values, features)}, AskedFeatures(), (4, 4))
