"""BoTNet, a ResNet whose last stage attends instead of convolving (Srinivas et al. 2021,
https://arxiv.org/abs/2101.11605)."""

from __future__ import annotations

from typing import Any

from keras import initializers, layers, ops
from kplug_cnn.convolutions import add_stem
from kplug_cnn.pictures import WithPyramid, fit_stride
from kplug_cnn.residual import BLOCKS, EXPANSION, activate, add_shortcut, basic_block, bottleneck_block, convolve

from kplug import SpecError
from kplug_attention.patches import refuse_open_size


def build_botnet(x: Any, depth: int, width: int, heads: int, stem: str, last_stride: int) -> WithPyramid:
    """A BoTNet: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    bottleneck = depth >= 50
    block = bottleneck_block if bottleneck else basic_block
    refuse_open_size(x, "botnet")
    small = fit_stride(x, stem, "botnet", small=4 * last_stride, large=16 * last_stride)
    x, level = add_stem(x, width, small, activate)
    pyramid = {}
    for stage, blocks in enumerate(BLOCKS[depth]):
        last = stage == len(BLOCKS[depth]) - 1
        for number in range(blocks):
            stride = 1 if number or not stage else last_stride if last else 2
            name, filters = f"stage{stage + 1}_block{number + 1}", width * 2**stage
            if last:
                x = attention_block(x, filters, stride, heads, name, bottleneck)
            else:
                x = block(x, filters, stride, name)
        level += stage > 0 and (last_stride == 2 or not last)
        pyramid[f"P{level}"] = x
    return x, pyramid


def attention_block(x: Any, filters: int, stride: int, heads: int, name: str, bottleneck: bool) -> Any:
    """1x1 down, attention, 1x1 up, or 3x3, attention, 1x1, beside a shortcut."""
    size, wide = (1, filters * EXPANSION) if bottleneck else (3, filters)
    y = attend(convolve(x, filters, size, 1, f"{name}_1"), filters, stride, heads, name)
    y = convolve(y, wide, 1, 1, f"{name}_3", last=True)
    return add_shortcut(x, y, wide, stride, name)


def attend(x: Any, filters: int, stride: int, heads: int, name: str) -> Any:
    """Attention at full size, then a mean over 2x2 pixels where it strides; normalized and activated."""
    if filters % heads:
        raise SpecError(f"{heads} heads do not divide the {filters} filters of botnet's last stage")
    y = PlaceAttention(heads, name=f"{name}_attention")(x)
    y = layers.AveragePooling2D(2, 2, "same", name=f"{name}_pool")(y) if stride == 2 else y
    return activate(y, f"{name}_2")


class PlaceAttention(layers.Layer):
    """Every pixel of `[b, h, w, c]` attends to all, by content and by how far it is in height and in width.

    Args:
        heads: parts of the features that attend by themselves, a divisor of c.
        name: the layer's name.
    """

    def __init__(self, heads: int, name: str) -> None:
        super().__init__(name=name)
        self.heads = heads

    def build(self, input_shape: Any) -> None:
        _, height, width, channels = input_shape
        size = channels // self.heads
        normal = initializers.RandomNormal(stddev=channels**-0.5)
        self.kernel = self.add_weight((channels, 3 * channels), normal, name="kernel")
        near = initializers.RandomNormal(stddev=size**-0.5)
        self.rows = self.add_weight((2 * height - 1, size), near, name="rows")
        self.columns = self.add_weight((2 * width - 1, size), near, name="columns")
        self.row_places, self.column_places = distances(height), distances(width)

    def call(self, inputs: Any) -> Any:
        _, height, width, channels = inputs.shape
        size = channels // self.heads
        parts = ops.reshape(inputs @ self.kernel, (-1, height, width, 3, self.heads, size))
        query, key, value = (parts[:, :, :, number] for number in range(3))  # each [b, h, w, heads, size]
        query = query * size**-0.5
        logits = ops.einsum("bhwnd,bijnd->bnhwij", query, key)
        # what a query makes of a distance in height, whatever the width, and the other way round
        rows = ops.einsum("bhwnd,hid->bnhwi", query, ops.take(self.rows, self.row_places, axis=0))
        columns = ops.einsum("bhwnd,wjd->bnhwj", query, ops.take(self.columns, self.column_places, axis=0))
        logits = logits + rows[..., :, None] + columns[..., None, :]
        flat = ops.reshape(logits, (-1, self.heads, height, width, height * width))
        weights = ops.cast(ops.softmax(ops.cast(flat, "float32"), axis=-1), value.dtype)
        weights = ops.reshape(weights, (-1, self.heads, height, width, height, width))
        return ops.reshape(ops.einsum("bnhwij,bijnd->bhwnd", weights, value), (-1, height, width, channels))


def distances(size: int) -> Any:
    """The number of the embedding of place j seen from place i, `[size, size]`."""
    places = ops.arange(size)
    return ops.convert_to_numpy(places[None, :] - places[:, None] + size - 1)
