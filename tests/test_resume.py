"""A run that was killed ends as if it had not been: the same weights, rows and best epoch, to the bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import kplug
from kplug.contracts.interrupted import Killed, contents, killed_after
from kplug.inference.run import Run
from kplug.model.variables import reachable_variables
from kplug.storage.run_directory import owned
from kplug.training.checkpoints import Checkpoints
from kplug.training.fit import resume, train

SPEC = """
name: resumed
task:
  type: classification
  model:
    type: layers
    layers:
      - {type: conv2d, filters: 4, kernel_size: 3}
      - batch_normalization
      - relu
      - {type: dropout, rate: 0.3}
  optimizer:
    type: adamw
    use_ema: true
    learning_rate: {type: cosine, peak: 1e-2, warmup: 0.2}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 100}
  augment: [random_translation]
fit:
  epochs: 3
  steps_per_execution: 1
  stages: [{epochs: 1, set: {task.optimizer.learning_rate: 1e-3, fit.trainable: ["linear/*", "*norm*"]}}]
  callbacks: [{type: early_stopping, monitor: loss, patience: 3}]
  checkpoint: {steps: 5, seconds: null, keep: 2}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(kplug.loads(SPEC), tmp_path_factory.mktemp("whole") / "run")


def killed_at(path, step, text=SPEC):
    return killed_after(step, kplug.loads(text), path)


FAST = (3,)  # in the first epoch


@pytest.mark.parametrize(
    "step",
    [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in (3, 6, 12, 13, 16, 17, 24, 26, 38, 48)],
)
def test_a_stopped_run_ends_as_the_whole_one(whole, tmp_path, step):
    stopped = killed_at(tmp_path / "run", step)
    assert not stopped.finished
    assert contents(resume(stopped.path)) == contents(whole)


@pytest.mark.slow
def test_a_checkpoint_at_the_end_of_an_epoch(whole, tmp_path):
    run = killed_at(tmp_path / "run", 14, SPEC.replace("steps: 5,", "steps: 4,"))
    found, _ = Checkpoints(run, 2).newest()
    assert found.state["step"] == 12
    assert contents(resume(run.path)) == contents(whole)


def test_stopped_again_and_again(whole, tmp_path):
    run = killed_at(tmp_path / "run", 8)
    found, _ = Checkpoints(run, 2).newest()
    assert found.state["step"] == 5
    assert contents(resume(run.path)) == contents(whole)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2])
def test_killed_between_two_stages(whole, tmp_path, monkeypatch, epochs):
    """The end of the first stage stays its end, also where the second is made longer."""
    from kplug.training import fit

    with monkeypatch.context() as patch:
        patch.setattr(fit, "carry_over", lambda weights, model: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(kplug.loads(SPEC), tmp_path / "run")
    assert len(Run.open(tmp_path / "run").rows("metrics.jsonl")) == 3
    run = resume(tmp_path / "run", {"fit.stages.0.epochs": epochs})
    assert len(run.rows("metrics.jsonl")) == 3 + epochs
    assert run.rows("metrics.jsonl")[:4] == whole.rows("metrics.jsonl")
    assert epochs > 1 or contents(run) == contents(whole)


def test_killed_before_the_result(whole, tmp_path):
    run = Run.open(shutil.copytree(whole.path, tmp_path / "run"))
    (run.path / "result.json").unlink()
    assert contents(resume(run.path)) == contents(whole)


def test_a_checkpoint_holds_every_variable():
    import keras

    from kplug.data.splits import open_data
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner, build_optimizers

    data = open_data(kplug.loads(SPEC))
    learner = build_learner(data.spec, data.info, FitInfo(10, 1), "float32")
    model = learner.model
    build_optimizers(learner)
    model.evaluate(
        data.evaluation(build_learner(data.spec, data.info, FitInfo(10, 1), "float32"), "test").take(1), verbose=0
    )
    held = {id(v) for v in reachable_variables(model).values()}
    every = [*model.variables, *model.optimizer.variables, *(v for m in model.metrics for v in m.variables)]
    assert all(id(v.value) in held for v in every)
    assert sum(isinstance(v, keras.Variable) for v in every) <= len(held)
    assert any("seed" in path for path in reachable_variables(model))
    assert any("metric" in path for path in reachable_variables(model))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(whole, tmp_path, capsys):
    run = killed_at(tmp_path / "run", 27)
    newest = sorted((run.path / "checkpoints").iterdir(), key=lambda p: int(p.name.split("-")[2]))[-1]
    data = next(newest.glob("variables.data*"))
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    data.write_bytes(flipped)
    assert contents(resume(run.path)) == contents(whole)
    assert f"{newest} is damaged" in capsys.readouterr().err


def test_a_finished_run_is_left_alone(whole, capsys):
    before = contents(whole)
    assert contents(resume(whole.path)) == before
    assert "is finished" in capsys.readouterr().err


def test_epochs_may_be_raised(whole, tmp_path, capsys):
    more = Run.open(shutil.copytree(whole.path, tmp_path / "more"))
    longer = resume(more.path, {"fit.stages.0.epochs": 2})
    assert "fit.stages.0.epochs: 2 instead of 1; schedules are computed anew" in capsys.readouterr().err
    assert [row["epoch"] for row in longer.rows("metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert longer.rows("metrics.jsonl")[:4] == whole.rows("metrics.jsonl")
    assert [row["stage"] for row in longer.rows("metrics.jsonl")] == [0, 0, 0, 1, 1]
    assert longer.finished and longer.spec["fit.stages"][0].arguments["epochs"] == 2


def test_a_run_killed_as_soon_as_it_is_longer_is_longer_still(whole, tmp_path):
    more = Run.open(shutil.copytree(whole.path, tmp_path / "more"))
    more.rewritten(more.spec.at({"fit.stages.0.epochs": 2}))  # the last that was done before the kill
    assert [row["epoch"] for row in resume(more.path).rows("metrics.jsonl")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit.epochs": 5}, r"fit.epochs: cannot change from 3 to 5"),
        ({"fit.stages": []}, r"fit.stages: cannot change"),
        ({"task.optimizer.use_ema": False}, r"task.optimizer.use_ema: cannot change from True to False"),
        ({"seed": 1}, r"seed: cannot change from 0 to 1"),
    ],
)
def test_any_other_change_is_refused(whole, changes, message):
    before = contents(whole)
    with pytest.raises(kplug.SpecError, match=message):
        resume(whole.path, changes)
    assert contents(whole) == before


def test_two_processes_cannot_train_one_run(tmp_path):
    run = killed_at(tmp_path / "run", 3)
    with owned(run.path), pytest.raises(kplug.SpecError, match="another process trains this run"):
        resume(run.path)


def test_a_new_training_in_an_unfinished_run_says_how_to_go_on(tmp_path):
    run = killed_at(tmp_path / "run", 3)
    with pytest.raises(kplug.SpecError, match=rf"kplug train --resume {run.path}"):
        train(kplug.loads(SPEC), run.path)


def test_going_on_with_the_run_of_another_spec_is_refused(tmp_path):
    run = killed_at(tmp_path / "run", 7)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    other = kplug.loads(SPEC.replace("filters: 4", "filters: 5").replace("name: resumed", "name: another"))
    with pytest.raises(kplug.SpecError) as error:
        train(other, run.path, go_on=True)
    assert [problem.path for problem in error.value.problems] == [
        ("name",),
        ("task", "model", "layers", 0, "filters"),
    ]
    assert {path: path.read_bytes() for path in before} == before


# --- processes really killed -----------------------------------------------------------------------------------------


def start(tmp_path, *arguments):
    command = [sys.executable, "-m", "kplug.cli", "train", *arguments]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, path, pattern):
    deadline = time.monotonic() + 120
    while not list(path.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_writes_a_checkpoint(whole, tmp_path, number):
    (tmp_path / "spec.yaml").write_text(SPEC.replace("steps: 5,", "steps: 1,"))
    process = start(tmp_path, "spec.yaml", "--run", "run")
    wait_for(process, tmp_path, "run/checkpoints/ckpt-0-2")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in err, err
    process = start(tmp_path, "--resume", "run", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert contents(Run.open(tmp_path / "run")) == contents(whole)
    assert json.loads(out)["metrics"] == whole.metrics


def kill_and_resume(tmp_path, seed, inside_a_write):
    generator = random.Random(seed)
    (tmp_path / "spec.yaml").write_text(SPEC.replace("steps: 5,", "steps: 1,"))
    arguments = ["spec.yaml", "--run", "run"]
    for _ in range(20):
        process = start(tmp_path, *arguments)
        if (tmp_path / "run" / "spec.yaml").exists() or arguments[0] == "spec.yaml":
            wait_for(process, tmp_path, "run/checkpoints/*" if not inside_a_write else "run/checkpoints/*.tmp-*")
        if not inside_a_write:
            time.sleep(generator.random() * 3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "run" / "result.json").exists():
            return
        arguments = ["--resume", "run"] if (tmp_path / "run" / "data.json").exists() else arguments
        if generator.random() < 0.5:
            process = start(tmp_path, *arguments)
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            return
    process = start(tmp_path, *arguments)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


@pytest.mark.parametrize("seed", range(int(os.environ.get("KPLUG_KILLS", "1"))))
def test_a_killed_run_ends_as_the_whole_one(whole, tmp_path, seed):
    kill_and_resume(tmp_path, seed, inside_a_write=seed % 3 == 0)
    assert contents(Run.open(tmp_path / "run")) == contents(whole)
