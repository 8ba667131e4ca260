"""Tasks whose truths and answers live in pictures: whole plugins of masks and of boxes, on pictures of mixed sizes."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

import kplug
from kplug.data.splits import open_data
from kplug.testing import plugged

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(scope="module", autouse=True)
def path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGINS))
        yield PLUGINS


@pytest.fixture(scope="module", params=["tiny_masks", "tiny_boxes"])
def run(request, path, tmp_path_factory):
    plugin = __import__(request.param)
    with plugged(plugin):
        spec = kplug.load(path / f"{request.param}.yaml").at({"fit.epochs": 6})
        yield kplug.train(spec, tmp_path_factory.mktemp(request.param) / "run")


def photo(orientation=1, size=(640, 480)):
    """A JPEG with a red disc and a blue square, stored as an EXIF orientation says."""
    from PIL import ImageDraw

    picture = Image.new("RGB", size, (90, 90, 90))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((96, 128, 223, 255), fill=(220, 60, 60))
    draw.rectangle((400, 240, 527, 367), fill=(60, 90, 220))
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = picture if turned[orientation] is None else picture.transpose(turned[orientation])
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(file, "JPEG", quality=100, subsampling=0, exif=exif)
    return file.getvalue()


def test_an_export_answers_in_the_frame_of_the_upright_file(run):
    serve = tf.saved_model.load(str(run.export())).signatures["serving_default"]
    files = [photo(orientation) for orientation in (1, 3, 6, 8)]
    found = {name: value.numpy() for name, value in serve(image_bytes=tf.constant([*files, b"none"])).items()}
    assert found["valid"].tolist() == [True] * 4 + [False]
    live = run.ask(None, image_bytes=files)
    if "mask_bytes" in found:
        masks = [np.asarray(Image.open(io.BytesIO(file))) for file in found["mask_bytes"][:4]]
        assert {mask.shape for mask in masks} == {(480, 640)} and found["mask_bytes"][4] == b""
        for mask, file in zip(masks, live["mask_bytes"], strict=True):
            assert (mask == masks[0]).mean() > 0.999
            assert (mask == np.asarray(Image.open(io.BytesIO(file)))).all()
        return
    boxes = found["boxes"]
    assert not boxes[4].any() and boxes[:4].max() > 48, "in the pixels of the file, not of the batch"
    np.testing.assert_allclose(boxes[1:4], boxes[:1].repeat(3, 0), atol=2)
    np.testing.assert_allclose(boxes[:4], live["boxes"], atol=1e-2)


def test_evaluators_see_the_batchs_frame_or_the_files(run):
    from kplug import Needs, SplitEvaluator
    from kplug.inference.evaluators import Showing, evaluation_of
    from kplug.model.learner import restored_learner

    name = "mask" if "mask" in run.info.codecs else "boxes"
    seen = {}

    class Looks(SplitEvaluator):
        def __init__(self, restored):
            suffix = "_class" if name == "boxes" else ""
            self.needs = Needs(outputs=(name, *([name + suffix] if suffix else [])), fields=(name,), restored=restored)

        def add(self, rows, truths, answers, columns):
            seen.setdefault(self.needs.restored, []).append((truths, answers))

        def end(self, run):
            return {}, {}

    learner, data = restored_learner(run), open_data(run.spec)
    Showing(learner, [Looks(False), Looks(True)]).show(data, evaluation_of(learner, data, "test", "test"))
    (plain_truths, plain), (truths, answers) = seen[False][0], seen[True][0]
    first = data.split("test").load(tf.constant(0, tf.int64))
    if name == "mask":
        assert plain["mask"].shape == plain_truths["mask"].shape == (24, 32, 32)
        truth = np.asarray(Image.open(io.BytesIO(truths["mask_bytes"][0])))
        theirs = np.asarray(Image.open(io.BytesIO(first["mask"].numpy())))
        assert truth.shape == theirs.shape and (truth == theirs).mean() > 0.95
        assert Image.open(io.BytesIO(answers["mask_bytes"][0])).size == theirs.shape[::-1]
    else:
        there = truths["boxes"][0][: len(first["boxes"])]
        np.testing.assert_allclose(there, first["boxes"], atol=1e-3)
        assert np.abs(plain_truths["boxes"] - truths["boxes"]).max() > 1


def test_two_replicas_see_what_one_sees(path):
    import tiny_boxes

    from kplug.data.tables import BatchSlices

    with plugged(tiny_boxes):
        data = open_data(kplug.load(path / "tiny_boxes.yaml"))
        whole = next(iter(data.examples("test")))
        halves = [next(iter(data.examples("test", BatchSlices(range(n, n + 1), 2)))) for n in range(2)]
        for name, values in whole.items():
            np.testing.assert_array_equal(values, np.concatenate([half[name] for half in halves]))


def test_a_run_answers_a_person(run, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo())
    (answer,) = run.predict([file])
    assert answer["valid"] and len(str(answer)) < 400


# --- views -----------------------------------------------------------------------------------------------------------


def seen_views(path, tmp_path, augment, frame="image"):
    """(picture, its second view, the mean answer of a task that gives each pixel back) of some examples."""
    import tiny_masks

    from kplug import Field, Signature
    from kplug.inference.views import Asked, Views, mean_answer
    from kplug.model.learner import restored_learner

    with plugged(tiny_masks):
        spec = kplug.load(path / "tiny_masks.yaml").at({"fit.epochs": 0, "data.augment": augment})
        run = kplug.train(spec, tmp_path / "run")
        data, learner = open_data(spec), restored_learner(run)
        echo = Field((32, 32, 3), "float32", averaged=True, frame=frame)
        signature = Signature(
            lambda image: {"echo": tf.cast(image, tf.float32)}, {"image": run.info.codecs["image"]}, {"echo": echo}
        )
        asked = Asked(replace(learner, serve={"echo": signature}), "echo")
        views = next(iter(Views(data, "test", asked.inputs, 5).batches()))[2]
        return views[0]["image"], views[1]["image"], mean_answer(asked, views)["echo"]


def test_what_is_told_of_each_pixel_of_a_view_goes_back_to_its_place(path, tmp_path):
    picture, view, mean = seen_views(path, tmp_path, ["random_flip", "random_quarter_turns"])
    assert (picture != view).any()
    np.testing.assert_allclose(mean, picture, atol=0.01)


def test_places_that_a_view_does_not_show_are_the_mean_of_those_that_do(path, tmp_path):
    shift = {
        "type": "random_translation",
        "height_factor": [-0.3, 0.3],
        "width_factor": [-0.3, 0.3],
        "fill_mode": "constant",
    }
    picture, view, mean = seen_views(path, tmp_path, [shift])
    assert (picture != view).any()
    assert np.abs(mean - picture).mean() < 8 and np.isfinite(mean).all()  # shifts by parts of pixels blur


def test_views_that_cannot_be_undone_are_refused(path, tmp_path):
    with pytest.raises(kplug.SpecError, match="in a way that is not undone for output 'echo'; leave out what bends"):
        seen_views(path, tmp_path, [{"type": "random_elastic_transform", "probability": 1.0}])
    with pytest.raises(kplug.SpecError, match="'echo' has a value for each pixel, and these views are moved"):
        seen_views(path, tmp_path / "two", ["random_flip"], frame="")


# --- sizes that augmentations change ---------------------------------------------------------------------------------


def test_training_may_see_a_part_of_each_picture(path, tmp_path):
    import tiny_masks

    changes = {"fit.epochs": 2, "data.augment": [{"type": "random_crop", "size": [24, 24]}, "random_flip"]}
    with plugged(tiny_masks):
        spec = kplug.load(path / "tiny_masks.yaml").at(changes)
        data = open_data(spec)
        assert data.info.trained["image"].shape == (24, 24, 3) and data.info.trained["mask"].shape == (24, 24)
        assert data.info.fields["image"].shape == (32, 32, 3)
        run = kplug.train(spec, tmp_path / "run")
        assert kplug.Run.open(run.path).info.trained == data.info.trained
        assert run.ask(None, image_bytes=[photo()])["valid"].tolist() == [True]
        assert (run.export() / "saved_model.pb").exists()


def test_a_model_of_one_size_is_told(tmp_path):
    text = """
name: cut
task: {type: classification, model: flatten}
data:
  source: digits
  augment: [{type: random_crop, size: [6, 6]}]
fit: {epochs: 1}
"""
    with pytest.raises(kplug.SpecError) as caught:
        kplug.train(kplug.loads(text, "cut.yaml"), tmp_path / "run")
    said = str(caught.value)
    assert said.startswith("cut.yaml:6:12: data.augment: it gives image [6, 6, 1], which this model does not take")
    assert not (tmp_path / "run").exists()


def test_a_sheet_of_samples_is_drawn(run):
    picture = Image.open(run.path / "plots" / "samples.png")
    colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert min(picture.size) >= 128 and len(colours) > 10


def test_no_name_of_a_field_is_reserved_for_the_way_of_a_view(path):
    """An array of a batch may be called `image_way`: it is a person's, and stays as it is."""
    import tiny_masks

    from kplug.data.geometry import move
    from kplug.records import Geometry

    with plugged(tiny_masks):
        info = open_data(kplug.load(path / "tiny_masks.yaml")).info
    mine = tf.constant([[1.0, 2.0]])
    batch = {"image": tf.zeros([1, 32, 32, 3], tf.uint8), "image_way": mine}

    def nothing(count, size, seed):
        return Geometry(size, size, tf.eye(3, batch_shape=[count]))

    assert move(info, batch, tf.constant([0, 1]), nothing)["image_way"] is mine


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_masks", "tiny_boxes"])
def test_the_contract_on_one_replica_and_on_two(path, name):
    """Beside all that a task promises: two replicas make the steps of one, on pictures of mixed sizes."""
    from kplug.testing import check

    module = __import__(name)
    task = next(made for made in module.components() if made.__name__ in ("segmentation", "detection"))
    with plugged(module):
        spec = yaml.safe_load((path / f"{name}.yaml").read_text())
        data = spec["data"] | {"augment": []}
        check(task, data=data, model=spec["task"]["model"])
