"""MobileNetV2 on JPEG files in plain Keras, by hand, as fast as it gets: make it faster, and kplug must follow."""

from __future__ import annotations

from typing import Any

from contender import run_script

BATCH, EPOCHS, STEPS_PER_EXECUTION, SIDE, PADDING = 32, 6, 1, 96, 8


def make_dataset(data: str, seed: int) -> tuple[Any, int]:
    import tensorflow as tf
    from operations import crop_at_random, flip_one, load_jpeg, rand_augment
    from plain import files_and_labels

    files, labels = files_and_labels(data)

    def load(file: Any, label: Any) -> tuple[Any, Any]:
        """A picture that is decoded and resized once; it then stays in memory."""
        return load_jpeg(file, SIDE), label

    def change(image: Any, label: Any) -> tuple[Any, Any]:
        """A picture to the model's door in one function, in uint8 throughout."""
        return rand_augment(crop_at_random(flip_one(image), PADDING), count=2, strength=0.9), label

    dataset = tf.data.Dataset.from_tensor_slices((files, labels)).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.cache().shuffle(len(files), seed=seed).repeat()
    dataset = dataset.map(change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    return dataset.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE), len(files) // BATCH


def make_model(steps: int) -> Any:
    import keras
    from networks import mobilenet
    from plain import SIDES, compile_classifier, fuse_batch_normalization

    fuse_batch_normalization()
    keras.config.set_dtype_policy("float32")  # depthwise gradients in bfloat16 are slow on CPUs
    inputs = keras.Input(SIDES["mobilenet"], dtype="uint8")
    model = keras.Model(inputs, mobilenet(keras.layers.Rescaling(1 / 255)(inputs)))
    return compile_classifier(model, 1e-3, steps * EPOCHS, STEPS_PER_EXECUTION)


if __name__ == "__main__":
    run_script(make_model, make_dataset)
