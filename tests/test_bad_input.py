"""What goes wrong outside the spec: one clear message that names the file or row, and nothing made before is lost."""

import io
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

import kplug

SPEC = """
name: bad
task: {type: classification, model: flatten, optimizer: {type: sgd, learning_rate: 1e-2}}
data:
  source: {type: folder, path: PATH}
  features: {image: {size: [8, 8]}}
  sampler: {type: shuffled, batch_size: 4}
  evaluate_with: {type: sequential, batch_size: 4}
fit: {epochs: 2}
"""


def png_header(width, height):
    """A PNG that says it is large and holds next to nothing."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()


@pytest.fixture
def photos(tmp_path):
    """24 pictures in two class folders."""
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(jpeg())
    return tmp_path / "photos"


def spec(photos, text=SPEC):
    return kplug.loads(text.replace("PATH", str(photos)), "bad.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"these are no pixels", "not a JPEG, PNG, BMP or GIF"),
        (b"", "not a JPEG, PNG, BMP or GIF"),
        (jpeg()[: len(jpeg()) // 2], "JPEG"),
        (png_header(60_000, 60_000), "60000 x 60000"),
    ],
    ids=["text", "empty", "truncated", "giant"],
)
@pytest.mark.parametrize("place", ["cats/3.jpg", pytest.param("dogs/7.jpg", marks=pytest.mark.slow)])
def test_a_picture_that_cannot_be_read_is_named(photos, tmp_path, content, words, place):
    (photos / place).write_bytes(content)
    with pytest.raises(kplug.SpecError) as caught:
        kplug.train(spec(photos), tmp_path / "run").evaluate("test")
    message = str(caught.value)
    assert place in message and words in message and message.count(".jpg") == 1
    assert "mend or remove" in message


def test_a_picture_that_vanishes_is_named(photos):
    from kplug.data.readable import explained
    from kplug.data.splits import open_data

    data = open_data(spec(photos))
    gone = photos / str(data.split("test").columns["path"][0])
    gone.unlink()
    with pytest.raises(kplug.SpecError, match=re.escape(gone.name)), explained(data, "test"):
        list(data.examples("test"))


def test_an_empty_split(photos):
    from kplug.data.splits import open_data

    few = kplug.loads(SPEC.replace("PATH", str(photos)).replace("photos}", "photos, test: 0.01}"), "bad.yaml")
    with pytest.raises(kplug.SpecError, match=r"leaves none for test; choose another share"):
        open_data(few.at({"data.validation": 0.001}))


def test_a_run_directory_that_exists(photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep me")
    with pytest.raises(kplug.SpecError, match=r"--run: .*run already holds something; name a new directory"):
        kplug.train(spec(photos), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_runs_get_the_next_number(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = kplug.train(spec(photos).at({"fit.epochs": 0}))
    second = kplug.train(spec(photos).at({"fit.epochs": 0}))
    assert (str(first.path), str(second.path)) == ("runs/bad/1", "runs/bad/2")


@pytest.mark.parametrize("directory", ["nowhere", "."])
def test_no_run_is_there(tmp_path, monkeypatch, directory):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kplug.SpecError, match="no such directory" if directory == "nowhere" else "no spec.yaml"):
        kplug.Run.open(directory)


def test_weights_of_another_model_and_damaged_ones(photos, tmp_path):
    run = kplug.train(spec(photos).at({"fit.epochs": 0}), tmp_path / "run")
    text = (run.path / "spec.yaml").read_text()
    (run.path / "spec.yaml").write_text(text.replace("{type: flatten}", "{type: dense, units: 3}"))
    with pytest.raises(kplug.SpecError, match=r"does not fit the model that spec.yaml describes"):
        kplug.Run.open(run.path).evaluate("test")
    (run.path / "spec.yaml").write_text(text)
    weights = (run.path / "model.weights.h5").read_bytes()
    (run.path / "model.weights.h5").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(kplug.SpecError, match=r"model.weights.h5 is damaged"):
        kplug.Run.open(run.path).evaluate("test")
    (run.path / "model.weights.h5").unlink()
    with pytest.raises(kplug.SpecError, match=r"model.weights.h5 is missing"):
        kplug.Run.open(run.path).evaluate("test")


def test_other_classes_than_the_run_was_trained_on(photos, tmp_path):
    run = kplug.train(spec(photos).at({"fit.epochs": 0}), tmp_path / "run")
    (photos / "cats").rename(photos / "lynxes")
    said = r"classes of 'label' are not those of the run; now dogs, lynxes; then cats, dogs"
    with pytest.raises(kplug.SpecError, match=said):
        run.evaluate("test")


# --- in a process of its own -----------------------------------------------------------------------------------------

LONG = SPEC.replace("epochs: 2", "epochs: 2000")


def start(tmp_path, text, *arguments, limit=None):
    (tmp_path / "long.yaml").write_text(text)

    def before():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    return subprocess.Popen(
        [sys.executable, "-m", "kplug.cli", "train", "long.yaml", "--run", "run", *arguments],
        cwd=tmp_path,
        preexec_fn=before,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),  # test_resume.py sends one too
    ],
)
def test_a_stop_in_an_epoch_keeps_what_is_there(photos, tmp_path, number, code, word):
    process = start(tmp_path, LONG.replace("PATH", str(photos)))
    rows = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not rows.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert word in err and "Traceback" not in err and out == ""
    run = kplug.Run.open(tmp_path / "run")
    assert not run.finished and run.rows("metrics.jsonl")
    assert not [p for p in run.path.rglob(".*") if p.is_file()], "a half-written file was left"
    assert run.evaluate("test"), "the weights of the best epoch so far can be used"
    with pytest.raises(kplug.SpecError, match=r"result.json is missing: the run did not finish"):
        _ = run.metrics


@pytest.mark.slow
def test_a_full_disk_names_the_file_and_keeps_the_rest(photos, tmp_path):
    """A limit on file size stands for the full disk: the same failing write, at the same place."""
    wide = SPEC.replace("model: flatten", "model: {type: layers, layers: [flatten, {type: dense, units: 300}]}")
    process = start(tmp_path, wide.replace("PATH", str(photos)), limit=100_000)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and out == "", err
    assert re.search(r"run/model\.weights\.h5: cannot be written: ", err), err
    assert "Traceback" not in err
    left = {p.name for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert "spec.yaml" in left and "result.json" not in left and "model.weights.h5" not in left
    assert not [name for name in left if name.startswith(".")]


@pytest.mark.parametrize("split", ["train", pytest.param("val", marks=pytest.mark.slow)])
def test_a_picture_that_breaks_a_training_is_named(split, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("train", "val"):
        for number in range(16):
            file = tmp_path / "pictures" / folder / "ab"[number % 2] / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)
    broken = tmp_path / "pictures" / split / "b" / "7.jpg"
    broken.write_bytes(broken.read_bytes()[:60])
    spec = kplug.loads(
        f"""
        name: broken
        task: {{type: classification, model: {{type: layers, layers: [flatten]}}}}
        data:
          source: {{type: folder, path: {tmp_path / "pictures"}}}
          features: {{image: {{size: [12, 12]}}}}
          sampler: {{type: shuffled, batch_size: 4}}
        fit: {{epochs: 1}}
        """
    )
    with pytest.raises(kplug.SpecError, match=rf"cannot be read; mend or remove them:\n  .*{split}/b/7\.jpg"):
        kplug.train(spec, tmp_path / "run")
