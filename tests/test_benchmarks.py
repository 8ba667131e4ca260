"""The benchmarks: both sides train equal networks, chunks are counted right, the page says what the figures say."""

import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "tools" / "benchmarks"
MODELS = ("resnet", "mobilenet", "vit")


@pytest.fixture
def plain(monkeypatch):
    """The folder of the scripts, whose modules have short names; what they patch in Keras is taken back."""
    import keras

    from kplug.model.patches import fuse_batch_normalization

    fuse_batch_normalization()  # which kplug does once a process, and not again
    monkeypatch.setattr(keras.layers.BatchNormalization, "call", keras.layers.BatchNormalization.call)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def kplug_model(name, shape):
    import kplug
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner
    from kplug.testing import tiny_info

    spec = kplug.load(BENCHMARKS / f"{name}.yaml")
    return spec, build_learner(spec, tiny_info(shape, tuple("0123456789")), FitInfo(100, 1), "float32").model


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_both_sides_have_equal_networks(name, plain):
    import keras
    from plain import SIDES

    spec, ours = kplug_model(name, SIDES[name])
    weights = sorted(tuple(weight.shape) for weight in ours.trainable_weights)
    for side in ("tuned", "idiomatic"):
        script = runpy.run_path(str(BENCHMARKS / f"{side}_{name}.py"))
        theirs = script["make_model"](100)
        keras.config.set_dtype_policy("float32")
        assert theirs.count_params() == ours.count_params()
        assert sorted(tuple(w.shape) for w in theirs.trainable_weights) == weights
        assert type(theirs.optimizer).__name__ == type(ours.optimizer).__name__
        assert script["BATCH"] == spec["data.sampler"].arguments["batch_size"]


def test_chunks_leave_out_the_lead_and_start_again_with_an_epoch(plain, monkeypatch):
    import contender

    answers = io.StringIO()
    chunks = contender.Chunks(answers)
    monkeypatch.setattr(sys, "stdin", iter(["go 2 3\n", "go 1 2\n"]))
    clock = iter(range(100))
    monkeypatch.setattr(contender.time, "perf_counter", lambda: next(clock))
    chunks.step(1)  # the first; then it is asked for 2 and 3 steps
    for step in (2, 3):
        chunks.step(step)  # the lead: timed from step 3 on
    chunks.begin_epoch()
    for step in (1, 2, 3, 4, 5):  # timed from step 2 on
        chunks.step(step)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert found == [{"first_step": True}, {"steps": 3, "seconds": 1}]


FIGURES = {
    "machine": {
        "processor": "P",
        "flags": ["avx512_bf16"],
        "cores": 2,
        "system": "Linux",
        "versions": {"keras": "3.15.1"},
    },
    "command": "tools/bench",
    "seed": 0,
    "date": "2026-01-01",
    "rounds": 3,
    "models": {
        "resnet": {
            "batch": 128,
            "parameters": 703578,
            "training": {"kplug": [2.0, 4.0, 3.0], "tuned": [1.0, 4.0, 2.0], "idiomatic": [1.0, 2.0, 1.0]},
            "checkpoint": [0.3, 0.3],
            "memory": {"kplug": {"now": 1000, "highest": 1100}, "tuned": {"now": 900, "highest": 1000}},
            "input": {"kplug": [10.0, 10.0, 10.0], "tuned": [10.0, 10.0, 10.0]},
            "first_step": {"kplug": [5.0], "tuned": [4.0]},
        }
    },
    "accuracy": {
        "model": "resnet",
        "epochs": 3,
        "float32": [0.90, 0.91, 0.92],
        "mixed_bfloat16": [0.901, 0.909, 0.921],
    },
    "communication": {"apart": [2.0, 2.0], "joined": [1.0, 1.5]},
}


def test_the_page_has_ratios_of_the_same_round(plain):
    from page import make_page

    text = make_page(FIGURES)
    assert "| 384 | 256 | 128 | **1.500** (1.250 to 1.750) | **2.000** (2.000 to 2.500) |" in text
    assert "bfloat16 is native" in text
    assert "| 5.0 s | 4.0 s | +1.0 s |" in text
    assert "| 300 ms | 0.100% |" in text
    assert "| 1 | 0.9100 | 0.9090 | -0.0010 |" in text
    assert "mean difference is +0.0003, its standard error 0.0007" in text
    assert "37.5% of the time is communication" in text


def run_bench(*arguments):
    return subprocess.run([sys.executable, str(ROOT / "tools" / "bench"), *arguments], capture_output=True, text=True)


def test_check_tells_a_page_that_is_not_of_the_figures(tmp_path):
    (tmp_path / "benchmarks.json").write_text(json.dumps(FIGURES))
    assert run_bench("--write", "--to", str(tmp_path)).returncode == 0
    assert run_bench("--check", "--to", str(tmp_path)).returncode == 0
    with open(tmp_path / "benchmarks.md", "a") as page:
        page.write("ten times as fast\n")
    assert run_bench("--check", "--to", str(tmp_path)).returncode == 1


@pytest.mark.skipif(not (ROOT / "docs" / "benchmarks.json").exists(), reason="no figures were taken yet")
def test_the_page_of_the_documentation_is_current():
    done = run_bench("--check")
    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs" / "benchmarks.json").stat().st_size < 100_000


@pytest.mark.slow
def test_a_quick_race(tmp_path):
    done = run_bench("--quick", "--models", "vit", "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())["models"]["vit"]
    assert {len(rates) for rates in found["training"].values()} == {2}
    assert os.path.getsize(tmp_path / "benchmarks.md") > 1000
