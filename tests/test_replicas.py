"""Several replicas in one process: equal to one device, and what Keras cannot do on them is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SPEC = """
name: mirrored
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}NORM, relu]}
  optimizer: {type: adam, learning_rate: 0.01}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 60}
  evaluate_with: {type: sequential, batch_size: 101}
  augment: [random_translation]
fit: {epochs: 2, precision: float32, threads: 1, strategy: STRATEGY}
"""
TWO = "{type: mirrored, devices: ['CPU:0', 'CPU:1']}"


def trained(folder, name, text, *arguments):
    """Exit code, answer and what was said by `kplug train`, in a process of its own: a strategy is one a process."""
    (folder / f"{name}.yaml").write_text(text)
    command = [sys.executable, "-m", "kplug.cli", "train", f"{name}.yaml", "--run", name, "--json", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    return done.returncode, done.stdout, done.stderr


def rows(folder, name):
    return [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]


def test_two_devices_train_as_one_with_an_odd_first_batch_of_validation(tmp_path):
    for name, strategy in (("one", "one_device"), ("two", TWO)):
        code, _, said = trained(tmp_path, name, SPEC.replace("NORM", "").replace("STRATEGY", strategy))
        assert code == 0, said
    for one, two in zip(rows(tmp_path, "one"), rows(tmp_path, "two"), strict=True):
        assert two == pytest.approx(one, abs=1e-5)
    environment = json.loads((tmp_path / "two" / "environment.json").read_text())
    assert environment["chosen"]["cluster"]["replicas"] == 2
    assert environment["chosen"]["devices"] == ["/device:CPU:0", "/device:CPU:1"]


@pytest.mark.slow
def test_a_named_device_trains_as_the_default_one(tmp_path):
    for name, strategy in (("one", "auto"), ("named", "{type: one_device, device: 'CPU:1'}")):
        code, _, said = trained(tmp_path, name, SPEC.replace("NORM", "").replace("STRATEGY", strategy))
        assert code == 0, said
    for one, two in zip(rows(tmp_path, "one"), rows(tmp_path, "named"), strict=True):
        assert two == pytest.approx(one, abs=1e-5)


def test_what_two_replicas_cannot_do_is_refused_with_the_reason(tmp_path):
    changes = ["fit.jit=true", "fit.steps_per_execution=2", "task.optimizer.gradient_accumulation_steps=2"]
    arguments = [part for change in changes for part in ("--set", change)]
    code, _, said = trained(tmp_path, "two", SPEC.replace("NORM", "").replace("STRATEGY", TWO), *arguments)
    assert code == 2
    assert "fit.jit: Keras compiles for one replica only (there are 2)" in said
    assert "fit.steps_per_execution: Keras makes several steps at once on one replica only (there are 2)" in said
    assert "task.optimizer.gradient_accumulation_steps: Keras accumulates gradients on one replica only" in said
    assert not (tmp_path / "two").exists()


@pytest.mark.slow
def test_a_batch_that_two_cannot_share_is_refused(tmp_path):
    text = SPEC.replace("NORM", "").replace("STRATEGY", TWO).replace("batch_size: 60", "batch_size: 61")
    code, _, said = trained(tmp_path, "two", text)
    assert code == 2 and "a batch of 61 cannot be shared evenly by 2 replicas; 60 or 62 can" in said


@pytest.mark.slow
def test_a_killed_run_on_two_devices_goes_on(tmp_path):
    text = SPEC.replace("NORM", ", batch_normalization, {type: dropout, rate: 0.5}").replace("STRATEGY", TWO)
    code, _, said = trained(tmp_path, "two", text, "--set", "fit.checkpoint={steps: 5, seconds: null, keep: 2}")
    assert code == 0, said
    before = rows(tmp_path, "two")
    (tmp_path / "two" / "result.json").unlink()
    done = sorted((tmp_path / "two" / "checkpoints").iterdir())[-1]
    for file in done.iterdir():
        file.unlink()
    done.rmdir()
    command = [sys.executable, "-m", "kplug.cli", "train", "--resume", "two"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "goes on after step" in again.stderr, again.stderr
    assert [pytest.approx(row, abs=1e-5) for row in before] == rows(tmp_path, "two")


DROPOUT = """
from kplug.console import load_tensorflow
load_tensorflow()
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras
from kplug.model.patches import make_keras_distribute
PATCH
with strategy.scope():
    layer = keras.layers.Dropout(0.5, seed=0)
    results = strategy.run(tf.function(lambda: layer(tf.ones([64]), training=True)))
one, two = (value.numpy().tolist() for value in strategy.experimental_local_results(results))
print(one == two)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("patch", "equal"), [("make_keras_distribute()", "False"), ("", "True")])
def test_dropout_of_two_replicas_differs_which_in_keras_alone_it_does_not(patch, equal):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", DROPOUT.replace("PATCH", patch)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == equal, done.stderr


# --- what names no cluster -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "TF_CONFIG is not set; it names the cluster and this process, such as"),
        ("{", r"TF_CONFIG cannot be read \(JSONDecodeError"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
            r"cannot be read \(KeyError: 'chief'",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "this is worker 1; there are 1"),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "names the jobs ps; only chief and worker train together",
        ),
    ],
)
def test_a_wrong_tf_config_is_refused(monkeypatch, text, message):
    import kplug
    from kplug.default_plugins.training.devices import on_a_cluster

    monkeypatch.delenv("SLURM_PROCID", raising=False)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(kplug.SpecError, match=message):
        on_a_cluster("auto", "auto")


def test_a_machine_without_a_gpu_and_devices_that_are_not_there_are_refused():
    import kplug
    from kplug.default_plugins.training.devices import on_all, on_one_device

    with pytest.raises(kplug.SpecError, match="this machine has no GPU; take one_device"):
        on_all(None)
    with pytest.raises(kplug.SpecError, match="there is no device 'GPU:3'; this machine has CPU:0"):
        on_one_device("GPU:3")
