"""What a search shows: pictures, importance, and TensorBoard's HParams view, of studies that are played."""

import json
import math
import random

import numpy as np
import pytest

import kplug
from kplug.default_plugins.search.figures import fence, number_in_words, scored
from kplug.default_plugins.search.importance import explained, importance
from kplug.default_plugins.search.parallel_coordinates import ABSENT, SPREAD, _heights, axes_of
from kplug.default_plugins.search.pictures import _front_of_two
from kplug.default_plugins.search.reports import searched
from kplug.default_plugins.search.table import executor_of
from kplug.spec.search.names import shortened
from kplug.spec.search.space import read_space
from kplug.testing import no_tensorflow
from kplug.tuning.executor import FAILED, FINISHED, PAUSED, REFUSED
from kplug.tuning.search import Search, make_study, threads_of
from kplug.tuning.trial import TrialState

FILTERS = "task.model.layers.0.filters"
RATE = "task.optimizer.learning_rate"
PEAK = f"{RATE}[cosine].peak"
SPEC = """
name: shown
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3, activation: relu}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2, warmup: 0.2}}
data: {source: digits}
fit: {epochs: 3}
search:
  oracle: {type: random, trials: 100}
  objective: OBJECTIVE
  constraints: {parameters: {at_most: 300}}
  space:
    task.model.layers.0.filters: {int: [2, 32]}
    task.model.layers.0.activation: {choice: [relu, tanh, null]}
    task.model.layers.0.use_bias: bool
    task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}
    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}
    task.optimizer.learning_rate[cosine].warmup: {float: [0, 0.5]}
"""
ONE = "{maximize: val_accuracy}"
THREE = (
    "[{maximize: val_accuracy}, {minimize: parameters, target: 100}, {minimize: latency_ms, target: 1, weight: 0.1}]"
)


def accuracy(point):
    return 0.9 - abs(math.log10(point.get(PEAK, 1e-3)) + 2) / 10 - abs(point[FILTERS] - 20) / 100


def study_of(objective=ONE, trials=0, value=accuracy, status=FINISHED):
    """A study whose trials were told without training: value(point), or a status with nothing reported."""
    spec = kplug.loads(SPEC.replace("OBJECTIVE", objective)).absolute()
    study = make_study(spec, threads_of(spec, executor_of(spec)))
    for number in range(trials):
        trial = study.ask()
        if status in (FINISHED, PAUSED, TrialState.PRUNED):
            study.report(trial, 0, 1, {"val_accuracy": value(trial.point), "loss": 1.0})
        measured = {"parameters": 10.0 * trial.point[FILTERS], "latency_ms": 1 + number % 7 / 7}
        study.tell(trial, status, measured, "" if status == FINISHED else "a reason")
    return study


def shown(path, study):
    path.mkdir(exist_ok=True)
    searched(search=Search(path, study))
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and "tfevents" not in file.name}


def size_of(picture):
    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[-8:-4] == b"IEND"
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


PICTURES = {"plots/history.png", "plots/parallel.png", "plots/importance.png", "importance.json"}


@pytest.mark.parametrize(("objective", "expected"), [(ONE, PICTURES), (THREE, PICTURES | {"plots/front.png"})])
def test_a_search_is_shown_and_shown_again(tmp_path, capsys, objective, expected):
    study = study_of(objective, 25)
    assert {trial.status for trial in study.trials} == {FINISHED, REFUSED}
    assert shown(tmp_path, study) == expected
    assert all(300 < side < 4000 for name in expected if name.endswith("png") for side in size_of(tmp_path / name))
    before = {name: (tmp_path / name).read_bytes() for name in expected}
    assert shown(tmp_path, study) == expected
    assert {name: (tmp_path / name).read_bytes() for name in expected} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["importance.json", "plots", "tensorboard"]
    assert capsys.readouterr().err == ""


ODD = {
    "nothing asked": {},
    "one trial": {"trials": 1},
    "all refused": {"trials": 12, "status": REFUSED},
    "all failed": {"trials": 12, "status": FAILED},
    "all paused": {"trials": 12, "status": PAUSED},
    "all the same": {"trials": 14, "value": lambda point: 0.5},
    "all zero": {"trials": 14, "value": lambda point: 0.0},
    "not a number": {"trials": 14, "value": lambda point: math.nan},
    "now and then not a number": {"trials": 30, "value": lambda point: math.nan if point[FILTERS] % 3 else 0.5},
    "huge": {"trials": 30, "value": lambda point: -1e30 if point[FILTERS] % 5 == 0 else accuracy(point)},
}


@pytest.mark.parametrize(
    ("odd", "objective"),
    [("huge", THREE), *((odd, ONE) for odd in ODD)]
    + [pytest.param(odd, THREE, marks=pytest.mark.slow) for odd in ODD if odd != "huge"],
)
def test_odd_studies_are_shown(tmp_path, capsys, odd, objective):
    study = study_of(objective, **ODD[odd])
    found = shown(tmp_path, study)
    assert capsys.readouterr().err == ""
    assert ("plots/history.png" in found) == bool(study.trials)
    assert ("plots/parallel.png" in found) == bool(study.ranked())
    assert ("plots/importance.png" in found) == ("reason" not in json.loads((tmp_path / "importance.json").read_text()))


def test_a_search_that_was_stopped_is_shown(tmp_path, capsys):
    study = study_of(ONE, 12)
    study.ask()
    assert shown(tmp_path, study) >= {"plots/history.png"}
    assert capsys.readouterr().err == ""


def test_what_cannot_be_written_costs_a_line(tmp_path, capsys):
    (tmp_path / "plots").write_text("in the way")
    found = shown(tmp_path, study_of(ONE, 12))
    assert found == {"plots", "importance.json"} and (tmp_path / "tensorboard").is_dir()
    assert "its pictures could not be written: FileExistsError" in capsys.readouterr().err


def test_the_plugin_is_light():
    code = "import sys, kplug.default_plugins.search.reports\nassert not {'numpy', 'matplotlib'} & set(sys.modules)"
    assert no_tensorflow(code=code).returncode == 0


# --- importance ------------------------------------------------------------------------------------------------------


def sampled(space, count, seed=0):
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("kind", ["float", "log"])
def test_importance_of_a_known_function(kind):
    space = read_space({name: {kind: [0.01, 1]} for name in ("much", "less", "none")})
    points = sampled(space, 300)
    turned = math.log if kind == "log" else float
    found = explained(space, points, [3 * turned(point["much"]) + turned(point["less"]) for point in points])
    share = {path: one["main_effect"] for path, one in found["paths"].items()}
    assert list(share)[:2] == ["much", "less"]
    assert share["much"] == pytest.approx(0.9, abs=0.04)
    assert share["less"] == pytest.approx(0.1, abs=0.04)
    assert share["none"] < 0.005
    shuffled = {path: one["shuffled"] for path, one in found["paths"].items()}
    assert shuffled["much"] > 5 * shuffled["less"] > 50 * shuffled["none"]
    assert found["unseen_r2"] > 0.9 and found["interactions"] < 0.05


def test_importance_of_what_is_there_only_under_a_label():
    space = read_space(
        {
            "model": {"choice": {"one": 1, "two": 2}},
            "model[one].width": {"float": [0, 1]},
            "model[two].depth": {"int": [1, 5]},
            "flag": "bool",
        }
    )
    points = sampled(space, 200)
    # variances: the label 0.25; below one, which is half of the space, 2 ** 2 / 12 / 2; nothing else
    costs = [(point["model"] == "one") + 2 * (point.get("model[one].width", 0.5) - 0.5) for point in points]
    share = {path: one["main_effect"] for path, one in explained(space, points, costs)["paths"].items()}
    whole = 0.25 + 1 / 6
    assert share["model"] == pytest.approx(0.25 / whole, abs=0.06)
    assert share["model[one].width"] == pytest.approx(1 / 6 / whole, abs=0.06)
    assert share["model[two].depth"] < 0.01 and share["flag"] < 0.01


def test_importance_tells_effects_from_interactions():
    space = read_space({name: {"choice": ["left", "right"]} for name in ("one", "other")} | {"c": {"float": [0, 1]}})
    points = sampled(space, 60)
    found = explained(space, points, [float(point["one"] == point["other"]) for point in points])
    assert found["interactions"] > 0.9
    assert all(found["paths"][path]["main_effect"] < 0.05 for path in ("one", "other"))
    assert all(found["paths"][path]["shuffled"] > 0.5 for path in ("one", "other"))


def test_importance_needs_ten_trials_and_is_seeded():
    few = study_of(ONE, 9)
    reason = f"trials with a score: {len(few.ranked())}; importance needs at least 10"
    assert importance(few) == {"reason": reason}
    study = study_of(ONE, 30)
    assert importance(study) == importance(study)
    assert set(importance(study)["of"]["val_accuracy"]["paths"]) == {one.path for one in study.space}
    assert set(importance(study_of(THREE, 20))["of"]) == {"score", "val_accuracy", "parameters", "latency_ms"}


# --- pictures --------------------------------------------------------------------------------------------------------


def test_parallel_coordinates_put_values_where_they_lie():
    study = study_of(ONE, 30)
    trials = [trial for trial, _ in scored(study)]
    axes = {axis.title: axis for axis in axes_of(study, trials)}
    assert list(axes) == [
        "filters", "activation", "use_bias", "learning_rate", "peak (cosine)", "warmup (cosine)", "↑ val_accuracy",
    ]  # fmt: skip
    peaks = _heights(axes["peak (cosine)"], trials)
    for trial, height in zip(trials, peaks, strict=True):
        if PEAK in trial.point:
            assert height == pytest.approx((math.log10(trial.point[PEAK]) + 4) / 3)
        else:
            assert height == pytest.approx(ABSENT, abs=SPREAD)
    scores = _heights(axes["↑ val_accuracy"], trials)
    assert scores[0] == 1 and (np.diff(scores) <= 0).all()
    assert [text for _, text in axes["activation"].ticks] == ["relu", "tanh", "null"]


def test_a_path_that_no_trial_has_gets_no_axis():
    study = study_of(ONE, 30)
    trials = [trial for trial in study.ranked() if trial.point[RATE] == "constant"]
    assert [axis.title for axis in axes_of(study, trials)][3:] == ["learning_rate", "↑ val_accuracy"]


def test_the_front_of_two_objectives_is_the_study_s_front():
    study = study_of("[{maximize: val_accuracy}, {minimize: parameters, target: 100}]", 40)
    first, other = study.aim.objectives
    assert 1 < len(study.front()) < len(study.ranked())
    assert _front_of_two(study.ranked(), first, other) == study.front()


def test_a_cost_far_beyond_the_others_is_beyond_the_fence():
    assert fence([1.0, 2.0, 3.0, 4.0, 5.0, 1000.0]) == 5.0
    assert fence([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == 6.0
    assert fence([1.0, 1.0, 1.0, 1.0, 1.0]) == 1.0


def test_paths_are_shortened_to_what_tells_them_apart():
    paths = {
        "task.model": "model",
        "task.model[cnn].layers.0.filters": "layers.0.filters (cnn)",
        "task.model[cnn].layers.1.filters": "layers.1.filters (cnn)",
        "task.model[cnn].depth": "model[cnn].depth",
        "task.model[vit].depth": "model[vit].depth",
        "data.augment.0": "augment.0",
        "data.sampler.batch_size": "batch_size",
        "task.model[vit].a_long_name.which_goes_on.and_on.peak": "peak (vit)",
    }
    assert shortened(list(paths)) == list(paths.values())


def test_numbers_are_short():
    values = (0.0001, 0.25, 64, 1024, 5000, 30_000, 1.5e6, 0)
    assert [number_in_words(value) for value in values] == ["0.0001", "0.25", "64", "1024", "5k", "30k", "1.5M", "0"]


# --- TensorBoard -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hparams(tmp_path):
    """What TensorBoard's own HParams backend reads: the experiment, and session groups by name."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
    from tensorboard.plugins.hparams.backend_context import Context

    def read(study):
        shown(tmp_path, study)
        events = EventMultiplexer()
        events.AddRunsFromDirectory(str(tmp_path / "tensorboard"))
        events.Reload()
        context = Context(TBContext(data_provider=MultiplexerDataProvider(events, "")))
        request = api_pb2.GetExperimentRequest(include_metrics=True)
        experiment = get_experiment.Handler(RequestContext(), context, "", request).run()
        request = api_pb2.ListSessionGroupsRequest(
            slice_size=1000, include_metrics=True, allowed_statuses=[api_pb2.STATUS_SUCCESS]
        )
        groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
        return experiment, {group.name: group for group in groups}

    return read


def plain(value):
    return getattr(value, value.WhichOneof("kind"))


def test_tensorboard_reads_a_session_for_each_trial(hparams):
    study = study_of(THREE, 20)
    _, groups = hparams(study)
    counted = [trial for trial in study.trials if trial.counts]
    assert set(groups) == {f"trial {trial.number}" for trial in counted} and len(counted) < 20
    for trial in counted:
        group = groups[f"trial {trial.number}"]
        point = {path: "null" if value is None else value for path, value in trial.point.items()}
        assert {path: plain(value) for path, value in group.hparams.items()} == point
        (session,) = group.sessions
        metrics = {one.name.tag: one.value for one in session.metric_values}
        assert metrics == pytest.approx(trial.numbers, rel=1e-6)
        assert {one.training_step for one in session.metric_values} == {3}


def test_tensorboard_knows_the_domains(hparams):
    experiment, _ = hparams(study_of(ONE, 5))
    domains = {one.name: one for one in experiment.hparam_infos}
    assert next(one.name.tag for one in experiment.metric_infos) == "val_accuracy"
    assert (domains[PEAK].domain_interval.min_value, domains[PEAK].domain_interval.max_value) == (1e-4, 1e-1)
    assert domains[PEAK].display_name == "peak (cosine)"
    assert list(domains["task.model.layers.0.activation"].domain_discrete) == ["relu", "tanh", "null"]
    assert list(domains["task.model.layers.0.use_bias"].domain_discrete) == [False, True]
    assert list(domains[RATE].domain_discrete) == ["cosine", "constant"]


def test_tensorboard_forgets_what_was_written_before(hparams):
    assert set(hparams(study_of(ONE, 4))[1]) == {"trial 0", "trial 1", "trial 2", "trial 3"} - {
        f"trial {trial.number}" for trial in study_of(ONE, 4).trials if not trial.counts
    }
    assert len(hparams(study_of(ONE, 1))[1]) <= 1
