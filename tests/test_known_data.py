"""What `kplug check` knows of the data before it is opened, and the rules that go by it."""

import json
import struct
import zlib

import pytest

from kplug import Architecture, Known, SpecError, hookimpl, known, loads, rule
from kplug.spec.data_rules import known_data
from kplug.testing import no_tensorflow, plugged

SPEC = """
name: tiny
task: {type: classification, model: MODEL}
data:
  source: SOURCE
  features: {image: {size: null}}
"""


def _fits(side: int, data: Known) -> None:
    height = data.picture[0]
    if height is not None and height % side:
        raise ValueError(f"{side} does not divide {data.picture}")
    if data.classes is not None and side == 99:
        raise ValueError(f"99 is not for {data.classes}")


@rule(_fits)
def grid(side: int = 2) -> Architecture:
    """Cut pictures into squares.

    Args:
        side: of a square.
    """


class Plugin:
    distribution = "kplug-grid"

    @staticmethod
    @hookimpl
    def components():
        return [grid]


@pytest.fixture(autouse=True)
def plugin():
    with plugged(Plugin):
        yield


def spec(model="flatten", source="digits", **values):
    text = SPEC.replace("MODEL", model).replace("SOURCE", source)
    for key, value in values.items():
        text = text.replace(f"{key}: null", f"{key}: {value}")
    return loads(text)


def test_the_pictures_size_is_known():
    spec("{type: grid, side: 4}")
    with pytest.raises(SpecError, match=r"spec:3:37: task.model: 3 does not divide \(8, 8, 1\)"):
        spec("{type: grid, side: 3}")
    spec("{type: grid, side: 3}", size="[9, 9]")
    with pytest.raises(SpecError, match=r"5 does not divide \(9, 9, 1\)"):
        spec("{type: grid, side: 5}", size="[9, 9]")


def test_a_stage_is_checked_too():
    good = spec("{type: grid, side: 4}")
    stages = {"fit.stages": [{"epochs": 1, "set": {"task.model.side": 3}}]}
    with pytest.raises(SpecError, match="3 does not divide"):
        good.at(stages)
    with pytest.raises(SpecError, match="3 does not divide"):
        good.at({"task.model.side": 3})


def test_behind_another_layer_sizes_are_others():
    layers = "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3, strides: 2}, {type: grid, side: 3}]}"
    spec(layers)
    with pytest.raises(SpecError, match=r"task.model.layers.1: 99 is not for \('0', '1'"):
        spec(layers.replace("side: 3", "side: 99"))


def test_a_source_that_tells_nothing():
    spec("{type: grid, side: 99}", "{type: arrays, path: nowhere.npz}")


def test_a_rule_that_takes_what_is_not_there_is_no_rule():
    from kplug.spec.component import BadComponent, read_component

    def checks(sides: int, data: Known) -> None: ...

    with pytest.raises(BadComponent, match="its rule takes sides, which is no parameter of it"):
        read_component(rule(checks)(lambda_like()))
    with pytest.raises(BadComponent, match="its rule takes sides, which is no parameter of it"):
        read_component(known(checks)(lambda_like()))


def lambda_like():
    def thing(side: int = 1) -> Architecture:
        """Be a thing."""

    return thing


# --- what sources tell, against what they open -----------------------------------------------------------------------


def told(source):
    return known_data(spec(source=source).root.arguments["data"])


def opened(source):
    from kplug.data.splits import open_data

    return open_data(spec(source=source, size="[8, 8]")).info


def test_digits():
    from kplug.data.splits import open_data

    info = open_data(spec()).info
    assert told("digits").features == {name: node["type"] for name, node in info.features.items()}
    assert told("digits").shapes == {name: field.shape for name, field in info.fields.items()}
    assert told("digits").classes == info.classes


def test_folders(tmp_path):
    for name in ("flat/cat", "flat/dog", "split/train/b", "split/train/a", "split/test/a", "train"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / name / f"{number}.png").write_bytes(png())
    (tmp_path / "names.txt").write_text("dog\n\ncat\nowl\n")
    for source in (
        f"{{type: folder, path: {tmp_path}/flat}}",
        f"{{type: folder, path: {tmp_path}/split}}",
        f"{{type: folder, path: {tmp_path}/flat, classes: {tmp_path}/names.txt}}",
    ):
        assert told(source).classes == opened(source).classes
        assert told(source).shapes == {"image": (None, None, None), "label": ()}
        assert told(source).features == {"image": "image", "label": "label", "path": None}
    gone = told(f"{{type: folder, path: {tmp_path}/gone}}")
    assert (gone.features, gone.classes) == (told(source).features, None)
    augmented = f"{{type: augmented, of: {{type: folder, path: {tmp_path}/flat}}, augment: [random_flip]}}"
    assert told(augmented).classes == ("cat", "dog")


def png():
    """The smallest there is: one black pixel."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def test_tfds(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    class Animals(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(6, 4, 3)),
                        "label": tfds.features.ClassLabel(names=["cat", "a dog"]),
                        "photo": tfds.features.Image(shape=(None, None, 3)),
                    }
                )
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            blank = tf.zeros((6, 4, 3), tf.uint8).numpy()
            yield from ((i, {"image": blank, "label": i % 2, "photo": blank}) for i in range(8))

    Animals(data_dir=str(tmp_path)).download_and_prepare()
    source = f"{{type: tfds, name: animals, data_dir: {tmp_path}, test: null}}"
    info = opened(source)
    assert told(source).features == {"image": "image", "label": "label", "photo": None}
    assert told(source).shapes == {"image": (6, 4, 3), "label": ()}
    assert told(source).classes == info.classes
    for name in ("animals/1.0.0", "animals:1.0.0"):
        assert told(source.replace("name: animals", f"name: '{name}'")) == told(source)
    assert told(source.replace("test: null", "test: null, image: photo")).shapes["image"] == (None, None, 3)
    with pytest.raises(SpecError, match=r"task.label: the source has no field 'label' \(fields: image, photo\)"):
        told(source.replace("test: null", "test: null, label: null"))
    (tmp_path / "animals/1.0.0/features.json").write_text("{")
    assert told(source).features is None


def test_a_check_knows_without_tensorflow(tmp_path):
    folder = tmp_path / "birds"
    for name in ("owl", "emu"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "spec.yaml").write_text(
        "name: birds\n"
        "task: {type: classification, model: flatten, class_weights: {owls: 2.0, emu: 1.0}}\n"
        f"data: {{source: {{type: folder, path: {json.dumps(str(folder))}}}}}\n"
    )
    done = no_tensorflow("check", "spec.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "spec.yaml:2:68: task.class_weights.owls: no class named 'owls'; did you mean 'owl'?" in done.stderr


@pytest.mark.slow
def test_a_run_is_opened_whatever_became_of_its_source(tmp_path):
    """A class that its weights name is gone from the folder, then the folder is."""
    import shutil

    import kplug
    from kplug.inference.run import Run

    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "pets" / name / f"{number}.png").write_bytes(png())
    weighted = {"task.class_weights": {"cat": 2.0}, "fit.epochs": 0, "data.sampler.batch_size": 4}
    source = f"{{type: folder, path: {tmp_path}/pets, test: 0}}"
    run = kplug.train(spec(source=source, size="[4, 4]").at(weighted), tmp_path / "run")
    wanted = run.predict([tmp_path / "pets/dog/0.png"])
    shutil.rmtree(tmp_path / "pets" / "cat")
    again = Run.open(tmp_path / "run")
    assert again.predict([tmp_path / "pets/dog/0.png"]) == wanted
    other = again.spec.at({"data.source": "digits", "task.model": {"type": "grid", "side": 3}})
    assert other["task.model.side"] == 3, "other data may be asked about, which are brought to the run's size"
    with pytest.raises(SpecError, match="no class named 'cat'"):
        loads(again.spec.dump())


def test_a_file_of_names_may_begin_with_a_mark(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "names.txt").write_text("\ufeffcat\ndog\n", encoding="utf-8")
    assert told(f"{{type: folder, path: {tmp_path}, classes: {tmp_path}/names.txt}}").classes == ("cat", "dog")


def test_no_classes_is_not_known():
    assert told("{type: folder, path: tests/bad}").classes is None


@pytest.mark.parametrize("feature", ["text", "{type: boxes, most: 4}"])
def test_a_network_of_pictures_refuses_a_field_that_is_none(feature):
    with pytest.raises(SpecError, match=r"model: needs pictures \[height, width, channels\]; the field"):
        loads(SPEC.replace("MODEL", "grid").replace("SOURCE", "digits").replace("{size: null}", feature))
