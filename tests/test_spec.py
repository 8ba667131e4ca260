"""Specs: filled with defaults, changed by `at` and `--set`, and told where each value stands."""

import pytest

from kplug import SpecError, load, loads
from kplug.spec import load_with
from kplug.spec.forms import Leaf, ListOf, MapOf, members_of
from kplug.spec.plugins import host, using
from kplug.spec.tree import Node
from kplug.spec.values import read_leaf

BASE = """
name: base
task:
  type: classification
  model: flatten
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 3e-3}}
data:
  source: digits
  augment: [random_flip, {type: solarization, probability: 0.1}]
"""
UNEVEN = "{type: conv2d, filters: 8, kernel_size: 3, groups: 3}"  # a rule refuses it


@pytest.fixture(scope="module", autouse=True)
def installed():
    with using([]):
        yield


def refused(function, *arguments):
    """The problems, a line each."""
    with pytest.raises(SpecError) as caught:
        function(*arguments)
    return str(caught.value).splitlines()


# --- filled ----------------------------------------------------------------------------------------------------------


def test_filled_writes_every_default_and_the_original_stays():
    spec = loads(BASE)
    filled = spec.filled()
    assert "fit" not in spec.data
    assert filled.data["kplug"] == 2
    assert filled.data["fit"]["best"] == "auto"
    assert filled.data["data"]["sampler"] == {"type": "shuffled", "batch_size": 64}
    image = {"type": "image", "size": None, "resize": "pad", "channels": None, "orientation": True, "window": None}
    image |= {"linked": None}
    assert filled.data["data"]["features"] == {"image": image, "label": {"type": "label"}}
    assert filled.data["task"]["model"] == {"type": "flatten"}
    assert filled.data["data"]["augment"][0]["type"] == "random_flip"
    assert filled.data["task"]["optimizer"]["learning_rate"]["warmup"] == 0.0
    assert filled.filled() == filled != spec
    assert loads(filled.dump()).filled() == filled


def test_a_node_replaces_a_default_node_whole():
    """The default is adamw with a rate of 1e-3; nothing of it comes into another optimizer, nor into a plain adamw."""
    registry = host().registry
    default = registry.find("optimizer", "lion").parameters["learning_rate"].default
    assert loads(BASE).at({"task.optimizer": "lion"})["task.optimizer.learning_rate"] == default
    assert loads(BASE).at({"data.sampler": {"type": "sequential"}})["data.sampler.batch_size"] == 256


def test_values_are_reached_by_path():
    spec = loads(BASE)
    assert spec.name == spec["name"] == "base"
    assert spec["fit.epochs"] == 10
    assert isinstance(spec["task.optimizer"], Node)
    assert spec["task.optimizer.learning_rate.peak"] == 3e-3
    assert spec["data.augment.1.probability"] == 0.1


# --- at -------------------------------------------------------------------------------------------------------------


def test_at_changes_a_copy():
    spec = loads(BASE)
    changed = spec.at({"fit.epochs": 3})
    assert (spec["fit.epochs"], changed["fit.epochs"]) == (10, 3)
    assert "fit" not in spec.data


def test_at_makes_a_node_of_a_bare_name():
    changed = loads(BASE).at({"data.augment.0": "random_posterization", "data.augment.0.probability": 0.3})
    assert changed["data.augment.0"].name == "random_posterization"
    assert changed["data.augment.0.probability"] == 0.3
    assert loads(BASE).at({"data.augment.0.mode": "vertical"})["data.augment.0.mode"] == "vertical"
    assert loads(BASE).at({"task.model": "dense", "task.model.units": 8})["task.model.units"] == 8


def test_at_puts_parents_before_children_whatever_the_order():
    values = {
        "task.model.layers.0.units": 4,
        "task.model": {"type": "layers", "layers": [{"type": "dense", "units": 8}]},
    }
    assert loads(BASE).at(values)["task.model.layers.0.units"] == 4


def test_at_leaves_what_was_given_alone():
    model = {"type": "dense", "units": 8}
    loads(BASE).at({"task.model": model, "task.model.units": 4})
    assert model == {"type": "dense", "units": 8}


def test_at_takes_tuples_and_is_strict():
    changed = loads(BASE).at({"data.features.image.size": (28, 28)})
    assert changed.filled().data["data"]["features"]["image"]["size"] == [28, 28]
    assert refused(loads(BASE).at, {"fit.epochs": 3.0}) == [
        "at fit.epochs=3.0: fit.epochs: 3.0 is not a whole number >= 0; write 3"
    ]
    assert refused(loads(BASE).at, {"fit.epochs": 10**5000}) == [
        "at fit.epochs=a number of more than 80 digits: fit.epochs: a number of more than 80 digits is not a value "
        "that YAML can hold"
    ]
    assert refused(loads(BASE).at, {"name": object}) == [
        "at name=\"<class 'object'>\": name: \"<class 'object'>\" is not a value that YAML can hold"
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("fit.epoch", "at fit.epoch=1: fit.epoch: unknown key; did you mean 'epochs'?"),
        ("fitt.epochs", "at fitt.epochs=1: fitt: nothing is called 'fitt'; did you mean 'fit'? (here: "),
        (
            "data.augment.2",
            "at data.augment.2=1: data.augment.2: there is no item '2': the list has 2, numbered from 0",
        ),
        (
            "data.augment.x",
            "at data.augment.x=1: data.augment.x: there is no item 'x': the list has 2, numbered from 0",
        ),
        ("data.augment.-1", "at data.augment.-1=1: data.augment.-1: there is no item '-1': the list has 2"),
        ("seed.x", "at seed.x=1: seed.x: seed is 0, which has nothing inside"),
        ("", "at =1: '': unknown key (allowed: "),
    ],
)
def test_at_refuses(path, expected):
    (line,) = refused(loads(BASE).at, {path: 1})
    assert line.startswith(expected)


def test_at_says_which_change_is_wrong():
    lines = refused(loads(BASE).at, {"fit.epochs": -1, "data.augment.1.probability": 3, "seed": 1})
    assert sorted(lines) == [
        "at data.augment.1.probability=3: data.augment.1.probability: 3 is more than 1",
        "at fit.epochs=-1: fit.epochs: -1 is less than 0",
    ]


# --- changes to a file that is read ----------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return path

    return write


def test_load_with_values_and_with_settings_is_the_same(write):
    path = write(BASE)
    values = load(path, {"fit.epochs": 3, "data.augment.0.mode": "vertical", "task.label_smoothing": 1e-3})
    typed = load_with(path, ["fit.epochs=3", "data.augment.0.mode=vertical", "task.label_smoothing=1e-3"])
    assert (
        values
        == typed
        == load(path).at({"fit.epochs": 3, "data.augment.0.mode": "vertical", "task.label_smoothing": 1e-3})
    )


@pytest.mark.parametrize(
    ("wrong", "settings"),
    [
        ("fit: {epochs: -1}\n", ["fit.epochs=1"]),
        ("fit: {epochs: -1}\n", ["fit={}"]),
        ("fit: 3\n", ["fit={}"]),
        ("data: {source: digit}\n", ["data.source=digits"]),
        ("data: {validation: 0.2}\n", ["data.source=digits"]),
        ("task: {type: classification}\n", ["task.model=flatten"]),
        ("task: {type: clasification, model: flatten}\n", ["task.type=classification"]),
        ("task: {model: flatten}\n", ["task.type=classification"]),
        ("task: classification\n", ["task.model=flatten"]),
        ("name: a/b\n", ["name=ab"]),
        ("name:\n", ["name=ab"]),
        ("fit: {best: {minimize: a, maximize: b}}\n", ["fit.best={minimize: a}"]),
        ("data: {source: digits, features: {image: {size: [28, -1]}}}\n", ["data.features.image.size.1=28"]),
        ("data: {source: digits, augment: [flip]}\n", ["data.augment.0=random_flip"]),
        # a rule stands at the component, and a change below it can put it right
        (f"task: {{type: classification, model: {UNEVEN}}}\n", ["task.model.groups=2"]),
        (f"task: {{type: classification, model: {UNEVEN}}}\n", ["task.model.filters=9"]),
    ],
)
def test_a_change_puts_a_broken_base_right(wrong, settings, write):
    key = wrong.split(":")[0]
    parts = {
        "name": "name: x\n",
        "task": "task: {type: classification, model: flatten}\n",
        "data": "data: {source: digits}\n",
    }
    path = write("".join((parts | {key: wrong}).values()))
    assert refused(load, path)
    assert load_with(path, settings)


def test_what_a_change_does_not_put_right_is_still_said(write):
    path = write(BASE.replace("flatten", "flaten") + "fit: {epochs: -1, epoch: 3}\nsed: 1\n")
    assert refused(load_with, path, ["fit.epochs=3", "seed=-1"]) == [
        "--set seed=-1: seed: -1 is less than 0",
        f"{path}:5:10: task.model: no architecture named 'flaten'; did you mean 'flatten'? "
        "(kplug components architecture lists them)",
        f"{path}:10:19: fit.epoch: unknown key; did you mean 'epochs'?",
        f"{path}:11:1: sed: unknown key; did you mean 'seed'?",
    ]


def test_a_change_cannot_help_a_file_that_is_no_spec(write):
    assert refused(load_with, write("a: [\n"), ["name=x"])[0].startswith(f"{write('a: [')}:2:1: not YAML: ")
    assert "the file is empty" in refused(load_with, write(""), ["name=x"])[0]
    assert "reads format 2; received 3" in refused(load_with, write("kplug: 3\n"), ["kplug=2"])[0]


def test_settings_are_yaml(write):
    path = write(BASE)
    spec = load_with(path, ["task.label_smoothing=1e-1", "name=ab", "fit.threads=", "fit.callbacks=[]"])
    assert (spec["task.label_smoothing"], spec.name, spec["fit.threads"]) == (0.1, "ab", None)
    assert refused(load_with, path, ["name=no: yes"])[0].startswith("--set name=no: yes: name: ")
    assert refused(load_with, path, ["name=a: b: c"])[0].startswith("--set name=a: b: c: name: not YAML: ")
    assert refused(load_with, path, ["name=!!python/none x"]) == [
        "--set name=!!python/none x: name: a spec has no tags; received '!!python/none'"
    ]


def test_a_place_is_kept_for_every_value():
    spec = loads(BASE, "here.yaml")
    assert spec.where(("data", "augment", 1, "probability")) == "here.yaml:9:60"
    assert spec.where(("data", "augment", 1, "missing")) == "here.yaml:9:26", "a default stands at its node"
    assert spec.where(("fit", "epochs")) == "here.yaml:2:1"


def test_files_that_are_elsewhere_or_cannot_be_looked_for():
    def missing(path):
        text = "name: a\ntask: {type: classification, model: {type: layers, layers: [flatten]}}\n"
        return loads(f"{text}data: {{source: {{type: folder, path: {path}}}}}\n").missing_files()

    assert missing("gs://bucket/photos") == []
    assert "there is no file or folder" in str(missing("x" * 300 + "/y")[0])
    assert "there is no file or folder" in str(missing("nowhere")[0])


def whole_numbers(component):
    """The names of the parameters of a component that take a whole number, alone or in a list."""
    for parameter in component.parameters.values():
        for leaf in leaves_of(parameter.form):
            if "whole number" in leaf.noun:
                yield parameter.name, leaf


def leaves_of(form):
    for member in members_of(form):
        if isinstance(member, Leaf):
            yield member
        elif isinstance(member, ListOf | MapOf):
            yield from leaves_of(member.item)


def test_every_whole_number_has_an_upper_limit():
    """Of 64 bits in YAML; sizes and counts have that of TensorFlow, which an axis or an offset needs not."""
    with pytest.raises(SpecError, match="a whole number has 64 bits at most"):
        loads("name: a\nseed: 9223372036854775808\n")
    unlimited = {
        f"{component.name}.{name}"
        for component in host().registry.components
        for name, leaf in whole_numbers(component)
        if not read_leaf(leaf, 10**200)[1]
    }
    assert {one.rpartition(".")[2] for one in unlimited} <= {"axis", "axes", "attention_axes", "seed"}, unlimited
