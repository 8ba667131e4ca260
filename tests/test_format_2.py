"""Format 2: fields and their features in a spec, and format 1 as it is read, refused and told of."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kplug import SpecError, loads
from kplug.data.splits import open_data
from kplug.spec import load_with, loads_kept
from kplug.spec.format_1 import AS_STORED
from kplug.spec.plugins import API, CHANGES, using
from kplug.spec.search.space import spec_at
from kplug.testing import no_tensorflow

BASE = """
name: base
task: {type: classification, model: flatten}
data:
  source: digits
"""
IMAGE = {"type": "image", "size": None, "resize": "pad", "channels": None, "orientation": True, "window": None}
IMAGE |= {"linked": None}


@pytest.fixture(scope="module", autouse=True)
def installed():
    with using([]):
        yield


def refused(function, *arguments):
    """The problems, a line each."""
    with pytest.raises(SpecError) as caught:
        function(*arguments)
    return str(caught.value).splitlines()


def features_of(spec):
    return spec.filled().data["data"]["features"]


# --- what fill writes ------------------------------------------------------------------------------------------------


def test_fill_writes_the_number_and_every_feature_with_all_parameters():
    filled = loads(BASE).filled()
    assert filled.data["kplug"] == 2
    assert features_of(loads(BASE)) == {"image": IMAGE, "label": {"type": "label"}}
    assert loads(filled.dump()).filled() == filled
    assert filled.dump().startswith("kplug: 2\n")


def test_the_command_fill_writes_the_same(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    done = no_tensorflow("fill", "base.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert loads(done.stdout) == loads(BASE).filled()


def test_an_entry_without_a_type_changes_parameters_of_the_sources_feature():
    spec = loads(BASE + "  features: {image: {size: [16, 16]}}\n")
    assert features_of(spec)["image"] == IMAGE | {"size": [16, 16]}
    assert open_data(spec).info.fields["image"].shape == (16, 16, 1)


def test_an_entry_with_a_type_takes_its_place():
    spec = loads(BASE + "  features: {image: tensor}\n")
    assert features_of(spec)["image"] == {"type": "tensor"}


def test_a_source_that_says_nothing_of_its_fields_leaves_them_open(tmp_path):
    """Features of fields that are told when it is opened stand in the run, not in the spec."""
    numbers = np.arange(20)
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4), np.uint8), labels=numbers % 2, age=numbers)
    text = BASE.replace("digits", f"{{type: arrays, path: {tmp_path}/a.npz}}")
    spec = loads(text)
    assert features_of(spec) == {}
    info = open_data(spec).info
    assert info.features == {"image": IMAGE, "label": {"type": "label"}}
    assert set(info.fields) == {"image", "label", "age"}
    sized = loads(text + "  features: {image: {size: [8, 8]}}\n")
    assert features_of(sized) == {"image": IMAGE | {"size": [8, 8]}}, "the feature has the field's own name"
    assert open_data(sized).info.fields["image"].shape == (8, 8, 1)
    with pytest.raises(SpecError, match=r"data.features.agee: the source gives no field 'agee'; did you mean 'age'\?"):
        open_data(spec.at({"data.features.agee": "tensor"}))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_field_that_the_source_does_not_have_is_refused_at_its_key():
    assert refused(loads, BASE + "  features:\n    imge: {size: [8, 8]}\n") == [
        "spec:7:5: data.features.imge: the source has no field 'imge'; did you mean 'image'? (fields: image, label)"
    ]


def test_the_image_of_format_1_is_refused_with_what_to_write():
    assert refused(loads, BASE + "  image: {size: [96, 96], resize: crop, channels: null}\n") == [
        "spec:6:3: data.image: is of format 1; "
        "write features: {image: {size: [96, 96], resize: crop, channels: null}} in its place"
    ]
    (line,) = refused(loads, BASE + "  image: {size: [96, 96]}\n")
    instead = line.partition("write ")[2].removesuffix(" in its place")
    assert features_of(loads(f"{BASE}  {instead}\n"))["image"]["size"] == [96, 96]
    assert refused(loads, BASE + "  image: {}\n") == ["spec:6:3: data.image: is of format 1; leave it out"]


def test_a_path_of_format_1_is_told_its_name_now(tmp_path):
    said = "data.image: is of format 1; it is data.features.image now"
    assert refused(loads(BASE).at, {"data.image.size": [8, 8]}) == [f"at data.image.size=[8, 8]: {said}"]
    (tmp_path / "base.yaml").write_text(BASE)
    assert refused(load_with, tmp_path / "base.yaml", ["data.image.size=[8, 8]"]) == [
        f"--set data.image.size=[8, 8]: {said}"
    ]
    search = "search: {space: {data.image.resize: {choice: [pad, crop]}}}\n"
    assert said in refused(loads, BASE + search)[0]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("label: lable", "task.label: the source has no field 'lable'; did you mean 'label'? (fields: image, label)"),
        ("label: digt", "task.label: the source has no field 'digt' (fields: image, label)"),
        ("image: imag", "task.image: the source has no field 'imag'; did you mean 'image'? (fields: image, label)"),
    ],
)
def test_a_field_that_a_task_names_is_looked_for_without_tensorflow(task, expected, tmp_path):
    text = BASE.replace("model: flatten", f"model: flatten, {task}")
    (tmp_path / "spec.yaml").write_text(text)
    done = no_tensorflow("check", "spec.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    column = text.splitlines()[2].rindex(task.split()[1]) + 1
    assert done.stderr == f"spec.yaml:3:{column}: {expected}\n"


def test_a_task_is_told_that_the_source_lacks_its_fields(tmp_path):
    (tmp_path / "a.csv").write_text("digit,split\n" + "".join(f"{n},train\n" for n in range(20)))
    table = f"{{type: table, path: {tmp_path}/a.csv, image: null, label: null}}"
    lines = refused(loads, BASE.replace("digits", table).replace("model: flatten", "model: flatten, label: digt"))
    assert sorted(line.partition(": ")[2] for line in lines) == [
        "task.image: the source has no field 'image' (fields: digit)",
        "task.label: the source has no field 'digt'; did you mean 'digit'? (fields: digit)",
    ]


# --- changes ---------------------------------------------------------------------------------------------------------


def test_a_change_makes_the_entry_that_is_missing(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    changed = loads(BASE).at({"data.features.image.size": [16, 16]})
    typed = load_with(tmp_path / "base.yaml", ["data.features.image.size=[16, 16]"])
    assert (
        features_of(changed)
        == features_of(typed)
        == {
            "image": IMAGE | {"size": [16, 16]},
            "label": {"type": "label"},
        }
    )
    assert refused(loads(BASE).at, {"data.features.imag.size": [16, 16]}) == [
        "at data.features.imag.size=[16, 16]: data.features.imag: the source has no field 'imag'; "
        "did you mean 'image'? (fields: image, label)"
    ]


def test_another_source_has_its_own_features(tmp_path):
    """What only followed from the old one is not kept; what was written is."""
    (tmp_path / "a.csv").write_text("age,digit\n" + "".join(f"{n},{n % 3}\n" for n in range(20)))
    table = {"type": "table", "path": f"{tmp_path}/a.csv", "image": None, "label": "digit"}
    spec = loads(BASE)
    (line,) = refused(spec.at, {"data.source": table})
    assert "task.image: the source has no field 'image'" in line, "that is the task's own wish"
    of_age = spec.at({"data.source": table, "task.image": "age"})
    assert features_of(of_age) == {"label": {"type": "label"}}
    written = loads(BASE + "  features: {image: {size: [8, 8]}}\n")
    (line,) = refused(written.at, {"data.source": table, "task.image": "age"})
    assert "data.features.image: the source has no field 'image'; did you mean 'age'? (fields: label, age)" in line
    (tmp_path / "base.yaml").write_text(BASE)
    changed = load_with(tmp_path / "base.yaml", [f"data.source={{type: arrays, path: {tmp_path}/a.npz}}"])
    assert features_of(changed) == {}
    assert features_of(spec.at({"fit.epochs": 1, "seed": 3})) == features_of(spec)


# --- format 1 --------------------------------------------------------------------------------------------------------

OF_0_1_0 = """
kplug: 1
name: base
task: {type: classification, model: flatten}
data:
  source: digits
  image: {size: [16, 16], resize: crop, channels: 1}
search:
  space: {data.image.resize: {choice: [pad, crop]}, task.label_smoothing: {float: [0, 0.5]}}
  first: [{data.image.resize: pad, task.label_smoothing: 0.25}, {}]
"""


@pytest.mark.parametrize("read", [loads, loads_kept])
def test_a_text_of_format_1_is_translated(read):
    spec = read(OF_0_1_0)
    filled = spec.filled().data
    assert filled["kplug"] == 2
    assert filled["data"]["features"]["image"] == IMAGE | AS_STORED | {
        "size": [16, 16],
        "resize": "crop",
        "channels": 1,
    }, "pictures as 0.1.0 read them"
    assert list(filled["search"]["space"]) == ["data.features.image.resize", "task.label_smoothing"]
    assert filled["search"]["first"] == [{"data.features.image.resize": "pad", "task.label_smoothing": 0.25}, {}]
    assert read(spec.filled().dump()).filled() == spec.filled()
    assert spec.at({"data.features.image.size": [8, 8]})["data.features.image.resize"] == "crop"


@pytest.mark.parametrize(
    "space",
    [
        "{data.image: {choice: {small: {size: [8, 8]}, large: {}}}, 'data.image[large].resize': {choice: [pad, crop]}}",
        "{data: {choice: {small: {source: digits, image: {size: [8, 8]}}, large: {source: digits}}}}",
    ],
)
def test_a_choice_of_pictures_in_format_1_reads_them_as_stored(space):
    spec = loads(f"kplug: 1\n{BASE.lstrip()}search: {{space: {space}}}")
    space = spec.space()
    first = next(iter(space))
    for label in ("small", "large"):
        fixed = {found.path: "pad" for found in space} | {first.path: label}
        point = space.sample(random.Random(0), fixed)
        assert spec_at(spec, space, point)["data.features.image.orientation"] is False


def test_a_text_of_format_1_without_an_image_reads_pictures_as_stored_too():
    spec = loads("kplug: 1\n" + BASE.lstrip())
    assert spec["data.features.image.orientation"] is False
    assert open_data(spec).info.fields["image"].shape == (8, 8, 1)


def test_what_is_wrong_in_a_text_of_format_1_is_said():
    (line,) = refused(loads, OF_0_1_0.replace("resize: crop", "resize: cropp"))
    assert line.startswith("spec:") and "data.features.image.resize: 'cropp' is not one of pad, crop, stretch" in line


# --- plugins of API 1 ------------------------------------------------------------------------------------------------


def test_a_plugin_of_api_1_is_set_aside_with_the_page_of_changes():
    class Old:
        kplug_api = 1

    with pytest.raises(Exception, match=rf"asks for host API 1; this kplug has {API}; see {CHANGES}"), using([Old()]):
        pass
    page = Path(__file__).parents[1] / CHANGES
    assert f"From host API 1 to {API}" in page.read_text()


# --- examples without a picture --------------------------------------------------------------------------------------


@pytest.fixture
def questions(tmp_path):
    """A table without pictures: a number, a text, and what is wanted."""
    rows = "".join(f"{n / 2},is it {n}?,{'yes' if n % 2 else 'no'}\n" for n in range(40))
    (tmp_path / "table.csv").write_text("age,question,answer\n" + rows)
    return f"{{type: table, path: {tmp_path}/table.csv, image: null, label: answer}}"


def test_a_table_without_pictures_gives_batches(questions):
    text = BASE.replace("digits", questions).replace("model: flatten", "model: flatten, image: age")
    data = open_data(loads(text))
    assert data.info.classes == ("no", "yes")
    assert {name: field.dtype for name, field in data.info.fields.items()} == {"age": "float32", "label": "int32"}
    assert data.info.splits == {"train": 29, "validation": 3, "test": 8}
    (batch,) = data.examples("test")
    assert set(batch) == {"age", "label"}, "a text without a feature does not join"
    table = data.split("test").columns
    np.testing.assert_array_equal(batch["age"], table["age"])
    np.testing.assert_array_equal(batch["label"], (table["age"] * 2) % 2)


def test_a_number_may_be_the_class(tmp_path):
    (tmp_path / "table.csv").write_text("grade,pages\n" + "".join(f"{n % 3},{n}\n" for n in range(30)))
    source = f"{{type: table, path: {tmp_path}/table.csv, image: null, label: null}}"
    text = BASE.replace("digits", f"{source}\n  features: {{grade: label}}")
    spec = loads(text.replace("model: flatten", "model: flatten, image: pages, label: grade"))
    info = open_data(spec).info.naming("grade")
    assert info.classes == ("0", "1", "2") and sum(info.counts) == info.splits["train"]
    assert info.facts["grade"]["several"] is False
    assert info.fields["grade"].dtype == "int32", "the column is int64"


def test_pictures_beside_a_column_of_text_are_as_before(tmp_path):
    for number in range(10):
        Image.new("RGB", (5, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = "".join(f"{n}.png,{'ab'[n % 2]},note {n}\n" for n in range(10))
    (tmp_path / "table.csv").write_text("image,label,note\n" + rows)
    info = open_data(loads(BASE.replace("digits", f"{{type: table, path: {tmp_path}/table.csv}}"))).info
    assert set(info.fields) == {"image", "label"} and info.fields["image"].shape == (4, 5, 3)
    assert json.loads(json.dumps(info.to_json()))["features"]["image"] == IMAGE
