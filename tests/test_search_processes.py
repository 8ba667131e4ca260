"""Real searches: trainings in processes that crash, eat memory, hang, are killed, and come out to the bit."""

import collections
import contextlib
import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import kplug
from kplug.inference.run import Run
from kplug.storage.journal import Journal
from kplug.tuning.executor import Ended, Job, Reported
from kplug.tuning.local_executor import Processes
from kplug.tuning.search import search

SPEC = """
name: searched
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, {type: dropout, rate: 0.2}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2}}
data: {source: digits, sampler: {type: shuffled, batch_size: 256}}
fit: {epochs: 2, steps_per_execution: 1, threads: 1, checkpoint: {steps: 2, seconds: null}}
search:
  oracle: {type: random, trials: 3}
  objective: {maximize: val_accuracy}
  space:
    task.model.layers.0.filters: {int: [2, 8]}
    task.optimizer.learning_rate.peak: {log: [1e-3, 1e-1]}
"""
MISCHIEF = '''
    from typing import Literal

    from kplug import Callback, Loss, hookimpl

    @hookimpl
    def components():
        return [mischief, shrug]

    What = Literal["nothing", "kill", "eat", "hang", "diverge", "raise", "validate", "now and then"]

    def mischief(what: What = "nothing", number: int = 0) -> Callback:
        """Do harm in the second epoch.

        Args:
            what: which; now and then: `kill` for one number in ten, `eat` for 42.
            number: of the trial.
        """
        import keras, os, signal, time

        if what == "now and then":
            what = "kill" if number % 10 == 9 else "eat" if number == 42 else "nothing"

        class Mischief(keras.callbacks.Callback):
            def on_test_begin(self, logs=None):
                if what == "validate":
                    open("validating", "w").close()
                    time.sleep(3)

            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 0 or what in ("nothing", "validate"):
                    return
                if what == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if what == "raise":
                    raise TypeError("a mistake in a plugin")
                if what == "diverge":
                    from kplug.errors import BlownUp
                    raise BlownUp("the loss is nan in epoch 2")
                held = []
                while True:
                    if what == "eat":
                        held.append(bytearray(b"x" * 2**24))
                    time.sleep(0.02)

        return Mischief()

    def shrug() -> Loss:
        """Swallow the first exception that a signal raises here."""
        import time

        open("shrugging", "w").close()
        try:
            time.sleep(3600)
        except BaseException:
            try:
                time.sleep(3600)
            finally:
                open("left", "w").close()
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A distribution with `mischief`, installed for processes that are started here."""
    folder = tmp_path / "site"
    (folder / "mischief-1.0.dist-info").mkdir(parents=True)
    (folder / "mischief.py").write_text(textwrap.dedent(MISCHIEF))
    (folder / "mischief-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    (folder / "mischief-1.0.dist-info" / "entry_points.txt").write_text("[kplug]\nmischief = mischief\n")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder


def command(tmp_path, text, *words):
    (tmp_path / "spec.yaml").write_text(text)
    return [sys.executable, "-m", "kplug", "search", "spec.yaml", "--to", "search", *words]


def run(tmp_path, text, *words):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command_line = command(tmp_path, text, *words)
    return subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True, env=environment)


def trials(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def values(folder):
    return [(row["point"], row["status"], row["numbers"]) for row in trials(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of three trials, not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    begun = time.monotonic()
    done = run(folder, SPEC)
    assert done.returncode == 0, done.stderr
    return folder / "search", done, time.monotonic() - begun


def test_a_person_reads_what_was_found(whole):
    folder, done, _ = whole
    best = max(trials(folder), key=lambda row: row["score"])
    assert done.stdout.splitlines()[:2] == ["search: search", "trials: 3 finished"]
    assert f"best: trial {best['number']}  task.model.layers.0.filters=" in done.stdout
    assert "train it: kplug train search/best.yaml" in done.stdout
    assert done.stderr.count("trial ") == 3
    assert "absl" not in done.stderr


@pytest.mark.slow
def test_the_winner_trains_to_the_bit(whole, tmp_path):
    folder, *_ = whole
    best = max(trials(folder), key=lambda row: row["score"])
    done = subprocess.run(
        [sys.executable, "-m", "kplug", "train", str(folder / "best.yaml"), "--run", "run", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["val_accuracy"] == best["numbers"]["val_accuracy"]
    assert json.loads(done.stdout)["metrics"]["val_loss"] == best["numbers"]["val_loss"]


def test_only_the_best_keeps_its_weights(whole):
    folder, *_ = whole
    best = max(trials(folder), key=lambda row: row["score"])
    heavy = {path.parent.name for path in (folder / "trials").glob("*/*.weights.h5")}
    assert heavy == {f"{best['number']:04}"}
    assert Run.open(folder / "trials" / f"{best['number']:04}").finished
    assert len(list((folder / "trials").glob("*.yaml"))) == 3
    assert kplug.load(folder / "trials" / "0001.yaml")


ORACLES = {
    "random": "{type: random, trials: 3}",
    "bayesian": "{type: bayesian, trials: 5, initial: 3}",
    "hyperband": "{type: hyperband, factor: 2}",
    "evolution": "{type: evolution, trials: 6, population: 3, sample: 2}",
}

PARTS = [range(first, first + 4) for first in range(0, 20, 4)]  # of twenty moments, so many as a test has time for


@pytest.fixture(scope="module")
def undisturbed(whole, tmp_path_factory):
    """Gives the directory and the seconds of a search by an oracle of ORACLES that nobody killed."""

    @functools.cache
    def give(oracle):
        if oracle == "random":
            return whole[0], whole[2]
        folder = tmp_path_factory.mktemp(oracle)
        begun = time.monotonic()
        done = run(folder, SPEC.replace(ORACLES["random"], ORACLES[oracle]))
        assert done.returncode == 0, done.stderr
        return folder / "search", time.monotonic() - begun

    return give


@pytest.mark.parametrize(
    "oracle, moments",
    [("random", [0]), *(pytest.param(*one, marks=pytest.mark.slow) for one in itertools.product(ORACLES, PARTS))],
)
def test_a_search_that_is_killed_ends_as_the_whole_one(undisturbed, tmp_path, oracle, moments):
    """kill -9 at random times of one that takes as long as the undisturbed one."""
    expected, seconds = undisturbed(oracle)
    text = SPEC.replace(ORACLES["random"], ORACLES[oracle])
    began = 0
    for moment in moments:
        rng = random.Random(f"{oracle} {moment}")
        folder = tmp_path / str(moment)
        folder.mkdir()
        while not killed_after(folder, text, rng.uniform(0.02, 1) * seconds, all_of_it=moment % 2 == 1):
            shutil.rmtree(folder / "search", ignore_errors=True)  # it was done before
        resume = (folder / "search" / "journal.jsonl").exists()
        began += resume
        done = run(folder, text, *(["--resume"] if resume else []))
        assert done.returncode == 0, done.stderr
        assert values(folder / "search") == values(expected)
        assert (folder / "search" / "best.yaml").read_text() == (expected / "best.yaml").read_text()
    assert began
    print(f"\n{oracle}: of {len(moments)} searches that were killed, {began} had begun")


def killed_after(folder, text, seconds, all_of_it):
    """kill -9 of a search, of the process that was started or of those below it too; False where it had ended."""
    process = subprocess.Popen(command(folder, text), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        below = descendants(process.pid) if all_of_it else []
        process.kill()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        return True


def descendants(pid):
    """Processes that a process has started, and those that they have."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def stopped_when(folder, text, happened, number, code):
    """What a search says that gets a signal once something has happened, and ends with an exit code."""
    process = subprocess.Popen(command(folder, text), cwd=folder, stderr=subprocess.PIPE, text=True)
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    return said


def journal_has(folder, event):
    """Whether the journal of the search in a folder tells of an event."""
    journal = folder / "search" / "journal.jsonl"
    return lambda: journal.exists() and f'"{event}"' in journal.read_text()


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(tmp_path):
    journal = tmp_path / "search" / "journal.jsonl"
    said = stopped_when(
        tmp_path, SPEC, lambda: journal.exists() and '"epoch": 1,' in journal.read_text(), signal.SIGINT, 130
    )
    assert "--resume goes on" in said
    assert "Traceback" not in said
    assert said.count("stopped") == 1
    assert list((tmp_path / "search" / "trials" / "0000").glob("checkpoints/*"))


@pytest.mark.slow
def test_what_is_reported_when_the_search_is_terminated_is_kept(plugin, whole, tmp_path):
    """The training hears of SIGTERM in its validation, reports the epoch, and only then writes its checkpoint."""
    text = SPEC.replace("threads: 1,", "threads: 1, callbacks: [{type: mischief, what: validate}],")
    stopped_when(tmp_path, text, (tmp_path / "validating").exists, signal.SIGTERM, 143)
    done = run(tmp_path, text, "--resume")
    assert values(tmp_path / "search") == values(whole[0]), done.stderr
    assert {row["trained"] for row in trials(tmp_path / "search")} == {2}


@pytest.mark.slow
def test_a_training_that_swallows_the_first_request_to_end_is_told_again(plugin, tmp_path):
    text = SPEC.replace("  optimizer:", "  loss: shrug\n  optimizer:")
    stopped_when(tmp_path, text, (tmp_path / "shrugging").exists, signal.SIGINT, 130)
    assert (tmp_path / "left").exists()


def test_ctrl_c_before_the_first_training_begins_does_not_wait_for_tensorflow(whole, tmp_path):
    stopped_when(tmp_path, SPEC, journal_has(tmp_path, "ask"), signal.SIGINT, 130)
    assert [event["event"] for event in Journal(tmp_path / "search" / "journal.jsonl")] == ["search", "ask"]


def test_the_process_that_forks_may_be_told_to_end_and_may_be_killed(tmp_path):
    """A system that shuts down tells all processes; one that is short of memory kills any."""
    executor = Processes(2)
    text = SPEC[: SPEC.index("search:")]
    one, two = (Job(name, text, str(tmp_path / name), str(tmp_path / f"{name}.log")) for name in ("one", "two"))
    try:
        executor.start(one)
        assert [event.epoch for event in executor.wait(120)] == [0]
        forks = executor.server
        forks.send_signal(signal.SIGTERM)
        executor.answer("one", True)
        assert [event.epoch for event in executor.wait(120)] == [1]
        forks.kill()
        forks.wait()
        executor.start(two)
        said = []
        while len(said) < 2 and (events := executor.wait(120)):
            said += events
        assert {(event.name, type(event)) for event in said} == {("one", Ended), ("two", Reported)}
    finally:
        executor.stop()


HARM = SPEC.replace("threads: 1,", "threads: 1, callbacks: [{type: mischief, what: nothing}],")
HARM = HARM[: HARM.index("  space:")] + "  trial_memory: 0.75\n  trial_timeout: 40\n  space:\n"
WHAT = "    fit.callbacks.0.what: {choice: [nothing, kill, eat, hang, diverge]}\n"


@pytest.mark.slow
def test_a_trial_that_harms_itself_fails_with_its_reason_and_the_others_go_on(plugin, tmp_path):
    done = run(tmp_path, HARM.replace("{type: random, trials: 3}", "grid") + WHAT)
    assert done.returncode == 0, done.stderr
    ends = {row["point"]["fit.callbacks.0.what"]: row for row in trials(tmp_path / "search")}
    assert ends["nothing"]["status"] == "finished"
    for what, reason in {
        "kill": "its process was killed by SIGKILL",
        "eat": "it took more than 0.75 GiB of memory (search.trial_memory)",
        "hang": "it took more than 40 seconds (search.trial_timeout)",
        "diverge": "the loss is nan in epoch 2",
    }.items():
        assert ends[what]["status"] == "failed", what
        assert reason in ends[what]["reason"], what
    assert "trials: 1 finished, 4 failed" in done.stdout


@pytest.mark.slow
def test_an_error_in_a_plugin_stops_the_search_with_its_traceback(plugin, tmp_path):
    text = HARM.replace("{type: random, trials: 3}", "grid") + WHAT.replace("[nothing, kill", "[raise, kill")
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert "TypeError: a mistake in a plugin" in done.stderr
    assert 'mischief.py", line' in done.stderr
    assert len([event for event in Journal(tmp_path / "search" / "journal.jsonl") if event["event"] == "ask"]) == 1


@pytest.mark.slow
def test_an_objective_that_is_not_reported_is_refused_before_a_step(tmp_path):
    done = run(tmp_path, SPEC.replace("val_accuracy", "val_acuracy"))
    assert done.returncode == 2
    assert "spec.yaml:11:14: search.objective: 'val_acuracy' is not reported; did you mean" in done.stderr


def test_more_workers_than_memory_allows_are_refused(tmp_path):
    done = run(tmp_path, SPEC, "--workers", "4000")
    assert done.returncode == 2
    assert "spec" in done.stderr
    assert "4,000 workers" in done.stderr


@pytest.mark.slow
def test_two_workers_train_side_by_side(whole, tmp_path):
    done = run(tmp_path, SPEC, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert sorted(map(str, values(tmp_path / "search"))) == sorted(map(str, values(whole[0])))


@pytest.mark.slow
def test_a_hundred_trials_with_one_in_ten_killed_and_one_out_of_memory(plugin, tmp_path):
    text = HARM.replace("{type: random, trials: 3}", "{type: grid, trials: 100}")
    text = (
        text.replace("what: nothing", "what: now and then, number: 0") + "    fit.callbacks.0.number: {int: [0, 99]}\n"
    )
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(command(tmp_path, text), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=said)
    journal, resident = tmp_path / "search" / "journal.jsonl", {}
    while process.poll() is None:
        told = journal.read_text().count('"tell"') if journal.exists() else 0
        if told in (10, 50, 99) and told not in resident:
            resident[told] = memory_of(process.pid)
        time.sleep(0.05)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    print("bytes resident after so many trials:", resident)
    ends = [(row["status"], row.get("reason", "").split(";")[0]) for row in trials(tmp_path / "search")]
    assert collections.Counter(ends) == {
        ("finished", ""): 89,
        ("failed", "its process was killed by SIGKILL"): 10,
        ("failed", "it took more than 0.75 GiB of memory (search.trial_memory)"): 1,
    }
    assert resident[99] <= 1.05 * resident[10], resident


def memory_of(pid):
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_search_from_python(tmp_path):
    found = search(kplug.loads(SPEC.replace("trials: 3", "trials: 2")), tmp_path / "search")
    assert len(found.trials) == 2
    assert found.best.numbers["val_accuracy"] == max(trial.numbers["val_accuracy"] for trial in found.trials)
    assert Run.open(found.kept.run(found.best)).metrics["val_accuracy"] == found.best.numbers["val_accuracy"]
