"""A spec says all of a training: globals of Keras, from a file, the environment or other code, say nothing of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import kplug
from kplug.console import GLOBALS

ROOT = Path(__file__).parents[1]
SPEC = """
name: s
task: {type: classification, model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 1, threads: 1}
"""
OTHERS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3, "max_epochs": 1}


def trained(folder, **environment):
    (folder / "s.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "kplug", "train", "s.yaml", "--run", f"r{len(list(folder.glob('r*')))}"]
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def test_a_file_of_keras_changes_nothing(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps({"image_data_format": "channels_first", "epsilon": 1e-3}))
    assert trained(tmp_path)[0] == 0
    code, said = trained(tmp_path, KERAS_HOME=str(home), KERAS_MAX_STEPS_PER_EPOCH="1")
    assert code == 0, said
    assert "image_data_format of Keras is 'channels_last' here, not 'channels_first'" in said and "epsilon" in said
    one, other = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("r0", "r1"))
    assert one == other


def test_another_backend_is_refused(tmp_path):
    code, said = trained(tmp_path, KERAS_BACKEND="jax")
    assert code == 2 and "KERAS_BACKEND is 'jax' in the environment" in said and "Traceback" not in said


@pytest.mark.parametrize("name", OTHERS)
def test_what_code_has_set_is_refused_by_name(name, tmp_path):
    setting = getattr(keras.config, f"set_{name}")
    setting(OTHERS[name])
    try:
        with pytest.raises(kplug.SpecError, match=rf"keras.config.{name}\(\) is "):
            kplug.train(kplug.loads(SPEC.replace(", threads: 1", "")), tmp_path / "run")
    finally:
        setting(GLOBALS[name])
    assert not (tmp_path / "run").exists()
