"""The points that a search begins with: what they leave out, what is refused, and that every oracle keeps to them."""

import re

import numpy as np
import pytest

import kplug
from kplug.errors import SpecError
from kplug.spec.search.first_points import first_points
from kplug.tuning.search import make_study
from kplug.tuning.study import Study

FILTERS = "task.model.layers.0.filters"
RATE = "task.optimizer.learning_rate"
SPEC = """
name: begun
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 2e-2}}
data: {source: digits}
fit: {epochs: 9}
search:
  oracle: ORACLE
  objective: {maximize: val_accuracy}
  first: FIRST
  space:
    task.model.layers.0.filters: {int: [2, 32]}
    task.model.layers.0.activation: {choice: [null, relu]}
    task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}
    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}
    task.optimizer.learning_rate[cosine].warmup: {float: [0, 0.3], step: 0.1}
"""


def spec(first="[]", oracle="{type: random, trials: 12}"):
    return kplug.loads(SPEC.replace("FIRST", first).replace("ORACLE", oracle))


def points(first):
    found = spec(first)
    return first_points(found, found.space())


def test_what_is_left_out_is_as_the_spec_has_it():
    own = {
        FILTERS: 4,
        "task.model.layers.0.activation": None,
        RATE: "cosine",
        f"{RATE}[cosine].peak": 2e-2,
        f"{RATE}[cosine].warmup": 0.0,
    }
    assert points("[{}, {task.model.layers.0.filters: 8}]") == [own, own | {FILTERS: 8}]


def test_below_a_label_that_a_point_gives_its_sub_tree_says_what_is_left_out():
    (cosine,) = points(f"[{{{RATE}: cosine, '{RATE}[cosine].warmup': 0.3}}]")
    assert (cosine[f"{RATE}[cosine].peak"], cosine[f"{RATE}[cosine].warmup"]) == (1e-2, 0.3)
    (constant,) = points(f"[{{{RATE}: constant}}]")
    assert list(constant) == [FILTERS, "task.model.layers.0.activation", RATE]


@pytest.mark.parametrize(
    "first, said",
    [
        ("[{}, {task.model.layers.0.filtres: 3}]", f"filtres: is not searched; did you mean '{FILTERS}'?"),
        (f"[{{{FILTERS}: 33}}]", f"search.first.0.{FILTERS}: 33 is not in its range: a whole number, 2 to 32"),
        (f"[{{{FILTERS}: true}}]", "true is not in its range"),
        (f"[{{{RATE}: 1e-3}}]", f"search.first.0.{RATE}: 0.001 is not in its range: cosine, constant"),
        (
            f"[{{{RATE}: constant, '{RATE}[cosine].peak': 0.1}}]",
            f"does not count in this point, where {RATE} is constant",
        ),
        (f"[{{}}, {{{FILTERS}: 4}}]", "search.first.1: is the same point as number 0"),
        (f"[{{{FILTERS}: 99}}, {{}}, {{{FILTERS}: 4}}]", "search.first.2: is the same point as number 1"),
        (f"[{{filters: 3, {FILTERS}: 99}}]", f"search.first.0.{FILTERS}: 99 is not in its range"),
        ("[relu]", "search.first.0: 'relu' is not a mapping"),
    ],
)
def test_a_wrong_point_is_refused_at_its_place(first, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        spec(first)


def test_a_value_of_the_spec_that_is_outside_the_range_is_asked_for():
    text = SPEC.replace("FIRST", "[{}]").replace("ORACLE", "random").replace("filters: 4", "filters: 64")
    said = (
        f"search.first.0: the spec's {FILTERS}, 64, is not in its range: a whole number, 2 to 32; write {FILTERS} here"
    )
    with pytest.raises(SpecError, match=re.escape(said)):
        kplug.loads(text)
    text = text.replace("filters: 64", "filters: 4").replace("{type: cosine, peak: 2e-2}", "0.1")
    with pytest.raises(SpecError, match=re.escape(f"the spec's {RATE}, 0.1, is not in its range: cosine, constant")):
        kplug.loads(text)


def test_values_that_do_not_fit_together_are_refused():
    text = SPEC.replace("FIRST", "[{task.model.layers.0.filters: 6}]").replace("ORACLE", "random")
    text = text.replace("kernel_size: 3}", "kernel_size: 3, groups: 4}").replace("{int: [2, 32]}", "{choice: [4, 6]}")
    with pytest.raises(SpecError, match=r"filters \(6\) is not a multiple"):  # at no point
        kplug.loads(text)
    text = text.replace("  space:\n", "  space:\n    task.model.layers.0.groups: {choice: [3, 4]}\n")
    with pytest.raises(SpecError, match=r"search.first.0: task.model.layers.0: filters \(6\) is not a multiple"):
        kplug.loads(text)


def points_of(model, first, *lines):
    """The points of a spec with this model and these ranges."""
    text = SPEC[: SPEC.index("  space:")].replace("FIRST", first).replace("ORACLE", "random")
    text = re.sub(r"model: .*", lambda found: f"model: {model}", text)
    found = kplug.loads(text + "  space:\n" + "".join(f"    {line}\n" for line in lines))
    return first_points(found, found.space())


def test_of_labels_that_differ_in_what_is_searched_below_that_is_taken_whose_range_has_the_value():
    lines = [f"{RATE}: {{choice: {{slow: {{type: constant, peak: 1e-4}}, fast: {{type: constant, peak: 1e-2}}}}}}"]
    lines += [
        f"task.optimizer.learning_rate[{name}].peak: {{log: [{ends}]}}"
        for name, ends in (("slow", "1e-5, 9e-4"), ("fast", "1e-3, 1"))
    ]
    text = SPEC[: SPEC.index("  space:")].replace("FIRST", "[{}]").replace("ORACLE", "random")
    text = text.replace("{type: cosine, peak: 2e-2}", "{type: constant, peak: 2e-2}")
    found = kplug.loads(text + "  space:\n" + "".join(f"    {line}\n" for line in lines))
    assert first_points(found, found.space()) == [{RATE: "fast", f"{RATE}[fast].peak": 2e-2}]


def test_a_label_is_not_the_value_that_has_its_name():
    with pytest.raises(
        SpecError, match=r"the spec.s data.features.image.resize, .stretch., is not in its range: stretch, crop"
    ):
        kplug.loads(
            "name: a\ntask: {type: classification, model: flatten}\n"
            "data: {source: digits, features: {image: {size: [8, 8], resize: stretch}}}\n"
            "search:\n  first: [{}]\n  space: {data.features.image.resize: {choice: {stretch: pad, crop: crop}}}\n"
        )


def test_what_is_given_later_counts_where_values_must_fit_together():
    model = "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}"
    tree = "{type: layers, layers: [{type: conv2d, filters: 6, kernel_size: 3, groups: 3}, flatten]}"
    layer = "task.model[a].layers.0"
    lines = [f"task.model: {{choice: {{a: {tree}, b: flatten}}}}", f"{layer}.groups: {{choice: [1, 2, 3, 4]}}"]
    lines += [f"{layer}.activation: {{choice: [null, relu]}}", f"{layer}.filters: {{choice: [4, 6, 8]}}"]
    given = {"task.model": "a", f"{layer}.groups": 4, f"{layer}.filters": 8}
    written = ", ".join(f"'{path}': {value}" for path, value in given.items())
    assert points_of(model, f"[{{{written}}}]", *lines) == [given | {f"{layer}.activation": None}]


def test_labels_that_look_like_numbers_are_written_as_they_stand_there():
    lines = ["data.sampler.batch_size: {choice: {8: 8, 16: 16}}", f"{FILTERS}: {{choice: {{true: 8, four: 4}}}}"]
    model = "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}"
    first = f"[{{data.sampler.batch_size: 8}}, {{data.sampler.batch_size: '16', {FILTERS}: true}}]"
    assert [list(point.values()) for point in points_of(model, first, *lines)] == [["8", "four"], ["16", "true"]]


def test_the_name_of_a_component_may_be_searched():
    model = "{type: layers, layers: [{type: max_pooling2d}, flatten]}"
    lines = ["task.model.layers.0.type: {choice: [max_pooling2d, average_pooling2d]}"]
    assert points_of(model, "[{}]", *lines) == [{"task.model.layers.0.type": "max_pooling2d"}]


def test_files_are_the_same_wherever_the_search_runs(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=1)
    monkeypatch.chdir(tmp_path)
    text = (
        SPEC.replace("FIRST", "[{}]")
        .replace("ORACLE", "random")
        .replace("data: {source: digits}", "data: {source: {type: arrays, path: a.npz}}")
    )
    text += "    data.source: {choice: {a: {type: arrays, path: a.npz}, b: {type: arrays, path: b.npz}}}\n"
    found = kplug.loads(text).absolute()
    assert first_points(found, found.space())[0]["data.source"] == "a"


def asked(study: Study, count: int):
    """The points of so many trials, one after the other, each as good as its number of filters."""
    found = []
    for _ in range(count):
        trial = study.ask()
        study.report(trial, 0, trial.epochs, {"val_accuracy": trial.point[FILTERS] / 32})
        study.tell(trial, "finished", {})
        found.append(trial.point)
    return found


@pytest.mark.parametrize(
    "oracle",
    [
        "{type: random, trials: 12}",
        pytest.param("{type: bayesian, trials: 12, initial: 1}", marks=pytest.mark.slow),
        "hyperband",
        "{type: evolution, trials: 12, population: 2, sample: 2}",
    ],
)
def test_an_oracle_begins_with_them_and_goes_on(oracle):
    first = f"[{{}}, {{{FILTERS}: 8}}, {{{RATE}: constant}}]"
    given = points(first)
    found = asked(make_study(spec(first, oracle)), 5)
    assert found[:3] == given
    assert not any(point in given for point in found[3:])
    assert asked(make_study(spec(first, oracle)), 4) == found[:4]


@pytest.mark.parametrize(
    "oracle, said",
    [
        ("grid", "search.oracle: grid tries every point in its own order; leave search.first out"),
        ("{type: random, trials: 1}", "search.first: has 2 points, and the oracle makes no more trials than 1"),
        ("{type: hyperband, factor: 9}", "search.oracle: hyperband's first round has "),
    ],
)
def test_an_oracle_that_cannot_begin_with_them_says_so(oracle, said):
    first = f"[{{}}, {{{FILTERS}: 8}}]"
    if "hyperband" in oracle:
        first = "[" + ", ".join(f"{{{FILTERS}: {n}}}" for n in range(2, 22)) + "]"
    with pytest.raises(SpecError, match=re.escape(said)):
        make_study(spec(first, oracle))
