"""A small network exported, reloaded by TensorFlow alone, and asked in every way that a server may ask."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kplug.data.codecs import decoding as images
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.label import LabelCodec
from kplug.errors import SpecError
from kplug.inference import export as exporting
from kplug.inference.endpoints import endpoints, predictor
from kplug.inference.export import export_saved_model
from kplug.inference.verification import ExportError
from kplug.kinds import DataInfo, Field, Learner, Signature

SHAPE = (12, 10, 3)
CLASSES = ("cat", "dög", "owl")
PICTURE = ImageCodec(SHAPE[:2], channels=SHAPE[2])
OUTPUTS = {
    "probabilities": Field((3,), "float32", "of each class", averaged=True),
    "classes": Field((3,), "string", "their names"),
}
TOLERANCE = 1e-5


def network():
    """BatchNorm behind Resizing, which is wrong outside of inference mode, and Dropout; trained for two steps."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Rescaling(1 / 255),
            layers.Resizing(8, 8),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(len(CLASSES)),
        ]
    )
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(pictures(64), np.eye(3, dtype="float32")[np.arange(64) % 3], batch_size=32, verbose=0)
    return model


def pictures(count, seed=0):
    smooth = np.random.default_rng(seed).integers(0, 256, (count, 4, 3, 3)).astype("uint8")
    return np.array([Image.fromarray(one).resize(SHAPE[1::-1]) for one in smooth], "uint8").reshape(-1, *SHAPE)


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def learner_of(model, **changes):
    def classify(image):
        probabilities = keras.ops.softmax(model(image))  # in whatever mode the host chose
        names = tf.broadcast_to(tf.constant(CLASSES), tf.shape(probabilities))
        return {"probabilities": probabilities, "classes": names}

    signature = Signature(classify, {"image": PICTURE}, OUTPUTS)
    return Learner(
        model, lambda batch, seed, training: (batch["image"], batch["label"]), {"classify": signature}, **changes
    )


INFO = DataInfo(
    {"image": Field(SHAPE, "uint8"), "label": Field((), "int32")},
    {"image": {"type": "image"}, "label": {"type": "label"}},
    {
        "image": {"size": list(SHAPE[:2]), "channels": 3},
        "label": {"classes": list(CLASSES), "several": False, "counts": {"train": [5, 5, 5]}},
    },
    {"train": 15},
    {"image": PICTURE, "label": LabelCodec(CLASSES, False)},
)


@pytest.fixture(scope="module")
def learner():
    return learner_of(network())


@pytest.fixture(scope="module")
def versions(learner, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "fashion"
    export_saved_model(learner, INFO, directory, {"image": pictures(100)}, name="tiny/1")
    return directory


def small_learner(function=lambda latent: {"sums": tf.reduce_sum(latent, axis=1)}):
    """Traced in no time, for what does not depend on pictures."""
    signature = Signature(function, {"latent": Field((4,), "float32")}, {"sums": Field((), "float32", "of the latent")})
    return Learner(None, None, {"generate": signature})


def hidden(directory):
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


# --- what it says --------------------------------------------------------------------------------------------------

CLIENT = """
import sys
sys.modules.update(dict.fromkeys(["keras", "tf_keras", "kplug"]))  # None: cannot be imported
import numpy as np, tensorflow as tf
export, questions, answers = sys.argv[1:]
given = np.load(questions)
files, pixels = given["files"].tolist(), given["pixels"]
loaded, said = tf.saved_model.load(export).signatures, {}
for size in (1, 3, 100):
    for name, rows in (("image_bytes", files), ("image", pixels)):
        call = loaded["serving_default" if name == "image_bytes" else "classify"]
        parts = [call(**{name: tf.constant(rows[i : i + size])}) for i in range(0, len(rows), size)]
        for key in parts[0]:
            value = np.concatenate([part[key].numpy() for part in parts])
            said[f"{name}/{size}/{key}"] = value.astype("S") if value.dtype == object else value
with tf.compat.v1.Session(graph=tf.Graph()) as session:  # the loader of TensorFlow Serving
    meta = tf.compat.v1.saved_model.load(session, ["serve"], export)
    signature = meta.signature_def["serving_default"]
    feed = {signature.inputs["image_bytes"].name: files}
    said["session"] = session.run(signature.outputs["probabilities"].name, feed)
assert not {"keras", "tf_keras", "kplug"} & {name.split(".")[0] for name, module in sys.modules.items() if module}
np.savez(answers, **said)
"""


def test_a_process_with_tensorflow_alone_gets_what_keras_predicts(learner, versions, tmp_path):
    samples = pictures(100, seed=1)
    files = np.array([png(picture) for picture in samples])
    np.savez(tmp_path / "questions.npz", files=files, pixels=samples)
    (tmp_path / "client.py").write_text(CLIENT)
    command = [sys.executable, "client.py", str(versions / "1"), "questions.npz", "answers.npz"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    said = dict(np.load(tmp_path / "answers.npz"))
    wanted = tf.nn.softmax(learner.model.predict(samples, verbose=0)).numpy()
    assert np.ptp(wanted, axis=0).min() > 0.05
    np.testing.assert_allclose(said.pop("session"), wanted, rtol=0, atol=TOLERANCE)
    assert len(said) == 3 * (3 + 2)  # `valid` of files alone
    for name, values in said.items():
        if name.endswith("probabilities"):
            np.testing.assert_allclose(values, wanted, rtol=0, atol=TOLERANCE, err_msg=name)
        elif name.endswith("classes"):
            assert values.tolist() == [[word.encode() for word in CLASSES]] * 100
        else:
            assert values.tolist() == [True] * 100


def test_names_types_and_shapes_of_the_signatures(versions):
    signatures = tf.saved_model.load(str(versions / "1")).signatures
    assert set(signatures) == {"serving_default", "classify"}
    inputs = {name: signatures[name].structured_input_signature[1] for name in signatures}
    assert inputs["serving_default"] == {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    assert inputs["classify"] == {"image": tf.TensorSpec([None, *SHAPE], tf.uint8, "image")}
    dtypes = {"probabilities": tf.float32, "classes": tf.string}
    for name, more in (("classify", {}), ("serving_default", {"valid": tf.bool})):
        found = signatures[name].structured_outputs
        assert {output: spec.dtype for output, spec in found.items()} == dtypes | more


def test_bad_files_give_zeros_and_their_neighbours_are_right(learner, versions):
    serve = tf.saved_model.load(str(versions / "1")).signatures["serving_default"]
    good = [png(picture) for picture in pictures(3)]
    giant = images.PNG + b"\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    files = [b"", good[0], b"a text", good[1], good[2][:-30], giant, good[2]]
    said = {name: value.numpy() for name, value in serve(image_bytes=tf.constant(files)).items()}
    valid = [False, True, False, True, False, False, True]
    assert said["valid"].tolist() == valid
    bad = ~np.array(valid)
    assert not said["probabilities"][bad].any()
    assert set(said["classes"][bad].ravel()) == {b""}
    live = predictor(learner, at_once=2)(image_bytes=files)
    assert live["valid"].tolist() == valid
    assert live["classes"].tolist() == [list(CLASSES) if ok else [""] * 3 for ok in valid]
    np.testing.assert_allclose(said["probabilities"], live["probabilities"], rtol=0, atol=TOLERANCE)
    wanted = tf.nn.softmax(learner.model.predict(pictures(3), verbose=0))
    np.testing.assert_allclose(live["probabilities"][~bad], wanted, rtol=0, atol=TOLERANCE)


def test_no_examples_at_all(learner, versions):
    signatures = tf.saved_model.load(str(versions / "1")).signatures
    nothing = [
        signatures["serving_default"](image_bytes=tf.zeros([0], tf.string)),
        predictor(learner)(image_bytes=[]),
        signatures["classify"](image=tf.zeros([0, *SHAPE], tf.uint8)),
        predictor(learner)(image=np.zeros((0, *SHAPE), "uint8")),
    ]
    shapes = {"probabilities": (0, 3), "classes": (0, 3)}
    for number, outputs in enumerate(nothing):
        found = {name: tuple(value.shape) for name, value in outputs.items()}
        assert found == shapes | ({"valid": (0,)} if number < 2 else {})


def test_an_empty_convolution_is_still_wrong_in_tensorflow():
    """When this fails on a machine with oneDNN, `_never_empty` in kplug/inference/endpoints.py can go."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        pytest.skip("oneDNN is off")
    empty = tf.nn.conv2d(tf.zeros([0, 8, 8, 3]), tf.zeros([3, 3, 3, 6]), 1, "VALID")
    assert empty.shape == (0, 8, 8, 3)  # the right one is (0, 6, 6, 6)


def test_live_predictions_from_pixels_are_those_of_keras_in_any_batch(learner):
    samples = pictures(7)
    wanted = tf.nn.softmax(learner.model.predict(samples, verbose=0))
    for size in (1, 3, 256):
        live = predictor(learner, at_once=size)(image=samples)
        np.testing.assert_allclose(live["probabilities"], wanted, rtol=0, atol=TOLERANCE)


def test_class_names_and_signatures_are_kept_with_the_export(versions):
    extra = versions / "1" / "assets.extra"
    assert (extra / "classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)
    record = json.loads((extra / "kplug.json").read_text(encoding="utf-8"))
    assert record["run"] == "tiny/1"
    assert record["data"] == INFO.to_json()
    assert record["endpoints"]["serving_default"]["inputs"] == {"image_bytes": {"shape": [None], "dtype": "string"}}
    assert set(record["endpoints"]["classify"]["outputs"]) == {"probabilities", "classes"}
    assert set(record["endpoints"]["serving_default"]["outputs"]) == {"probabilities", "classes", "valid"}
    verified = record["verified"]
    assert verified["examples"]["classify"] == 100 < verified["examples"]["serving_default"]
    assert verified["noise"] == {}
    assert 0 <= record["verified"]["largest_difference"] <= TOLERANCE


def test_the_optimizer_is_not_exported(learner, versions):
    saved = tf.train.list_variables(str(versions / "1" / "variables" / "variables"))
    held = sum(int(np.prod(shape)) for name, shape in saved if "OBJECT_GRAPH" not in name)
    assert held == learner.model.count_params()


# --- other learners ------------------------------------------------------------------------------------------------


def fake_verification(monkeypatch):
    """Tests of files need no second process: what it says is tested above."""
    monkeypatch.setattr(exporting, "verify", lambda export, cases: {})


def test_half_precision_leaves_as_float32_and_further_signatures_as_they_are(learner, tmp_path):
    def embed(image, scale):
        return {"features": tf.cast(tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]) * scale, tf.bfloat16)}

    means = {"features": Field((3,), "float32", "means")}
    scale = Field((1,), "float32")
    pair = {
        "embed": Signature(embed, {"image": PICTURE, "scale": scale}, means),
        "raw": Signature(embed, {"image": PICTURE.field, "scale": scale}, means),
    }
    path = export_saved_model(replace(learner, serve=pair), INFO, tmp_path, {"image": pictures(4)})
    loaded = tf.saved_model.load(str(path)).signatures
    picture, scale = pictures(1), tf.constant([[0.5]])
    from_file = loaded["serving_default"](image_bytes=tf.constant([png(picture[0]), b""]), scale=tf.tile(scale, [2, 1]))
    assert from_file["valid"].numpy().tolist() == [True, False]
    assert from_file["features"].dtype == tf.float32
    raw = loaded["raw"](image=tf.constant(picture), scale=scale)
    assert set(raw) == {"features"}
    np.testing.assert_array_equal(raw["features"][0], from_file["features"][0])


def test_a_learner_without_pictures_serves_its_first_signature_by_default(learner, tmp_path, monkeypatch):
    fake_verification(monkeypatch)

    def generate(latent, label):
        return {"sums": tf.reduce_sum(latent, axis=1) + tf.cast(label, tf.float32)}

    inputs = {"latent": Field((4,), "float32"), "label": Field((), "int32", below=3)}
    signature = Signature(generate, inputs, {"sums": Field((), "float32", "of it")})
    path = export_saved_model(replace(learner, serve={"generate": signature}), INFO, tmp_path, {})
    loaded = tf.saved_model.load(str(path)).signatures
    for name in ("generate", "serving_default"):
        said = loaded[name](latent=tf.ones([2, 4]), label=tf.constant([1, 2]))
        assert {key: value.numpy().tolist() for key, value in said.items()} == {"sums": [5.0, 6.0]}
    with pytest.raises(SpecError, match=r"serves no endpoint 'images' \(endpoints: generate"):
        predictor(replace(learner, serve={"generate": signature}), "images")


def test_a_learner_that_serves_nothing_or_other_than_it_promises(learner, tmp_path):
    with pytest.raises(SpecError, match="serves nothing"):
        export_saved_model(replace(learner, serve={}), INFO, tmp_path, {"image": pictures(2)})
    liar = {"classify": replace(learner.serve["classify"], outputs={"scores": Field((3,), "float32", "of each class")})}
    with pytest.raises(ValueError, match="endpoint classify promises scores"):
        export_saved_model(replace(learner, serve=liar), INFO, tmp_path, {"image": pictures(2)})
    assert not list(tmp_path.iterdir())


def test_inference_mode_moves_no_statistics(learner):
    before = [variable.numpy() for variable in learner.model.variables]
    for endpoint in endpoints(learner).values():
        assert endpoint.traced
    predictor(learner)(image=pictures(5))
    for old, variable in zip(before, learner.model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


# --- verification --------------------------------------------------------------------------------------------------


def refused(function, directory, match):
    with pytest.raises(ExportError, match=match):
        export_saved_model(small_learner(function), INFO, directory, {})
    assert not list(directory.iterdir())


def test_a_saved_model_that_differs_is_refused_and_leaves_nothing(tmp_path):
    offsets = iter((2e-5, 0.0, 0.0))  # one for each graph: the saved one, the live one of each endpoint

    def drifting(latent):
        return {"sums": tf.reduce_mean(latent, axis=1) + next(offsets)}

    refused(drifting, tmp_path, r"generate, output sums, rows 0 to 8: differs by (1\.\d+|2)e-05")


def test_a_model_that_looks_at_its_neighbours_is_refused(tmp_path):
    def centred(latent):
        return {"sums": tf.reduce_sum(latent, axis=1) - tf.reduce_mean(latent)}

    refused(centred, tmp_path, r"one:\ngenerate, output sums, rows 0 to 1: differs by")


@pytest.mark.parametrize("call", ["py_function", "numpy_function"])
def test_a_model_that_calls_python_is_refused(tmp_path, call):
    def local(latent):
        sums = tf.map_fn(lambda row: getattr(tf, call)(lambda one: one[0], [row], tf.float32), latent)
        return {"sums": tf.ensure_shape(sums, [None])}

    refused(local, tmp_path, r"endpoint 'generate' calls Python in .*not saved with a model")


# --- versions and files --------------------------------------------------------------------------------------------


def test_the_next_version_is_taken_and_none_is_touched(tmp_path, monkeypatch):
    fake_verification(monkeypatch)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mine").write_text("kept")
    (tmp_path / "notes").mkdir()
    (tmp_path / "9").write_text("a file")
    first = export_saved_model(small_learner(), INFO, tmp_path, {})
    second = export_saved_model(small_learner(), INFO, str(tmp_path), {})
    assert (first, second) == (tmp_path / "10", tmp_path / "11")
    assert (tmp_path / "7" / "mine").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "11", "7", "9", "notes"]


def test_a_version_taken_in_between_is_left_alone(tmp_path, monkeypatch):
    fake_verification(monkeypatch)
    taken = []

    def overtake(export):
        assert (export / "saved_model.pb").exists()
        (export / "added").write_text("by a plugin")
        count = exporting.next_version

        def late(directory):  # the other export comes between the look and the rename
            version = count(directory)
            if not taken:
                taken.append(directory / str(version))
                taken[0].mkdir()
                (taken[0] / "saved_model.pb").write_text("other")
            return version

        monkeypatch.setattr(exporting, "next_version", late)

    path = export_saved_model(small_learner(), INFO, tmp_path, {}, before_rename=overtake)
    assert path == tmp_path / "2"
    assert (path / "added").read_text() == "by a plugin"
    assert (taken[0] / "saved_model.pb").read_text() == "other"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    fake_verification(monkeypatch)

    def interrupt(export):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_saved_model(small_learner(), INFO, tmp_path, {}, before_rename=interrupt)
    assert not list(tmp_path.iterdir())


KILLED = """
import sys, time
from pathlib import Path
import numpy as np, tensorflow as tf
from kplug.inference import export
from kplug.kinds import DataInfo, Field, Learner, Signature
export.verify = lambda export, cases: {}
four = Field((4,), "float32")
signature = Signature(lambda latent: {"twice": 2 * latent}, {"latent": four}, {"twice": four})
def wait(export):
    Path(sys.argv[2]).touch()
    time.sleep(60)
learner = Learner(None, None, {"double": signature})
export.export_saved_model(learner, DataInfo({}), sys.argv[1], {}, before_rename=wait)
"""


def test_a_kill_in_the_middle_leaves_no_version(tmp_path):
    directory, ready = tmp_path / "served", tmp_path / "ready"
    command = [sys.executable, "-c", KILLED, str(directory), str(ready)]
    with subprocess.Popen(command, cwd=Path(exporting.__file__).parents[2], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 90
        while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert ready.exists(), process.stderr.read().decode()
    assert [path.name for path in directory.iterdir()] == hidden(directory)
    assert exporting.next_version(directory) == 1


def test_a_full_disk_is_said_and_leaves_earlier_versions(tmp_path, monkeypatch):
    fake_verification(monkeypatch)
    export_saved_model(small_learner(), INFO, tmp_path, {})
    before = sorted(tmp_path.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # writes beyond fail, as on a disk that is full
    try:
        with pytest.raises(SpecError, match=rf"cannot write an export to {tmp_path}: .*make room"):
            export_saved_model(small_learner(), INFO, tmp_path, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("kept")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SpecError, match=f"cannot write an export to {directory}: "):
            export_saved_model(small_learner(), INFO, directory, {})
    assert (tmp_path / "file").read_text() == "kept"
