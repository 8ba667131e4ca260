"""Faults in an input pipeline: files are looked at where reading failed alone, and what a component says comes out."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug.data.codecs.pixels import noinline
from kplug.data.readable import explained, may_be_of_reading
from kplug.data.splits import open_data
from kplug.kinds import Columns, Learner, Split
from kplug.spec.plugins import using

PNG = tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy()
BAD = b"\x89PNG\r\n\x1a\n no more"


def decode(value):
    return tf.ensure_shape(tf.io.decode_png(value, channels=3), [4, 4, 3])


def blank(value):
    return tf.zeros([4, 4, 3], tf.uint8)


def in_python(value):
    return tf.ensure_shape(tf.numpy_function(lambda one: decode(one).numpy(), [value], tf.uint8), [4, 4, 3])


READERS = {
    "plain": decode,
    "noinline": noinline(decode),
    "map_fn": lambda value: tf.map_fn(decode, value[tf.newaxis], fn_output_signature=tf.uint8)[0],
    "cond": lambda value: tf.cond(tf.strings.length(value) > 0, lambda: decode(value), lambda: blank(value)),
    "function": tf.function(decode, autograph=False),
    "python": in_python,
}


def assertion(x):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 300), ["a bug of the task"])]):
        return tf.identity(x)


PREPARERS = {
    "plain": assertion,
    "noinline": noinline(assertion),
    "map_fn": lambda x: tf.map_fn(assertion, x),
    "cond": lambda x: tf.cond(tf.size(x) > 0, lambda: assertion(x), lambda: x),
    "reshape": lambda x: tf.reshape(x, [7 + tf.cast(tf.reduce_max(x), tf.int32)]),
    "python": lambda x: tf.numpy_function(lambda v: 1 / 0, [x], tf.float32),
}


def source_of(read, files, tried):
    """A plugin whose source reads files in one way, and its codec, which notes each that it is shown outside."""

    class Plugin:
        @kplug.hookimpl
        def components(self):
            return [files_of, noted]

    def files_of() -> kplug.Source:
        columns = Columns(len(files), {"file": np.array([*files, None], object)[:-1]})
        return {"train": Split(columns, lambda row: {}, {"file": "noted"}, cache_mb=0)}

    @dataclass(frozen=True)
    class Noted(kplug.Codec):
        @property
        def field(self):
            return kplug.Field((4, 4, 3), "uint8")

        def read(self, value):
            if tf.executing_eagerly():
                tried.append(value)
            return read(value)

    def noted() -> kplug.Feature:
        """Read a picture."""
        return Noted()

    return Plugin()


def opened(read, files, tried):
    plugin = source_of(read, files, tried)
    with using([plugin]):
        return open_data(
            kplug.loads("""
name: faults
task: {type: classification, model: flatten}
data: {source: files_of, validation: 0, sampler: {type: shuffled, batch_size: 4}}
""")
        )


@pytest.mark.parametrize("form", READERS)
def test_files_are_looked_at_where_reading_failed(form):
    tried = []
    data = opened(READERS[form], [PNG] * 5 + [BAD, PNG, PNG], tried)
    learner = Learner(None, lambda batch, seed, training: (batch["file"],))
    with pytest.raises(kplug.SpecError, match=r"mend or remove them:\n  row 5: file: "), explained(data, "train"):
        list(data.training(learner, 1))
    assert tried


def test_the_rows_of_the_failing_batch_are_looked_at_alone():
    tried = []
    data = opened(decode, [PNG] * 400 + [BAD] + [PNG] * 1600, tried)
    learner = Learner(None, lambda batch, seed, training: (batch["file"],))
    with pytest.raises(kplug.SpecError, match="row 400: file: "), explained(data, "train"):
        for _ in data.training(learner, 1):
            pass
    assert 0 < len(tried) < 1000
    tried.clear()
    with pytest.raises(kplug.SpecError, match="row 400: file: "), explained(data, "train"):
        list(data.examples("train"))
    assert 0 < len(tried) < 2000


@pytest.mark.parametrize("form", PREPARERS)
def test_a_bug_of_prepare_opens_no_file(form):
    tried = []
    data = opened(decode, [PNG] * 8, tried)
    learner = Learner(None, lambda batch, seed, training: (PREPARERS[form](tf.cast(batch["file"], tf.float32)),))
    for dataset in (data.training(learner, 1), data.evaluation(learner, "train")):
        with pytest.raises((*tf.errors.OpError.__subclasses__(), tf.errors.OpError)), explained(data, "train"):
            list(dataset)
    assert not tried


def test_a_bug_of_a_model_opens_no_file():
    step = tf.function(lambda x: assertion(x))
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        step(tf.zeros([2]))
    assert not may_be_of_reading(caught.value)


# --- what components refuse while a graph is made --------------------------------------------------------------------


class Refusing:
    """Components that refuse their data when it is too late for `kplug check`."""

    @staticmethod
    @kplug.hookimpl
    def components():
        return [refusing_task, refusing_source, refusing_augmentation, refusing_feature]


def refusing_task() -> kplug.Task:
    """Refuse every batch."""
    import keras

    inputs = keras.Input((8, 8, 1), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(keras.ops.cast(inputs, "float32"))))
    model.compile("sgd", "mse")

    def prepare(batch, seed, training):
        raise kplug.SpecError("no batch is good enough")

    return Learner(model, prepare)


def refusing_source() -> kplug.Source:
    """Refuse every row."""

    def load(row):
        raise kplug.SpecError("no row is good enough")

    return {"train": Split(Columns(8), load)}


def refusing_augmentation() -> kplug.Augmentation:
    """Refuse every batch."""

    def change(batch, seed):
        raise kplug.SpecError("no augmentation is good enough")

    return change


def refusing_feature() -> kplug.Feature:
    """Refuse every value."""

    @dataclass(frozen=True)
    class Refused(kplug.Codec):
        @property
        def field(self):
            return kplug.Field((), "float32")

        def read(self, value):
            raise kplug.SpecError("no value is good enough")

    return Refused()


SPEC = """
name: refused
task: {task}
data:
  source: {source}
  features: {features}
  augment: {augment}
  sampler: {{type: shuffled, batch_size: 4}}
fit: {{epochs: 1}}
"""
PLAIN = {"task": "{type: classification, model: flatten}", "source": "digits", "features": "{}", "augment": "[]"}
CASES = {
    "task": ({"task": "refusing_task"}, r"refused\.yaml:3:\d+: task: no batch is good enough"),
    "source": ({"source": "refusing_source"}, r"refused\.yaml:5:\d+: data\.source: no row is good enough"),
    "augment": (
        {"augment": "[random_flip, refusing_augmentation]"},
        r"refused\.yaml:7:\d+: data\.augment\.1: no augmentation is good enough",
    ),
    "features": ({"features": "{image: refusing_feature}"}, r"data\.features\.image: no value is good enough"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_while_a_graph_is_made_has_its_place(case, tmp_path):
    changed, message = CASES[case]
    with using([Refusing]), pytest.raises(kplug.SpecError, match=message):
        kplug.train(kplug.loads(SPEC.format(**PLAIN | changed), "refused.yaml"), tmp_path / "run")


def test_the_exit_code_is_that_of_wrong_input(tmp_path):
    (tmp_path / "refused.yaml").write_text(SPEC.format(**PLAIN | CASES["task"][0]))
    code = """
import sys
sys.path.insert(0, "TESTS")
from test_pipeline_faults import Refusing
from kplug.spec.plugins import using
from kplug.cli import main
sys.argv = ["kplug", "train", "refused.yaml", "--run", "run"]
with using([Refusing]):
    main()
""".replace("TESTS", __file__.rpartition("/")[0])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "task: no batch is good enough" in done.stderr
