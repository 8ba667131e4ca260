"""Networks with attention: their signatures, free of TensorFlow."""

from typing import Literal

from kplug import Architecture, Count, Fraction, Positive, hookimpl, rule

kplug_api = 1


@hookimpl
def components():
    return [vit, transformer_block]


SIZES = {"Ti": (192, 12, 3), "S": (384, 12, 6), "B": (768, 12, 12)}  # width, depth, heads


def _heads_divide_the_width(size: str, width: int | None, heads: int | None) -> None:
    width, heads = width or SIZES[size][0], heads or SIZES[size][2]
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")


@rule(_heads_divide_the_width)
def vit(
    size: Literal["Ti", "S", "B"] = "B",
    patch: Count = 16,
    width: Count | None = None,
    depth: Count | None = None,
    heads: Count | None = None,
    mlp_ratio: Positive = 4.0,
    pooling: Literal["token", "mean", "none"] = "token",
    dropout: Fraction = 0.0,
    attention_dropout: Fraction = 0.0,
    drop_path: Fraction = 0.0,
) -> Architecture:
    """Vision transformer: patches read as words (Dosovitskiy et al. 2021; Touvron et al. 2021 for Ti and S).

    Args:
        size: width, depth and heads of the papers: Ti 192, 12, 3; S 384, 12, 6; B 768, 12, 12.
        patch: side of a patch in pixels; it divides height and width of the picture.
        width: features of a token; null is the size's.
        depth: number of blocks; null is the size's.
        heads: parts of the features that attend by themselves, a divisor of width; null is the size's.
        mlp_ratio: units of a block's hidden layer by width.
        pooling: token gives a class token that attends to the patches, mean the mean of the patches, both [b, width];
            none gives every patch, [b, patches, width].
        dropout: share of features that training leaves out, of the first tokens and of what blocks add to them.
        attention_dropout: share of attention weights that training leaves out.
        drop_path: stochastic depth (Huang et al. 2016): share of examples that pass by each half of the last block in
            training; blocks before it have less, the first none.
    """
    from kplug_attention.vision_transformer import Block, make_vit

    default_width, default_depth, default_heads = SIZES[size]
    block = Block(heads or default_heads, mlp_ratio, dropout, attention_dropout, drop_path)
    return make_vit(width or default_width, depth or default_depth, block, patch, pooling)


def transformer_block(
    heads: Count = 4,
    mlp_ratio: Positive = 4.0,
    dropout: Fraction = 0.0,
    attention_dropout: Fraction = 0.0,
    drop_path: Fraction = 0.0,
) -> Architecture:
    """Self-attention and a two-layer network, each normalized before and added to its input (Vaswani et al. 2017).

    Tokens `[b, n, width]` attend to each other, or the pixels of a feature map `[b, h, w, width]`; the shape stays. It
    knows no positions.

    Args:
        heads: parts of the features that attend by themselves, a divisor of width.
        mlp_ratio: units of the hidden layer by width.
        dropout: share of the features that training leaves out of what is added.
        attention_dropout: share of attention weights that training leaves out.
        drop_path: stochastic depth (Huang et al. 2016): share of examples that pass by each half in training.
    """
    from kplug_attention.vision_transformer import Block, make_transformer_block

    return make_transformer_block(Block(heads, mlp_ratio, dropout, attention_dropout, drop_path))
