"""The parts that the plain scripts share: where their data is, and their optimizer."""

from __future__ import annotations

import glob
import os
import platform
from typing import Any

import keras
import numpy as np
import tensorflow as tf

SIDES = {"resnet": (28, 28, 1), "mobilenet": (96, 96, 3), "vit": (64, 64, 3)}


def multiplies_bfloat16() -> bool:
    """True where the processor has instructions for products of bfloat16."""
    if platform.system() != "Linux":
        return False
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags


def adamw(peak: float, steps: int) -> Any:
    """AdamW under a cosine with a tenth of warm-up."""
    warmup = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=peak, warmup_steps=warmup, alpha=0.0
    )
    return keras.optimizers.AdamW(rate)


def fashion_mnist(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """The 60,000 training pictures, uint8 `[n, 28, 28, 1]`, and their labels, parsed many records at a time."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("fashion_mnist", data_dir=folder)
    files = [str(file) for file in builder.info.splits["train"].filepaths]
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def decode(encoded: Any) -> Any:
        return tf.ensure_shape(tf.io.decode_png(encoded, 1), SIDES["resnet"])

    def parse(records: Any) -> tuple[Any, Any]:
        found = tf.io.parse_example(records, features)
        return tf.map_fn(decode, found["image"], fn_output_signature=tf.uint8), tf.cast(found["label"], tf.int32)

    parts = tf.data.TFRecordDataset(files).batch(500).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    images, labels = zip(*parts.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def shuffled_rows(count: int, batch: int, seed: int) -> Any:
    """Rows in batches `[batch]`, another order each epoch, without end: one permutation instead of a buffer."""
    steps = count // batch

    def epoch_rows(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), tf.stack([tf.cast(seed, tf.int64), epoch]))
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[: steps * batch], [steps, batch]))

    return tf.data.Dataset.counter().flat_map(epoch_rows)


def pictures_and_labels(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of an .npz file, uint8 `[n, h, w, c]`, and their labels."""
    with np.load(path, allow_pickle=False) as found:
        return found["x_train"], found["y_train"].astype(np.int32)


def files_and_labels(folder: str) -> tuple[list[str], np.ndarray]:
    """JPEG files of the class folders below `folder/train`, and their labels."""
    files = sorted(glob.glob(os.path.join(folder, "train", "*", "*.jpg")))
    names = [os.path.basename(os.path.dirname(file)) for file in files]
    return files, np.unique(names, return_inverse=True)[1].astype(np.int32)


def fuse_batch_normalization() -> None:
    """Train BatchNormalization through TensorFlow's own operation: Keras's many small ones take four times as long."""
    keras.layers.BatchNormalization.call = _normalize


def _normalize(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    moving = {"mean": [], "variance": []} if training else {"mean": self.moving_mean, "variance": self.moving_variance}
    weights = {"scale": self.gamma, "offset": self.beta}
    given = {name: tf.convert_to_tensor(value, tf.float32) for name, value in (weights | moving).items()}
    found = tf.raw_ops.FusedBatchNormV3(x=inputs, **given, epsilon=self.epsilon, is_training=bool(training))
    if training:
        for kept, new in ((self.moving_mean, found[1]), (self.moving_variance, found[2])):
            kept.assign_add((new - kept) * (1 - self.momentum))
    return found[0]


def compile_classifier(model: Any, peak: float, steps: int, steps_per_execution: int = 1) -> Any:
    """The model, ready to be trained on labels as integers."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"jit_compile": False, "steps_per_execution": steps_per_execution}
    model.compile(adamw(peak, steps), loss, metrics=["accuracy"], **options)
    return model
