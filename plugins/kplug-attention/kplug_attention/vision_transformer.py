"""ViT (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929), and its sizes Ti and S (Touvron et al. 2021,
https://arxiv.org/abs/2012.12877)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from keras import initializers, layers, ops

from kplug import SpecError
from kplug_attention.patches import refuse_open_size, refuse_other_sizes


@dataclass(frozen=True)
class Block:
    """The settings of a transformer block; its fields are the parameters of the component `transformer_block`."""

    heads: int
    mlp_ratio: float
    dropout: float
    attention_dropout: float
    drop_path: float


def build_vit(x: Any, width: int, depth: int, block: Block, patch: int, pooling: str) -> Any:
    """A ViT: images `[b, h, w, c]` to `[b, width]`, or to `[b, patches, width]` without pooling."""
    refuse_open_size(x, "vit")
    refuse_other_sizes(x, patch)
    x = layers.Conv2D(width, patch, patch, name="patches")(x)
    x = layers.Reshape((-1, width), name="tokens")(x)
    x = encode(x, depth, block, class_token=pooling == "token")
    return {"token": lambda: x[:, 0], "mean": lambda: ops.mean(x, axis=1), "none": lambda: x}[pooling]()


def encode(x: Any, depth: int, block: Block, class_token: bool = False) -> Any:
    """Tokens `[b, n, width]` with positions, after all blocks; one more of them with a class token, which is first."""
    x = Positions(class_token, name="positions")(x)
    x = layers.Dropout(block.dropout, name="dropout")(x) if block.dropout else x
    for number in range(depth):
        rate = block.drop_path * number / max(depth - 1, 1)
        x = apply_block(x, replace(block, drop_path=rate), f"block{number + 1}")
    return normalize(x, "norm")


class Positions(layers.Layer):
    """Adds a learned vector to each token, after it has put a learned class token before them where one is wanted.

    Args:
        class_token: put one.
        name: the layer's name.
    """

    def __init__(self, class_token: bool, name: str) -> None:
        super().__init__(name=name)
        self.class_token = class_token

    def build(self, input_shape: Any) -> None:
        _, tokens, width = input_shape
        if self.class_token:
            self.token = self.add_weight((1, 1, width), "zeros", name="class_token")
        normal = initializers.TruncatedNormal(stddev=0.02)
        self.positions = self.add_weight((1, tokens + self.class_token, width), normal, name="embedding")

    def call(self, inputs: Any) -> Any:
        if self.class_token:
            token = ops.broadcast_to(self.token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
            inputs = ops.concatenate([token, inputs], axis=1)
        return inputs + self.positions


# --- blocks --------------------------------------------------------------------------------------------------------


def apply_block(x: Any, block: Block, name: str) -> Any:
    """Attention over all that lies between the batch and the features, then two dense layers at each place."""
    x = add_branch(x, attend(normalize(x, f"{name}_attention_norm"), block, name), block, f"{name}_attention")
    return add_branch(x, think(normalize(x, f"{name}_mlp_norm"), block, name), block, f"{name}_mlp")


def attend(x: Any, block: Block, name: str) -> Any:
    width = x.shape[-1]
    if width % block.heads:
        raise SpecError(f"{block.heads} heads do not divide the {width} features that come in")
    # Glorot's; Keras mistakes the fans of kernels of the shape [width, heads, width / heads]
    glorot = initializers.RandomNormal(stddev=width**-0.5)
    options = {"dropout": block.attention_dropout, "kernel_initializer": glorot, "name": f"{name}_attention"}
    return layers.MultiHeadAttention(block.heads, width // block.heads, **options)(x, x)


def think(x: Any, block: Block, name: str) -> Any:
    width = x.shape[-1]
    hidden = max(1, round(width * block.mlp_ratio))
    x = layers.Dense(hidden, activation="gelu", name=f"{name}_mlp_up")(x)
    x = layers.Dropout(block.dropout, name=f"{name}_mlp_up_dropout")(x) if block.dropout else x
    return layers.Dense(width, name=f"{name}_mlp_down")(x)


def add_branch(x: Any, branch: Any, block: Block, name: str) -> Any:
    """A branch added to its input; in training some features are left out, and for some examples the whole."""
    branch = layers.Dropout(block.dropout, name=f"{name}_dropout")(branch) if block.dropout else branch
    if block.drop_path:
        whole = (None, *(1 for _ in x.shape[1:]))  # one draw for each example
        branch = layers.Dropout(block.drop_path, noise_shape=whole, name=f"{name}_drop_path")(branch)
    return layers.Add(name=f"{name}_add")([x, branch])


def normalize(x: Any, name: str) -> Any:
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)
