"""Attention as an architecture: Keras calls it with query and value, an architecture is called with x."""

from __future__ import annotations

from typing import Any

import keras


class Attending(keras.layers.Layer):
    """A layer that calls an attention layer: x attends to itself, or is [query, value] or [query, value, key].

    Args:
        attention: a Keras layer with call(query, value, key).
        causal: every position sees itself and those before it.
    """

    def __init__(self, attention: keras.layers.Layer, causal: bool) -> None:
        super().__init__(name=f"attending_{attention.name}")
        self.attention = attention
        self.causal = causal

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        query, value, *key = inputs if isinstance(inputs, list | tuple) else [inputs, inputs]
        return self.attention(query, value, *key, training=training, use_causal_mask=self.causal)
