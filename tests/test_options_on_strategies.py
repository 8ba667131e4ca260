"""Every option with a state of its own on every strategy: it trains as on one device, or is refused with its place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = """
name: options
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, relu]}
  optimizer: {type: adam, learning_rate: 0.01}
data:
  source: digits
  sampler: {type: shuffled, batch_size: 100}
  evaluate_with: {type: sequential, batch_size: 101}
fit: {epochs: 4, precision: float32, threads: 1}
"""
OPTIMIZER, CALLBACKS = "task.optimizer", "fit.callbacks"
ADAM = {"type": "adam", "learning_rate": 0.01}
OPTIONS = {
    "plain": {},
    "moving average": {OPTIMIZER: ADAM | {"use_ema": True, "ema_momentum": 0.9}},
    "moving average, gone on from": {OPTIMIZER: ADAM | {"use_ema": True, "ema_overwrite_frequency": 5}},
    "free of a schedule": {OPTIMIZER: {"type": "schedule_free_adamw", "learning_rate": 0.01, "warmup_steps": 4}},
    "mean of the last epochs": {CALLBACKS: [{"type": "weight_averaging", "last": 0.5}]},
    "plateau": {CALLBACKS: [{"type": "reduce_lr_on_plateau", "monitor": "loss", "patience": 1, "min_delta": 9.0}]},
    "plateau of a schedule": {
        OPTIMIZER: ADAM | {"learning_rate": {"type": "constant", "peak": 0.01, "warmup": 0.1}},
        CALLBACKS: [{"type": "reduce_lr_on_plateau", "monitor": "loss", "patience": 1, "min_delta": 9.0}],
    },
    "early stopping": {CALLBACKS: [{"type": "early_stopping", "monitor": "loss", "patience": 1, "min_delta": 9.0}]},
    "blow-up": {
        OPTIMIZER: {"type": "sgd", "learning_rate": 1e30},
        CALLBACKS: [{"type": "stop_on_blow_up", "go_back": {"rate": 1e-32, "times": 3}}],
    },
    "best epochs": {CALLBACKS: [{"type": "best_checkpoints", "keep": 2}]},
    "clipping": {OPTIMIZER: ADAM | {"global_clipnorm": 0.1}},
    "accumulation": {OPTIMIZER: ADAM | {"gradient_accumulation_steps": 2}},
    "stages": {"fit.stages": [{"epochs": 2, "set": {"task.optimizer.learning_rate": 0.001}}]},
    "evaluated weights of a half": {"fit.precision": "mixed_bfloat16"},
}
# Keras does both on one replica only
REFUSED = {"accumulation": "gradient_accumulation_steps", "moving average, gone on from": "ema_overwrite_frequency"}

TRAINING = """
import json, sys, traceback
import kplug
from kplug.console import load_tensorflow
load_tensorflow()
from kplug.training.fit import train
spec, options, strategy = kplug.loads(open("s.yaml").read()), *map(json.loads, sys.argv[1:3])
found = {}
for number, (name, changes) in enumerate(options.items()):
    try:
        run = train(spec.at({**changes, "fit.strategy": strategy}), f"{sys.argv[3]}-{number}")
        found[name] = [json.loads(line) for line in open(run.path / "metrics.jsonl")]
    except kplug.SpecError as error:
        found[name] = str(error)
    except Exception as error:
        found[name] = "".join(traceback.format_exception(error))
json.dump(found, open(sys.argv[3] + ".json", "w"))
"""
STRATEGIES = {"one": "one_device", "mirrored": {"type": "mirrored", "devices": ["CPU:0", "CPU:1"]}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The rows of metrics by strategy and option, or why it was refused; a strategy is one a process."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "s.yaml").write_text(SPEC)
    (folder / "training.py").write_text(TRAINING)
    for name, strategy in STRATEGIES.items():
        command = [sys.executable, "training.py", json.dumps(OPTIONS), json.dumps(strategy), name]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in STRATEGIES}


@pytest.mark.parametrize("option", OPTIONS)
def test_two_devices_train_as_one(trained, option):
    one, two = trained["one"][option], trained["mirrored"][option]
    assert isinstance(one, list), one
    if option in REFUSED:
        assert isinstance(two, str) and f"task.optimizer.{REFUSED[option]}: Keras" in two, two
        return
    assert isinstance(two, list), two
    assert len(one) == len(two) > 1
    tolerance = 0.02 if "half" in option else 1e-4
    for row, other in zip(one, two, strict=True):
        assert other == pytest.approx(row, abs=tolerance, rel=tolerance)


def test_each_option_has_an_effect(trained):
    rows = trained["one"]
    for option in set(OPTIONS) - {"plain", "best epochs"}:
        assert rows[option] != rows["plain"], option
    assert len(rows["early stopping"]) == 2
    assert rows["plateau"][-1]["learning_rate"] < 0.002 and rows["plateau of a schedule"][-1]["learning_rate"] < 0.002
