"""Runs and searches that kplug 0.1.0 left open, answer, go on and end in this version as they did in it.

They are in tests/old, whose README says what each is. Trainings are the same to the bit on the machine where they were
made, with the same packages: `KPLUG_TO_THE_BIT=1 pytest tests/test_old.py` asks for that.
"""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import kplug
from kplug.testing import plugged
from kplug.tuning.executor import FINISHED, PAUSED, Ended, Reported, TrialExecutor

OLD = Path(__file__).parent / "old"
EXPECTED = json.loads((OLD / "expected.json").read_text())
PROPOSALS = json.loads((OLD / "proposals.json").read_text())
TO_THE_BIT = os.environ.get("KPLUG_TO_THE_BIT") == "1"
NEAR = 0 if TO_THE_BIT else 1e-4  # of what is trained again, relative
WEIGHTS = ("model.weights.h5", "last.weights.h5")


@pytest.fixture
def copied(tmp_path):
    """Gives a copy of something in tests/old, beside the specs."""
    for path in (OLD / "specs").iterdir():
        shutil.copy(path, tmp_path)

    def copy(name):
        return Path(shutil.copytree(OLD / name, tmp_path / name))

    return copy


def said(folder, *words):
    """What the command line says in a folder, in a process of its own: how many threads compute is settled once."""
    done = subprocess.run([sys.executable, "-m", "kplug", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def digests(path):
    """Of the arrays in a weights file, in whatever order."""
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return sorted(hashlib.sha256(value.tobytes()).hexdigest() for value in found)


def assert_close(found, then, rel):
    """Numbers are close, words and truths are the same, by name; a later version may tell more."""
    for name, before in then.items():
        is_number = type(before) in (int, float)
        assert found[name] == (pytest.approx(before, rel=rel, abs=rel / 10) if is_number else before), name


def assert_end(path, then):
    """A run came to what it came to in 0.1.0."""
    found = rows(path / "metrics.jsonl")
    assert len(found) == len(then["rows"])
    for row, before in zip(found, then["rows"], strict=True):
        assert_close(row, before, NEAR)
    run = kplug.Run.open(path)
    assert run.finished
    assert_close(run.metrics, then["metrics"], NEAR)
    if TO_THE_BIT:
        assert {name: digests(path / name) for name in WEIGHTS} == then["sha256"]


def predictions(run):
    """What a run says of two of its own samples: the score of each class."""
    found = run.predict([run.path / "samples/00.png", run.path / "samples/01.png"], top=10)
    return [dict(answer["top"]) for answer in found]


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["finished", "killed", "parts", "search/trials/0000"])
def test_a_run_opens(copied, name):
    run = kplug.Run.open(copied(name))
    assert run.finished == (name != "killed")
    assert run.spec["data.source"].name == "digits"
    assert run.spec["fit.threads"] == 1
    assert run.info.classes == tuple("0123456789")
    assert sum(run.info.counts) == run.info.splits["train"] == 1294
    assert [row["epoch"] for row in run.rows("metrics.jsonl")] == list(range(1, len(run.rows("metrics.jsonl")) + 1))


def test_a_spec_says_what_it_said(copied):
    spec = kplug.Run.open(copied("finished")).spec
    assert spec.name == "finished"
    assert spec["task.model"].arguments["layers"][0].arguments["filters"] == 8
    assert spec["task.optimizer.learning_rate.peak"] == 2e-2
    assert [node.name for node in spec["data.augment"]] == ["random_translation"]
    assert [epochs for epochs, _ in kplug.Run.open(copied("parts")).spec.stages()] == [1, 1]


@pytest.mark.parametrize("name", ["finished", "parts"])
def test_it_measures_and_says_what_it_did(copied, name):
    run = kplug.Run.open(copied(name))
    assert_close(run.evaluate("test"), EXPECTED[name]["evaluation"], 1e-5)
    for found, then in zip(predictions(run), EXPECTED[name]["predictions"], strict=True):
        assert_close(found, then, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finished", "parts"])
def test_its_export_says_what_it_did(copied, name):
    import tensorflow as tf

    run = kplug.Run.open(copied(name))
    served = tf.saved_model.load(str(run.export())).signatures["serving_default"]
    pictures = [(run.path / f"samples/0{number}.png").read_bytes() for number in (0, 1)]
    answers = served(image_bytes=tf.constant(pictures))
    assert answers["valid"].numpy().all()
    for found, then in zip(answers["probabilities"].numpy(), EXPECTED[name]["predictions"], strict=True):
        np.testing.assert_allclose(found, [then[label] for label in run.info.classes], atol=1e-5)


@pytest.mark.slow
def test_a_part_of_it_is_trained_further(copied, tmp_path):
    run = kplug.Run.open(copied("finished"))
    spec = kplug.load(tmp_path / "parts.yaml").at({"task.model.run": str(run.path), "fit.threads": None})
    further = kplug.train(spec, tmp_path / "further")
    for row, then in zip(further.rows("metrics.jsonl"), rows(OLD / "parts/metrics.jsonl"), strict=True):
        assert_close(row, then, 1e-4)


def test_a_killed_run_ends_as_one_that_was_left_alone(copied, tmp_path):
    path = copied("killed")
    assert len(rows(path / "metrics.jsonl")) == 3 and not (path / "result.json").exists()
    said(tmp_path, "train", "--resume", "killed")
    assert_end(path, EXPECTED["killed"]["end"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parts", "killed"])
def test_a_run_goes_on_for_more_epochs(copied, tmp_path, name):
    path, then = copied(name), EXPECTED[name]["more"]
    said(tmp_path, "train", "--resume", name, "--set", then["change"])
    assert_end(path, then["end"])


# --- searches --------------------------------------------------------------------------------------------------------


def assert_trials(folder):
    """A search came to the trials that it came to in 0.1.0."""
    found, then = rows(folder / "trials.jsonl"), rows(OLD / "search/trials.jsonl")
    for trial, before in zip(found, then, strict=True):
        assert_close(trial, {name: before[name] for name in ("number", "status", "origin", "epochs", "trained")}, 0)
        assert trial["point"].keys() == before["point"].keys()
        assert_close(trial["point"], before["point"], 1e-9)
        assert_close(trial["numbers"], before["numbers"], NEAR)


def winner(folder):
    """The best spec of a search."""
    spec = kplug.load(folder / "best.yaml")
    assert spec["search"] is None
    return spec.filled()


def test_a_finished_search_has_no_further_trial(copied, tmp_path):
    folder = copied("search")
    before = (folder / "journal.jsonl").read_text()
    out = said(tmp_path, "search", "search.yaml", "--to", "search", "--resume")
    assert "trials: 2 paused, 3 finished" in out
    assert "best: trial 3 " in out
    assert (folder / "journal.jsonl").read_text() == before
    assert_trials(folder)
    assert winner(folder) == winner(OLD / "search")


@pytest.mark.slow
def test_a_killed_search_ends_as_the_finished_one(copied, tmp_path):
    folder = copied("search-killed")
    assert [trial["status"] for trial in rows(folder / "trials.jsonl")] == ["paused", "paused"]
    said(tmp_path, "search", "search.yaml", "--to", "search-killed", "--resume")
    assert_trials(folder)
    assert winner(folder) == winner(OLD / "search")


@pytest.mark.slow
def test_the_winner_of_a_search_answers(copied, tmp_path):
    run = kplug.Run.open(copied("search") / "trials/0003")
    assert run.evaluate("validation")["accuracy"] == pytest.approx(run.metrics["val_accuracy"], rel=1e-5)
    assert predictions(run)


# --- searches whose trainings are played -----------------------------------------------------------------------------


def worth(spec, epoch):
    """What a training comes to after an epoch: most with a dropout of 0.2, a decay of 0.01 and batches of 128."""
    away = abs(spec["task.head.dropout"] - 0.2) + abs(math.log10(spec["task.optimizer.weight_decay"]) + 2) / 8
    return (1 - away - abs(spec["data.sampler.batch_size"] - 128) / 1000) * (1 - 0.5**epoch)


class Played(TrialExecutor):
    """Plays one training at a time; keeps how far each run came, as a checkpoint does."""

    workers = 1

    def __init__(self):
        self.far, self.played = {}, 0

    def start(self, job):
        self.job, self.spec, self.epoch, self.is_paused = job, kplug.loads(job.spec), 0, False

    def wait(self, seconds):
        if self.is_paused:
            return [Ended(self.job.name, PAUSED)]
        if self.epoch > self.spec["fit.epochs"]:
            return [Ended(self.job.name, FINISHED)]
        metrics = {"val_accuracy": worth(self.spec, self.epoch)} if self.epoch else {}
        return [Reported(self.job.name, self.epoch, metrics)]

    def answer(self, name, go_on):
        self.played += self.epoch > 0
        self.far[self.job.run] = max(self.epoch, self.far.get(self.job.run, 0))
        self.epoch, self.is_paused = self.far[self.job.run] + 1, not go_on

    def kill(self, name):
        raise AssertionError(f"{name} is to be killed")

    def interrupt(self):
        return []

    def stop(self):
        pass


def play(text, directory, resume=False, executor=None):
    """A search whose trainings are played."""
    executor = executor or Played()

    def played() -> kplug.Executor:
        """Play."""
        return executor

    with plugged(played):
        return kplug.search(kplug.loads(text), directory, resume)


def asked(search):
    """What the oracle proposed, in order."""
    return [{"point": trial.point, "epochs": trial.epochs, "origin": trial.origin} for trial in search.trials]


def assert_asked(search, name):
    found, then = asked(search), PROPOSALS[name]["asked"]
    for trial, before in zip(found, then, strict=True):
        assert (trial["epochs"], trial["origin"]) == (before["epochs"], before["origin"])
        assert trial["point"].keys() == before["point"].keys()
        assert_close(trial["point"], before["point"], 0 if TO_THE_BIT else 1e-6)


ORACLES = list(PROPOSALS)
FAST = ("hyperband-first", "evolution")  # of those whose journal is gone on with


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_proposes_what_it_did(tmp_path, name):
    assert_asked(play(PROPOSALS[name]["spec"], tmp_path / "search"), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ORACLES)
def test_a_journal_is_replayed(tmp_path, name):
    shutil.copytree(OLD / "played" / name, tmp_path / "search")
    executor = Played()
    assert_asked(play(PROPOSALS[name]["spec"], tmp_path / "search", resume=True, executor=executor), name)
    assert not executor.played


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in ORACLES]
)
def test_a_journal_is_replayed_to_its_middle_and_gone_on_with(tmp_path, name):
    journal = Path(shutil.copytree(OLD / "played" / name, tmp_path / "search")) / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[: len(lines) // 2]))
    assert_asked(play(PROPOSALS[name]["spec"], tmp_path / "search", resume=True), name)
