"""Convolutional features read as a sequence by a recurrent network, and summed up by attention (Xu et al. 2015,
https://arxiv.org/abs/1502.03044, for the attention; Visin et al. 2015, https://arxiv.org/abs/1505.00393)."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from kplug_attention.patches import refuse_open_size


def build_cnn_rnn(
    x: Any, filters: list[int], cell: str, units: int, bidirectional: bool, read: str, dropout: float
) -> Any:
    """The network: images `[b, h, w, c]` to `[b, units]`, or `[b, 2 * units]` in both directions."""
    refuse_open_size(x, "cnn_rnn", "which is the sequence's")
    for number, count in enumerate(filters, 1):
        x = stage(x, count, f"stage{number}")
    x = layers.Dropout(dropout, name="dropout")(x) if dropout else x
    return attend(scan(as_sequence(x, read), cell, units, bidirectional), "attention")


def stage(x: Any, filters: int, name: str) -> Any:
    """Two 3x3 convolutions and pooling, which halves the size; an odd side rounds up."""
    for number in (1, 2):
        options = {"use_bias": False, "kernel_initializer": "he_normal", "name": f"{name}_conv{number}"}
        x = layers.Conv2D(filters, 3, 1, "same", **options)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return layers.MaxPooling2D(2, 2, "same", name=f"{name}_pool")(x)


def as_sequence(x: Any, read: str) -> Any:
    """A feature map `[b, h, w, c]` as steps: rows, columns (both of all that is in them), or pixels row by row."""
    _, height, width, channels = x.shape
    if read == "columns":
        x = ops.transpose(x, (0, 2, 1, 3))
        height, width = width, height
    shape = (height * width, channels) if read == "pixels" else (height, width * channels)
    return layers.Reshape(shape, name="sequence")(x)


def scan(x: Any, cell: str, units: int, bidirectional: bool) -> Any:
    """The outputs of a recurrent layer after each step of a sequence."""
    kind = {"gru": layers.GRU, "lstm": layers.LSTM}[cell]
    # without these names, the two directions of a second network would be called gru_1, gru_2
    recurrent = kind(units, return_sequences=True, name=cell)
    return layers.Bidirectional(recurrent, name="both_ways")(x) if bidirectional else recurrent(x)


def attend(x: Any, name: str) -> Any:
    """The mean of the steps `[b, n, d]` under weights that a small network gives them."""
    scores = layers.Dense(x.shape[-1] // 2 or 1, activation="tanh", name=f"{name}_hidden")(x)
    weights = ops.softmax(layers.Dense(1, use_bias=False, name=f"{name}_scores")(scores), axis=1)
    return ops.sum(weights * x, axis=1)
