"""MobileNetV2 on JPEG files as Keras's documentation writes it: image_dataset_from_directory, layers in a map, fit."""

from __future__ import annotations

import os
from typing import Any

from contender import run_script

BATCH, EPOCHS = 32, 6


def make_dataset(data: str, seed: int) -> tuple[Any, int]:
    import keras
    import tensorflow as tf
    from keras import layers

    options: dict[str, Any] = {"image_size": (96, 96), "batch_size": BATCH, "crop_to_aspect_ratio": True}
    dataset = keras.utils.image_dataset_from_directory(os.path.join(data, "train"), seed=seed, verbose=False, **options)
    steps = len(dataset.file_paths) // BATCH
    augment = [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(8 / 96, 8 / 96, fill_mode="constant"),
        layers.RandAugment(value_range=(0, 255), num_ops=2, factor=0.9),
        layers.Rescaling(1 / 255),
    ]

    def change(image: Any, label: Any) -> tuple[Any, Any]:
        for layer in augment:
            image = layer(image, training=True)
        return image, label

    dataset = dataset.map(change, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.repeat().prefetch(tf.data.AUTOTUNE), steps


def make_model(steps: int) -> Any:
    import keras
    from networks import mobilenet
    from plain import SIDES, adamw

    inputs = keras.Input(SIDES["mobilenet"])
    model = keras.Model(inputs, mobilenet(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adamw(1e-3, steps * EPOCHS), loss, metrics=["accuracy"])
    return model


if __name__ == "__main__":
    run_script(make_model, make_dataset)
