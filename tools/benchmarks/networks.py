"""The networks of the benchmarks in plain Keras, written for the scripts that kplug is compared with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

CLASSES = 10

# --- ResNet-18 of width 16 at 28x28 (He et al. 2016) ----------------------------------------------------------------


def resnet(inputs: Any) -> Any:
    """Images in 0 to 1, `[b, 28, 28, 1]`, to logits."""
    x = _activated(_normalized_convolution(inputs, 16, 3, 1))
    for stage, filters in enumerate((16, 32, 64, 128)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = _activated(_normalized_convolution(x, filters, 3, stride))
            y = _normalized_convolution(y, filters, 3, 1, scale="zeros")
            shortcut = x if stride == 1 else _normalized_convolution(x, filters, 1, stride)
            x = _activated(layers.Add()([y, shortcut]))
    return _scores(layers.GlobalAveragePooling2D()(x))


def _normalized_convolution(x: Any, filters: int, size: int, stride: int, scale: str = "ones") -> Any:
    padding = "same"
    if stride > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2)(x), "valid"
    options = {"use_bias": False, "kernel_initializer": "he_normal"}
    x = layers.Conv2D(filters, size, stride, padding, **options)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=scale)(x)


def _activated(x: Any) -> Any:
    return layers.ReLU()(x)


def _scores(features: Any) -> Any:
    return layers.Dense(CLASSES, dtype="float32")(features)


# --- MobileNetV2 at 96x96 (Sandler et al. 2018) ---------------------------------------------------------------------


def mobilenet(inputs: Any) -> Any:
    """Images in 0 to 1, `[b, 96, 96, 3]`, to logits."""
    network = keras.applications.MobileNetV2((96, 96, 3), include_top=False, weights=None, pooling="avg")
    return _scores(network(layers.Rescaling(2.0, -1.0)(inputs)))


# --- ViT-Tiny at 64x64, patches of 8 (Dosovitskiy et al. 2021; Touvron et al. 2021) ----------------------------------

WIDTH, DEPTH, HEADS, PATCH = 192, 12, 3, 8


class Positions(layers.Layer):
    """A token for the class before the patches, and a learned vector added to each."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="zeros", name="token")
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.positions = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), initializer=initializer, name="positions")

    def call(self, patches: Any) -> Any:
        token = keras.ops.broadcast_to(self.token, (keras.ops.shape(patches)[0], 1, patches.shape[-1]))
        return keras.ops.concatenate([token, patches], axis=1) + self.positions


def vit(inputs: Any) -> Any:
    """Images in 0 to 1, `[b, 64, 64, 3]`, to logits."""
    x = layers.Conv2D(WIDTH, PATCH, PATCH)(inputs)
    x = Positions()(layers.Reshape((-1, WIDTH))(x))
    for _ in range(DEPTH):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dense(WIDTH)(layers.Dense(4 * WIDTH, activation="gelu")(y))
        x = layers.Add()([x, y])
    return _scores(layers.LayerNormalization(epsilon=1e-6)(x)[:, 0])
