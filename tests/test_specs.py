"""Every spec that comes with kplug is good, and trains on tiny pictures; most of them only with KPLUG_TEST_ALL=1."""

from pathlib import Path

import numpy as np
import pytest

import kplug
from kplug.spec.tree import Node, nodes
from kplug.testing import knowing, no_tensorflow, tiny

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
FAST = ("digits", "mnist-capsnet")  # of two tasks
TINY = {"type": "tiny_pictures", "examples": 40, "test": 8, "size": [28, 28], "channels": 1}
BATCH = 3  # of the class that has so few, where a sampler cuts all down to it


def test_all_are_good_without_tensorflow():
    done = no_tensorflow("check", *(str(path.relative_to(ROOT)) for path in SPECS), cwd=ROOT)
    assert done.returncode == 0
    assert all("there is no file or folder" in line for line in done.stderr.splitlines()), done.stderr
    assert done.stdout.count(": good\n") == len(SPECS)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_its_name_is_that_of_its_file_and_it_has_a_lab_note(path):
    spec, text = kplug.load(path), path.read_text()
    assert spec.name == path.stem
    note = [line for line in text.partition("\nname:")[0].splitlines() if line.startswith("#")]
    assert any(f"specs/{path.name}" in line or f" {path.stem}" in line for line in note), "the command is missing"
    assert len(note) >= 4


def on_tiny_pictures(spec):
    """The same on a few pictures in memory: a source in a source is put there, and weights on the disk are left out."""
    source = "data.source"
    while isinstance(spec[source].arguments.get("of"), Node):
        source += ".of"
    values = {source: TINY, "fit.epochs": 1, "data.sampler.batch_size": BATCH, "fit.threads": None}
    if spec.name == "search-training":  # with 8 channels TensorFlow would need a batch that the threads divide
        values["task.model.width"] = 16
    if spec["data.validation"]:
        values["data.validation"] = 0.2
    values |= {f"fit.stages.{number}.epochs": 1 for number in range(len(spec["fit.stages"]))}
    for node in nodes(spec.root):
        if node.component.distribution == "kplug-pretrained" and node.arguments.get("weights"):
            values[".".join(map(str, (*node.path, "weights")))] = None
    return spec.at(values)


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[] if p.stem in FAST else pytest.mark.slow) for p in SPECS]
)
def test_it_trains(path, tmp_path):
    with knowing(tiny.tiny_pictures):  # beside all that is installed
        run = kplug.train(on_tiny_pictures(kplug.load(path)), tmp_path / "run")
    assert np.isfinite([row["loss"] for row in run.rows("metrics.jsonl")]).all()
    assert (run.path / "model.weights.h5").exists()
