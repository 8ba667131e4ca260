"""What is served equals what was trained: 100 real pictures, from files and from pixels, in batches of 1, 3 and 100."""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import kplug
from kplug.model.learner import restored_learner

SPEC = """
name: served
task:
  type: classification
  model:
    type: layers
    layers:
      - {type: conv2d, filters: 8, kernel_size: 3, padding: same}
      - batch_normalization
      - {type: dropout, rate: 0.3}
data: {source: digits, features: {image: {size: [12, 10]}}, sampler: {type: shuffled, batch_size: 64}}
fit: {epochs: 2}
"""

ASK = """
import json, sys
sys.modules["keras"] = None  # a model server has none
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
rows = np.load(sys.argv[2], allow_pickle=False)
name, values = ("image_bytes", rows["files"]) if sys.argv[3] == "serving_default" else ("images", rows["images"])
lengths = rows["lengths"]
for size in (1, 3, 100):
    parts = []
    for start in range(0, len(values), size):
        batch = values[start : start + size]
        if name == "image_bytes":
            batch = [bytes(v[:n]) for v, n in zip(batch, lengths[start : start + size])]
        parts.append(model.signatures[sys.argv[3]](**{name: tf.constant(batch)}))
    found = {k: np.concatenate([p[k].numpy() for p in parts]) for k in parts[0]}
    names = [name.decode() for name in found["classes"]]
    print(json.dumps([found["probabilities"].tolist(), names, found["valid"].tolist()]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kplug.train(kplug.loads(SPEC), tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="module")
def pictures():
    """100 scanned digits of the test split, in their own size: the export resizes them."""
    from kplug.default_plugins.sources import digits

    test = digits()["test"]
    return np.stack([np.asarray(test.load(row)["image"]) for row in range(100)])


def as_file(picture):
    with io.BytesIO() as file:
        Image.fromarray(picture[..., 0]).save(file, "PNG")
        return file.getvalue()


@pytest.mark.parametrize("endpoint", ["serving_default", pytest.param("images", marks=pytest.mark.slow)])
def test_served_equals_trained(run, pictures, tmp_path, endpoint):
    from kplug.data.codecs.pixels import resize

    resized = resize(pictures, (12, 10), "pad").numpy()
    files = [as_file(picture) for picture in pictures]
    model = restored_learner(run).model
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(resized, verbose=0)))
    padded = np.zeros((100, max(map(len, files))), np.uint8)
    for row, file in zip(padded, files, strict=True):
        row[: len(file)] = np.frombuffer(file, np.uint8)
    np.savez(tmp_path / "rows.npz", files=padded, lengths=[len(f) for f in files], images=resized)
    export = run.export(tmp_path / "export")
    command = [sys.executable, "-c", ASK, str(export), str(tmp_path / "rows.npz"), endpoint]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 3
    for probabilities, classes, valid in answers:
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        assert classes == [run.info.classes[i] for i in expected.argmax(1)] and all(valid)


def test_predict_says_the_same_of_files(run, pictures, tmp_path):
    from kplug.data.codecs.pixels import resize

    paths = []
    for number, picture in enumerate(pictures[:10]):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(as_file(picture))
    logits = restored_learner(run).model.predict(resize(pictures[:10], (12, 10), "pad").numpy(), verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    scores = [answer["score"] for answer in run.predict(paths)]
    np.testing.assert_allclose(scores, expected.max(1), atol=1e-5)
