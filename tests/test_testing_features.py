"""`check` of features and evaluators: a bad one for each promise."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from kplug import Codec, Evaluator, Feature, Field, SpecError
from kplug.default_plugins.classification import classification_report
from kplug.default_plugins.features import label, tensor
from kplug.default_plugins.images import image
from kplug.kinds import AsItIs
from kplug.records import Needs, SplitEvaluator
from kplug.testing import check, tiny_files, tiny_pictures

# --- features --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Scaled(Codec):
    """A number and its square, scaled by the largest, with a raw form; and a flaw."""

    flaw: str = "none"
    largest: float | None = None

    takes_batches = True
    raw_suffix = "text"
    raw = Field((), "string", "a number as text")

    @property
    def field(self):
        return Field((), "float64" if self.flaw == "dtype" else "float32")

    @property
    def arrays(self):
        return {"": self.field} if self.flaw == "suffix" else {"": self.field, "square": Field((), "float32")}

    @property
    def must_match(self):
        return ("smallest",) if self.flaw == "match" else ("largest",)

    def learn(self, name, splits):
        values = np.concatenate([list(map(float, split.columns[name])) for split in splits.values()])
        largest = values.max()
        if self.flaw == "numpy":
            return {"largest": np.float32(largest)}
        return {"largest": np.random.default_rng().random() if self.flaw == "forgets" else float(largest)}

    def with_facts(self, facts):
        return AsItIs() if self.flaw == "class" else super().with_facts(facts)

    def read(self, value):
        if value.dtype == tf.string:
            value = tf.strings.to_number(value)
        if self.flaw == "eager":
            value = tf.constant(value.numpy())
        value = tf.cast(value, tf.float32) / self.largest
        if self.flaw == "random":
            value += tf.random.uniform([])
        if self.flaw == "batch" and value.shape.rank:
            value -= tf.reduce_mean(value)
        return {"": value, "square": value**2}

    def reason(self, error):
        return "" if self.flaw == "reason" else super().reason(error)

    def keep(self, value):
        if self.flaw == "keep":
            return str(value)
        return json.dumps({name: float(one) for name, one in value.items()}).encode()

    def open(self, content):
        found = {name: np.asarray(one, np.float32) for name, one in json.loads(content).items()}
        return found[""] if self.flaw == "open" else found

    def raws(self, value):
        return [repr(float(value[""]) * (1 if self.flaw == "raws" else self.largest)).encode()]

    def summary(self, value):
        return "a\nb" if self.flaw == "summary" else super().summary(value)


def scaled(flaw: str = "none") -> Feature:
    """A number and its square, scaled by the largest.

    Args:
        flaw: what is wrong with it.
    """
    return Scaled(flaw)


def of_numbers(values=(1.0, 2.0, 4.0, 3.0)):
    from kplug import Columns, Split

    table = Columns(len(values), {"field": np.asarray(values, np.float32)})
    return Split(table, lambda row: {"field": tf.gather(tf.constant(table["field"]), row)}, batched=True)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("dtype", r"promises float64 \(\) for ''; read gave float32 \(\)"),
        ("suffix", r"read gives \[''\] by suffix; received \['', 'square'\]"),
        ("match", "must_match names facts that learn gives; it lacks smallest"),
        ("numpy", "learn gives what JSON can hold"),
        ("forgets", "learn is a function of the splits"),
        ("class", "with_facts gives a codec of the same class; received AsItIs"),
        ("eager", "read is graph-safe"),
        ("random", "read is a function of the value"),
        ("batch", "4 examples read at once differ from those read one by one"),
        ("reason", "reason says in one line why b'' cannot be read; received ''"),
        ("keep", "keep gives bytes, the content of a file; received str"),
        ("open", "open gives what keep was given, to the bit"),
        ("raws", "raws gives first what is read as the same value again"),
        ("summary", r"summary is one line of text; received 'a\\nb'"),
    ],
)
def test_feature(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(scaled, of_numbers(), flaw=flaw)


def test_a_good_feature():
    check(scaled, of_numbers())


@dataclasses.dataclass(frozen=True)
class Rounded(AsItIs):
    """Whole numbers that an augmentation may turn to floats."""

    flaw: str = "none"
    mends = True

    def mend(self, value):
        return value if self.flaw == "mend" else tf.cast(tf.round(value), tf.int32)


def rounded(flaw: str = "none") -> Feature:
    """Whole numbers.

    Args:
        flaw: what is wrong with it.
    """
    return Rounded((2,), "int32", flaw)


def strange() -> Feature:
    """No codec at all."""
    return 3


def test_a_feature_that_mends_and_what_is_no_codec():
    numbers = np.arange(8, dtype=np.int32).reshape(4, 2)
    check(rounded, numbers)
    with pytest.raises(AssertionError, match="mend brings a batch back into its form"):
        check(rounded, numbers, flaw="mend")
    with pytest.raises(AssertionError, match="a feature returns a Codec; 'strange' returned an int"):
        check(strange, numbers)
    with pytest.raises(AssertionError, match="give `inputs`, values as a source gives them"):
        check(rounded)
    with pytest.raises(SpecError, match="'field' is text or files, and this feature is for numbers"):
        check(tensor, ["a", "b"])


@pytest.mark.parametrize("component", [image, label, tensor])
def test_the_built_in_features(component):
    check(component)


def test_pictures_of_a_size_files_and_several_labels():
    check(image, size=[5, 7], resize="crop")
    check(image, tiny_pictures(4, (8, 8), 1)["train"].load(tf.range(4))["image"].numpy(), channels=3)
    files = tiny_files(5)["train"]
    check(image, [files.load(row)["image"].numpy() for row in range(5)], size=[6, 6])
    with pytest.raises(SpecError, match="the pictures differ in size"):
        check(image, [files.load(row)["image"].numpy() for row in range(5)])


# --- evaluators ------------------------------------------------------------------------------------------------------


class Share(SplitEvaluator):
    """The share of examples whose most probable class is right, with a flaw."""

    needs = Needs(outputs=("probabilities",), fields=("label",))

    def __init__(self, flaw):
        self.flaw = flaw
        self.hits = self.count = 0
        self.first = None

    def begin(self, evaluation):
        super().begin(evaluation)
        self.hits = self.hits if self.flaw == "remembers" else 0
        self.count = 0
        self.first = None

    def add(self, rows, truths, answers, columns):
        right = answers["probabilities"].argmax(-1) == truths["label"]
        self.first = right[0] if self.first is None else self.first
        if self.flaw == "batches":  # a mean of means
            self.hits, self.count = self.hits + right.mean(), self.count + 1
        else:
            self.hits, self.count = self.hits + right.sum(), self.count + len(right)

    def end(self, run):
        if self.flaw == "bare":
            return {"share": 1.0}
        share = float(self.hits / self.count)
        share = {"infinite": float("nan"), "text": "high", "order": share + float(self.first)}.get(self.flaw, share)
        return {"share": share}, {"share.json": {"share": np.float32(1) if self.flaw == "files" else share}}


def sharing(flaw: str = "none") -> Evaluator:
    """The share of examples whose most probable class is right.

    Args:
        flaw: what is wrong with it.
    """
    return Share(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("remembers", "begun again, an evaluator starts afresh; 'share' was"),
        ("batches", "the size of batches change no figure; 7 at a time"),
        ("order", "the order of rows and the size of batches change no figure"),
        ("infinite", "figures are finite numbers by name; 'share' is nan"),
        ("text", "figures are finite numbers by name; 'share' is 'high'"),
        ("bare", r"end gives \(figures, files\)"),
        ("files", "files are text, bytes or JSON; 'share.json' is neither"),
    ],
)
def test_evaluator(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(sharing, flaw=flaw)


class Gallery(SplitEvaluator):
    """The mean distance to the nearest of train, and what an endpoint says of its seed."""

    needs = Needs(outputs=("embedding",), columns=("camera",), splits=("train",))

    def begin_split(self, name):
        self.split = name
        self.seen = {**getattr(self, "seen", {}), name: []} if name != "train" else {name: []}

    def add(self, rows, truths, answers, columns):
        assert set(columns) == {"camera"} and not truths
        self.seen[self.split].append(answers["embedding"])

    def end(self, run):
        one, other = (np.concatenate(self.seen[name]) for name in ("train", "test"))
        distances = np.linalg.norm(one[:, None] - other[None], axis=-1).min(0)
        asked = self.evaluation.ask("draw", seed=3)["drawn"]
        return {"distance": float(distances.mean()), "drawn": float(asked.mean())}, {}


def nearest() -> Evaluator:
    """The mean distance to the nearest of train."""
    return Gallery()


def shown(rng):
    return {
        "answers": {"embedding": rng.normal(size=(9, 2))},
        "columns": {"camera": np.arange(9) % 2},
        "ask": lambda endpoint, seed: {"drawn": np.random.default_rng(seed).random(3)},
    }


def test_evaluators_of_other_needs():
    check(sharing)
    check(nearest, shown)
    check(classification_report)
    with pytest.raises(AssertionError, match="it needs embedding, which the answers lack: give `inputs`"):
        check(nearest)
    with pytest.raises(AssertionError, match="is given `ask` by `inputs`"):
        check(nearest, lambda rng: {name: value for name, value in shown(rng).items() if name != "ask"})
    with pytest.raises(AssertionError, match="truths, answers, columns, ask and takes; received truth"):
        check(sharing, lambda rng: {"truth": {}})
