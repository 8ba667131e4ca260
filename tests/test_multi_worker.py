"""Several workers on loopback: they end with equal variables, those of one device, and go on when one is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from kplug.inference.run import Run

ROOT = Path(__file__).parents[1]

# what each process runs: a task with a train_step of its own is there, and at the end all variables are written
WORKER = '''
import os, sys
from kplug.console import load_tensorflow
load_tensorflow()
import keras, numpy as np, tensorflow as tf
import kplug
from kplug.model.variables import reachable_variables
from kplug.training.fit import train
from kplug.kinds import Architecture, DataInfo, Learner, Task
from kplug.spec.plugins import using

spec, run, out = sys.argv[1:4]

class Stepper(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mean_loss = keras.metrics.Mean(name="loss")
    @property
    def metrics(self):
        return [self.mean_loss]
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.mean_loss.update_state(loss * tf.distribute.get_strategy().num_replicas_in_sync, tf.shape(x)[0])
        return {"loss": self.mean_loss.result()}
    def test_step(self, data):
        x, y = data
        loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=False))
        self.mean_loss.update_state(loss * tf.distribute.get_strategy().num_replicas_in_sync, tf.shape(x)[0])
        return {"loss": self.mean_loss.result()}

def own_step(data: DataInfo, model: Architecture) -> Task:
    """Classification with a train_step of its own.

    Args:
        model: to features.
    """
    images = keras.Input(data.fields["image"].shape, dtype="uint8")
    features = keras.layers.Flatten()(model(keras.layers.Rescaling(1 / 255)(images)))
    whole = Stepper(images, keras.layers.Dense(len(data.classes), dtype="float32")(features))
    whole.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
    return Learner(whole, lambda batch, seed, training: (batch["image"], tf.one_hot(batch["label"], len(data.classes))))

class Shares(kplug.SplitEvaluator):
    figures, every, needs = ("rows", "most"), 1, kplug.Needs(outputs=("probabilities",))
    def begin(self, evaluation):
        self.counts = [0]
    def add(self, rows, truths, answers, columns):
        self.counts[0] += len(rows)
    def state(self):
        return {"count": np.array(self.counts[0])}
    def merge(self, states):
        self.counts = [int(state["count"]) for state in states]
    def end(self, run):
        return {"rows": sum(self.counts), "most": max(self.counts)}, {}

def shares() -> kplug.Evaluator:
    """Count the rows that each worker is shown."""
    return Shares()

class Writing(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        found = {path: v.numpy() for path, v in reachable_variables(self.model).items() if v.dtype.is_floating}
        np.savez(out, **{path.replace("/", "|"): value for path, value in found.items() if "metric" not in path})

class Plugin:
    @kplug.hookimpl
    def components(self):
        return [own_step, shares]
    @kplug.hookimpl
    def callbacks(self, run):
        return [Writing()]

with using([Plugin()]):
    from kplug.cli import main
    sys.argv = ["kplug", "train", spec, "--run", run, *sys.argv[4:]]
    main()
'''

SPEC = """
name: shared
task:
  type: {task}
  model: {{type: layers, layers: [{{type: conv2d, filters: 4, kernel_size: 3}}{norm}, relu]}}
{optimizer}
data:
  source: digits
  sampler: {{type: shuffled, batch_size: 60}}
  evaluate_with: {{type: sequential, batch_size: 100}}
fit: {{epochs: 2, precision: float32, best: {{minimize: val_loss}}, threads: 1}}
"""


SGD = "  optimizer: {type: sgd, learning_rate: 0.1, momentum: 0.9}"


def spec_text(task="classification", norm="", optimizer=SGD):
    return SPEC.format(task=task, norm=norm, optimizer=optimizer)


CASES = {
    "plain": spec_text(),
    "batch normalization, synchronized": spec_text(norm=", {type: batch_normalization, synchronized: true}"),
    "a train_step of its own": spec_text(task="own_step", optimizer=""),
    "a moving average of the weights": spec_text(optimizer=SGD.replace("}", ", use_ema: true, ema_momentum: 0.9}")),
    "an optimizer without a schedule": spec_text(
        optimizer="  optimizer: {type: schedule_free_adamw, learning_rate: 0.001, warmup_steps: 4}"
    ),
    "a mean of epochs, a plateau, early stopping": spec_text()
    .replace(
        "threads: 1",
        "threads: 1, callbacks: [{type: weight_averaging, last: 0.5}, {type: stop_on_blow_up}, "
        "{type: reduce_lr_on_plateau, monitor: loss, patience: 1, min_delta: 9.0}, "
        "{type: early_stopping, monitor: loss, patience: 3, min_delta: 9.0}]",
    )
    .replace("epochs: 2", "epochs: 4"),
}


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def start(folder, count, specs, *arguments):
    """The workers of a cluster, or one process without any where `count` is 0; `specs` is one text or one for each."""
    (folder / "worker.py").write_text(WORKER)
    hosts, processes = [f"127.0.0.1:{port}" for port in free_ports(count)], []
    for index in range(count or 1):
        spec = folder / f"spec-{index}.yaml"
        spec.write_text(specs if isinstance(specs, str) else specs[index])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        more = list(arguments)
        if count:
            task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            environment["TF_CONFIG"] = json.dumps(task)
            more += ["--set", "fit.strategy=multi_worker"]
        command = [sys.executable, str(folder / "worker.py"), str(spec), "run", f"worker-{index}.npz", *more]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(command, cwd=folder, env=environment, **streams))
    return processes


def ended(processes, seconds=240):
    said = [process.communicate(timeout=seconds)[0] for process in processes]
    return [process.returncode for process in processes], said


def variables(folder, index):
    with np.load(folder / f"worker-{index}.npz") as file:
        return {name: file[name] for name in file.files}


SLOW = [pytest.param(case, 2, marks=pytest.mark.slow) for case in list(CASES)[1:]]
SLOW += [pytest.param(case, 3, marks=pytest.mark.slow) for case in list(CASES)[:3]]


@pytest.mark.parametrize(("case", "count"), [("plain", 2), *SLOW])
def test_workers_end_with_the_variables_of_one_device(tmp_path, case, count):
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    codes, said = ended(start(one, 0, CASES[case]))
    assert codes == [0], said
    codes, said = ended(start(several, count, CASES[case]))
    assert codes == [0] * count, said
    # sums of gradients are rounded otherwise, which grows from step to step: 1.2e-5 after twice as many
    tolerance = 1e-4 if "epochs: 4" in CASES[case] else 1e-5
    alone, chief = variables(one, 0), variables(several, 0)
    assert len(chief) >= 4
    for index in range(1, count):
        other = variables(several, index)
        assert other.keys() == chief.keys()
        for name, value in chief.items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)
    for name, value in alone.items():
        np.testing.assert_allclose(chief[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    rows = [Run.open(folder / "run").rows("metrics.jsonl") for folder in (one, several)]
    for mine, theirs in zip(*rows, strict=True):
        assert mine == pytest.approx(theirs, abs=tolerance)


def test_workers_share_the_rows_that_an_evaluator_is_shown(tmp_path):
    evaluators = "evaluators: [shares, {type: classification_report, every: 1}]\n"
    text = CASES["plain"].replace("minimize: val_loss", "maximize: val_balanced_accuracy") + evaluators
    rows = []
    for count in (0, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        codes, said = ended(start(folder, count, text))
        assert set(codes) == {0}, said
        rows.append(Run.open(folder / "run").rows("metrics.jsonl"))
    validated = rows[0][0]["val_rows"]
    assert [row.pop("val_most") for row in rows[0]] == [validated] * 2
    assert [row.pop("val_most") for row in rows[1]] == [-(-validated // 2)] * 2
    for one, several in zip(*rows, strict=True):
        assert one == pytest.approx(several, abs=1e-5)


@pytest.mark.slow
def test_dropout_and_augmentation_differ_between_workers_and_their_variables_do_not(tmp_path):
    text = spec_text(norm=", batch_normalization, {type: dropout, rate: 0.3}")
    text = text.replace("data:\n", "data:\n  augment: [random_translation]\n")
    codes, said = ended(start(tmp_path, 2, text))
    assert codes == [0, 0], said
    first, second = variables(tmp_path, 0), variables(tmp_path, 1)
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)


@pytest.mark.slow
def test_workers_with_different_specs_are_refused(tmp_path):
    codes, said = ended(start(tmp_path, 2, [CASES["plain"], CASES["plain"].replace("momentum: 0.9", "momentum: 0.8")]))
    assert codes == [2, 2], said
    for text in said:
        assert "task.optimizer.momentum is 0.9 on worker 0 and 0.8 on worker 1" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_several_workers_cannot_do_is_refused_with_the_reason(tmp_path):
    callbacks = "fit.callbacks=[{type: stop_on_blow_up, go_back: {}}]"
    changes = ["--set", callbacks, "--set", "task.optimizer.gradient_accumulation_steps=2"]
    codes, said = ended(start(tmp_path, 2, CASES["plain"], *changes))
    assert codes == [2, 2], said
    for words in said:
        assert "fit.callbacks.0.go_back: one worker may see what the others do not" in words
        assert "task.optimizer.gradient_accumulation_steps: Keras accumulates gradients on one replica only" in words


@pytest.mark.slow
def test_a_batch_that_three_cannot_share_is_refused(tmp_path):
    codes, said = ended(start(tmp_path, 3, CASES["plain"].replace("batch_size: 60", "batch_size: 64")))
    assert codes == [2, 2, 2], said
    assert "a batch of 64 cannot be shared evenly by 3 replicas; 63 or 66 can" in said[0]
    assert not (tmp_path / "run").exists()


# --- a worker is lost ------------------------------------------------------------------------------------------------


def launch(folder, *arguments):
    (folder / "spec.yaml").write_text(CASES["plain"].replace("epochs: 2", "epochs: 30"))
    command = [sys.executable, "-m", "kplug", "launch", "2", "spec.yaml", "--run", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **streams)


def kill_worker(launcher, index):
    """Kill a worker that a launcher has started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        if re.search(rf'"index": {index}}}', Path(f"/proc/{child}/environ").read_text()):
            os.kill(int(child), signal.SIGKILL)
            return
    raise AssertionError("there is no such worker")


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_when_a_worker_is_killed_all_start_again_and_finish(tmp_path, index):
    launcher = launch(tmp_path, "--set", "fit.checkpoint={steps: 8, seconds: null, keep: 2}")
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "run").glob("checkpoints/ckpt-0-*"))) < 2:
        assert launcher.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    kill_worker(launcher, index)
    killed = time.monotonic()
    said, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, said
    codes = re.search(r"a worker was lost \(exit codes \[(.*?)\]\)", said)
    assert codes and sorted(codes[1].split(", ")) == ["-9", "75"], said
    assert time.monotonic() - killed < 290
    run = Run.open(tmp_path / "run")
    assert run.finished and len(run.rows("metrics.jsonl")) == 30


def stranger(folder, version):
    """A plugin distribution of a version, to be found on the path."""
    metadata = folder / f"stranger-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text("[kplug]\nstranger = stranger\n")
    (folder / "stranger.py").write_text("import kplug\n\n@kplug.hookimpl\ndef components():\n    return []\n")
    return str(folder)


@pytest.mark.slow
def test_workers_with_different_plugin_versions_are_refused(tmp_path):
    (tmp_path / "spec.yaml").write_text(CASES["plain"])
    hosts, processes = [f"127.0.0.1:{port}" for port in free_ports(2)], []
    for index, version in enumerate(("1.0", "2.0")):
        path = os.pathsep.join([stranger(tmp_path / version, version), str(ROOT)])
        task = json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})
        command = [sys.executable, "-m", "kplug", "train", "spec.yaml", "--run", "run"]
        command += ["--set", "fit.strategy=multi_worker"]
        environment = {**os.environ, "PYTHONPATH": path, "TF_CONFIG": task}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **streams))
    codes, said = ended(processes)
    assert codes == [2, 2], said
    for text in said:
        assert "the workers of a cluster must be alike; plugin stranger:stranger is '1.0 (" in text
        assert "on worker 0 and '2.0 (" in text
    assert not (tmp_path / "run").exists()
