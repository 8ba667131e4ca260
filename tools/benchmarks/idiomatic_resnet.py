"""A small ResNet on Fashion-MNIST as Keras's documentation writes it: float32, map, batch, prefetch, plain fit."""

from __future__ import annotations

from typing import Any

from contender import run_script

BATCH, EPOCHS = 128, 6


def make_dataset(data: str, seed: int) -> tuple[Any, int]:
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from keras import layers

    dataset, info = tfds.load("fashion_mnist", split="train", data_dir=data, as_supervised=True, with_info=True)
    augment = [layers.RandomFlip("horizontal"), layers.RandomErasing(factor=(0.5, 0.5), value_range=(0, 1))]

    def change(image: Any, label: Any) -> tuple[Any, Any]:
        for layer in augment:
            image = layer(image, training=True)
        return image, label

    dataset = dataset.map(lambda image, label: (tf.cast(image, tf.float32) / 255, label)).cache()
    dataset = dataset.shuffle(10_000, seed=seed).batch(BATCH, drop_remainder=True)
    dataset = dataset.map(change, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.repeat().prefetch(tf.data.AUTOTUNE), info.splits["train"].num_examples // BATCH


def make_model(steps: int) -> Any:
    import keras
    from networks import resnet
    from plain import SIDES, adamw

    inputs = keras.Input(SIDES["resnet"])
    model = keras.Model(inputs, resnet(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adamw(3e-3, steps * EPOCHS), loss, metrics=["accuracy"])
    return model


if __name__ == "__main__":
    run_script(make_model, make_dataset)
