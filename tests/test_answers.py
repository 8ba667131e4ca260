"""What a run is asked by name, and what it answers: `kplug predict`, `run.ask`, exports; of tasks of any inputs."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import kplug
from kplug import Columns, DataInfo, Field, Learner, Signature, Source, SpecError, Split, Task
from kplug.cli import cli
from kplug.data.codecs.image import ImageCodec
from kplug.inference.endpoints import endpoints
from kplug.inference.latency import latency_ms
from kplug.inference.verification import example_inputs
from kplug.testing import plugged, tiny, tiny_pictures

BINARY = b"\xff\x00\x00"  # no UTF-8, and zeros at the end
SIZE = 12
UNREADABLE = "it cannot be read as a picture file: JPEG, PNG, BMP or GIF, of at most 12.5 megapixels"


# --- a plugin of two tasks -------------------------------------------------------------------------------------------


def weighed_pictures() -> Source:
    """Pictures with a label and a number each."""
    split = tiny_pictures(100, (SIZE, SIZE))["train"]
    weights = np.linspace(0, 1, 100, dtype=np.float32)
    columns = Columns(100, {**split.columns.arrays, "weight": weights})
    return {"train": dataclasses.replace(split, columns=columns)}


def only_numbers() -> Source:
    """Examples of two numbers and nothing else."""
    values = np.linspace(-1, 1, 20, dtype=np.float32)
    return {"train": Split(Columns(20, {"value": values, "wanted": 2 * values}), lambda row: {}, batched=True)}


def weighing(data: DataInfo) -> Task:
    """Give a picture of a weight a score."""
    codec = data.codecs["image"]
    image, weight = keras.Input(codec.field.shape, name="image"), keras.Input((), name="weight")
    flat = keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(image))
    both = keras.layers.Concatenate()([flat, keras.layers.Reshape((1,))(weight)])
    model = keras.Model({"image": image, "weight": weight}, keras.layers.Dense(1)(both))
    model.compile("sgd", "mse")

    def prepare(batch, seed, training):
        return {"image": tf.cast(batch["image"], tf.float32), "weight": batch["weight"]}, batch["weight"][:, None]

    def tell(image, weight):
        score = model({"image": tf.cast(image, tf.float32), "weight": weight}, training=False)[:, 0]
        return {
            "score": score,
            "negative": 255 - image,
            "map": tf.reduce_mean(tf.cast(image, tf.float32), -1),
            "code": tf.fill(tf.shape(score), tf.constant(BINARY)),
        }

    def compare(support, support_label, query):
        """The share of each class among the supports that are as bright, softly."""
        bright = [tf.reduce_mean(tf.cast(one, tf.float32), [1, 2, 3]) for one in (support, query)]
        near = tf.nn.softmax(-tf.abs(bright[1][:, None] - bright[0][None]), -1)
        return {"shares": near @ tf.one_hot(support_label, 3)}

    outputs = {
        "score": Field((), "float32", "of the picture"),
        "negative": codec,
        "map": Field((SIZE, SIZE), "float32", "brightness"),
        "code": Field((), "string", "bytes that are no text"),
    }
    episode = {"support": codec, "support_label": Field((), "int32", below=3), "query": codec}
    of_queries = {"query": "queries", "shares": "queries"}
    serve = {
        "tell": Signature(tell, {"image": codec, "weight": Field((), "float32")}, outputs),
        "compare": Signature(
            compare,
            episode,
            {"shares": Field((3,), "float32", "of each class")},
            {"support": "supports", "support_label": "supports", **of_queries},
        ),
    }
    return Learner(model, prepare, serve)


def doubling(data: DataInfo) -> Task:
    """Learn to double a number."""
    value = keras.Input((1,), name="value")
    dense = keras.layers.Dense(1)
    model = keras.Model(value, dense(value))
    model.compile("sgd", "mse")
    words = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant(["less", "more"]))
    table = tf.lookup.StaticHashTable(words, "?")

    def double(value):
        found = dense(value[:, None])[:, 0]
        return {"doubled": found, "word": table.lookup(tf.cast(found > 0, tf.int64))}

    outputs = {"doubled": Field((), "float32", "twice the value"), "word": Field((), "string", "how it is")}
    scaled = Signature(
        lambda value, factor: {"scaled": value * tf.cast(factor, tf.float32)},
        {"value": Field((), "float32"), "factor": Field((), "int32", below=10)},
        {"scaled": Field((), "float32", "so many times the value")},
        {"factor": None},
    )
    serve = {"double": Signature(double, {"value": Field((), "float32")}, outputs), "scale": scaled}
    return Learner(model, lambda batch, seed, training: (batch["value"][:, None], batch["wanted"][:, None]), serve)


class Plugin:
    @staticmethod
    @kplug.hookimpl
    def components():
        return [weighed_pictures, only_numbers, weighing, doubling]


SPEC = """
name: asked
task: TASK
data: {source: SOURCE, sampler: {type: shuffled, batch_size: 5}}
fit: {epochs: 0}
"""


@pytest.fixture(scope="module")
def host():
    with plugged(Plugin, tiny) as inside:
        yield inside


def made(task, source, folder, **changes):
    spec = kplug.loads(SPEC.replace("TASK", task).replace("SOURCE", source))
    return kplug.train(spec.at(changes) if changes else spec, folder)


@pytest.fixture(scope="module")
def run(host, tmp_path_factory):
    return made("weighing", "weighed_pictures", tmp_path_factory.mktemp("asked") / "pictures")


@pytest.fixture(scope="module")
def numbers(host, tmp_path_factory):
    return made("doubling", "only_numbers", tmp_path_factory.mktemp("asked") / "numbers")


@pytest.fixture(scope="module")
def files(run):
    return sorted((run.path / "samples/image").glob("*.png"))


def command(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


# --- kplug predict ---------------------------------------------------------------------------------------------------


def test_files_and_a_value_of_all(run, files):
    found = run.predict(files[:2], values={"weight": 0.25})
    assert [answer["file"] for answer in found] == [str(file) for file in files[:2]]
    pixels = np.stack([tf.io.decode_png(file.read_bytes()).numpy() for file in files[:2]])
    wanted = run.ask(image=pixels, weight=[0.25, 0.25])
    assert [answer["score"] for answer in found] == pytest.approx(wanted["score"].tolist(), abs=1e-6)
    assert found[0]["negative"] == f"a picture of {SIZE} x {SIZE} pixels, 3 channels"
    assert found[0]["map"].startswith(f"float32 [{SIZE}, {SIZE}] from ")
    assert found[0]["code"] == "\\xff\x00\x00"
    assert set(found[0]) == {"file", "valid", "score", "negative", "map", "code"}


def test_the_command_answers_in_json_and_in_words(run, files, tmp_path):
    (tmp_path / "not.png").write_text("no picture")
    asked = ["predict", run.path, files[0], tmp_path / "not.png", "--with", "weight=1"]
    found = json.loads(command(*asked, "--json").stdout)
    assert [answer["valid"] for answer in found] == [True, False]
    assert found == run.predict([files[0], tmp_path / "not.png"], values={"weight": 1})
    first, second = command(*asked).stdout.splitlines()
    assert first.startswith(f"{files[0]}: {{") and second == f"{tmp_path / 'not.png'}: {UNREADABLE}"
    assert command(*asked).exit_code == 0
    nothing = command("predict", run.path, tmp_path / "not.png", "--with", "weight=1")
    assert nothing.exit_code == 1 and nothing.stdout == f"{tmp_path / 'not.png'}: {UNREADABLE}\n"


def test_rows_of_a_file(run, files, tmp_path):
    rows = [{"image": str(files[0]), "weight": 0.5}, {"image": str(files[1]), "weight": 2}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = json.loads(command("predict", run.path, "--rows", tmp_path / "rows.jsonl", "--json").stdout)
    assert [{key: answer[key] for key in ("image", "weight")} for answer in found] == rows
    wanted = [run.predict([files[n]], values={"weight": row["weight"]})[0]["score"] for n, row in enumerate(rows)]
    assert [answer["score"] for answer in found] == pytest.approx(wanted, abs=1e-6)


def test_an_array_of_a_file(run, files, tmp_path):
    np.save(tmp_path / "one.npy", tf.io.decode_png(files[0].read_bytes()).numpy())
    by_array = run.predict(values={"image": f"@{tmp_path / 'one.npy'}", "weight": "0.5"})
    by_file = run.predict([files[0]], values={"weight": 0.5})
    assert len(by_array) == 1 and by_array[0]["score"] == pytest.approx(by_file[0]["score"], abs=1e-6)


def test_outputs_are_written(run, files, tmp_path):
    (found,) = run.predict([files[3]], values={"weight": 0}, to=tmp_path / "new" / "folder")
    stem = tmp_path / "new" / "folder" / "000-03"
    assert found["files"] == [f"{stem}-{name}" for name in ("score.npy", "negative.png", "map.npy", "code.bin")]
    pixels = tf.io.decode_png(files[3].read_bytes()).numpy()
    negative = tf.io.decode_png((tmp_path / "new/folder/000-03-negative.png").read_bytes()).numpy()
    np.testing.assert_array_equal(negative, 255 - pixels)
    np.testing.assert_allclose(np.load(f"{stem}-map.npy"), pixels.mean(-1), rtol=1e-6)
    assert (tmp_path / "new/folder/000-03-code.bin").read_bytes() == BINARY


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, r"^--with: endpoint 'tell' lacks its input image: give files, or --with image=VALUE \(inputs: image, w"),
        ({"values": {"image": "FILE"}}, "lacks its input weight: --with weight=VALUE"),
        ({"files": ["FILE"]}, r"00\.png: endpoint 'tell' lacks its input weight"),
        ({"values": {"wieght": 1}}, r"--with wieght: endpoint 'tell' has no input 'wieght'; did you mean 'weight'\?"),
        (
            {"files": ["FILE"], "values": {"image": "FILE", "weight": 1}},
            "the input image is given twice: here and with",
        ),
        ({"values": {"image": "FILE", "image_bytes": "FILE", "weight": 1}}, "the input image is given twice$"),
        ({"endpoint": "tel"}, r"no endpoint 'tel'; did you mean 'tell'\? \(endpoints: tell, compare"),
        ({"files": ["FILE"], "values": {"weight": "heavy"}}, "--with weight: weight: these are no numbers: heavy"),
        ({"files": ["FILE"], "values": {"weight": [1, 2]}}, r"weight: it has the shape \[2\], not \[\]"),
        ({"files": ["FILE"], "values": {"weight": None}}, "weight: these are no numbers: None"),
        ({"values": {"image": "@none.npy", "weight": 1}}, "image: none.npy: no such file or directory"),
        (
            {"values": {"image": [[300]], "weight": 1}},
            r"image: numbers from 0 to 255 are asked for; received \[\[300\]\]",
        ),
        ({"values": {"image": [[1.5]], "weight": 1}}, r"image: whole numbers are asked for; received \[\[1.5\]\]"),
        ({"values": {"image_bytes": [1], "weight": 1}}, "image_bytes: it is not the raw form of image, but list"),
    ],
)
def test_inputs_that_are_refused(run, files, asked, message):
    def put(value):
        if isinstance(value, dict):
            return {name: put(one) for name, one in value.items()}
        return [put(one) for one in value] if isinstance(value, list) else str(files[0]) if value == "FILE" else value

    with pytest.raises(SpecError, match=message):
        run.predict(**put(asked))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"weight": 1}\n{"weight": 2', r"rows\.jsonl:2: not a row of JSON: "),
        ('{"weight": 1, "weight": 2}', r"rows\.jsonl:1: not a row of JSON: 'weight' is given twice"),
        ("[1]", r"rows\.jsonl:1: not a row of JSON: a row is a mapping of inputs by name; received \[1\]"),
        ("\n", r"rows\.jsonl: it has no rows"),
        (b"\xff", r"rows\.jsonl: it is not UTF-8"),
        ('{"weight": 1, "image": "FILE", "color": 3}', r"rows\.jsonl:1: endpoint 'tell' has no input 'color'"),
        ('{"weight": 1}', r"rows\.jsonl:1: endpoint 'tell' lacks its input image"),
        (
            '{"image": "FILE"}\n\n{"weight": 1, "image": "FILE"}',
            r"rows\.jsonl:1: endpoint 'tell' lacks its input weight",
        ),
        ('{"weight": true, "image": "no.png"}', r"no\.png: no such file or directory"),
    ],
)
def test_rows_that_are_refused(run, files, tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.replace("FILE", str(files[0])).encode())
    with pytest.raises(SpecError, match=message):
        run.predict(rows=path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--with", "weight"], "--with weight: write it as NAME=VALUE"),
        (["--with", "weight=1", "--with", "weight=2"], "--with weight=2: the input weight is given twice"),
        (["--rows", "none.jsonl"], "none.jsonl: no such file or directory"),
        (["--top", "0"], None),
    ],
)
def test_options_that_are_refused(run, given, message):
    done = command("predict", run.path, *given)
    assert done.exit_code != 0
    if message:
        assert isinstance(done.exception, SpecError) and message in str(done.exception)


# --- several batch axes ----------------------------------------------------------------------------------------------


def test_an_episode_takes_its_support_whole(run, files):
    support = [str(file) for file in files[:4]]
    values = {"support": support, "support_label": [0, 1, 2, 0]}
    found = run.predict(files[4:7], endpoint="compare", values=values)
    pixels = np.stack([tf.io.decode_png(file.read_bytes()).numpy() for file in files[:7]])
    wanted = run.ask("compare", support=pixels[:4], support_label=[0, 1, 2, 0], query=pixels[4:])
    assert wanted["shares"].shape == (3, 3)
    np.testing.assert_allclose([answer["shares"] for answer in found], wanted["shares"], atol=1e-6)
    bytes_of = [file.read_bytes() for file in files[:4]]
    by_files = run.ask("compare", support_bytes=bytes_of, support_label=[0, 1, 2, 0], query=pixels[4:])
    np.testing.assert_allclose(by_files["shares"], wanted["shares"], atol=1e-6)
    asked = ["predict", run.path, *files[4:7], "--endpoint", "compare", "--json"]
    asked += ["--with", f"support={json.dumps(support)}", "--with", "support_label=[0, 1, 2, 0]"]
    assert json.loads(command(*asked).stdout) == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"support_label": [0, 3]}, r"support_label: numbers from 0 to 2 are asked for; received \[0, 3\]"),
        ({"support_label": 1}, r"support_label: it has the shape \[\], not \['\?'\]"),
        ({"support_label": [0]}, r"different numbers of rows: support_label: 1, support_bytes: 2|support_bytes: 2"),
        ({"support": ["no.png"], "support_label": [0]}, r"no\.png: no such file"),
        ({}, "lacks its input support_label: --with support_label=VALUE"),
    ],
)
def test_an_episode_that_is_refused(run, files, values, message):
    support = {"support": [str(file) for file in files[:2]]}
    with pytest.raises(SpecError, match=message):
        run.predict([files[0]], endpoint="compare", values=support | values)


def test_a_support_that_cannot_be_read_is_refused(run, files, tmp_path):
    (tmp_path / "not.png").write_text("no picture")
    values = {"support": [str(files[0]), str(tmp_path / "not.png")], "support_label": [0, 1]}
    with pytest.raises(SpecError, match="'compare' cannot read what it was given as support_bytes, number 1"):
        run.predict([files[0]], endpoint="compare", values=values)


# --- without a picture -----------------------------------------------------------------------------------------------


def test_a_run_without_pictures_answers(numbers, tmp_path):
    assert sorted(path.name for path in (numbers.path / "samples").iterdir()) == ["value", "wanted"]
    (one,) = numbers.predict(values={"value": 3})
    assert one == {"value": 3, "valid": True, **{name: rows[0] for name, rows in numbers.ask(value=[3]).items()}}
    assert one["word"] in ("less", "more")
    scaled = command("predict", numbers.path, "--endpoint", "scale", "--with", "value=1.5", "--with", "factor=4")
    assert json.loads(scaled.stdout) == {"value": "1.5", "factor": "4", "scaled": 6.0}
    with pytest.raises(SpecError, match=r"endpoint 'double' takes no files; ask with --with NAME=VALUE"):
        numbers.predict([tmp_path / "a.png"])
    (found,) = numbers.predict(values={"value": 3}, to=tmp_path)
    assert [path.rpartition("/")[2] for path in found["files"]] == ["000-doubled.npy", "000-word.json"]
    assert json.loads((tmp_path / "000-word.json").read_text()) == one["word"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"endpoint 'double' lacks its input value \(inputs: value"),
        ({"valeu": [1]}, r"endpoint 'double' has no input 'valeu'; did you mean 'value'\?"),
        ({"value": [[1, 2]]}, r"input value of endpoint 'double' has the shape \['\?'\]; received \[1, 2\]"),
        ({"value": ["a"]}, "input value of endpoint 'double': "),
    ],
)
def test_what_asking_refuses(numbers, inputs, message):
    with pytest.raises(SpecError, match=message):
        numbers.ask(**inputs)


def test_asking_takes_a_file_or_pixels_and_not_both(run, files):
    file, pixels = files[0].read_bytes(), tf.io.decode_png(files[0].read_bytes()).numpy()[None]
    assert run.ask(image_bytes=[file, b""], weight=[1, 1])["valid"].tolist() == [True, False]
    with pytest.raises(SpecError, match="takes image or image_bytes; both are given"):
        run.ask(image=pixels, image_bytes=[file], weight=[1])
    with pytest.raises(SpecError, match="different numbers of rows: image: 1, weight: 2"):
        run.ask(image=pixels, weight=[1, 2])


# --- exports ---------------------------------------------------------------------------------------------------------


def test_an_export_of_several_axes_says_what_was_noise(run, tmp_path, capfd):
    path = run.export(tmp_path)
    said = capfd.readouterr().err
    assert "endpoint 'compare' is compared on noise in place of support, support_label, query, of which no" in said
    record = json.loads((path / "assets.extra/kplug.json").read_text())
    assert record["verified"]["noise"] == {"compare": ["support", "support_label", "query"]}
    assert record["verified"]["examples"].keys() == {"tell", "compare", "serving_default"}
    loaded = tf.saved_model.load(str(path)).signatures
    code = loaded["serving_default"](image_bytes=tf.constant([b"", b""]), weight=tf.zeros([2]))
    assert code["valid"].numpy().tolist() == [False, False]
    for supports, queries in ((1, 4), (5, 1), (2, 3)):
        pixels = np.zeros((supports, SIZE, SIZE, 3), np.uint8), np.ones((queries, SIZE, SIZE, 3), np.uint8)
        given = {"support": pixels[0], "support_label": np.zeros(supports, np.int32), "query": pixels[1]}
        found = loaded["compare"](**{name: tf.constant(values) for name, values in given.items()})
        np.testing.assert_allclose(found["shares"], [[1, 0, 0]] * queries, atol=1e-6)


def test_a_table_that_a_graph_reads_is_exported_and_latency_needs_no_picture(numbers, tmp_path, capfd):
    path = numbers.export(tmp_path)
    assert "compared on noise in place of factor" in capfd.readouterr().err
    loaded = tf.saved_model.load(str(path)).signatures
    found = loaded["serving_default"](value=tf.constant([-3.0, 3.0]))
    assert sorted(found["word"].numpy().tolist()) == [b"less", b"more"]
    assert loaded["scale"](value=tf.constant([1.0, 2.0]), factor=tf.constant(3))["scaled"].numpy().tolist() == [
        3.0,
        6.0,
    ]
    assert 0 < latency_ms(numbers) < 1000


def test_an_export_offers_the_signatures_that_the_spec_names(host, tmp_path):
    run = made("doubling", "only_numbers", tmp_path / "run", **{"export.signatures": ["scale"]})
    loaded = tf.saved_model.load(str(run.export())).signatures
    assert set(loaded) == {"scale", "serving_default"}
    assert set(loaded["serving_default"].structured_outputs) == {"scaled"}
    assert 0 < latency_ms(run) < 1000
    other = made("doubling", "only_numbers", tmp_path / "other", **{"export.signatures": ["scale", "duoble"]})
    with pytest.raises(
        SpecError, match=r"export\.signatures\.1: the task has no signature 'duoble'; did you mean 'dou"
    ):
        other.export()


def test_an_export_of_no_signature_is_refused(host):
    spec = kplug.loads(SPEC.replace("TASK", "doubling").replace("SOURCE", "only_numbers"))
    with pytest.raises(SpecError, match=r"export\.signatures: \[\] is empty"):
        spec.at({"export.signatures": []})


def test_noise_has_as_many_rows_as_the_samples_beside_it():
    codecs = {name: ImageCodec((4, 4), channels=1) for name in ("image", "other")}
    signature = Signature(lambda image, other: {"sum": image + other}, codecs, {"sum": Field((4, 4, 1), "uint8")})
    asked = endpoints(Learner(None, None, {"add": signature}))["serving_default"]
    inputs, noise = example_inputs(asked, {"image": np.zeros((5, 4, 4, 1), np.uint8)})
    assert noise == ["other_bytes"]
    odd = len(codecs["image"].hostile) + 1  # that cannot be read, and of another form
    assert len(inputs["image_bytes"]) == len(inputs["other_bytes"]) == 5 + odd
    assert len(set(inputs["other_bytes"])) == 5 + odd
