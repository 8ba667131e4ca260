"""Tasks that are no classification, each a short plugin in tests/plugins: they train, go on, answer and export."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kplug
from kplug.testing import plugged

PLUGINS = Path(__file__).parent / "plugins"
NAMES = sorted(path.stem for path in PLUGINS.glob("*.yaml"))


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGINS))


def asked_about(folder):
    """A table of pictures with a coloured shape, two questions to each, and their answers."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    rng, lines = np.random.default_rng(0), ["picture,question,answer"]
    for number in range(60):
        colour, shape = rng.choice(["red", "green", "blue"]), rng.choice(["square", "disc"])
        picture = Image.new("RGB", (16, 16))
        draw, box = ImageDraw.Draw(picture), (3, 3, 12, 12)
        (draw.rectangle if shape == "square" else draw.ellipse)(box, fill=str(colour))
        picture.save(folder / f"{number}.png")
        lines += [f"{number}.png,What colour is it?,{colour}", f'{number}.png,"Which shape, please?",{shape}']
    (folder / "questions.csv").write_text("\n".join(lines) + "\n")
    return folder / "questions.csv"


def trained(name, folder, **changes):
    """A run of a plugin's spec; more than one run of a process is told apart by its folder."""
    if name == "tiny_vqa":
        changes |= {"data.source.path": str(asked_about(folder.parent / f"{folder.name}-data"))}
    return kplug.train(
        kplug.load(PLUGINS / f"{name}.yaml").at(changes) if changes else kplug.load(PLUGINS / f"{name}.yaml"), folder
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_answers_and_exports(tmp_path, name):
    with plugged(importlib.import_module(name)):
        run = trained(name, tmp_path / "run")
        assert run.finished and all(np.isfinite(value) for value in run.metrics.values())
        metrics = run.evaluate("test")
        assert metrics == pytest.approx(run.evaluate("test"), rel=1e-6)
        assert (run.export() / "saved_model.pb").exists()
        again = kplug.Run.open(run.path)  # its codecs come from data.json
        assert again.info.to_json() == run.info.to_json()


# --- several optimizers ----------------------------------------------------------------------------------------------


def test_each_optimizer_has_its_own_weights_and_kept_weights_have_none(tmp_path):
    import h5py
    import tiny_gan

    with plugged(tiny_gan):
        run = trained("tiny_gan", tmp_path / "run")
        row = run.rows("metrics.jsonl")[-1]
        assert {"generator/learning_rate", "discriminator/learning_rate"} < row.keys()
        assert "loss" not in row and run.metrics["epoch"] == 2  # the last is kept, as the task says
        with h5py.File(run.path / "model.weights.h5") as file:
            names = []
            file.visit(names.append)
        assert names and not [name for name in names if "optimizer" in name]
        drawn = run.ask("generate", noise=np.zeros((3, 16), "float32"))["image"]
        assert drawn.shape == (3, 8, 8, 1) and drawn.dtype == np.uint8


def test_a_plateau_lowers_the_rates_of_all_optimizers(tmp_path):
    import tiny_gan

    plateau = {"type": "reduce_lr_on_plateau", "monitor": "generator_loss", "mode": "min", "min_delta": 100.0}
    with plugged(tiny_gan):
        callbacks = [plateau | {"factor": 0.5, "patience": 1}]
        run = trained("tiny_gan", tmp_path / "run", **{"fit.callbacks": callbacks, "fit.epochs": 3})
    rows = run.rows("metrics.jsonl")
    for name in ("generator/learning_rate", "discriminator/learning_rate"):
        rates = [row[name] for row in rows]
        assert rates[1:] == pytest.approx([rate / 2 for rate in rates[:-1]])
    assert not [key for key in rows[-1] if key.startswith("learning_rate")]


@pytest.mark.parametrize("name", ["tiny_gan", "tiny_byol"])
def test_half_precision_moves_every_weight_that_float32_moves(tmp_path, name):
    """The losses of all optimizers are scaled, not that of the compiled one alone."""
    moved = {}
    with plugged(importlib.import_module(name)):
        for precision in ("float32", "mixed_float16"):
            run = trained(name, tmp_path / precision, **{"fit.precision": precision, "fit.epochs": 1})
            assert all(np.isfinite(value) for value in run.metrics.values())
            moved[precision] = run.metrics
    for key, value in moved["float32"].items():
        if key.endswith("_loss"):
            assert moved["mixed_float16"][key] == pytest.approx(value, rel=0.2)


# --- a run that is killed --------------------------------------------------------------------------------------------


def process(folder, *words, **more):
    """The command line in a process that has the plugin installed, as pip leaves it."""
    outer = {key: value for key, value in os.environ.items() if not key.startswith("KPLUG_")}
    environment = {**outer, "PYTHONPATH": f"{folder}:{PLUGINS}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "kplug", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=-1, stderr=-1, **more)


def said(folder, *words):
    out, err = (started := process(folder, *words)).communicate()
    assert started.returncode == 0, err
    return out


@pytest.fixture
def site(tmp_path):
    """A folder in which the plugins of this file are installed, with their specs."""
    info = tmp_path / "kplug_tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kplug-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kplug]\n" + "".join(f"{name} = {name}\n" for name in NAMES))
    for name in NAMES:
        (tmp_path / f"{name}.yaml").write_text((PLUGINS / f"{name}.yaml").read_text())
    asked_about(tmp_path)
    return tmp_path


STEPWISE = ("--set", "fit.checkpoint.steps=3", "--set", "fit.threads=1")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_ends_as_if_it_had_not_been_killed(site, name):
    said(site, "train", f"{name}.yaml", "--run", "whole", *STEPWISE)
    started = process(site, "train", f"{name}.yaml", "--run", "killed", *STEPWISE)
    while not len(list((site / "killed" / "checkpoints").glob("ckpt-0-*/manifest.json"))) and started.poll() is None:
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    said(site, "train", "--resume", "killed")
    whole, killed = ((site / run / "metrics.jsonl").read_text() for run in ("whole", "killed"))
    assert killed == whole


@pytest.mark.slow
def test_a_modality_of_its_own_goes_through_every_command(site):
    spec = "tiny_signal.yaml"
    assert said(site, "check", spec) == f"{spec}: good\n"
    filled = said(site, "fill", spec)
    assert "wave: {type: signal, length: 48}" in filled and filled.startswith("kplug: 2\n")
    assert "signal" in said(site, "components", "feature", "signal")
    said(site, "train", spec, "--run", "run")
    assert "mean_rank" in said(site, "evaluate", "run")
    (site / "w.txt").write_text("\n".join(map(str, [3.0] * 5 + [-3.0] * 5)))
    assert "square" in said(site, "predict", "run", "w.txt")
    rows = site / "rows.jsonl"
    rows.write_text(json.dumps({"wave": "w.txt"}) + "\n")
    assert json.loads(said(site, "predict", "run", "--rows", "rows.jsonl", "--json"))[0]["valid"]
    assert said(site, "export", "run").strip().endswith("1")
    assert "run" in said(site, "runs", ".")
    space, objective = "{task.kernel_size: {choice: [3, 5]}}", "{minimize: val_mean_rank}"
    search = f"{{space: {space}, oracle: {{type: grid, trials: 2}}, objective: {objective}}}"
    said(site, "search", spec, "--to", "searched", "--set", f"search={search}", "--set", "fit.epochs=1")
    assert (site / "searched" / "best.yaml").exists()


# --- questions -------------------------------------------------------------------------------------------------------


def test_a_question_is_asked_with_its_picture(tmp_path):
    import tiny_vqa

    with plugged(tiny_vqa):
        run = trained("tiny_vqa", tmp_path / "run", **{"fit.epochs": 12})
        assert run.info.naming("answer").classes == ("blue", "disc", "green", "red", "square")
        picture = next((tmp_path / "run-data").glob("*.png"))
        for question, answers in {"what COLOUR is it": "red green blue", "which shape": "square disc"}.items():
            (found,) = run.predict([picture], values={"question": question}, top=1)
            assert found["class"] in answers.split()
        with pytest.raises(kplug.SpecError, match=r"endpoint 'answer' lacks its input question"):
            run.predict([picture])
        assert run.evaluate("test")["balanced_accuracy"] > 0.5
