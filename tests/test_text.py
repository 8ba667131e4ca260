"""The feature `text`: the same ids in a batch, in an export and in an answer, by a vocabulary that train tells."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kplug
from kplug.data.codecs.text import TextCodec
from kplug.data.splits import open_data
from kplug.kinds import Columns, DataInfo, FieldName, LabelName, Learner, Signature, Split
from kplug.spec.plugins import using
from kplug.training.fit import resume

TEXTS = [
    "Is the ball red?",
    "Is the ball blue?",
    "What colour is the box",
    "The box is red.",
    "Don\u2019t ask: 'is it a ball'?",
    "Where is the café, the Café?",
]


def codec(**parameters):
    vocabulary = parameters.pop("vocabulary", ("the", "is", "ball", "red", "don't", "café"))
    return TextCodec(length=parameters.pop("length", 6), **parameters).with_facts({"vocabulary": vocabulary})


def ids(one, *texts):
    return one.read(tf.constant(texts)).numpy().tolist()


def column(values):
    return np.array([*values, None], object)[:-1]


def split_of(values, **more):
    columns = {"text": column(values)}
    return Split(Columns(len(values), columns), lambda row: {}, **more)


# --- words and ids ---------------------------------------------------------------------------------------------------


def test_ids_are_padded_cut_and_unknown():
    assert ids(codec(), "The ball is red", "", "nothing the", "the " * 9) == [
        [4, 6, 5, 7, 0, 0],
        [0] * 6,
        [1, 4, 0, 0, 0, 0],
        [4] * 6,
    ]


def test_marks_stay_where_a_text_is_cut_and_an_empty_one_has_none():
    marked = codec(start=True, end=True, length=4)
    assert ids(marked, "the", "the ball is red", " ") == [[2, 4, 3, 0], [2, 4, 6, 3], [0, 0, 0, 0]]
    assert ids(codec(end=True, length=3), "the", "the ball is") == [[4, 3, 0], [4, 6, 3]]
    assert ids(codec(start=True, length=3), "the", "the ball is") == [[2, 4, 0], [2, 4, 6]]


def test_punctuation_and_case():
    assert ids(codec(), "DON\u2019T 'ball'\tred-CAFÉ!") == [[8, 6, 7, 9, 0, 0]]
    kept = codec(punctuation="words", vocabulary=("?", "'", "ball", "don't"))
    assert ids(kept, "don't 'ball'? ball??") == [[7, 5, 6, 5, 4, 6]]
    assert ids(codec(lower_case=False), "the The") == [[4, 1, 0, 0, 0, 0]]


def test_each_character_of_chinese_is_a_word():
    assert ids(codec(vocabulary=("日", "本", "テ")), "日本 テ") == [[4, 5, 6, 0, 0, 0]]


def test_bytes_that_are_no_text_are_spaces():
    assert ids(codec(), b"the\xff\xfeball\x00red\xe2\x82") == [[4, 6, 7, 0, 0, 0]]


def test_several_texts_an_example():
    several = codec(several=2, length=3)
    assert several.field.shape == (2, 3) and several.raw.shape == (2,)
    few, many = several.read(tf.constant(["the ball"])), several.read(tf.constant(["the", "is", "ball"]))
    assert few.numpy().tolist() == [[4, 6, 0], [0, 0, 0]] and many.numpy().tolist() == [[4, 0, 0], [5, 0, 0]]
    assert several.read(tf.constant([["the", ""], ["", "is"]])).shape == (2, 2, 3)


@pytest.mark.parametrize("parameters", [{}, {"start": True, "end": True}, {"several": 2}, {"punctuation": "words"}])
def test_what_is_kept_is_read_by_people_and_opens_to_the_same(parameters):
    one = codec(**parameters)
    texts = ["the Ball, don't", "is a red café"]
    value = one.read(tf.constant(texts if one.several else texts[0])).numpy()
    kept = one.keep(value)
    assert b"ball" in kept and kept.endswith(b"\n")
    np.testing.assert_array_equal(one.open(kept), value)
    assert one.open(kept).dtype == np.int32
    same, *others = one.raws(value)
    np.testing.assert_array_equal(one.read(tf.constant(same)), value)
    assert all(one.read(tf.constant(other)).shape == value.shape for other in others)


def test_any_ids_can_be_kept_and_put_into_words():
    one = codec()
    value = np.array([2, 4, 0, 99, 3, 6], np.int32)
    np.testing.assert_array_equal(one.open(one.keep(value)), value)
    assert one.words(value) == "the [99]" and one.words([[4, 5], [6, 0]]) == ["the is", "ball"]
    assert one.assets("question") == {
        "question.vocabulary.txt": "[PAD]\n[UNK]\n[START]\n[END]\nthe\nis\nball\nred\ndon't\ncafé\n"
    }


def test_the_locale_of_a_server_changes_nothing():
    """Turkish and Lithuanian have other small letters; ICU goes by the process's locale."""
    text = "I İ Ì Í Ĩ Į ÀÉ ΣΟΦΟΣ I\u0300"
    code = f"""
import tensorflow as tf
from kplug.data.codecs.words import split_words
print(ascii([word.decode() for word in split_words(tf.constant([{text!r}]), True, "drop").flat_values.numpy()]))
"""
    found = set()
    for locale in ("C.UTF-8", "tr_TR.UTF-8", "lt_LT.UTF-8"):
        environment = {**os.environ, "LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


# --- what is learnt --------------------------------------------------------------------------------------------------


def test_the_vocabulary_is_of_train_by_count_then_alphabet():
    splits = {"train": split_of(["b a", "a b c", "C d"]), "test": split_of(["z z z z", "a"])}
    assert TextCodec(length=2).learn("text", splits) == {
        "vocabulary": ["a", "b", "c", "d"],
        "cut": {"train": 1, "test": 1},
    }
    assert TextCodec(least=2).learn("text", splits)["vocabulary"] == ["a", "b", "c"]
    assert TextCodec(size=1).learn("text", splits)["vocabulary"] == ["a"]
    with pytest.raises(kplug.SpecError, match="no word of 'text' stands 3 times in train"):
        TextCodec(least=3).learn("text", splits)


def test_rows_are_counted_once_however_much_of_them_is_cut():
    splits = {"train": split_of([["a b c", "a b c"], ["a"], ["a", "b", "c"]])}
    assert TextCodec(length=2, several=2).learn("text", splits)["cut"] == {"train": 2}


def test_the_vocabulary_of_the_source():
    facts = {"text": {"vocabulary": ("red", "blue")}}
    assert TextCodec().learn("text", {"train": split_of(["a"], facts=facts)})["vocabulary"] == ["red", "blue"]
    for wrong, said in ((("a", "a"), "'a' twice"), (("a b",), "'a b', which is no word"), (("[UNK]",), "no word")):
        with pytest.raises(kplug.SpecError, match=said):
            TextCodec().learn("text", {"train": split_of(["a"], facts={"text": {"vocabulary": wrong}})})


@pytest.mark.parametrize("nothing", [None, "", " ", float("nan")])
def test_missing_texts_are_refused_with_their_places(nothing):
    splits = {"train": split_of(["a", nothing], place=lambda row: f"table.csv:{row + 2}"), "test": split_of(["a"])}
    with pytest.raises(kplug.SpecError, match=r"no text in 1 of 2 rows of train: table\.csv:3; mend .*missing: empty"):
        TextCodec().learn("text", splits)
    assert TextCodec(missing="empty").learn("text", splits)["vocabulary"] == ["a"]


def test_what_is_no_text_is_refused():
    numbers = Split(Columns(2, {"text": np.arange(2)}), lambda row: {})
    with pytest.raises(kplug.SpecError, match="gives int64, not text"):
        TextCodec().learn("text", {"train": numbers})
    loaded = Split(Columns(2), lambda row: {"text": tf.cast(row, tf.float32)})
    with pytest.raises(kplug.SpecError, match="gives float32, not text"):
        TextCodec().learn("text", {"train": loaded})
    with pytest.raises(kplug.SpecError, match=r"shape \[2\] a row, not one text a row \(several: null\)"):
        TextCodec().learn("text", {"train": split_of([["a", "b"], ["c"]])})


def test_texts_that_are_loaded():
    texts = tf.constant(TEXTS)
    split = Split(Columns(len(TEXTS)), lambda row: {"text": tf.gather(texts, row)})
    of_column = TextCodec().learn("text", {"train": split_of(TEXTS)})
    assert TextCodec().learn("text", {"train": split}) == of_column
    by_python = tf.data.Dataset.range(1).map(lambda row: tf.numpy_function(lambda _: b"the ball", [row], tf.string))
    assert next(iter(by_python.map(codec().read))).numpy().tolist() == [4, 6, 0, 0, 0, 0]


# --- a table, a task, a run ------------------------------------------------------------------------------------------


class Asks:
    """A task of one text an example, without pictures."""

    @staticmethod
    @kplug.hookimpl
    def components():
        return [about_text]


def about_text(data: DataInfo, text: FieldName = "question", label: LabelName = "label") -> kplug.Task:
    """Tell the class of a text: the mean of its words' embeddings.

    Args:
        text: the field of texts.
        label: the field of classes.
    """
    import keras

    codec, classes = data.codecs[text], data.classes
    given = keras.Input(codec.field.shape, dtype=codec.field.dtype, name=text)
    mean = keras.ops.mean(keras.layers.Embedding(codec.field.below, 4)(given), axis=1)
    model = keras.Model(given, keras.layers.Dense(len(classes), activation="softmax")(mean))
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")

    def serve(**inputs):
        return {"ids": tf.identity(inputs[text]), "probabilities": model(inputs[text], training=False)}

    outputs = {"ids": codec, "probabilities": kplug.Field((len(classes),), "float32")}
    answer = Signature(serve, {text: codec}, outputs, answer=lambda row, top: {"words": codec.words(row["ids"])})
    return Learner(model, lambda batch, seed, training: (batch[text], batch[label]), {"answer": answer})


def write_table(folder, texts=TEXTS, pictures=False):
    lines = ["question,label" + (",image" if pictures else "")]
    for number in range(12):
        question = texts[number % len(texts)].replace('"', '""')
        if pictures:
            Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")
        lines.append(f'"{question}",{number % 2}' + (f",{number}.png" if pictures else ""))
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


def spec_of(table, features="{question: {type: text, length: 7}}", image="null"):
    return kplug.loads(f"""
name: asks
task: about_text
data:
  source: {{type: table, path: {table}, image: {image}, test: 0.25}}
  features: {features}
  sampler: {{type: shuffled, batch_size: 4}}
fit: {{epochs: 1}}
""")


@pytest.mark.parametrize("image", ["null", "image"])
def test_a_column_of_text_joins_where_it_is_asked_for(tmp_path, image):
    table = write_table(tmp_path, pictures=image == "image")
    with using([Asks]):
        plain = open_data(spec_of(table, "{}", image))
        asked = open_data(spec_of(table, "{question: text}", image))
    assert "question" not in plain.info.fields and "question" not in next(iter(plain.examples("test")))
    batch = next(iter(asked.examples("test")))
    assert batch["question"].dtype == tf.int32 and batch["question"].shape[1:] == (32,)
    assert asked.info.fields["question"].shape == (32,) and ("image" in batch) == (image == "image")


def test_ids_are_the_same_in_training_answers_and_the_export(tmp_path, capsys):
    with using([Asks]):
        spec = spec_of(write_table(tmp_path), "{question: {type: text, length: 4, end: true}}")
        run = kplug.train(spec, tmp_path / "run")
        assert "'question' is cut to length: 4 in these rows: " in capsys.readouterr().err
        data = open_data(run.spec)
        texts = data.split("test").columns["question"].tolist()
        trained = next(iter(data.examples("test")))["question"].numpy()
        answered = run.ask(question_text=texts)
        exported = tf.saved_model.load(str(run.export()))
        served = exported.signatures["serving_default"](question_text=tf.constant(texts))
        words = run.predict(values={"question": texts[0]})
    np.testing.assert_array_equal(answered["ids"], trained)
    np.testing.assert_array_equal(served["ids"], trained)
    assert served["valid"].numpy().all() and (trained[:, -1] != 0).any() and (trained == 3).any()
    assert words[0]["words"] == run.info.codecs["question"].words(trained[0])
    extra = next((tmp_path / "run" / "export").glob("*/assets.extra"))
    vocabulary = (extra / "question.vocabulary.txt").read_text(encoding="utf-8").split("\n")
    assert [vocabulary[number] for number in trained[0] if number > 3] == words[0]["words"].split()
    kept = json.loads((run.path / "data.json").read_text())
    assert vocabulary[4:-1] == kept["facts"]["question"]["vocabulary"] and kept["facts"]["question"]["cut"]["train"] > 0
    assert (run.path / "samples" / "question" / "00.txt").read_text().strip()


def test_another_vocabulary_is_refused_by_evaluation_and_resume(tmp_path):
    (tmp_path / "other").mkdir()
    other = write_table(tmp_path / "other", [text.replace("box", "bowl") for text in TEXTS])
    with using([Asks]):
        run = kplug.train(spec_of(write_table(tmp_path)), tmp_path / "run")
        with pytest.raises(kplug.SpecError, match="the vocabulary of 'question'"):
            run.evaluate(name="other", changes={"data.source.path": str(other)})
        write_table(tmp_path, [text.replace("box", "bowl") for text in TEXTS])
        with pytest.raises(kplug.SpecError, match=r"the data is not what it was: facts\.question\.vocabulary"):
            resume(tmp_path / "run", {"fit.epochs": 2})


def test_missing_cells_of_a_table_are_named_by_line(tmp_path):
    table = write_table(tmp_path, [*TEXTS[:5], ""])
    with using([Asks]):
        with pytest.raises(kplug.SpecError, match=r"data\.features\.question: 'question' has no text in .*csv:\d+"):
            open_data(spec_of(table))
        data = open_data(spec_of(table, "{question: {type: text, missing: empty}}"))
        ids = [row for name in data.splits for batch in data.examples(name) for row in batch["question"].numpy()]
    assert sum(not row.any() for row in ids) == 2
    with pytest.raises(kplug.SpecError, match="leaves no room for words"), using([Asks]):
        spec_of(table, "{question: {type: text, length: 2, start: true, end: true}}")


def test_several_texts_are_served(tmp_path):
    """A source whose rows have lists of texts; the export is verified on them."""

    class Source:
        @staticmethod
        @kplug.hookimpl
        def components():
            return [captions, about_text]

    def captions() -> kplug.Source:
        def split(count):
            texts = column([TEXTS[row % 3 : row % 3 + 1 + row % 3] for row in range(count)])
            columns = Columns(count, {"question": texts, "label": np.arange(count, dtype=np.int32) % 2})
            facts = {"label": {"classes": ("a", "b")}}
            return Split(columns, lambda row: {}, {"label": "label"}, facts, batched=True)

        return {"train": split(12), "test": split(4)}

    def about_text(data: DataInfo) -> kplug.Task:
        import keras

        codec = data.codecs["question"]
        given = keras.Input(codec.field.shape, dtype="int32")
        mean = keras.ops.mean(keras.layers.Embedding(codec.field.below, 4)(given), axis=(1, 2))
        model = keras.Model(given, keras.layers.Dense(2, activation="softmax")(mean))
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        serve = Signature(lambda question: {"ids": tf.identity(question)}, {"question": codec}, {"ids": codec})
        return Learner(model, lambda batch, seed, training: (batch["question"], batch["label"]), {"answer": serve})

    with using([Source]):
        spec = kplug.loads("""
name: several
task: about_text
data:
  source: captions
  features: {question: {type: text, length: 5, several: 3}}
  sampler: {type: shuffled, batch_size: 4}
fit: {epochs: 1}
""")
        run = kplug.train(spec, tmp_path / "run")
        exported = tf.saved_model.load(str(run.export()))
        served = exported.signatures["serving_default"](question_text=tf.constant([["the ball", "is", ""]]))
        asked = run.ask(question_text=[["the ball", "is", ""]])
        words = run.predict(values={"question": ["the ball", "is"]})
        with pytest.raises(kplug.SpecError, match="4 texts, of at most 3"):
            run.predict(values={"question": ["a"] * 4})
    np.testing.assert_array_equal(served["ids"], asked["ids"])
    assert asked["ids"].shape == (1, 3, 5) and words[0]["ids"] == "the ball | is"


# --- raw values ------------------------------------------------------------------------------------------------------


def test_raw_values_are_read_as_batches_have_them(tmp_path):
    from kplug.authoring import read

    table = write_table(tmp_path, pictures=True)
    with using([Asks]):
        data = open_data(spec_of(table, image="image"))
    test = data.split("test")
    files = [Path(path).read_bytes() for path in test.columns["path"]]
    found = read(data.info, image_bytes=files, question_text=test.columns["question"].tolist())
    batch = next(iter(data.examples("test")))
    assert set(found) == {"image", "question"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, batch[name])
        assert values.dtype == batch[name].dtype.as_numpy_dtype
    assert read(data.info, question_text=[])["question"].shape == (0, 7)
    for wrong, said in (
        ({"image_byte": files}, r"raw form 'image_byte'; did you mean 'image_bytes'\?"),
        ({"image_bytes": [files[0], b"no picture"]}, r"image_bytes cannot be read:\n  1: not a JPEG"),
        ({"image_bytes": files[:1], "question_text": ["a", "b"]}, "different numbers of values"),
        ({"question_text": "a"}, "takes a list of values; received str"),
        ({"question_text": [3]}, r"question_text cannot be read:\n  0: "),
    ):
        with pytest.raises(kplug.SpecError, match=said):
            read(data.info, **wrong)
