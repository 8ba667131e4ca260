"""Searches whose trainings are played: what the oracle asks, the journal keeps, and a killed search comes to."""

import errno
import fcntl
import io
import itertools
import json
import math
import random
import re
import signal
import types
from pathlib import Path

import pytest
from rich.console import Console

import kplug
from kplug import Executor, hookimpl
from kplug.default_plugins.search import reports as search_reports
from kplug.default_plugins.search.table import answer, first_trials, table
from kplug.errors import SearchStopped, SpecError
from kplug.storage.journal import Journal
from kplug.storage.metrics import best_row
from kplug.testing import check, plugged
from kplug.tuning import search as tune
from kplug.tuning.executor import FINISHED, PAUSED, REFUSED, Ended, Reported, TrialExecutor
from kplug.tuning.search import make_study, search
from kplug.tuning.study import Study

SPEC = """
name: played
task:
  type: classification
  model:
    type: layers
    layers:
      - {type: conv2d, filters: 4, kernel_size: 3, activation: relu}
      - flatten
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2, warmup: 0.2}}
data:
  source: digits
fit: {epochs: 9}
search:
  oracle: ORACLE
  objective: {maximize: val_accuracy}
  executor: EXECUTOR
  space:
    task.model.layers.0.filters: {int: [2, 32]}
    task.model.layers.0.activation: {choice: [relu, tanh, gelu]}
    task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}
    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}
"""
ORACLES = {
    "random": "{type: random, trials: 12}",
    "bayesian": "{type: bayesian, trials: 9, initial: 5}",
    "hyperband": "hyperband",
    "evolution": "{type: evolution, trials: 20, population: 6, sample: 3}",
    "grid": "{type: grid, trials: 12}",
}


def accuracy(spec, epoch):
    """What a training of a spec would come to: best near 20 filters and a rate of 0.01."""
    filters = spec["task.model.layers.0.filters"]
    rate = spec["task.optimizer.learning_rate"]
    peak = rate if isinstance(rate, float) else rate.arguments["peak"]
    worth = 1 - abs(filters - 20) / 40 - abs(math.log10(peak) + 2) / 8
    worth -= 0.05 * ["relu", "tanh", "gelu"].index(spec["task.model.layers.0.activation"])
    return worth * (1 - math.exp(-epoch / 3))


class Played(TrialExecutor):
    """Plays trainings, one event at a time in turn; keeps how far each run came, as a checkpoint does."""

    def __init__(self, workers=1, far=None, ends=None):
        self.workers, self.far, self.jobs, self.ends = workers, {} if far is None else far, {}, ends or {}
        self.started, self.most = [], 0

    def start(self, job):
        self.started.append(job.name)
        spec = kplug.loads(job.spec)
        numbers = {"parameters": 100.0 * spec["task.model.layers.0.filters"], "latency_ms": 1.0}
        self.jobs[job.name] = [job, spec, None, {name: numbers[name] for name in job.wanted}]
        self.most = max(self.most, len(self.jobs))

    def wait(self, seconds):
        name = sorted(self.jobs)[random.Random(len(self.started)).randrange(len(self.jobs))]
        _, spec, epoch, numbers = self.jobs[name]
        if name in self.ends:
            del self.jobs[name]
            return [Ended(name, *self.ends[name])]
        if epoch is None:
            return [Reported(name, 0, numbers)]
        if epoch < spec["fit.epochs"]:
            return [Reported(name, epoch + 1, {"val_accuracy": accuracy(spec, epoch + 1), "loss": 1.0})]
        del self.jobs[name]
        return [Ended(name, FINISHED, numbers)]

    def answer(self, name, go_on):
        job, spec, epoch, numbers = self.jobs[name]
        if epoch is None:
            if not go_on:
                del self.jobs[name]
                self.ends_next(name, Ended(name, REFUSED, numbers))
            self.jobs.get(name, [0, 0, 0])[2] = self.far.get(job.run, 0)
            return
        self.jobs[name][2] = self.far[job.run] = epoch + 1
        if not go_on:
            self.ends_next(name, Ended(name, PAUSED, numbers))
            self.jobs[name][1] = spec

    def ends_next(self, name, ended):
        self.jobs.setdefault(name, [None] * 4)
        self.ends[name] = (ended.how, ended.numbers)

    def kill(self, name):
        del self.jobs[name]

    def interrupt(self):
        return []

    def stop(self):
        self.jobs.clear()


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Search a spec with played trainings; everything that follows a directory's name is one search."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_reports, "write_reports", lambda search: None)  # test_search_reports.py has them drawn
    far = {}

    def played(spec, directory="search", resume=False, workers=1, ends=None, plugins=(), watch=None):
        executor = Played(workers, far, dict(ends or {}))

        def plays() -> Executor:
            """Play."""
            return executor

        with plugged(plays, *plugins):
            found = search(kplug.loads(spec.replace("EXECUTOR", "plays")), tmp_path / directory, resume, watch)
        return found, executor

    return played


def seen(found):
    """What must be the same: trials, values, ends."""
    return [(t.point, t.epochs, t.origin, t.status, t.numbers, t.reports) for t in found.trials]


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("oracle", "kills"),
    [(oracle, 3) for oracle in ORACLES if oracle != "bayesian"]
    + [pytest.param(oracle, 20, marks=pytest.mark.slow) for oracle in ORACLES],
)
def test_a_killed_search_ends_as_the_whole_one(play, monkeypatch, oracle, kills):
    spec = SPEC.replace("ORACLE", ORACLES[oracle])
    whole, _ = play(spec, "whole")
    events = len(list(Journal(whole.path / "journal.jsonl")))
    append = Journal.append
    rng = random.Random(0)
    for number in range(kills):
        left = rng.randrange(1, events)

        def dying(self, event, **content):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            append(self, event, **content)

        monkeypatch.setattr(Journal, "append", dying)
        directory = f"killed-{number}"
        with pytest.raises(Killed):
            play(spec, directory)
        monkeypatch.setattr(Journal, "append", append)
        begun = (whole.path.parent / directory / "journal.jsonl").exists()
        resumed, _ = play(spec, directory, resume=begun)
        assert seen(resumed) == seen(whole)
        assert (resumed.path / "best.yaml").read_text().partition("\n")[2] == (
            whole.path / "best.yaml"
        ).read_text().partition("\n")[2]


@pytest.mark.parametrize(
    "oracle", ["random", "hyperband", "evolution", "grid", pytest.param("bayesian", marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_trials_and_another_others(play, oracle):
    spec = SPEC.replace("ORACLE", ORACLES[oracle])
    one, other = play(spec, "one")[0], play(spec, "other")[0]
    assert seen(one) == seen(other)
    if oracle != "grid":
        third, _ = play(spec.replace("name: played", "name: played\nseed: 1"), "third")
        points = [str(trial.point) for trial in third.trials]
        assert len({str(trial.point) for trial in one.trials} & set(points)) <= 1


def test_hyperband_promotes_by_going_on(play):
    found, _ = play(SPEC.replace("ORACLE", "hyperband"))
    promoted = [trial for trial in found.trials if trial.origin != trial.number]
    assert promoted
    for trial in promoted:
        assert len(trial.reports[0]) == trial.epochs
        assert found.trials[trial.origin].epochs < trial.epochs
    assert {trial.status for trial in found.trials} == {"finished", "paused"}
    assert len(found.trials) - len(promoted) == len(list((found.path / "trials").glob("*.yaml"))) - len(promoted)


def test_what_hyperband_promotes_had_been_kept(play):
    kept = set()

    def watch(found, trials):
        kept.update(trial.number for trial in found.trials if found.study.may_go_on(trial))

    found, _ = play(SPEC.replace("ORACLE", "hyperband"), watch=watch)
    before = {int(trial.values["tuner/trial_id"]) for trial in found.trials if "tuner/trial_id" in trial.values}
    assert before
    assert before <= kept
    assert not any(map(found.study.may_go_on, found.trials))


def test_hyperband_needs_as_many_points_as_its_first_round(play):
    spec = SPEC.replace("ORACLE", "hyperband")
    spec = spec[: spec.index("    task.model.layers.0.activation")]
    play(spec.replace("[2, 32]", "[2, 10]"))
    with pytest.raises(SpecError, match=r"hyperband begins with 9 points, .* and the space has 8; .* grid"):
        play(spec.replace("[2, 32]", "[2, 9]"), "other")


def test_hyperband_needs_as_many_epochs_as_a_promotion_takes(play):
    with pytest.raises(
        SpecError, match=r"search.oracle: hyperband promotes to trainings 3 times as long .* comes to 2: no trial"
    ):
        play(SPEC.replace("ORACLE", "hyperband").replace("epochs: 9", "epochs: 2"))


def test_evolution_does_better_than_its_first_population(play):
    found, _ = play(SPEC.replace("ORACLE", "{type: evolution, trials: 60, population: 10, sample: 4}"))
    values = [trial.numbers["val_accuracy"] for trial in found.trials]
    assert sum(values[-10:]) / 10 > sum(values[:10]) / 10 + 0.05
    assert len({json.dumps(trial.point, sort_keys=True) for trial in found.trials}) == 60


# --- what the study makes of it --------------------------------------------------------------------------------------

RANDOM = SPEC.replace("ORACLE", "{type: random, trials: 12}")


def with_search(**lines):
    text = RANDOM
    for key, value in lines.items():
        if key == "objective":
            text = text.replace("objective: {maximize: val_accuracy}", f"objective: {value}")
        else:
            text = text.replace("  executor:", f"  {key}: {value}\n  executor:")
    return text


def test_trials_that_fall_behind_are_pruned(play):
    found, _ = play(with_search(prune="{type: median, trials: 3}").replace("trials: 12", "trials: 40"))
    pruned = [trial for trial in found.trials if trial.status == "pruned"]
    assert pruned
    assert all(len(trial.reports[0]) < 9 for trial in pruned)
    assert found.best.status == "finished"
    finished = [trial.numbers["val_accuracy"] for trial in found.trials if trial.status == "finished"]
    whole = [accuracy(trial.spec, 9) for trial in pruned]
    assert sum(whole) / len(whole) < sum(finished) / len(finished)


def test_ctrl_c_waits_for_what_is_judged_to_be_in_the_journal(play, tmp_path, monkeypatch):
    text = with_search(prune="median")
    whole, _ = play(text, "whole")
    judge, judged = Study.is_behind, []

    def interrupted(study, trial, repeat):
        judged.append((trial.number, len(trial.reports[0])))
        if len(judged) == 20:
            signal.raise_signal(signal.SIGINT)
        return judge(study, trial, repeat)

    with monkeypatch.context() as patched:
        patched.setattr(Study, "is_behind", interrupted)
        with pytest.raises(KeyboardInterrupt):
            play(text)
    last = [*Journal(tmp_path / "search" / "journal.jsonl")][-1]
    assert (last["event"], last["trial"], last["epoch"]) == ("report", *judged[-1])
    assert len(judged) == 20
    assert seen(play(text, resume=True)[0]) == seen(whole)


def test_successive_halving_stops_two_of_three_at_each_rung(play):
    found, _ = play(with_search(prune="{type: successive_halving, factor: 3}").replace("trials: 12", "trials: 90"))
    lengths = [len(trial.reports[0]) for trial in found.trials]
    assert set(lengths) == {1, 3, 9}
    assert lengths.count(1) > 45
    assert lengths.count(9) < 25


def test_what_breaks_a_constraint_is_not_trained(play):
    found, executor = play(with_search(constraints="{parameters: {at_most: 1500}}"))
    for trial in found.trials:
        too_large = trial.point["task.model.layers.0.filters"] > 15
        assert (trial.status == "refused") == too_large
        assert (not trial.reports) == too_large
        if too_large:
            assert trial.reason == f"parameters is {trial.numbers['parameters']:,.6g}, more than 1,500"
    assert executor.started


def test_a_constraint_on_what_is_reported_is_judged_at_the_end(play):
    found, _ = play(with_search(constraints="{val_accuracy: {at_least: 0.5}}"))
    for trial in found.trials:
        assert (trial.status == "refused") == (max(row["val_accuracy"] for row in trial.reports[0]) < 0.5)


def test_a_front_of_two_objectives(play):
    written = "[{maximize: val_accuracy}, {minimize: parameters, target: 1000, weight: 0.1}]"
    found, _ = play(with_search(objective=written))
    front = {trial.number for trial in found.study.front()}
    numbers = {t.number: (-t.numbers["val_accuracy"], t.numbers["parameters"]) for t in found.trials}
    for number, mine in numbers.items():
        beaten = any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in numbers.values())
        assert (number in front) == (not beaten)
    for trial in found.trials:
        product = trial.numbers["val_accuracy"] * (trial.numbers["parameters"] / 1000) ** -0.1
        assert trial.score == pytest.approx(product)
    assert found.best.number in front


def test_points_that_are_the_same_spec_are_trained_once(play):
    text = RANDOM.replace("{choice: [relu, tanh, gelu]}", "{choice: {one: relu, two: relu}}").replace(
        "[2, 32]", "[2, 3]"
    )
    text = text.replace("    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}\n", "")
    found, executor = play(text.replace("{type: random, trials: 12}", "grid"))
    assert [trial.status for trial in found.trials].count("same") == 4
    assert len(executor.started) == 4
    for trial in found.trials:
        if trial.status == "same":
            assert trial.reason.startswith("trial ")
            assert trial.numbers["val_accuracy"] == accuracy(trial.spec, 9)


def test_each_point_is_trained_with_several_seeds_and_folds(play):
    found, executor = play(with_search(repeats="{seeds: 2, folds: 3}").replace("trials: 12", "trials: 2"))
    assert executor.started == [f"{trial:04}-{repeat}" for trial in range(2) for repeat in range(6)]
    trial = found.trials[0]
    assert trial.spread == {"val_accuracy": 0.0, "loss": 0.0}
    assert [found.kept.run(trial, repeat).name for repeat in range(6)] == list("012345")


def test_the_winner_is_among_those_that_were_trained_in_full(play):
    found, _ = play(SPEC.replace("ORACLE", "hyperband"))
    assert found.best.status == "finished"
    best = kplug.load(found.path / "best.yaml")
    assert best == found.best.spec
    assert best["search"] is None
    assert best["fit.best"] == {"maximize": "val_accuracy"}


def test_a_trial_that_fails_is_told_and_the_others_go_on(play):
    found, _ = play(RANDOM, ends={"0003-0": ("failed", {}, "it crashed")})
    assert [trial.status for trial in found.trials].count("failed") == 1
    assert found.trials[3].reason == "it crashed"
    assert len(found.trials) == 12


def test_failures_in_a_row_stop_the_search_and_it_can_go_on(play):
    ends = {f"{number:04}-0": ("failed", {}, "it crashed") for number in range(3, 12)}
    with pytest.raises(SearchStopped, match="2 trials in a row failed, the last of them: it crashed"):
        play(with_search(failures=2), ends=ends)
    found, _ = play(with_search(failures=2), resume=True)
    assert [trial.status for trial in found.trials].count("failed") == 2
    assert len(found.trials) == 12


def test_a_search_whose_time_is_over_begins_no_further_trial_and_can_go_on(play, monkeypatch, capsys):
    whole, _ = play(RANDOM, "whole")
    clock = types.SimpleNamespace(monotonic=itertools.count().__next__)  # a second whenever it is looked at
    with monkeypatch.context() as patched:
        patched.setattr("kplug.tuning.loop.time", clock)
        found, _ = play(with_search(timeout=8))
    assert 0 < len(found.trials) < 12
    assert {trial.status for trial in found.trials} == {"finished"}
    assert "8 seconds are over (search.timeout): no further trial begins; --resume goes on" in capsys.readouterr().err
    found, _ = play(RANDOM, resume=True)
    assert seen(found) == seen(whole)


def test_an_error_in_code_stops_the_search_with_its_traceback(play):
    with pytest.raises(SearchStopped, match=r"(?s)trial 2 \(.*\) broke:\nTraceback.*--resume goes on"):
        play(RANDOM, ends={"0002-0": ("broken", {}, "Traceback (most recent call last):\n ...")})
    found, _ = play(RANDOM, resume=True)
    assert {trial.status for trial in found.trials} == {"finished"}


def test_what_does_not_fit_whatever_the_point_stops_the_search(play):
    with pytest.raises(SpecError, match="no such folder"):
        play(RANDOM, ends={"0002-0": ("refused", {}, "no", (("data.source.path", "no such folder"),))})
    found, _ = play(RANDOM, directory="other", ends={"0002-0": ("refused", {}, "no", (("task.model", "no"),))})
    assert found.trials[2].status == "refused"


def test_more_trials_are_added_to_a_finished_search(play):
    first, _ = play(RANDOM)
    more, executor = play(RANDOM.replace("trials: 12", "trials: 15"), resume=True)
    assert seen(more)[:12] == seen(first)
    assert len(more.trials) == 15
    assert len(executor.started) == 3
    with pytest.raises(SpecError, match=r"search.oracle.trials: was 15 .* and is 5"):
        play(RANDOM.replace("trials: 12", "trials: 5"), resume=True)


def test_hyperband_goes_through_its_brackets_again_when_asked_for_more(play):
    def hyperband(iterations):
        return SPEC.replace("ORACLE", f"{{type: hyperband, iterations: {iterations}}}")

    whole, _ = play(hyperband(2), "whole")
    first, _ = play(hyperband(1))
    assert len(first.trials) == first.study.oracle.max_trials == whole.study.oracle.max_trials / 2
    more, _ = play(hyperband(2), resume=True)
    assert seen(more) == seen(whole)
    with pytest.raises(SpecError, match=r"search\.oracle\.iterations: was 2"):
        play(hyperband(1), resume=True)


def test_grid_proposes_while_trials_are_under_way_and_the_same(play):
    spec = SPEC.replace("ORACLE", ORACLES["grid"])
    one, _ = play(spec, "one")
    several, executor = play(spec, "several", workers=3)
    assert executor.most == 3
    assert [trial.point for trial in several.trials] == [trial.point for trial in one.trials]


def test_hyperband_replays_what_several_workers_came_to(play):
    """With fewer points than it would try, it asks in vain, which the journal does not tell."""
    spec = SPEC.replace("ORACLE", "{type: hyperband, iterations: 2}").replace("[2, 32]", "[2, 4]")
    for seed in range(4):
        text = spec.replace("name: played", f"name: played\nseed: {seed}")
        found, _ = play(text, f"seed-{seed}", workers=3)
        again, executor = play(text, f"seed-{seed}", workers=3, resume=True)
        assert seen(again) == seen(found)
        assert not executor.started


def test_bayesian_does_not_propose_again_what_was_refused(play):
    text = RANDOM.replace("{type: random, trials: 12}", "{type: bayesian, trials: 12, initial: 3}")
    found, _ = play(text.replace("  executor:", "  constraints: {parameters: {at_most: 1000}}\n  executor:"))
    refused = [str(trial.point) for trial in found.trials if trial.status == "refused"]
    assert len(refused) >= 2
    assert len({str(trial.point) for trial in found.trials}) == 12


def test_bayesian_foresees_what_is_under_way_from_what_ended():
    """So that a study which took its first proposals from a journal makes the next one as another did."""
    text = SPEC.replace("ORACLE", "{type: bayesian, trials: 9, initial: 3}").replace("EXECUTOR", "processes")

    def proposed(known):
        study, points = make_study(kplug.loads(text)), []
        for number in range(6):
            trial = study.ask(known[number] if number < len(known) else None)
            points.append(trial.values)
            if number != 3:  # which is under way to the end
                study.report(trial, 0, 9, {"val_accuracy": 1 / (1 + trial.point["task.model.layers.0.filters"])})
                study.tell(trial, FINISHED, {})
        return points

    live = proposed([])
    assert proposed(live[:5]) == live


def test_a_first_epoch_without_a_value_is_not_the_best():
    spec = kplug.loads(RANDOM.replace("EXECUTOR", "processes").replace("{epochs: 9}", "{best: {maximize: accuracy}}"))
    rows = [{"accuracy": value} for value in (math.nan, 0.2, 0.4, 0.3)]
    assert best_row(rows, spec) == {"accuracy": 0.4}


@pytest.mark.parametrize("best, value", [("{maximize: val_accuracy}", 0.6), ("last", 0.5)])
def test_the_value_is_that_of_the_kept_weights_though_a_setback_gave_their_epoch_up(best, value):
    text = RANDOM.replace("EXECUTOR", "processes").replace("{epochs: 9}", f"{{epochs: 9, best: {best}}}")
    study = make_study(kplug.loads(text))
    trial = study.ask()
    for epoch, reported in ((1, 0.3), (2, 0.6), (1, 0.2), (2, 0.4), (3, 0.5)):
        study.report(trial, 0, epoch, {"val_accuracy": reported})
    study.tell(trial, FINISHED, {})
    assert [row["val_accuracy"] for row in trial.reports[0]] == [0.2, 0.4, 0.5]
    assert trial.numbers == {"val_accuracy": value}


def test_what_a_resumed_training_reports_otherwise_takes_the_place_of_what_was():
    """Some devices do not compute the same twice."""
    study = make_study(kplug.loads(RANDOM.replace("EXECUTOR", "processes")))
    trial = study.ask()
    for reports in ([(1, 0.3), (2, 0.6), (3, 0.9)], [(2, 0.55), (3, 0.5)]):
        study.begin(trial, 0)
        for epoch, reported in reports:
            study.report(trial, 0, epoch, {"val_accuracy": reported})
    study.tell(trial, FINISHED, {})
    assert trial.numbers == {"val_accuracy": 0.55}


def test_what_stopped_and_is_trained_again_stops_there_again(play, monkeypatch):
    """An executor may have lost it."""
    pause, lost = Played.answer, []

    def answer(executor, name, go_on):
        if not go_on and not lost:
            lost.append(name)
            executor.far.pop(executor.jobs[name][0].run, None)
            executor.jobs[name][2] = None
        else:
            pause(executor, name, go_on)

    monkeypatch.setattr(Played, "answer", answer)
    text = with_search(prune="{type: median, trials: 3}").replace("trials: 12", "trials: 20")
    found, _ = play(text, "lost")
    assert lost
    monkeypatch.setattr(Played, "answer", pause)
    assert seen(found) == seen(play(text, "whole")[0])


def test_a_line_that_the_disk_had_no_room_for_is_taken_back(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("search", format=1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(SpecError, match=r"No space left on device; free the disk, then --resume goes on"):
            journal.append("ask", trial=0)
    journal.append("ask", trial=1)
    assert [event.get("trial") for event in journal] == [None, 1]


def test_a_search_keeps_to_the_threads_that_it_began_with(play):
    with pytest.raises(SearchStopped):
        play(with_search(failures=1), ends={"0003-0": ("failed", {}, "it crashed")})
    found, executor = play(with_search(failures=1), resume=True, workers=2)
    assert executor.most == 2
    assert {trial.spec["fit.threads"] for trial in found.trials} == {None}


def test_a_search_that_was_killed_before_its_first_line_begins_anew(play, tmp_path):
    (tmp_path / "search" / "trials").mkdir(parents=True)
    for name in ("lock", "spec.yaml"):
        (tmp_path / "search" / name).touch()
    found, _ = play(RANDOM)
    assert len(found.trials) == 12
    with pytest.raises(SpecError, match="already holds a search"):
        play(RANDOM)


def test_a_mended_spec_takes_the_place_of_one_of_which_nothing_came(play, capsys):
    """Its objective was written wrongly, which shows when a training begins."""
    wrong = RANDOM.replace("val_accuracy", "val_acuracy")
    with pytest.raises(SpecError, match=r"'val_acuracy' is not reported; did you mean 'val_accuracy'\?"):
        play(wrong)
    with pytest.raises(SpecError, match="already holds a search; --resume goes on with it"):
        play(wrong)
    found, _ = play(RANDOM)
    assert "nothing was trained there with the spec of before; the search begins anew" in capsys.readouterr().err
    assert seen(found) == seen(play(RANDOM, "other")[0])
    with pytest.raises(SpecError, match="was 'val_accuracy' when the search began"):
        play(wrong, resume=True)


def test_two_searches_do_not_share_a_directory(play, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tune, "LOCK_PATIENCE", 0.5)
    monkeypatch.setattr(tune, "LOCK_SILENCE", 0.1)
    (tmp_path / "search").mkdir()
    with open(tmp_path / "search" / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SpecError, match="another process searches here"):
            play(RANDOM)
    assert capfd.readouterr().err.count("another process searches here; waiting") == 1
    assert len(play(RANDOM)[0].trials) == 12


def test_an_oracle_that_ran_out_of_points_says_so(play, capfd):
    text = RANDOM.replace("[2, 32]", "[2, 3]").replace("[relu, tanh, gelu]", "[relu, tanh]")
    found, _ = play(text.replace("    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}\n", ""))
    assert len(found.trials) == 8
    assert "the oracle finds no point that it has not proposed; it ends after 8 of 12 trials" in capfd.readouterr().err


def shown(search, trials, seconds):
    """The table of a search as lines of a wide terminal."""
    console = Console(width=160, file=io.StringIO())
    console.print(table(search, trials, seconds))
    return console.file.getvalue().splitlines()


def test_the_table_tells_what_is_under_way_and_what_was_best(play):
    tables = []

    def watch(search, trials):
        seconds = 60 * sum(bool(trial.status) for trial in search.trials)  # a minute a trial
        tables.append(shown(search, trials, seconds))

    found, _ = play(RANDOM, workers=2, watch=watch)
    assert tables[0][0].strip() == "0 of 12 trials"  # how long one takes is not known
    assert tables[-1][0].strip() == "12 of 12 trials"
    middle = next(lines for lines in tables if lines[0].startswith("6 of 12 trials"))
    assert middle[0].strip() == "6 of 12 trials; about 6 min left"
    assert middle[1].split() == ["trial", "state", "point", "val_accuracy"]
    assert [" epoch " in line and "/9 " in line for line in middle[2:4]] == [True, True]
    assert len(middle) == 4 + 6
    ranked = [line.split()[:2] for line in tables[-1][2:]]
    assert ranked[0] == [str(found.best.number), "best"]
    assert len(ranked) == 8  # of the others only the best
    assert f"{found.best.numbers['val_accuracy']:.5g}" in tables[-1][2]


def test_the_table_knows_of_a_search_that_ends_by_its_time(play):
    heads = []

    def watch(search, trials):
        heads.append(shown(search, trials, 60 * trials.ended_here)[0].strip())

    play(with_search(timeout=240), watch=watch)
    assert "3 of 12 trials; about 2 min left" in heads  # one minute until no further begins, and one for that which has
    assert "10 of 12 trials; about 1 min left" in heads


def test_a_dry_run_tells_the_space_and_the_first_trials(capsys):
    text = with_search(constraints="{parameters: {at_most: 10000}}").replace("EXECUTOR", "processes")
    first_trials(kplug.loads(text), as_json=False)
    size, *lines = capsys.readouterr().out.splitlines()
    assert size == "the space has more points than can be counted (an interval has no step), over 4 paths"
    assert lines[0] == "  task.model.layers.0.filters: 2 to 32"
    assert lines[1] == "  task.model.layers.0.activation: relu, tanh, gelu"
    assert lines[3] == "  task.optimizer.learning_rate[cosine].peak: 0.0001 to 0.1, evenly over orders of magnitude"
    trials = lines[5:]
    assert len(trials) == 5
    counts = [int(re.search(r"  ([\d,]+) parameters, 9 epochs", trial)[1].replace(",", "")) for trial in trials]
    assert ["more than 10,000" in trial for trial in trials] == [count > 10000 for count in counts]
    assert min(counts) < 10000 < max(counts)


def test_a_dry_run_says_once_what_is_wrong_with_every_point(capsys):
    text = RANDOM.replace("EXECUTOR", "processes").replace("source: digits", "source: {type: folder, path: gone}")
    with pytest.raises(SpecError, match="gone"):
        first_trials(kplug.loads(text), as_json=False)
    assert not capsys.readouterr().out


def test_a_search_in_which_nothing_finished_is_no_success(play, capsys):
    found, _ = play(with_search(constraints="{parameters: {at_most: 10}}"))
    with pytest.raises(SearchStopped, match=r"no trial finished: parameters is .*, more than 10"):
        answer(found, as_json=False)
    assert "trials: 12 refused" in capsys.readouterr().out


def test_workers_share_the_trials(play):
    found, executor = play(RANDOM, workers=3)
    assert len(found.trials) == 12
    assert {trial.status for trial in found.trials} == {"finished"}
    assert len(executor.started) == 12
    order = [event["trial"] for event in Journal(found.path / "journal.jsonl") if event["event"] == "tell"]
    assert sorted(order) == list(range(12)) != order
    resumed, _ = play(RANDOM, resume=True, workers=3)
    assert seen(resumed) == seen(found)


def test_a_plugin_writes_into_the_search_when_it_ends_or_is_stopped(play, tmp_path):
    class Noting:
        @hookimpl
        def searched(self, search):
            ended = sum(trial.status == "finished" for trial in search.trials)
            (search.path / "noted").write_text(f"{ended} finished, {(search.path / 'best.yaml').exists()}")

    found, _ = play(RANDOM, plugins=[Noting()])
    assert (found.path / "noted").read_text() == "12 finished, True"
    with pytest.raises(SearchStopped):
        play(RANDOM, directory="broken", ends={"0002-0": ("broken", {}, "Traceback")}, plugins=[Noting()])
    assert (tmp_path / "broken" / "noted").read_text() == "2 finished, True"


# --- wrong input -----------------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_left_out_and_done_again(play, capsys):
    whole, _ = play(RANDOM)
    journal = whole.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])
    resumed, _ = play(RANDOM, resume=True)
    assert seen(resumed) == seen(whole)
    assert "its last line was torn and is left out" in capsys.readouterr().err


def test_another_search_cannot_go_on_in_its_directory(play):
    play(RANDOM)
    with pytest.raises(SpecError, match=r"search.space.task.model.layers.0.filters.int.1: was 32 .* and is 16"):
        play(RANDOM.replace("[2, 32]", "[2, 16]"), resume=True)
    with pytest.raises(SpecError, match="already holds a search; --resume goes on with it"):
        play(RANDOM)
    with pytest.raises(SpecError, match="holds no search"):
        play(RANDOM, directory="nowhere", resume=True)


def test_a_journal_that_is_damaged_is_refused_by_its_line(play):
    found, _ = play(RANDOM)
    journal = found.path / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:4], "{}\n", *lines[5:]]))
    with pytest.raises(SpecError, match=r"journal.jsonl:5: is no event of a search"):
        play(RANDOM, resume=True)


def test_a_journal_that_lost_lines_is_refused(play):
    found, _ = play(RANDOM)
    journal = found.path / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if json.loads(line).get("epoch") == 3)
    journal.write_text("".join([*lines[:number], *lines[number + 1 :]]))
    with pytest.raises(SpecError, match=rf"journal.jsonl:{number + 1}: is no event of a search"):
        play(RANDOM, resume=True)
    journal.write_text("".join(lines).replace('"trial": 3', '"trial": 30'))
    with pytest.raises(SpecError, match="is no event of a search"):
        play(RANDOM, resume=True)


@pytest.mark.parametrize("left", ["", '{"event": "sea'])
def test_trials_without_their_journal_are_not_touched(play, left):
    found, _ = play(RANDOM)
    (found.path / "journal.jsonl").write_text(left)
    before = sorted(found.path.rglob("*"))
    with pytest.raises(SpecError, match="is empty, but there are trials beside it; put it back"):
        play(RANDOM, resume=True)
    assert sorted(found.path.rglob("*")) == before


def test_an_oracle_that_proposes_otherwise_is_refused(play):
    found, _ = play(RANDOM)
    journal = found.path / "journal.jsonl"
    text = journal.read_text()
    asked = json.loads(next(line for line in text.splitlines() if '"ask"' in line))
    point = json.dumps(asked["point"])
    journal.write_text(text.replace(point, point.replace("relu", "gelu").replace("tanh", "relu")))
    if journal.read_text() == text:
        journal.write_text(text.replace(point, point.replace("gelu", "relu")))
    with pytest.raises(SpecError, match="trial 0 does not come out as it did"):
        play(RANDOM, resume=True)


def test_a_journal_of_another_format_is_refused(play):
    found, _ = play(RANDOM)
    journal = found.path / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(SpecError, match="it is of format 99, and this kplug reads 2"):
        play(RANDOM, resume=True)


# --- an oracle of one's own ------------------------------------------------------------------------------------------


class Chance:
    """Random points, one at a time, none beside another that is under way."""

    def __init__(self, info, trials):
        self.info, self.trials, self.told = info, trials, []

    def ask(self, trials):
        if len(trials) == self.trials:
            return None
        if len(self.told) < len(trials):
            return "wait"
        return self.info.space.sample(random.Random(len(trials)))

    def tell(self, trial):
        self.told.append((trial.number, str(trial.status), trial.score))


def chance(info: kplug.SearchInfo, trials: kplug.Count = 6) -> kplug.Oracle:
    """Random points.

    Args:
        trials: how many.
    """
    return Chance(info, trials)


def test_an_oracle_that_is_asked_and_told_keeps_its_contract():
    check(chance)


@pytest.mark.parametrize("first", ["", "  first: [{}, {task.model.layers.0.filters: 8}]\n"])
def test_an_oracle_that_is_asked_and_told_searches_and_goes_on(play, tmp_path, first):
    text = SPEC.replace("ORACLE", "{type: chance, trials: 6}").replace("  space:\n", f"{first}  space:\n")
    text = text.replace(", warmup: 0.2", "")  # as one of the labels has it
    found, executor = play(text, plugins=[chance], workers=2, ends={"0003-0": ("failed", {}, "it crashed")})
    assert executor.most == (2 if first else 1)  # those that are given do not wait
    assert [trial.number for trial in found.trials] == list(range(6))
    if first:
        assert [trial.point["task.model.layers.0.filters"] for trial in found.trials[:2]] == [4, 8]
    told = found.study.oracle.told
    assert [status for _, status, _ in told] == ["finished"] * 3 + ["failed"] + ["finished"] * 2
    assert [score for _, _, score in told] == [trial.numbers.get("val_accuracy") for trial in found.trials]
    again, executor = play(text, plugins=[chance], resume=True)
    assert seen(again) == seen(found)
    assert not executor.started


def test_an_oracle_of_keras_tuner_of_somebody_else_searches(play):
    def other(info: kplug.SearchInfo) -> kplug.Oracle:
        """Random points of Keras Tuner."""
        import keras_tuner

        return keras_tuner.oracles.RandomSearchOracle(
            info.objective, max_trials=4, hyperparameters=info.hyperparameters, seed=info.seed
        )

    found, _ = play(SPEC.replace("ORACLE", "other"), plugins=[other])
    assert len(found.trials) == 4


PRIVATE = re.compile(
    r"\b(_random_values|populate_space|_save_trial|_seed_state|_tried_so_far|_duplicate|_max_collisions|_populate_next|"
    r"_brackets|_get_size|_get_num_brackets|_get_num_rounds|_random_state|_get_hp_bounds|_vectorize_trials|"
    r"_nonfixed_space|ongoing_trials|start_order|end_order)\b"
)


def test_private_names_of_keras_tuner_are_in_one_module():
    root = Path(kplug.__file__).parent
    files = [path.relative_to(root) for path in root.rglob("*.py") if PRIVATE.search(path.read_text())]
    assert files == [Path("tuning/keras_tuner_adapter.py")]
