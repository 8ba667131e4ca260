"""Keras Tuner driven by hand, as its guide shows: a function that builds a network of what it asks for, random search.

usage: keras_tuner_by_hand.py DATA DIRECTORY [--trials N] [--seed N]

The network, data, batches and space are those of tiny.yaml, which `kplug search` tries. Nothing of kplug is imported.
"""

from __future__ import annotations

import argparse
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras import layers

PROJECT = "digits"
BATCH, EVALUATED_BATCH, CLASSES = 32, 256, 10


def build_model(hp: keras_tuner.HyperParameters) -> keras.Model:
    width = hp.Int("width", 8, 64, step=8)
    dropout = hp.Float("dropout", 0.0, 0.5)
    smoothing = hp.Float("label_smoothing", 0.0, 0.2)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(CLASSES),
        ]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    return model


def read(data: str, split: str) -> tuple[np.ndarray, Any]:
    """Pictures and one-hot labels."""
    with np.load(data, allow_pickle=False) as found:
        return found[f"x_{split}"], keras.utils.to_categorical(found[f"y_{split}"], CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("directory")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    tuner = keras_tuner.RandomSearch(
        build_model,
        objective="val_accuracy",
        max_trials=asked.trials,
        seed=asked.seed,
        directory=asked.directory,
        project_name=PROJECT,
    )
    x, y = read(asked.data, "train")
    sizes = {"batch_size": BATCH, "validation_batch_size": EVALUATED_BATCH}
    tuner.search(x, y, epochs=1, validation_data=read(asked.data, "validation"), verbose=0, **sizes)
    print(tuner.get_best_hyperparameters()[0].values)


if __name__ == "__main__":
    main()
