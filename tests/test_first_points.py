"""The points that a search begins with: what they leave out, what is refused, and that every oracle keeps to them."""

import re

import pytest

import kplug
from kplug.errors import SpecError
from kplug.first_points import first_points
from kplug.study import Study
from kplug.tune import make_study

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
    return first_points(found, found.space(), found["search"].arguments["first"])


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
        (f"[{{{FILTERS}: 33}}]", f"search.first.0.{FILTERS}: 33 is not in its range: 2 to 32"),
        (f"[{{{FILTERS}: true}}]", "true is not in its range"),
        (f"[{{{RATE}: 1e-3}}]", f"search.first.0.{RATE}: 0.001 is not in its range: cosine, constant"),
        (f"[{{{RATE}: constant, '{RATE}[cosine].peak': 0.1}}]", f"does not count in this point, where {RATE} is"),
        (f"[{{}}, {{{FILTERS}: 4}}]", "search.first.1: is the same point as number 0"),
        ("[relu]", "search.first.0: 'relu' is not a mapping"),
    ],
)
def test_a_wrong_point_is_refused_at_its_place(first, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        spec(first)


def test_a_value_of_the_spec_that_is_outside_the_range_is_asked_for():
    text = SPEC.replace("FIRST", "[{}]").replace("ORACLE", "random").replace("filters: 4", "filters: 64")
    said = f"search.first.0: the spec's {FILTERS}, 64, is not in its range: 2 to 32; write {FILTERS} here"
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
        "{type: bayesian, trials: 12, initial: 1}",
        "hyperband",
        "{type: evolution, trials: 12, population: 2, sample: 2}",
    ],
)
def test_an_oracle_begins_with_them_and_goes_on(oracle):
    first = f"[{{}}, {{{FILTERS}: 8}}, {{{RATE}: constant}}]"
    given = points(first)
    found = asked(make_study(spec(first, oracle)), 7)
    assert found[:3] == given
    assert not any(point in given for point in found[3:])
    assert asked(make_study(spec(first, oracle)), 7) == found


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
