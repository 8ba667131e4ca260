"""ViT-Tiny at 64x64 in plain Keras, by hand, as fast as it gets: make it faster, and kplug must follow."""

from __future__ import annotations

from typing import Any

from contender import run_script

BATCH, EPOCHS, STEPS_PER_EXECUTION = 64, 6, 1


def make_dataset(data: str, seed: int) -> tuple[Any, int]:
    import tensorflow as tf
    from operations import flip_batch
    from plain import pictures_and_labels, shuffled_rows

    images, labels = (tf.constant(array) for array in pictures_and_labels(data))

    def load(rows: Any) -> tuple[Any, Any]:
        """A whole batch at once, in uint8 to the end."""
        return flip_batch(tf.gather(images, rows)), tf.gather(labels, rows)

    dataset = shuffled_rows(len(images), BATCH, seed).map(load, tf.data.AUTOTUNE, deterministic=False)
    return dataset.prefetch(tf.data.AUTOTUNE), len(images) // BATCH


def make_model(steps: int) -> Any:
    import keras
    from networks import vit
    from plain import SIDES, compile_classifier, multiplies_bfloat16

    keras.config.set_dtype_policy("mixed_bfloat16" if multiplies_bfloat16() else "float32")
    inputs = keras.Input(SIDES["vit"], dtype="uint8")
    model = keras.Model(inputs, vit(keras.layers.Rescaling(1 / 255)(inputs)))
    return compile_classifier(model, 1e-3, steps * EPOCHS, STEPS_PER_EXECUTION)


if __name__ == "__main__":
    run_script(make_model, make_dataset)
