"""The benchmarks of the search: both sides search one space of equal networks, the page says what the figures say."""

import copy
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kplug

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "bench_search"
BENCHMARKS = ROOT / "tools" / "search_benchmarks"
PLAIN = ROOT / "tools" / "benchmarks"  # whose description of the machine is used


@pytest.fixture
def modules(monkeypatch):
    """The folder of the benchmarks, whose modules have short names."""
    for folder in (PLAIN, BENCHMARKS):
        monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (PLAIN, BENCHMARKS):
            del sys.modules[name]


# --- what is measured ------------------------------------------------------------------------------------------------


def test_both_sides_search_one_space_of_equal_networks(modules):
    import keras_tuner
    from search_parts import POINT

    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner
    from kplug.spec.search.space import spec_at
    from kplug.testing import tiny_info
    from kplug.tuning.oracle_space import declare

    script, spec = runpy.run_path(str(BENCHMARKS / "keras_tuner_by_hand.py")), kplug.load(BENCHMARKS / "tiny.yaml")
    asked = keras_tuner.HyperParameters()
    theirs = script["build_model"](asked)
    ranges = [one.get_config() | {"name": POINT[one.name]} for one in declare(spec.space()).space]
    assert [one.get_config() for one in asked.space] == ranges

    info = tiny_info((8, 8, 1), tuple("0123456789"), counts=(1,) * 10)
    point = {path: asked.values[name] for path, name in POINT.items()}
    ours = build_learner(spec_at(spec, spec.space(), point), info, FitInfo(48, 1), "float32").model
    shapes = [sorted(tuple(weight.shape) for weight in model.trainable_weights) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert type(ours.optimizer).__name__ == type(theirs.optimizer).__name__
    assert float(ours.optimizer.learning_rate) == float(theirs.optimizer.learning_rate)
    assert spec["data.sampler"].arguments["batch_size"] == script["BATCH"]
    assert spec["data.evaluate_with"].arguments["batch_size"] == script["EVALUATED_BATCH"]


def test_the_digits_fill_whole_batches(modules, tmp_path):
    import numpy
    from search_parts import write_digits

    write_digits(tmp_path / "digits.npz")
    with numpy.load(tmp_path / "digits.npz") as found:
        sizes = {name: len(array) for name, array in found.items()}
        assert found["x_train"].dtype == numpy.uint8
        assert found["x_train"].max() == 255
    batch = kplug.load(BENCHMARKS / "tiny.yaml")["data.sampler"].arguments["batch_size"]
    assert sizes["x_train"] == sizes["y_train"]
    assert sizes["x_train"] % batch == 0
    assert sizes["x_train"] + sizes["x_validation"] == 1797


def test_two_workers_have_trials_of_one_thread_and_of_one_size():
    spec = kplug.load(BENCHMARKS / "steady.yaml")
    assert spec["fit.threads"] == 1
    assert [one.path for one in spec.space()] == ["task.head.dropout", "task.optimizer.learning_rate.peak"]


def test_the_trial_under_way_is_read_from_outside(modules, tmp_path):
    from search_parts import trial_of_journal, trial_of_project

    from kplug.storage.journal import Journal

    assert trial_of_journal(tmp_path) == trial_of_project(tmp_path) == 0
    journal = Journal(tmp_path / "journal.jsonl")
    for event, under_way in (("search", 0), ("ask", 1), ("report", 1), ("tell", 0), ("ask", 2)):
        journal.append(event, trial=0)
        assert trial_of_journal(tmp_path) == under_way
    for number, status, under_way in ((8, "COMPLETED", 0), (9, "RUNNING", 2), (10, "RUNNING", 3)):
        folder = tmp_path / "digits" / f"trial_{number:02}"
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(json.dumps({"trial_id": str(number), "status": status}))
        assert trial_of_project(tmp_path) == under_way


def test_memory_is_told_in_thirds(modules):
    from search_parts import marks

    assert [marks(30), marks(20), marks(2), marks(1)] == [[10, 20, 30], [7, 13, 20], [1, 2], [1]]


def test_other_points_are_refused(modules):
    from search_parts import refuse_other_points
    from watched import Failed

    refuse_other_points({"kplug": [[8, 0.1]], "keras_tuner": [[8, 0.1]]}, 1)
    for points in ({"kplug": [[8, 0.1]], "keras_tuner": [[8, 0.2]]}, {"kplug": [[8]], "keras_tuner": [[8], [9]]}):
        with pytest.raises(Failed, match="they tried"):
            refuse_other_points(points, 1)


HOLDING = """
import pathlib, subprocess, sys, time
held = bytearray(b"x" * 2**26)
child = [sys.executable, "-c", "import time; held = bytearray(b'x' * 2**26); time.sleep(30)"]
below = subprocess.Popen(child)
pathlib.Path("trial").write_text("1")
until = time.monotonic() + 20
while not pathlib.Path("seen").exists() and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(1.5)
below.kill()
below.wait()
"""


def test_a_process_is_watched_with_those_below_it(modules, tmp_path):
    from watched import MIB, Failed, family, together, watch

    def under_way():
        child = [pid for pid in family(os.getpid()) if pid != os.getpid() and together([pid]) > 64 * MIB]
        if len(child) == 2:
            (tmp_path / "seen").touch()
        return int((tmp_path / "trial").exists())

    begun = time.perf_counter()
    seen = watch([sys.executable, "-c", HOLDING], tmp_path, tmp_path / "log", dict(os.environ), under_way)
    assert (tmp_path / "seen").exists()
    assert 64 * MIB < seen.resident_in(1) < 128 * MIB  # of the process itself
    assert seen.resident_in(5) == seen.resident_in(1)
    assert 128 * MIB < seen.together < 256 * MIB
    assert 0 < seen.began <= seen.ended < seen.seconds <= time.perf_counter() - begun
    with pytest.raises(Failed, match="no trial up to 0"):
        seen.resident_in(0)


def test_a_process_that_fails_is_told_with_its_last_words(modules, tmp_path):
    from watched import Failed, watch

    with pytest.raises(Failed, match="ended with 3\nout of luck"):
        code = "import sys; print('out of luck', flush=True); sys.exit(3)"
        watch([sys.executable, "-c", code], tmp_path, tmp_path / "log", dict(os.environ), lambda: 0)


def test_bytes_on_disk_are_those_of_all_files(modules, tmp_path):
    from watched import on_disk

    before = on_disk(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(os.urandom(2**20))
    assert 2**20 <= on_disk(tmp_path) - before < 2**20 + 2**16


# --- the page --------------------------------------------------------------------------------------------------------

MADE = {
    "command": "tools/bench_search keras_tuner",
    "date": "2026-01-01",
    "machine": {"processor": "P", "cores": 2, "system": "Linux", "versions": {"keras": "3.15.1"}},
    "seed": 0,
    "rounds": 3,
}
FIGURES = {
    "keras_tuner": MADE
    | {
        "trials": 30,
        "marks": [10, 20, 30],
        "kplug": {
            "seconds": [60.0, 90.0, 66.0],
            "trial_seconds": [50.0, 80.0, 60.0],
            "resident": [[500, 500, 505], [500, 510, 510], [500, 500, 500]],
            "together": [1000, 1200, 1100],
            "disk": [2.5, 2.5, 2.5],
        },
        "keras_tuner": {
            "seconds": [40.0, 45.0, 44.0],
            "trial_seconds": [30.0, 32.0, 30.0],
            "resident": [[1000, 1100, 1200], [1000, 1100, 1250], [1000, 1000, 1100]],
            "together": [1200, 1250, 1100],
            "disk": [10, 10, 10],
        },
    },
    "workers": MADE | {"trials": 20, "one": [100.0, 200.0, 100.0], "two": [60.0, 100.0, 55.0]},
    "overhead": MADE
    | {
        "trials": 20,
        "rounds": 1,
        "process": {"begin": [1.0, 2.0, 1.5], "end": [2.0, 3.0, 2.5]},
        "in_process": {"begin": [0.5, 1.0, 1.2], "end": [1.0, 1.5, 2.0]},
    },
}


def test_the_page_has_ratios_of_the_same_round(modules):
    from search_page import make_page

    text = make_page(FIGURES)
    assert "| wall time, from command to end | 66.0 s | 44.0 s | **1.50** (1.50 to 1.75) |" in text
    assert "in trial 10 | 500 MiB | 1,000 MiB | **0.50** (0.50 to 0.50) |" in text
    assert "| growth from trial 10 to trial 30 | +1.0% | +20.0% |  |" in text
    assert "| disk at the end | 2.5 MiB | 10.0 MiB | **0.25** (0.25 to 0.25) |" in text
    assert "| 100 s | 60 s | **0.550** (0.525 to 0.575) |" in text
    assert "| the first step's begin | 1.50 s | 1.00 s | **+0.50** (+0.40 to +0.75) s |" in text
    assert "| the first step's end | 2.50 s | 1.50 s | **+1.00** (+0.75 to +1.25) s |" in text
    assert "on 2026-01-01, seed 0, 1 round; P, 2 cores, Linux; keras 3.15.1." in text


def test_a_page_of_one_round_has_no_quartiles(modules):
    from search_page import make_page

    figures = {"workers": MADE | {"trials": 2, "rounds": 1, "one": [10.0], "two": [8.0]}}
    text = make_page(figures)
    assert "| 10 s | 8 s | **0.800** |" in text
    assert "Keras Tuner" not in text


def test_what_stands_outside_the_marks_stays(modules):
    from search_page import BEGIN, END, NoMarks, make_page

    page = make_page(FIGURES, f"# Mine\n\n{BEGIN}\nold figures\n{END}\n\nThe end.\n")
    assert page.startswith(f"# Mine\n\n{BEGIN}\n\nRaw figures")
    assert page.endswith(f"{END}\n\nThe end.\n")
    assert "old figures" not in page
    assert make_page(FIGURES, page) == page
    for old in ("# Mine\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n"):
        with pytest.raises(NoMarks):
            make_page(FIGURES, old)


def run_tool(*arguments):
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True)


def test_check_tells_a_page_that_is_not_of_the_figures(tmp_path):
    assert run_tool("--check", "--to", tmp_path).returncode == 1
    (tmp_path / "search-benchmarks.json").write_text(json.dumps(FIGURES))
    assert run_tool("--check", "--to", tmp_path).returncode == 1  # no page yet
    assert run_tool("--write", "--to", tmp_path).returncode == 0
    assert run_tool("--check", "--to", tmp_path).returncode == 0
    others = copy.deepcopy(FIGURES)
    others["workers"]["two"] = [50.0, 100.0, 50.0]
    (tmp_path / "search-benchmarks.json").write_text(json.dumps(others))
    done = run_tool("--check", "--to", tmp_path)
    assert done.returncode == 1
    assert "run tools/bench_search --write" in done.stderr


def test_a_part_that_is_not_there_is_refused(tmp_path):
    done = run_tool("worker", "--to", tmp_path)
    assert done.returncode == 2
    assert "no part named worker; there are keras_tuner, workers, overhead" in done.stderr


def test_the_page_of_the_documentation_is_current():
    done = run_tool("--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_quick_run(tmp_path):
    done = run_tool("--quick", "--to", tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "search-benchmarks.json").read_text())
    assert list(found) == ["keras_tuner", "workers", "overhead"]
    for side in ("kplug", "keras_tuner"):
        figures = found["keras_tuner"][side]
        assert all(figures[what][0] > 0 for what in ("seconds", "trial_seconds", "disk"))
        assert all(0 < megabytes <= figures["together"][0] * 1.5 for megabytes in figures["resident"][0])
    assert len(found["workers"]["one"]) == len(found["workers"]["two"]) == 1
    for way in ("process", "in_process"):
        begun, ended = found["overhead"][way]["begin"], found["overhead"][way]["end"]
        assert len(begun) == 2
        assert all(0 < begin < end for begin, end in zip(begun, ended, strict=True))
    assert run_tool("--check", "--to", tmp_path).returncode == 0
