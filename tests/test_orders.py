"""The figures of an evaluation are the same in any order of its examples: shuffled, in episodes, on two replicas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kplug
from kplug import Columns, Count, Needs, SplitEvaluator, Table, gives
from kplug.testing import plugged

ROOT = Path(__file__).parents[1]
SPEC = """
name: orders
task: {type: classification, model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 128}}
evaluators: [seen]
fit: {epochs: 2, precision: float32}
"""
FIGURES = ("accuracy", "loss", "balanced_accuracy", "macro_f1", "calibration_error", "worst_recall", "of_even_rows")


@gives("episode", "turn")
def episodes(columns: Columns, block: Count = 5, in_batch: Count = 7, times: Count = 1) -> kplug.Sampler:
    """Every example `times` over, mixed, in episodes that stay together; the last is filled up with the first examples.

    Args:
        block: examples of an episode.
        in_batch: episodes in a batch.
        times: how often each example comes.
    """
    total = columns.size * times
    count = -(-total // block)

    def epoch(rng):
        steps = -(-count // in_batch)
        rows = np.full(steps * in_batch * block, -1)
        order = np.concatenate([rng.permutation(columns.size) for _ in range(times)])
        rows[: count * block] = np.resize(order, count * block)
        rows = rows.reshape(steps, -1)
        places = np.arange(rows.size).reshape(rows.shape)
        return Table(rows, {"episode": places // block, "turn": (places % block).astype("float32")}, block)

    return epoch


class Seen(SplitEvaluator):
    """Figures by columns: of the rows with even numbers, and how far columns agree with what is in the batch."""

    needs = Needs(outputs=("probabilities", "classes"), fields=("label",))

    def begin(self, evaluation):
        super().begin(evaluation)
        self.right, self.episodes, self.agree = [], [], []

    def add(self, rows, truths, answers, columns):
        self.agree.append(np.array_equal(columns["label"], truths["label"]))
        self.agree.append(np.array_equal(self.evaluation.columns["label"][rows], truths["label"]))
        right = answers["probabilities"].argmax(-1) == truths["label"]
        self.right += list(zip(rows.tolist(), right.tolist(), strict=True))
        self.episodes += columns["episode"].tolist() if "episode" in columns else []

    def end(self, run):
        even = [right for row, right in self.right if row % 2 == 0]
        return {"of_even_rows": float(np.mean(even)), "agree": float(all(self.agree)), "seen": len(self.right)}, {
            "episodes.json": self.episodes
        }


def seen() -> kplug.Evaluator:
    """Figures by columns."""
    return Seen()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with plugged(episodes, seen):
        yield kplug.train(kplug.loads(SPEC), tmp_path_factory.mktemp("orders") / "run")


ORDERS = {
    "shuffled": {"type": "shuffled", "batch_size": 359},  # the test split has 359 examples
    "small": {"type": "sequential", "batch_size": 50},
    "episodic": {"type": "episodes", "block": 359, "in_batch": 1},
    "repeated": {"type": "episodes", "block": 359, "in_batch": 2, "times": 3},
}


@pytest.fixture(scope="module")
def in_sequence(run):
    return run.evaluate("test")


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_an_evaluation_leaves_the_figures_alone(run, in_sequence, name):
    order = ORDERS[name]
    found = run.evaluate("test", name=name, changes={"data.evaluate_with": order})
    assert found["agree"] == in_sequence["agree"] == 1
    assert found["seen"] == 359 * order.get("times", 1)
    for figure in FIGURES:
        assert found[figure] == pytest.approx(in_sequence[figure], abs=1e-6), figure
    if order["type"] == "episodes":
        assert run.read_json("episodes.json") == (np.arange(359 * order.get("times", 1)) // 359).tolist()


def test_the_hook_gets_the_columns_of_the_rows_that_were_asked_about(run, in_sequence):
    given = {}

    class Hook:
        @staticmethod
        @kplug.hookimpl
        def evaluated(run, split, name, predictions, columns):
            given[name] = (predictions["probabilities"].argmax(-1) == columns["label"]).mean(), columns

    with plugged(episodes, seen, Hook):
        run.evaluate("test", name="hook", changes={"data.evaluate_with": ORDERS["repeated"]})
    accuracy, columns = given["test-hook"]
    assert accuracy == pytest.approx(in_sequence["accuracy"], abs=1e-6)
    assert columns.size == 3 * 359 and columns["turn"].max() == 358


TWO = """
import json, sys
from kplug.console import load_tensorflow
load_tensorflow()
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, "TESTS")
import kplug
from kplug.data.pipeline import Data
from kplug.data.splits import open_data
from kplug.model.learner import build_learner
from kplug.model.patches import make_keras_distribute
from kplug.model.weights import load_kept_weights
from kplug.records import FitInfo
from kplug.testing import plugged
from kplug.training.cluster import Cluster
from test_orders import episodes, seen

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
cluster = Cluster(strategy)
make_keras_distribute()
with plugged(episodes, seen):
    run = kplug.Run.open("RUN")
    learner = build_learner(run.spec, run.info, FitInfo(1, 1), "float32", strategy)
    load_kept_weights(run, learner.model)
    for order in json.loads('ORDERS'):
        data = open_data(run.spec.at({"data.evaluate_with": order}))
        block = data.order("test").block
        steps = data.evaluation_steps("test", cluster.slices) if cluster.deals(block) else None
        batches = cluster.batches(lambda slices: data.evaluation(learner, "test", slices), block)
        found = learner.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
        print(json.dumps({**found, "dealt": cluster.deals(block)}))
"""


def in_a_process(text):
    """What Python said to a program, in a process of its own: a strategy is one a process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", text.replace("TESTS", str(ROOT / "tests"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_two_replicas_give_the_figures_of_one(run, in_sequence):
    orders = [
        {"type": "sequential", "batch_size": 101},
        {"type": "shuffled", "batch_size": 359},
        {"type": "episodes", "block": 1, "in_batch": 100},
        # 7 times 359 examples fill blocks of 7
        {"type": "episodes", "block": 7, "in_batch": 20, "times": 7},
    ]
    done = in_a_process(TWO.replace("RUN", str(run.path)).replace("ORDERS", json.dumps(orders)))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["dealt"] for one in found] == [False, False, False, True]
    for one in found:
        for figure in ("accuracy", "loss"):
            assert one[figure] == pytest.approx(in_sequence[figure], abs=1e-6)


TRAINED = """
import json, sys
sys.path.insert(0, "TESTS")
from kplug.console import load_tensorflow
load_tensorflow()
import kplug
from kplug.testing import plugged
from test_orders import SPEC, episodes, seen

with plugged(episodes, seen):
    changes = {"fit.epochs": 1, "fit.threads": 1, "fit.strategy": STRATEGY}
    changes["data.evaluate_with"] = {"type": "episodes", "block": 3, "in_batch": 7}
    run = kplug.train(kplug.loads(SPEC).at(changes), "RUN")
    print(json.dumps(run.rows("metrics.jsonl")))
"""


def test_a_training_on_two_replicas_validates_in_whole_blocks(tmp_path):
    found = []
    for name, strategy in (("one", "one_device"), ("two", {"type": "mirrored", "devices": ["CPU:0", "CPU:1"]})):
        text = TRAINED.replace("STRATEGY", repr(strategy)).replace("RUN", str(tmp_path / name))
        done = in_a_process(text)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert [row["epoch"] for row in found[0]] == [1]
    assert found[1] == [pytest.approx(row, abs=1e-5) for row in found[0]]
