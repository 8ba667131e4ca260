"""A plugin of the tests: another modality whole, signals of one dimension, which the core has never heard of."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from kplug import (
    Architecture,
    Augmentation,
    Codec,
    Columns,
    Count,
    DataInfo,
    Evaluator,
    Feature,
    Field,
    FieldName,
    Known,
    LabelName,
    NonNegative,
    Optimizer,
    Sees,
    Source,
    Split,
    Task,
    call,
    hookimpl,
    known,
    rule,
)

kplug_api = 2
SHAPES = ("sine", "square", "saw")
FEATURES = {"wave": "signal", "shape": "label"}


@hookimpl
def components():
    return [signal, waves, shaken, wave_classes, mean_rank]


def signal(length: Count = 64) -> Feature:
    """A signal, float32 [length], scaled to a standard deviation of 1 over the training examples.

    Args:
        length: samples; longer ones are cut, shorter ones padded with 0.
    """
    return SignalCodec(length)


@dataclass(frozen=True)
class SignalCodec(Codec):
    """Text with a number a line, or an array, to `[length]`; the scale is learnt."""

    length: int = 64
    scale: float | None = None

    raw_suffix: ClassVar[str] = "bytes"
    raw: ClassVar[Field] = Field((), "string", "a text file with a number a line")
    hostile: ClassVar[tuple[bytes, ...]] = (b"not a number", b"")

    @property
    def field(self):
        return Field((self.length,), "float32", "samples, scaled")

    def learn(self, name, splits):
        import numpy as np

        train = splits["train"]
        values = [self.decoded(train.load(row)[name]).numpy() for row in range(min(len(train), 100))]
        return {"scale": float(np.concatenate(values).std())}

    def decoded(self, value):
        import tensorflow as tf

        if value.dtype != tf.string:
            return tf.cast(value, tf.float32)
        return tf.strings.to_number(tf.strings.split(tf.strings.strip(value), "\n"))

    def read(self, value):
        import tensorflow as tf

        samples = self.decoded(value)[: self.length] / self.scale
        return tf.ensure_shape(tf.pad(samples, [[0, self.length - tf.shape(samples)[0]]]), [self.length])

    def raws(self, value):
        return ["\n".join(f"{sample * self.scale:.9g}" for sample in value).encode()]


def _waves(examples: int) -> Known:
    return Known(features=FEATURES, facts={"shape": {"classes": SHAPES}})


@known(_waves)
def waves(examples: Count = 96) -> Source:
    """Sines, squares and saws as text, of several lengths and frequencies.

    Args:
        examples: in train; test has a third as many.
    """
    import numpy as np
    import tensorflow as tf

    def split(seed, count):
        rng = np.random.default_rng(seed)
        shapes = np.arange(count, dtype=np.int32) % len(SHAPES)
        texts = []
        for shape in shapes:
            turns = np.linspace(0, rng.uniform(3, 6), rng.integers(48, 80)) + rng.uniform()
            sine = np.sin(2 * np.pi * turns)
            wave = (sine, np.sign(sine), 2 * (turns % 1) - 1)[shape]
            texts.append("\n".join(f"{value:.4f}" for value in 3 * wave + 0.1 * rng.standard_normal(len(wave))))
        files = tf.constant(texts)
        return Split(
            Columns(count, {"shape": shapes}),
            lambda row: {"wave": tf.gather(files, row)},
            FEATURES,
            {"shape": {"classes": SHAPES}},
        )

    return {"train": split(0, examples), "test": split(1, examples // 3)}


def shaken(strength: NonNegative = 0.1, field: FieldName = "wave") -> Augmentation:
    """Noise on every sample.

    Args:
        strength: its standard deviation.
        field: the field that is shaken.
    """
    import tensorflow as tf

    def shake(batch, seed):
        noise = tf.random.stateless_normal(tf.shape(batch[field]), seed, stddev=strength)
        return batch | {field: batch[field] + noise}

    return shake


def _long_enough(kernel_size: int, wave: str, data: Known) -> None:
    (length,) = data.shapes.get(wave) or (None,)
    if length is not None and kernel_size > length:
        raise ValueError(f"a kernel of {kernel_size} samples does not fit a signal of {length}")


@rule(_long_enough)
def wave_classes(
    data: DataInfo,
    model: Annotated[Architecture, Sees("{wave}")] = "flatten",
    kernel_size: Count = 5,
    optimizer: Optimizer = call("adam", learning_rate=1e-2),
    wave: FieldName = "wave",
    shape: LabelName = "shape",
    report: Evaluator | None = call("mean_rank", every=1),
) -> Task:
    """Tell the class of a signal.

    Args:
        model: from features [b, length, 8] to features [b, n].
        kernel_size: of a first convolution along the signal.
        optimizer: changes the weights.
        wave: the field of signals.
        shape: the field of classes.
        report: looks at the answers to a whole split.
    """
    from tiny_signal_model import make_learner

    return make_learner(data, model, kernel_size, optimizer, wave, shape, report)


def mean_rank(data: DataInfo, every: Count | None = None) -> Evaluator:
    """Mean place of the true class among the scores, 1 where it is always first.

    Args:
        every: it looks after so many epochs each; null: not while training.
    """
    from tiny_signal_model import MeanRank

    return MeanRank(data.label, every)
