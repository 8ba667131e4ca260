"""A training that diverges goes back and on with smaller rates, and a kill changes nothing about that."""

import json
import math
import re
import subprocess
import sys

import keras
import pytest

import kplug
from kplug.contracts.interrupted import Killed, contents, watched_by
from kplug.errors import BlownUp
from kplug.inference.run import Run
from kplug.records import Monitor
from kplug.training import rollback as setbacks
from kplug.training.checkpoints import Checkpoints
from kplug.training.fit import resume, train
from kplug.training.recorder import Recorder

# the loss is squared, so that a rate that is too high drives it up step by step
SPEC = """
name: diverging
seed: 3
task:
  type: classification
  model: {type: layers, layers: [flatten, {type: dense, units: 16}, {type: dropout, rate: 0.2}]}
  loss: mean_squared_error
  optimizer: {type: sgd, momentum: 0.9, learning_rate: RATE}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 100}
  augment: [random_translation]
fit:
  epochs: 3
  precision: float32
  steps_per_execution: 1
  callbacks: [{type: stop_on_blow_up, factor: 3, go_back: {rate: 0.2, times: TIMES}}]
  checkpoint: {steps: 4, seconds: null, keep: 2}
"""
RATES = {"plain": "0.5", "schedule": "{type: cosine, peak: 1.5, warmup: 0.2}", "warmed": "{type: constant, peak: 0.5}"}


def text(rate="plain", times=4):
    return SPEC.replace("RATE", RATES.get(rate, rate)).replace("TIMES", str(times))


def everything(run):
    """All that a run promises, its setbacks too, wherever it is."""
    setback_rows = json.dumps(run.rows(setbacks.FILE)).replace(str(run.path), "RUN")
    return contents(run) | {setbacks.FILE: setback_rows}


class Watcher(keras.callbacks.Callback):
    """Notes the rate at every step made, and ends the training after one of them with nothing written."""

    def __init__(self, last=None):
        super().__init__()
        self.rates, self.last = [], last

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        if len(self.rates) == self.last:
            raise Killed


def killed(path, written, last):
    with watched_by(Watcher(last)), pytest.raises(Killed):
        train(kplug.loads(written), path)
    return Run.open(path)


@pytest.fixture(
    scope="module", params=["plain", *(pytest.param(n, marks=pytest.mark.slow) for n in RATES if n != "plain")]
)
def whole(request, tmp_path_factory):
    """A training that went back, with the rates of all its steps."""
    watcher = Watcher()
    with watched_by(watcher):
        run = train(kplug.loads(text(request.param)), tmp_path_factory.mktemp("whole") / "run")
    return request.param, run, watcher.rates


def test_it_goes_back_and_ends_finite(whole):
    _, run, _ = whole
    rows = run.rows(setbacks.FILE)
    assert rows and all(row["settled"] for row in rows)
    assert [row["epoch"] for row in run.rows("metrics.jsonl")] == [1, 2, 3]
    assert all(math.isfinite(value) for row in run.rows("metrics.jsonl") for value in row.values())
    assert re.match(r"loss is \S+ at step \d+ of epoch \d", rows[0]["reason"])


def test_the_rates_are_smaller_from_there(whole):
    kind, run, rates = whole
    factor = 0.2 ** len(run.rows(setbacks.FILE))
    last = 0.5 * factor if kind != "schedule" else rates[-1]
    assert rates[-1] == pytest.approx(last, rel=1e-5)
    if kind == "schedule":
        watcher = Watcher()
        with watched_by(watcher):
            calm = kplug.loads(text("{type: cosine, peak: %g, warmup: 0.2}" % (1.5 * factor)))
            train(calm, run.path.parent / "calm")
        assert rates[-5:] == pytest.approx(watcher.rates[-5:], rel=1e-5)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_as_the_whole_one(whole, tmp_path):
    kind, run, rates = whole
    for number, last in enumerate((len(rates) // 3, len(rates) - 10)):
        stopped = killed(tmp_path / str(number), text(kind), last)
        again = resume(stopped.path)
        assert everything(again) == everything(run)


@pytest.mark.parametrize("whole", ["plain"], indirect=True)
@pytest.mark.slow
@pytest.mark.parametrize("when", [0, 1, 2])
def test_killed_while_it_goes_back(whole, tmp_path, monkeypatch, when):
    """Before the row is written, before checkpoints are removed, and before that is noted."""
    _, run, _ = whole
    write, calls = setbacks._write, []

    def kill(run, rows):
        calls.append(rows)
        if len(calls) == (1 if when == 0 else 2):
            raise Killed
        write(run, rows)

    with monkeypatch.context() as patch:
        patch.setattr(setbacks, "_write", kill)
        if when == 1:
            patch.setattr(setbacks, "_remove", lambda path: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(kplug.loads(text()), tmp_path / "run")
    assert everything(resume(tmp_path / "run")) == everything(run)


@pytest.mark.slow
def test_before_the_first_checkpoint_it_goes_back_to_the_initial_weights(tmp_path):
    written = text("100.0", times=9).replace("steps: 4", "steps: null").replace("seconds: null", "seconds: 1e9")
    run = train(kplug.loads(written), tmp_path / "run")
    assert run.rows(setbacks.FILE)[0]["to"] is None
    assert len(run.rows("metrics.jsonl")) == 3


@pytest.mark.slow
def test_where_it_did_not_help_it_goes_back_further(tmp_path):
    """A checkpoint that is finite and yet spoilt."""

    class Spoil(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            Spoil.seen += 1
            if Spoil.seen == 8:  # the second checkpoint has it
                for weight in self.model.trainable_weights:
                    weight.assign(weight * 50)

    with watched_by(Spoil()):
        run = train(kplug.loads(text("0.01")), tmp_path / "run")
    assert [row["to"] for row in run.rows(setbacks.FILE)] == [[0, 8], [0, 4]]
    assert run.finished


def test_the_best_epoch_stays_the_best_though_it_was_given_up(tmp_path):
    class Spoil(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            Spoil.seen += 1
            if Spoil.seen == 23:
                for weight in self.model.trainable_weights:
                    weight.assign(weight * math.nan)

    written = text("0.01").replace("rate: 0.2,", "rate: 1e-9,").replace("steps: 4", "steps: 10")
    with watched_by(Spoil()):
        run = train(kplug.loads(written), tmp_path / "run")
    (row,) = run.rows(setbacks.FILE)
    assert row["to"] == [0, 20]
    assert [made["epoch"] for made in run.rows("metrics.jsonl")] == [1, 2, 3]
    assert run.metrics["val_loss"] == min(r["val_loss"] for r in [*run.rows("metrics.jsonl"), *row["given_up"]])
    found = run.evaluate("validation")
    assert found["loss"] == pytest.approx(run.metrics["val_loss"], rel=1e-4)


def test_where_the_last_epoch_is_kept_none_that_was_given_up_is(tmp_path):
    run = Run.create(kplug.loads(text().replace("epochs: 3", "epochs: 3\n  best: last")), tmp_path / "run")
    row = {"to": None, "rate": 0.5, "reason": "loss is nan", "given_up": [], "settled": True}
    run.append(setbacks.FILE, row | {"best": -2.0, "best_metrics": {"loss": 1.0, "epoch": 3}})
    for monitor, best in ((None, math.inf), (Monitor("loss", "minimize"), -2.0)):
        keeper = Recorder(run, monitor)
        setbacks.keep_best(run, keeper)
        assert keeper.best == best


@pytest.mark.slow
def test_it_stops_when_it_went_back_often_enough(tmp_path):
    written = text("100.0", times=2).replace("rate: 0.2,", "rate: 0.99,")
    (tmp_path / "spec.yaml").write_text(written)
    command = [sys.executable, "-m", "kplug.cli", "train", "spec.yaml", "--run", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.match(r"loss is \S+ at step \d+ of epoch \d.*; .*\(after going back 2 times\)", last), done.stderr
    assert len(Run.open(tmp_path / "run").rows(setbacks.FILE)) == 2
    assert done.stdout == ""


def test_without_go_back_it_stops(tmp_path):
    with pytest.raises(BlownUp):
        train(kplug.loads(text("100.0").replace("{rate: 0.2, times: 4}", "null")), tmp_path / "run")
    assert not (tmp_path / "run" / setbacks.FILE).exists()


def test_checkpoints_never_hold_lost_weights(tmp_path):
    with pytest.raises(BlownUp):
        written = text("1e30").replace("{rate: 0.2, times: 4}", "null").replace("steps: 4", "steps: 1")
        train(kplug.loads(written), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    found, complaints = Checkpoints(run, 2).newest()
    assert complaints == []
    assert (found.path if found else None) == (getattr(setbacks.good_checkpoint(run), "path", None))


@pytest.mark.parametrize(("value", "message"), [("{rate: 1.0}", "is not < 1|less than 1"), ("{times: 0}", "times: 0")])
def test_what_go_back_may_be(value, message):
    with pytest.raises(kplug.SpecError, match=message):
        kplug.loads(text().replace("{rate: 0.2, times: 4}", value))
