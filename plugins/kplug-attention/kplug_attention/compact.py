"""CCT, the compact convolutional transformer (Hassani et al. 2021, https://arxiv.org/abs/2104.05704)."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from kplug_attention.patches import refuse_open_size
from kplug_attention.vision_transformer import Block, encode

INNER = 64  # filters of the tokenizer's convolutions but the last


def build_cct(x: Any, width: int, depth: int, block: Block, kernel_size: int, convolutions: int) -> Any:
    """A CCT: images `[b, h, w, c]` to `[b, width]`."""
    refuse_open_size(x, "cct")
    x = tokenize(x, width, kernel_size, convolutions)
    return pool_by_attention(encode(x, depth, block), "pool")


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
    weights = ops.softmax(layers.Dense(1, name=f"{name}_weights")(x), axis=1)  # [b, n, 1]
    return ops.sum(weights * x, axis=1)
