"""The task: what it promises as every task, what it answers, what it learns by heart."""

import json

import kplug_segment
import numpy as np
import pytest
import tensorflow as tf
from kplug_segment import segmentation
from kplug_segment.regions import iou_of_objects, mean_precision, watershed
from PIL import Image

import kplug
from kplug import SpecError
from kplug.testing import check, no_tensorflow, plugged, tiny

UNET = {"type": "unet", "width": 4, "depth": 2, "norm": "group", "groups": 2}
MASKS = {"type": "kplug-testing/tiny_masks", "size": [16, 16], "examples": 16}
OBJECTS = {"type": "kplug-testing/tiny_objects", "size": [16, 16], "examples": 16}
INSIDES = {"mask": {"type": "interior_and_border", "of": "objects"}}


def test_the_contract():
    check(segmentation, inputs=MASKS, model=UNET)


WAYS = {
    "tiles": (
        {"source": MASKS},
        {"tile": [16, 16], "overlap": [8, 8], "class_weights": {"disc": 2.0}, "optimizer": {"type": "sgd"}},
    ),
    "auxiliary": ({"source": MASKS}, {"model": {**UNET, "type": "unet_plus_plus"}, "auxiliary": {"D1": 0.5}}),
    "objects": (
        {"source": OBJECTS, "features": INSIDES},
        {"objects": {"type": "object_report", "objects": "objects", "every": 1}},
    ),
    "weights": (
        {"source": {"type": "border_weights", "of": OBJECTS, "objects": "objects", "width": 3}, "features": INSIDES},
        {"weights": "weights", "loss": "pixel_focal"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_contract_of_each_way(way):
    data, settings = WAYS[way]
    check(segmentation, data=data, **{"model": UNET, **settings})


SPEC = """
name: masks
task:
  {{type: segmentation, model: {{type: unet, width: 8, depth: 2, norm: none}}, optimizer: {optimizer}{task}}}
data:
  source: {source}
  features: {features}
  sampler: {{type: shuffled, batch_size: 4}}
  validation: {validation}
fit: {{epochs: {epochs}, best: last}}
"""
TINY = "{type: tiny_masks, size: [24, 32], examples: 8, test: 4}"
ADAM = "{type: adam, learning_rate: 1e-2}"


def spec(source=TINY, task="", features="{}", epochs=1, validation=0):
    given = {"source": source, "task": task, "features": features, "epochs": epochs, "validation": validation}
    return kplug.loads(SPEC.format(optimizer=ADAM, **given), "m.yaml")


def test_it_tells_what_each_pixel_shows(tmp_path):
    with plugged(tiny, kplug_segment):
        run = kplug.train(spec(epochs=40), tmp_path / "run")
        figures = run.evaluate("train")
    assert figures["mean_iou"] > 0.9 and figures["mean_dice"] > 0.95
    report = json.loads((run.path / "report-train.json").read_text())
    assert set(report["classes"]) == set(run.info.naming("mask").classes)
    assert report["pixel_error"] == pytest.approx(1 - report["pixel_accuracy"])
    assert len(report["worst"]) == 6 and report["worst"][0]["dice"] <= report["worst"][-1]["dice"]


def test_a_file_is_answered_in_its_own_size_and_the_export_says_the_same(tmp_path):
    with plugged(tiny, kplug_segment):
        run = kplug.train(spec(), tmp_path / "run")
        picture = np.random.default_rng(0).integers(0, 256, (50, 41, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "a.png")
        (answer,) = run.predict([tmp_path / "a.png"], to=tmp_path / "to")
        served = tf.saved_model.load(str(run.export())).signatures["serving_default"]
    assert sum(answer["shares"].values()) == pytest.approx(1, abs=1e-3)
    mask = Image.open(next(file for file in answer["files"] if file.endswith("mask.png")))
    assert mask.size == (41, 50)
    found = served(image_bytes=tf.constant([(tmp_path / "a.png").read_bytes(), b"no picture"]))
    assert found["valid"].numpy().tolist() == [True, False]
    np.testing.assert_array_equal(tf.io.decode_png(found["mask_bytes"][0])[..., 0], np.asarray(mask))


def test_objects_that_touch_are_found_by_a_watershed_whose_thresholds_are_kept(tmp_path):
    task = ", objects: {type: object_report, objects: objects, every: 10}, report: null"
    with plugged(tiny, kplug_segment):
        source = "{type: tiny_objects, size: [32, 32], examples: 12, test: 4}"
        features = "{mask: {type: interior_and_border, of: objects}}"
        made = spec(source, task, features, epochs=30, validation=0.34)
        run = kplug.train(made, tmp_path / "run")
        figures = run.evaluate("test")
        kept = run.evaluate("validation")["mean_precision"]
        rows = run.rows("metrics.jsonl")
        images = next(iter(run.ask("segment", image=np.zeros((1, 32, 32, 3), np.uint8)).values()))
    assert images.shape[0] == 1
    assert rows[-1]["val_mean_precision"] > 0.3
    assert kept == pytest.approx(rows[-1]["val_mean_precision"])  # as it answers by the thresholds that it has kept
    assert 0 <= figures["mean_precision"] <= 1 and figures["ap50"] >= figures["mean_precision"] - 1e-9
    import h5py

    with h5py.File(run.path / "last.weights.h5") as file:
        limits = []
        file.visititems(
            lambda name, item: limits.append(item[()]) if "thresholds" in name and hasattr(item, "shape") else None
        )
    assert limits and ((limits[0] > 0.2) & (limits[0] < 0.9)).all()


def test_insides_and_borders_of_true_objects_give_them_back():
    """The ceiling of the form: what is learnt perfectly is found again."""
    from kplug_segment.codecs import InsidesCodec

    ids = np.zeros((1, 40, 40, 1), np.int32)
    ids[0, 2:12, 2:12], ids[0, 2:12, 12:22], ids[0, 20:30, 5:25] = 1, 2, 3
    mask = InsidesCodec().derive({"": tf.constant(ids)})[""].numpy()[0]
    assert mean_precision(iou_of_objects(ids[0, ..., 0], watershed(mask))) == 1.0


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (", auxiliary: {P9: 0.5}", "has no pyramid of features"),
        (", tile: [16, 16], overlap: [16, 0]", "task.overlap.0: tiles of 16 pixels cannot share 16 of them"),
        (", loss: {type: weighted_sum, losses: []}", "no losses to add up"),
        (", loss: {type: weighted_sum, losses: [soft_dice], weights: [1, 2]}", "there are 2 weights of 1 losses"),
        (", weights: border", "border"),
        (", class_weights: {cat: 2}", "class_weights.cat: no class named"),
        (
            ", objects: {type: object_report, objects: mask}",
            "task.objects: objects are found in insides and borders, and",
        ),
    ],
)
def test_what_does_not_fit_is_refused(task, said, tmp_path):
    with plugged(tiny, kplug_segment), pytest.raises(SpecError) as caught:
        kplug.train(spec(task=task), tmp_path / "run")
    assert said in str(caught.value)


def test_features_without_a_height_are_refused(tmp_path):
    with plugged(tiny, kplug_segment), pytest.raises(SpecError, match="segmentation needs features"):
        kplug.train(spec().at({"task.model": "flatten"}), tmp_path / "run")


def test_it_is_light(tmp_path):
    (tmp_path / "m.yaml").write_text(
        "name: a\ntask: {type: segmentation, model: unet}\ndata: {source: {type: mask_folder, path: nowhere}}\n"
    )
    done = no_tensorflow("check", str(tmp_path / "m.yaml"))
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done.stderr
