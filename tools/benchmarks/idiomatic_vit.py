"""ViT-Tiny at 64x64 as Keras's documentation writes it: float32, map, batch, prefetch, plain fit."""

from __future__ import annotations

from typing import Any

from contender import run_script

BATCH, EPOCHS = 64, 6


def make_dataset(data: str, seed: int) -> tuple[Any, int]:
    import tensorflow as tf
    from keras import layers
    from plain import pictures_and_labels

    images, labels = pictures_and_labels(data)
    flip = layers.RandomFlip("horizontal")

    def change(image: Any, label: Any) -> tuple[Any, Any]:
        return flip(image, training=True), label

    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.map(lambda image, label: (tf.cast(image, tf.float32) / 255, label)).cache()
    dataset = dataset.shuffle(10_000, seed=seed).batch(BATCH, drop_remainder=True)
    dataset = dataset.map(change, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.repeat().prefetch(tf.data.AUTOTUNE), len(images) // BATCH


def make_model(steps: int) -> Any:
    import keras
    from networks import vit
    from plain import SIDES, adamw

    inputs = keras.Input(SIDES["vit"])
    model = keras.Model(inputs, vit(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adamw(1e-3, steps * EPOCHS), loss, metrics=["accuracy"])
    return model


if __name__ == "__main__":
    run_script(make_model, make_dataset)
