"""Trainings on Ray clusters that are begun on this machine: one node, and two of which one dies."""

import json
import os
import signal
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")

import kplug_ray  # noqa: E402
from kplug_ray import ray_cluster  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

import kplug  # noqa: E402
from kplug.inference.run import Run  # noqa: E402
from kplug.testing import check, plugged  # noqa: E402
from kplug.tuning.executor import FAILED, FINISHED, PAUSED, Ended, Job  # noqa: E402
from kplug.tuning.search import search  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    # of Ray's own modules, and of its processes that end when a node is killed
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]
SPEC = """
name: spread
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, {type: dropout, rate: 0.2}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2}}
data: {source: digits, sampler: {type: shuffled, batch_size: 256}}
fit:
  epochs: 3
  steps_per_execution: 1
  threads: 1
  checkpoint: {steps: 2, seconds: null}
  callbacks: [linger]
search:
  oracle: {type: random, trials: 20}
  objective: {maximize: val_accuracy}
  executor: EXECUTOR
  space:
    task.model.layers.0.filters: {int: [2, 8]}
    task.optimizer.learning_rate.peak: {log: [1e-3, 1e-1]}
"""
JOB = SPEC[: SPEC.index("search:")]
LINGER = '''
    from kplug import Callback, NonNegative, hookimpl

    @hookimpl
    def components():
        return [linger]

    def linger(seconds: NonNegative = 0.3) -> Callback:
        """Take a while for each step.

        Args:
            seconds: for each.
        """
        import keras, time

        class Linger(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                time.sleep(seconds)

        return Linger()
'''


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    """A distribution with `linger`, on the PYTHONPATH of this process alone: a cluster's nodes do not have it."""
    folder = tmp_path / "site"
    (folder / "linger-1.0.dist-info").mkdir(parents=True)
    (folder / "linger.py").write_text(textwrap.dedent(LINGER))
    (folder / "linger-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: linger\nVersion: 1.0\n")
    (folder / "linger-1.0.dist-info" / "entry_points.txt").write_text("[kplug]\nlinger = linger\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("HOME", str(tmp_path.parent))  # Ray writes there; a token of the first test is of all
    monkeypatch.chdir(tmp_path)
    import linger

    with plugged(kplug_ray, linger):
        yield lambda: monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def nodes():
    """A cluster of two nodes with one processor each; the search is connected to the first."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def until_ended(executor, said=()):
    """Let a training go on until it ends: the epochs that it reports, and its end."""
    said = list(said)
    while True:
        events = executor.wait(300.0)
        assert events, f"nothing happened after {said}"
        for event in events:
            if isinstance(event, Ended):
                return said, event
            said.append(event.epoch)
            executor.answer(event.name, True)


def job(name="one"):
    return Job(name, JOB, f"{name}/run", f"{name}/log")


def test_it_keeps_the_contract():
    check(ray_cluster, workers=1)
    assert not ray.is_initialized()


def processes_of(folder):
    """Processes that write into a file of that name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.readlink(entry / "fd" / "1") == str(folder):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_one_that_crashes_fails_and_one_that_is_stopped_keeps_a_checkpoint(plugin, tmp_path):
    plugin()
    before = signal.getsignal(signal.SIGTERM)
    executor = ray_cluster(workers=1)
    try:
        (tmp_path / "one").mkdir()
        executor.start(job())
        assert [event.epoch for event in executor.wait(300.0)] == [0]
        assert signal.getsignal(signal.SIGTERM) is before
        (process,) = processes_of(tmp_path / "one" / "log")
        assert executor.memory("one") > 2**20
        executor.answer("one", True)
        os.kill(process, signal.SIGKILL)
        ended = executor.wait(60.0)
        assert [(event.how, event.name) for event in ended] == [(FAILED, "one")]
        assert "its process was killed by SIGKILL" in ended[0].reason
        executor.start(job())
        assert [event.epoch for event in executor.wait(300.0)] == [0]
        executor.answer("one", True)
        time.sleep(1.0)
        executor.kill("one")
        executor.start(job())
        assert [event.epoch for event in executor.wait(300.0)] == [0]
        executor.answer("one", True)
        assert [event.epoch for event in executor.wait(300.0)] == [1]
        executor.answer("one", True)
        assert list(executor.interrupt()) == ["one"]
        (ended,) = executor.wait(300.0)
        assert (ended.how, ended.reason) == (FAILED, "it was terminated")
    finally:
        executor.stop()
    assert not processes_of(tmp_path / "one" / "log")
    assert list(Path("one/run/checkpoints").iterdir())
    assert not Run.open("one/run").finished


def trials(folder):
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return [(row["point"], row["status"], row["numbers"]) for row in rows]


def test_a_search_of_which_a_node_dies_and_another_comes_gives_what_it_gives_here(nodes, plugin, tmp_path, capfd):
    doomed = nodes.worker_nodes.copy().pop()
    plugin()
    killed = {}

    def watch(found, running):
        """Kill the second node in the second epoch of the training that is on it; later another comes."""
        under_way = {name: one.epoch for name, one in running.under_way.items()}
        if not killed and len(under_way) == 2 and all(epoch == 1 for epoch in under_way.values()):
            nodes.remove_node(doomed, allow_graceful=False)
            killed.update(under_way)
        elif killed and "back" not in killed and sum(bool(trial.status) for trial in found.trials) == 3:
            nodes.add_node(num_cpus=1)
            killed["back"] = True

    text = SPEC.replace("EXECUTOR", f"{{type: ray_cluster, address: '{nodes.address}'}}")
    search(kplug.loads(text), tmp_path / "spread", watch=watch)
    said = capfd.readouterr().err
    assert "back" in killed
    assert said.count("lost its node, and goes on elsewhere") == 1, said
    search(kplug.loads(SPEC.replace("EXECUTOR", "processes")), tmp_path / "here")
    assert {status for _, status, _ in trials(tmp_path / "here")} == {FINISHED}
    assert trials(tmp_path / "spread") == trials(tmp_path / "here")


def test_where_no_node_is_left_it_waits_and_says_so_once(nodes, plugin, tmp_path, capfd):
    """The first node has one processor, and a training takes more."""
    plugin()
    (tmp_path / "one").mkdir()
    executor = ray_cluster(workers=1, address=nodes.address, cpus=2.0)
    try:
        executor.start(job())
        assert executor.wait(15.0) == []
        said = capfd.readouterr().err
        assert said.count("none of the 2 nodes of the Ray cluster has CPU 2 for a training; waiting for one") == 1
        nodes.add_node(num_cpus=2)
        epochs, ended = until_ended(executor)
        assert epochs == [0, 1, 2, 3]
        assert ended.how == FINISHED
    finally:
        executor.stop()


def test_one_that_stopped_and_lost_its_place_is_trained_to_there_again_and_measured(plugin, tmp_path, capfd):
    plugin()
    (tmp_path / "one").mkdir()
    executor = ray_cluster(workers=1)
    try:
        executor.start(replace(job(), wanted=("latency_ms",)))
        for life in range(2):
            for epoch, go_on in ((0, True), (1, False)):
                (event,) = executor.wait(300.0)
                assert event.epoch == epoch
                executor.answer("one", go_on)
            if not life:
                ray.kill(executor.places[0].actor)
        (ended,) = executor.wait(300.0)
    finally:
        executor.stop()
    assert capfd.readouterr().err.count("training one lost its node, and goes on elsewhere") == 1
    assert ended.how == PAUSED and ended.numbers["latency_ms"] > 0, ended


def test_a_cluster_that_is_not_there():
    with pytest.raises(kplug.SpecError, match=r"the Ray cluster at 127.0.0.1:9 cannot be reached"):
        ray_cluster(address="127.0.0.1:9").start(job())
