"""`kplug bench` on a spec that is small enough to be timed in seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf

import kplug
from kplug.default_plugins.bench.compare import KEYS, compare, operations_of_a_step, report
from kplug.default_plugins.bench.peak import best_rate
from kplug.model.operations import forward_operations

SPEC = """
name: tiny
task:
  type: classification
  model: {type: layers, layers: [flatten, {type: dense, units: 8}]}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 32}
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        answer = compare(kplug.loads(SPEC).at({"fit.precision": "float32"}), seconds=20)
    assert list(folder.iterdir()) == []  # no run is made
    return answer


@pytest.mark.slow
def test_the_first_line_is_the_spec_and_every_other_changes_something(found):
    base, *others = found["alternatives"]
    assert base["precision"] == "float32"
    assert (base["speedup"], base["speedup_quartiles"]) == (1.0, [1.0, 1.0])
    assert base["examples_per_second"] == pytest.approx(32 / base["step_seconds"])
    settings = [tuple(row[key] for key in KEYS) for row in found["alternatives"]]
    assert len(set(settings)) == len(settings) > 2
    assert "mixed_bfloat16" in {row["precision"] for row in others}


@pytest.mark.slow
def test_the_parts_are_no_slower_than_the_whole(found):
    assert found["input_seconds"] > 0
    assert found["model_seconds"] > 0
    assert found["bottleneck"] == ("input" if found["input_seconds"] > found["model_seconds"] else "model")
    assert found["operations_of_a_step"] == 3 * 2 * 32 * (64 * 8 + 8 * 10)
    assert all(0 < row["share_of_peak"] < 1 for row in found["alternatives"] if "problem" not in row)


@pytest.mark.slow
def test_report_names_what_to_set(found):
    slow, fast = found["alternatives"][0], dict(found["alternatives"][1])
    fast |= {"speedup": 3.0, "speedup_quartiles": [2.5, 3.5], "precision": "mixed_bfloat16"}
    text = report(found | {"alternatives": [slow, fast]})
    assert "3.00 times as fast as the spec, here: set fit.precision=mixed_bfloat16" in text
    unsure = report(found | {"alternatives": [slow, fast | {"speedup_quartiles": [0.9, 3.5]}]})
    assert "times as fast" not in unsure


@pytest.mark.slow
def test_report_of_an_alternative_that_fails(found):
    broken = dict.fromkeys(KEYS, "x") | {"problem": "XLA has no such operation"}
    assert "not timed: XLA has no such operation" in report(
        found | {"alternatives": [found["alternatives"][0], broken]}
    )


def test_operations_are_counted_in_every_product():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)  # 64 x 4 x 27
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)  # 64 x 4 x 9
    x = keras.layers.Conv2DTranspose(2, 2, 2)(x)  # each of 64 x 4 values meets 2 x 2 x 2 weights
    x = keras.layers.Reshape((256, 2))(x)
    x = keras.layers.EinsumDense("abc,cd->abd", output_shape=(256, 5))(x)  # 256 x 2 x 5
    model = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(x)))  # 1280 x 7
    products = 64 * 4 * 27 + 64 * 4 * 9 + 64 * 4 * 8 + 256 * 2 * 5 + 1280 * 7
    assert forward_operations(model, tf.zeros((3, 8, 8, 3))) == 2 * 3 * products


def test_a_model_without_call_has_no_count():
    class Odd(keras.Model):
        def train_step(self, data):
            return {}

    assert operations_of_a_step(Odd(), tf.zeros((1, 2))) == 0


def test_best_rate_is_that_of_a_processor():
    assert 1e8 < best_rate("float32", seconds=0.1) < 1e16
    assert numpy.isfinite(best_rate("bfloat16", seconds=0.1))


def kplug_bench(*arguments, cwd):
    command = [sys.executable, "-m", "kplug.cli", "bench", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_wrong_input_ends_with_2(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC.replace("classification", "clasification"))
    done = kplug_bench("spec.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "spec.yaml:4:9: task: no task named 'clasification'" in done.stderr


@pytest.mark.slow
def test_the_command_answers_in_json(tmp_path: Path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    done = kplug_bench("spec.yaml", "--seconds", "5", "--json", "--set", "fit.jit=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["alternatives"][0]["jit"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
