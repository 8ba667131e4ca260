"""CCT, the compact convolutional transformer (Hassani et al. 2021, https://arxiv.org/abs/2104.05704)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import layers

from kplug import SpecError
from kplug.authoring import Network
from kplug_attention.vision_transformer import Block, Positions, apply_block, normalize

INNER = 64  # filters of the tokenizer's convolutions but the last


def make_cct(width: int, depth: int, block: Block, kernel_size: int, convolutions: int) -> Network:
    """A CCT as a layer: images `[b, h, w, c]` to `[b, width]`."""

    def network(x: Any) -> Any:
        if None in x.shape[1:3]:
            raise SpecError("cct needs pictures of one size, since its positions are learned: set data.image.size")
        x = tokenize(x, width, kernel_size, convolutions)
        x = Positions(class_token=False, name="positions")(x)
        x = layers.Dropout(block.dropout, name="dropout")(x) if block.dropout else x
        for number in range(depth):
            rate = block.drop_path * number / max(depth - 1, 1)
            x = apply_block(x, replace(block, drop_path=rate), f"block{number + 1}")
        return pool_by_attention(normalize(x, "norm"), "pool")

    return Network(network, name="cct")


def tokenize(x: Any, width: int, kernel_size: int, convolutions: int) -> Any:
    """Convolutions instead of patches: each halves the picture; its last pixels are the tokens `[b, n, width]`."""
    for number in range(1, convolutions + 1):
        filters = width if number == convolutions else INNER
        options = {"use_bias": False, "kernel_initializer": "he_normal", "activation": "relu"}
        x = layers.Conv2D(filters, kernel_size, 1, "same", name=f"tokens_conv{number}", **options)(x)
        x = layers.MaxPooling2D(3, 2, "same", name=f"tokens_pool{number}")(x)
    return layers.Reshape((-1, width), name="tokens")(x)


def pool_by_attention(x: Any, name: str) -> Any:
    """The mean of tokens `[b, n, width]` under weights that a dense layer gives them (sequence pooling)."""
    weights = keras.ops.softmax(layers.Dense(1, name=f"{name}_weights")(x), axis=1)  # [b, n, 1]
    return keras.ops.sum(weights * x, axis=1)
