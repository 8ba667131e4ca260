"""A disk that fills up in the middle of a checkpoint: one message, the state before it good, and resume as ever."""

import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

import kplug
from kplug.inference.run import Run
from kplug.training.checkpoints import Checkpoints
from kplug.training.fit import train

SPEC = """
name: filling
task:
  type: classification
  model: {type: layers, layers: [flatten, {type: dense, units: 128}, {type: dropout, rate: 0.2}, relu]}
  optimizer: adam
data:
  source: digits
  sampler: {type: shuffled, batch_size: 100}
fit:
  epochs: 2
  precision: float32
  steps_per_execution: 1
  checkpoint: {steps: 5, seconds: null, keep: 2}
"""
# kplug's command, in which the checkpoint after step 10 finds no room: a checkpoint has 116 kB, the weights 39 kB
COMMAND = """
import os, resource, signal, sys
from kplug import cli
from kplug.training.checkpoints import Checkpoints

save = Checkpoints.save

def save_in_vain(self, model, state):
    if state["step"] == 10:
        FULL
    return save(self, model, state)

Checkpoints.save = save_in_vain
sys.argv = ["kplug", "train", *sys.argv[1:]]
cli.main()
"""
# no file may be longer than that: the system then refuses to write, as it does on a disk that is full
LIMIT = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, -1))"
# all but the last 60 kB are taken
TAKE = "left = os.statvfs('.'); open('taken', 'wb').write(bytes(left.f_bavail * left.f_bsize - 60_000))"


def train_command(folder, full, *arguments):
    code = COMMAND.replace("FULL", full)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def contents(run):
    """Weights to the bit, rows and metrics."""
    found = {}
    for name in ("model.weights.h5", "last.weights.h5"):
        with h5py.File(run.path / name) as file:
            items = []
            file.visititems(lambda path, item: items.append((path, item)) if hasattr(item, "dtype") else None)  # noqa: B023
            found |= {(name, path): np.asarray(item).tobytes() for path, item in items}
    return found, run.rows("metrics.jsonl"), run.metrics


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(kplug.loads(SPEC), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "kplug", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root mounts file systems")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill_and_resume(folder, full, whole):
    (folder / "spec.yaml").write_text(SPEC)
    done = train_command(folder, full, "spec.yaml", "--run", "run")

    # one message, which names the file
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "function_node" not in done.stderr
    *before, last = done.stderr.splitlines()
    place = re.escape("run/checkpoints/ckpt-0-10")
    assert re.match(rf"{place}: cannot be written: .+; what was written before it is untouched", last), done.stderr
    assert not any("cannot be written" in line for line in before)

    # the checkpoint before it is whole, and nothing half-written is beside it
    run = Run.open(folder / "run")
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["ckpt-0-5"]
    found, complaints = Checkpoints(run, 2).newest()
    assert found.state["step"] == 5 and complaints == []
    assert not run.finished

    # with room again, it ends as one that was not stopped
    (folder / "taken").unlink(missing_ok=True)
    again = train_command(folder, "pass", "--resume", "run", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["metrics"] == whole.metrics
    assert contents(Run.open(folder / "run")) == contents(whole)
    return last


@pytest.mark.slow
def test_a_file_that_cannot_be_written(whole, tmp_path):
    fill_and_resume(tmp_path, LIMIT, whole)


@pytest.mark.slow
def test_a_full_disk(whole, small_disk):
    assert "No space left on device" in fill_and_resume(small_disk, TAKE, whole)
