"""Ranges, points, and what is refused of them, without TensorFlow."""

import math
import random

import pytest

import kplug
from kplug.errors import SpecError
from kplug.spec.search.space import read_space, spec_at
from kplug.testing import no_tensorflow

SPEC = """
name: spaced
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2}}
data: {source: digits}
search:
  space:
"""


def spec(*lines, search=""):
    return kplug.loads(SPEC.replace("  space:", f"{search}  space:") + "".join(f"    {line}\n" for line in lines))


def refused(*lines, search=""):
    with pytest.raises(SpecError) as caught:
        spec(*lines, search=search)
    return str(caught.value)


FILTERS = "task.model.layers.0.filters: {int: [2, 8]}"
RATES = "task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}"


def test_a_point_is_a_spec():
    space = spec(FILTERS, RATES, '"task.optimizer.learning_rate[cosine].peak": {log: [1e-4, 1e-1]}').space()
    point = {
        "task.model.layers.0.filters": 3,
        "task.optimizer.learning_rate": "cosine",
        "task.optimizer.learning_rate[cosine].peak": 0.05,
    }
    found = spec_at(spec(FILTERS, RATES), space, point)
    assert found["task.model.layers"][0].arguments["filters"] == 3
    assert found["task.optimizer.learning_rate"].arguments["peak"] == 0.05
    assert found["search"] is None


def test_a_range_below_a_label_counts_under_it_alone():
    space = spec(FILTERS, RATES, '"task.optimizer.learning_rate[cosine].peak": {choice: [1e-3, 1e-2, 1e-1]}').space()
    rng = random.Random(0)
    points = [space.sample(rng) for _ in range(200)]
    for point in points:
        active = point["task.optimizer.learning_rate"] == "cosine"
        assert ("task.optimizer.learning_rate[cosine].peak" in point) == active
    assert space.size() == 7 * (3 + 1)
    assert len({str(point) for point in points}) == 28


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ({"choice": [1, 2]}, (1, 2)),
        ({"choice": {"a": 1, "b": {"type": "x"}}}, ("a", "b")),
        ({"int": [2, 9], "step": 3}, (2, 5, 8)),
        ({"float": [0, 0.3], "step": 0.1}, (0.0, 0.1, 0.2, 0.3)),
        ("bool", (False, True)),
    ],
)
def test_the_values_of_a_range(written, values):
    (found,) = read_space({"fit.jit": written})
    assert found.values == pytest.approx(values) if isinstance(values[0], float) else found.values == values


def test_steps_of_a_float_are_as_one_would_write_them():
    (found,) = read_space({"a.b": {"float": [0, 0.3], "step": 0.1}})
    assert found.values == (0, 0.1, 0.2, 0.3)
    (found,) = read_space({"a.b": {"float": [1e-9, 7e-9], "step": 3e-9}})
    assert found.values == (1e-9, 4e-9, 7e-9)
    (found,) = read_space({"a.b": {"float": [1e6, 1e6 + 1], "step": 0.4}})
    assert found.values == (1e6, 1000000.4, 1000000.8)
    assert found.in_words == "1e+06 to 1e+06 in steps of 0.4"
    (found,) = read_space({"a.b": {"int": [1, 4], "step": 2}})
    assert found.in_words == "1 to 3 in steps of 2"


def test_orders_of_magnitude_are_drawn_evenly():
    (found,) = read_space({"a.b": {"log": [1e-4, 1]}})
    rng = random.Random(0)
    drawn = [math.log10(found.sample(rng)) for _ in range(4000)]
    for low in range(-4, 0):
        assert 900 < sum(low <= value < low + 1 for value in drawn) < 1100
    assert math.isinf(read_space({"a.b": {"log": [1e-4, 1]}}).size())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("task.modle.layers: bool", "spec:10:5: task.modle: nothing is called 'modle'; did you mean 'model'?"),
        ("task.model.layers.0.filtres: {int: [2, 8]}", "unknown parameter; did you mean 'filters'?"),
        ("task.model.layers.0.filters: {int: [0, 8]}", "10:41: task.model.layers.0.filters: 0 is less than 1"),
        (
            "task.model.layers.0.filters: {choice: [2, x]}",
            "10:47: task.model.layers.0.filters: 'x' is not a whole number",
        ),
        ("task.model.layers.0.filters: {float: [2, 3]}", "2.0 is not a whole number"),
        ("task.model.layers.0.filters: {choice: []}", "there is nothing to choose from"),
        ("task.model.layers.0.filters: {choice: [3]}", "10:5: search.space: has one point: there is nothing to search"),
        ("task.model.layers.0.filters: {int: [8, 2]}", "[8, 2]: 8 is more than 2"),
        ("task.model.layers.0.filters: {int: [2, 8], step: 0}", "0 is not a whole number > 0"),
        (
            "task.model.layers.0.filters: {int: [2, 8], step: 7}",
            "filters.step: 7 leads beyond 8, so that 2 would be all",
        ),
        ("task.optimizer.weight_decay: {float: [0, 1], step: .nan}", "nan is not a number > 0"),
        ("fit.jit: {bool: true}", "a range of true and false is the word bool alone"),
        ("task.model.layers.0.filters: {int: [2.5, 8]}", "is not [LOW, HIGH], two whole numbers"),
        ("task.model.layers.0.filters: {chioce: [2, 8]}", "unknown key; did you mean 'choice'?"),
        ("task.model.layers.0.filters: {choice: [2, 4], int: [2, 4]}", "a range has one of choice, int, float, log"),
        ("task.model.layers.0.filters: {choice: [2, 2]}", "2 stands there already"),
        ("task.model.layers.0.filters: 8", "8 is no range; write {choice: [...]}"),
        ("task.model.layers.0: {choice: [{type: flatten}]}", "needs a label"),
        ("task.optimizer.weight_decay: {log: [0, 1]}", "0 is not greater than 0"),
        ("seed: {int: [0, 9]}", "a search does not change seed: `search.repeats: {seeds: N}` trains each point"),
        (
            "fit: {choice: {a: {epochs: 2}, b: {epochs: 3}}}",
            "fit.best lies below it, and a search does not change that",
        ),
        ("name: {choice: [a, b]}", "a search does not change name"),
        ("fit..epochs: {int: [1, 2]}", "is no path"),
        ('"task.model[cnn].layers": bool', "no label 'cnn'; write task.model: {choice: {cnn: ...}} beside it"),
        ('"task.model.layers[0].filters": {int: [2, 8]}', "so it has no label '0'; an item is task.model.layers.0"),
    ],
)
def test_a_wrong_range_is_refused_at_its_place(line, said):
    assert said in refused(line)


def test_a_label_that_is_not_there():
    below = '"task.optimizer.learning_rate[cosin].peak": {log: [1e-4, 1e-1]}'
    assert "has no label 'cosin'; did you mean 'cosine'?" in refused(RATES, below)
    below = "task.optimizer.learning_rate.peak: {log: [1e-4, 1e-1]}"
    assert "it lies below task.optimizer.learning_rate, which is searched itself; write" in refused(RATES, below)


def test_an_unknown_path_is_said_once():
    assert refused("task.model.layers.0.filtres: {int: [2, 8]}").count("\n") == 0


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("  objective: {}\n", "write {minimize: NAME} or {maximize: NAME}"),
        ("  objective: {maximize: a, minimize: b}\n", "write {minimize: NAME} or {maximize: NAME}"),
        ("  objective: []\n", "the list is empty"),
        ("  objective: [{maximize: a}, {minimize: parameters}]\n", "parameters needs a target"),
        ("  objective: [{maximize: a}, {minimize: a, target: 1}]\n", "a stands there twice"),
        ("  constraints: {parameters: {}}\n", "parameters has no limit"),
        (
            "  constraints: {parameters: {at_least: 2, at_most: 1}}\n",
            "search.constraints: parameters: at least 2 and at most 1",
        ),
        ("  oracle: {type: bayes}\n", "no oracle named 'bayes'; did you mean"),
        ("  oracle: {type: evolution, population: 4, sample: 5}\n", "5 cannot be drawn from a population of 4"),
        ("  repeats: {folds: 1}\n", "1 is less than 2"),
        ("  repeats: {folds: 3}\n", "data.validation: `search.repeats` has a fold there"),
        ("  keeep: 1\n", "unknown key; did you mean 'keep'?"),
    ],
)
def test_a_wrong_search_is_refused(search, said):
    assert said in refused(FILTERS, "data.validation: {choice: [0.1, 0.2]}", search=search)


def test_epochs_are_not_searched_where_rungs_count_them():
    line = "fit.epochs: {int: [1, 9]}"
    assert spec(line)
    assert "leave what sets them out of the space" in refused(line, search="  oracle: hyperband\n")
    assert "leave what sets them out of the space" in refused(line, search="  prune: median\n")


def test_a_candidate_that_fits_at_some_point_is_taken():
    text = SPEC.replace(
        "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}",
        "{type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3, groups: 1}, flatten]}",
    )
    assert kplug.loads(text + "    task.model.layers.0.filters: {choice: [4, 6]}\n").space()


def test_a_search_is_checked_without_tensorflow(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC + f"    {FILTERS}\n    {RATES}\n")
    no_tensorflow("check", str(tmp_path / "spec.yaml"))


def test_candidates_that_were_not_tried_are_said(monkeypatch, capsys):
    monkeypatch.setattr("kplug.spec.search.space.MOST_TRIES", 3)
    kplug.loads(SPEC + "    task.label_smoothing: {choice: [0, 0.1, 0.2, 0.3, 0.4]}\n")
    said = "the space has more candidates than `kplug check` tries; these were not: "
    assert f"{said}0.3 of task.label_smoothing, 0.4 of task.label_smoothing\n" in capsys.readouterr().err
