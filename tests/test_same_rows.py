"""Rows have names for good: the same pictures validate wherever they lie, and none stands in two splits."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

import kplug
from kplug import SpecError
from kplug.data.splits import open_data
from kplug.default_plugins import sources

SPEC = """
name: moved
task: {type: classification, model: {type: layers, layers: [flatten]}}
data:
  source: {type: folder, path: PATH}
  sampler: {type: shuffled, batch_size: 8}
fit: {epochs: 1}
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("cat", "dog", "owl")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 120, (8, 8, 3))
            pixels[..., kind] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return tmp_path / "photos"


def validating(path, **values):
    spec = kplug.loads(SPEC.replace("PATH", str(path))).at({"data.validation": 0.125, **values})
    split = open_data(spec).splits["validation"]
    return {os.path.relpath(file, path) for file in split.columns["path"]}


def test_the_same_pictures_validate_wherever_the_folder_lies(photos, tmp_path):
    elsewhere = tmp_path / "far" / "away"
    shutil.copytree(photos, elsewhere)
    linked = tmp_path / "linked"
    linked.symlink_to(photos)
    here = validating(photos)
    assert len(here) == 6
    assert (
        here == validating(elsewhere) == validating(linked) == validating("photos") == validating("./photos/../photos")
    )


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_picture_that_is_linked_is_one_example(photos, link, caplog):
    for number in range(20):
        link(photos / "cat" / f"{number:02}.png", photos / "cat" / f"again{number:02}.png")
    data = open_data(kplug.loads(SPEC.replace("PATH", str(photos))).at({"data.validation": 0.25}))
    files = {name: {os.stat(file).st_ino for file in split.columns["path"]} for name, split in data.splits.items()}
    assert not files["train"] & files["validation"] and not files["train"] & files["test"]
    assert not files["validation"] & files["test"]
    assert "20 of 80 pictures come again" in caplog.text and "another label" not in caplog.text


def test_a_picture_with_two_labels_is_said(photos, caplog):
    os.link(photos / "cat" / "00.png", photos / "dog" / "cat.png")
    sources.folder(str(photos))
    assert "1 of 61 pictures come again: " in caplog.text
    assert "1 of them have another label then: " in caplog.text and "cat.png is cat and dog" in caplog.text


def table(rows, **parameters):
    with open("t.csv", "w") as file:
        file.write("image,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    return sources.table("t.csv", **parameters)


def test_two_spellings_are_one_picture(photos):
    names = [f"photos/cat/{number:02}.png" for number in range(10)]
    split = table([(path, "a") for name in names for path in (name, f"./{name}", os.path.abspath(name))], test=0.3)
    files = {name: {os.path.realpath(path) for path in one.columns["path"]} for name, one in split.items()}
    assert len(files["train"]) + len(files["test"]) == 10 and not files["train"] & files["test"]


def test_a_picture_in_two_splits_of_a_table_is_refused(photos):
    with open("t.csv", "w") as file:
        file.write("image,label,split\n")
        for number in range(10):
            file.write(f"photos/cat/{number:02}.png,a,train\nphotos/dog/{number:02}.png,b,train\n")
        file.write("./photos/cat/03.png,a,test\nphotos/owl/00.png,b,test\n")
    spec = kplug.loads(SPEC.replace("{type: folder, path: PATH}", "{type: table, path: t.csv}"))
    with pytest.raises(
        SpecError, match=r"1 examples are in train and in test: .*t.csv:8\) is .*t.csv:22\); leave them"
    ):
        open_data(spec)


def test_links_that_lead_nowhere_are_named(photos):
    for number in range(3):
        (photos / "cat" / f"z{number}.png").symlink_to(f"../../cache/{number}")
    for size in ("null", "[16, 16]"):
        spec = kplug.loads(SPEC.replace("PATH", str(photos)) + "\n").at({"data.features": {"image": {"size": None}}})
        with pytest.raises(
            SpecError, match=r"(?s)cannot be read:\n .*z0.png: a link that leads nowhere, to ../../cache/0"
        ) as caught:
            open_data(spec)
        assert "data.source" in str(caught.value) and size


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(photos, tmp_path):
    return kplug.train(kplug.loads(SPEC.replace("PATH", str(photos))), tmp_path / "run")


def going_on(run, **values):
    from kplug.training.fit import resume

    return resume(run.path, {"fit.epochs": 2, **values})


def test_a_run_goes_on_where_its_data_were_moved(run, photos, tmp_path):
    moved = tmp_path / "moved"
    photos.rename(moved)
    assert len(going_on(run, **{"data.source.path": str(moved)}).rows("metrics.jsonl")) == 2


@pytest.mark.parametrize("change", ["swapped", "written anew", "one away and one more"])
def test_a_run_does_not_go_on_with_other_rows(run, photos, change):
    if change == "swapped":  # the names stay, and the pictures are others
        (photos / "cat").rename(photos / "x")
        (photos / "dog").rename(photos / "cat")
        (photos / "x").rename(photos / "dog")
    elif change == "written anew":
        Image.new("RGB", (8, 8)).save(photos / "cat" / "00.png")
    else:
        (photos / "cat" / "00.png").rename(photos / "cat" / "99.png")
    with pytest.raises(SpecError, match=r"the data is not what it was: rows\.\w+ was"):
        going_on(run)
