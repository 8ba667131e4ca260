"""What a training step needs, by estimate and in a process of its own; and what is said where it is too much."""

import json
import math
import os
import re
import resource
import subprocess
import sys

import pytest

import kplug
from kplug.data.splits import open_data
from kplug.kinds import FitInfo
from kplug.model import machine, memory
from kplug.model.learner import build_learner, build_optimizers
from kplug.model.machine import free_memory
from kplug.model.memory import batch_size_that_fits, refuse_too_large, rough_need, step_need

MODELS = {
    "convolutions": """[
        {layer: {type: layers, layers: [{type: conv2d, filters: 32, kernel_size: 3}, batch_normalization, relu]},
         repeat: 4}]""",
    "mobile": """[{type: conv2d, filters: 16, kernel_size: 3, strides: 2}, {repeat: 3, layer: {type: layers, layers: [
        {type: conv2d, filters: 96, kernel_size: 1}, batch_normalization, {type: relu, max_value: 6},
        {type: depthwise_conv2d, kernel_size: 3, padding: same}, batch_normalization, {type: relu, max_value: 6},
        {type: conv2d, filters: 16, kernel_size: 1}, batch_normalization]}}]""",
    "attention": """[{type: conv2d, filters: 64, kernel_size: 4, strides: 4}, {type: reshape, target_shape: [256, 64]},
        {type: multi_head_attention, num_heads: 4, key_dim: 16}, {type: dense, units: 256, activation: gelu},
        {type: multi_head_attention, num_heads: 4, key_dim: 16}]""",
    "dense": "[flatten, {type: dense, units: 4096, activation: relu}, {type: dense, units: 4096, activation: relu}]",
}
SPEC = """
name: large
task:
  type: classification
  model: {type: layers, layers: MODEL}
data:
  source: digits
  features: {image: {size: [64, 64], resize: stretch}}
  sampler: {type: shuffled, batch_size: BATCH}
  evaluate_with: {type: sequential, batch_size: 4}
fit: {epochs: 1, precision: float32, steps_per_execution: 1}
"""


def text(model, batch_size):
    return SPEC.replace("MODEL", MODELS.get(model, model)).replace("BATCH", str(batch_size))


def made(written):
    spec = kplug.loads(written)
    data = open_data(spec)
    learner = build_learner(spec, data.info, FitInfo(10, 1), "float32")
    build_optimizers(learner)
    learner.model.evaluate(data.evaluation(learner, "validation").take(1), verbose=0)
    return data, learner


# --- the estimate ----------------------------------------------------------------------------------------------------

MEASURE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tensorflow as tf
from test_memory import made, text
from kplug.model.machine import kilobytes
from kplug.model.memory import rough_need, step_need

data, learner = made(text(sys.argv[2], int(sys.argv[3])))
need, rough = step_need(data, learner), rough_need(learner.model, data.batch_size)
(batch,) = data.training(learner, 1).take(1)
before = kilobytes(Path("/proc/self/status"), "VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from now on
learner.model.fit(tf.data.Dataset.from_tensors(batch).repeat(3), shuffle=False, verbose=0)
peak = kilobytes(Path("/proc/self/status"), "VmHWM")
print(json.dumps({"estimate": need, "rough": rough, "real": peak - before}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "batch_size"),
    [
        ("convolutions", 96),
        ("convolutions", 192),
        ("mobile", 128),
        ("mobile", 256),
        ("attention", 48),
        ("attention", 96),
        ("dense", 64),
        ("dense", 512),
    ],
)
def test_the_estimate_is_near_what_a_step_takes(model, batch_size):
    command = [sys.executable, "-c", MEASURE, os.path.dirname(__file__), model, str(batch_size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    ratio = found["estimate"] / found["real"]
    assert 0.5 < ratio < 2, found
    assert memory.CERTAIN * found["estimate"] < found["real"], "a step that fits would be refused"
    assert found["rough"] > memory.NEAR * found["real"], "a step that does not fit would not be looked at"


@pytest.mark.slow
def test_activations_grow_with_the_batch_and_gradients_do_not():
    need = {size: step_need(*made(text("convolutions", size))) for size in (8, 16, 32)}
    assert need[32] - need[16] == pytest.approx(2 * (need[16] - need[8]), rel=0.02)
    few, many = (step_need(*made(text("dense", size))) for size in (8, 32))
    assert many < 1.2 * few


def test_the_graph_is_gone_through_in_order():
    """What is passed on in place and what is a view takes nothing; what is needed later stays."""
    import tensorflow as tf

    def peak(function):
        return memory.graph_peak(tf.function(function).get_concrete_function(tf.TensorSpec([1000])).graph)

    assert peak(lambda x: tf.reduce_sum(tf.reshape(tf.tile(x, [2]), [2, 1000]))) == pytest.approx(8000, abs=100)
    assert peak(lambda x: tf.exp(tf.exp(tf.tile(x, [2])))) == pytest.approx(8000, abs=100)
    assert peak(lambda x: tf.cumsum(tf.cumsum(tf.tile(x, [2])))) == pytest.approx(16000, abs=100)

    def both(x):
        one = tf.tile(x, [2])
        return tf.cumsum(tf.cumsum(one)) + one

    assert peak(both) == pytest.approx(24000, abs=100)


# --- refusing --------------------------------------------------------------------------------------------------------


def test_what_cannot_fit_is_refused_with_a_batch_that_should(monkeypatch):
    data, learner = made(text("convolutions", 1000))
    need = step_need(data, learner)
    monkeypatch.setattr(memory, "free_memory", lambda: (need / 10, "the machine"))
    with pytest.raises(kplug.SpecError) as error:
        refuse_too_large(data, learner)
    message = r"spec:\d+:\d+: data\.sampler: a training step with a batch of 1,000 needs about [\d.]+ GB by estimate, "
    found = re.fullmatch(rf"{message}and the machine has [\d,]+ MB free; a batch of (\d+) should fit", str(error.value))
    assert found and found[1] == "64"
    monkeypatch.setattr(memory, "free_memory", lambda: (2 * need, "the machine"))
    with pytest.raises(kplug.SpecError, match=r"the machine, beside [\d.]+ GB of examples that stay in memory .* has"):
        refuse_too_large(data, learner, kept=int(1.9 * need))
    monkeypatch.setattr(memory, "free_memory", lambda: (need / 10, "the machine"))
    smaller = made(text("convolutions", 64))
    assert step_need(*smaller) < need / 10
    refuse_too_large(*smaller)


def test_what_may_not_fit_is_warned_of(monkeypatch, capsys):
    data, learner = made(text("convolutions", 200))
    need = step_need(data, learner)
    monkeypatch.setattr(memory, "free_memory", lambda: (0.9 * need, "the machine"))
    refuse_too_large(data, learner)
    said = capsys.readouterr().err
    assert said.startswith("warning: ") and said.endswith("it may not fit; a batch of 128 should fit\n")
    monkeypatch.setattr(memory, "free_memory", lambda: (1.1 * need, "the machine"))
    refuse_too_large(data, learner)
    assert capsys.readouterr().err == ""


def test_a_small_step_costs_no_trace(monkeypatch):
    data, learner = made(text("convolutions", 8))
    assert rough_need(learner.model, 8) < memory.NEAR * free_memory()[0]
    monkeypatch.setattr(memory, "step_need", None)  # would fail
    refuse_too_large(data, learner)


def test_the_batch_that_fits():
    _, learner = made(text("convolutions", 8))
    gradients = 4 * sum(math.prod(weight.shape) for weight in learner.model.trainable_weights)
    for need, free, wanted in ((1e9, 1e9, 64), (1e9, 2e9, 128), (1e9, 1.2e8, 8), (1e9, 1e6 + gradients, 0)):
        assert batch_size_that_fits(learner.model, 100, need, free) == wanted
    assert batch_size_that_fits(learner.model, 100, 1e9, 2e9, memories=2) == 128


def test_a_run_is_asked_about_as_many_examples_as_fit(monkeypatch):
    _, learner = made(text("convolutions", 8))
    assert memory.rows_at_once(learner.model, 256) == 256 == memory.rows_at_once(None, 256)
    each = rough_need(learner.model, 1) - rough_need(learner.model, 0)
    for fitting, wanted in ((300, 256), (100, 64), (1, 1), (0.1, 1)):
        monkeypatch.setattr(memory, "free_memory", lambda: (fitting * each / memory.ROOM, "the machine"))  # noqa: B023
        assert memory.rows_at_once(learner.model, 256) == wanted


def test_free_memory_is_that_of_the_machine_its_group_or_the_process(tmp_path, monkeypatch):
    free, where = free_memory()
    assert 1e8 < free < 1e14 and where
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (10**12, 10**12))
    assert 0.5e12 < machine.left_to_limit() < 1e12
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert machine.left_to_limit() == math.inf

    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder, limit, used, cached in ((inner.parent, "5000", "4000", 300), (inner, "max", "2000", 0)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    assert machine.left_below(tmp_path, "/outer/inner", "max", "current", "inactive_file") == 1300


# --- processes that have too little ----------------------------------------------------------------------------------

LIMITED = """
import resource, sys
import kplug.training.fit
from pathlib import Path
from kplug import cli
from kplug.model import machine, memory

prepare = kplug.training.fit.prepare

def prepare_with_little(*arguments, **more):
    most = machine.kilobytes(Path("/proc/self/status"), "VmSize") + 2e9
    resource.setrlimit(resource.RLIMIT_AS, (int(most), -1))
    return prepare(*arguments, **more)

kplug.training.fit.prepare = prepare_with_little
BLIND
sys.argv = ["kplug", *sys.argv[1:]]
cli.main()
"""
BLIND = "memory.rough_need = lambda model, batch_size: 0.0"  # as where the estimate is far too low


def limited(tmp_path, written, blind):
    (tmp_path / "spec.yaml").write_text(written)
    code = LIMITED.replace("BLIND", BLIND if blind else "")
    command = [sys.executable, "-c", code, "train", "spec.yaml", "--run", "run"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)


WIDE = "[{type: conv2d, filters: 512, kernel_size: 3}, relu, {type: conv2d, filters: 16, kernel_size: 1}]"


@pytest.mark.slow
def test_a_process_with_too_little_memory_refuses_before_the_first_step(tmp_path):
    done = limited(tmp_path, text(WIDE, 1200), blind=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.match(r"spec\.yaml:\d+:\d+: data\.sampler: a training step with a batch of 1,200 needs about ", last)
    size = int(re.search(r"the limit of the process has .* free; a batch of (\d+) should fit$", last)[1])
    assert not (tmp_path / "run").exists()

    done = limited(tmp_path, text(WIDE, size), blind=False)
    assert done.returncode == 0, done.stderr


# oneDNN's convolutions end the process where TensorFlow 2.21 finds no memory for them; most other operations say so
WIDER = "[{type: up_sampling2d, size: [16, 16]}, {type: global_average_pooling2d}]"


@pytest.mark.slow
def test_memory_that_is_exhausted_is_said_with_a_batch_that_should_fit(tmp_path):
    done = limited(tmp_path, text(WIDER, 1200), blind=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    last = next(line for line in done.stderr.splitlines() if "memory is exhausted" in line)
    assert re.match(
        r"spec\.yaml:\d+:\d+: data\.sampler: memory is exhausted: a training step with a batch of 1,200 ", last
    )
    assert re.search(r"; a batch of \d+ should fit \(TensorFlow: .*OOM when allocating tensor", last), last
    assert (tmp_path / "run" / "spec.yaml").exists()


@pytest.mark.slow
def test_memory_that_is_exhausted_in_an_evaluation(tmp_path):
    written = text(WIDER, 8).replace("sequential, batch_size: 4", "sequential, batch_size: 1200")
    done = limited(tmp_path, written.replace("source: digits", "source: digits\n  validation: 0.9"), blind=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    last = next(line for line in done.stderr.splitlines() if "memory is exhausted" in line)
    assert re.match(r"spec\.yaml:\d+:\d+: data\.evaluate_with: memory is exhausted: .* take a smaller batch_size", last)
