"""Networks with attention: their signatures, free of TensorFlow."""

from typing import Literal

from kplug_cnn.pictures import Pictures, fit_stride, pictures_of

from kplug import Architecture, Count, Fraction, Known, Odd, Positive, authoring, hookimpl, rule
from kplug_attention.patches import refuse_other_sizes

kplug_api = 2


@hookimpl
def components():
    return [vit, cct, botnet, cnn_rnn, transformer_block, squeeze_excitation, cbam]


SIZES = {"Ti": (192, 12, 3), "S": (384, 12, 6), "B": (768, 12, 12)}  # width, depth, heads


def _heads_divide(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")


def _heads_divide_the_width(size: str, width: int | None, heads: int | None) -> None:
    _heads_divide(width or SIZES[size][0], heads or SIZES[size][2])


def _patch_divides_the_picture(patch: int, data: Known) -> None:
    refuse_other_sizes(Pictures((None, *data.picture)), patch)


@rule(_patch_divides_the_picture)
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
    from kplug_attention.vision_transformer import Block, build_vit

    default_width, default_depth, default_heads = SIZES[size]
    block = Block(heads or default_heads, mlp_ratio, dropout, attention_dropout, drop_path)
    return authoring.Network(
        lambda x: build_vit(x, width or default_width, depth or default_depth, block, patch, pooling), "vit"
    )


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
    from kplug_attention.vision_transformer import Block, apply_block

    block = Block(heads, mlp_ratio, dropout, attention_dropout, drop_path)
    return authoring.Network(lambda x: apply_block(x, block, "block"), "transformer_block")


@rule(_heads_divide)
def cct(
    width: Count = 256,
    depth: Count = 7,
    heads: Count = 4,
    mlp_ratio: Positive = 2.0,
    kernel_size: Odd = 3,
    convolutions: Count = 1,
    dropout: Fraction = 0.1,
    attention_dropout: Fraction = 0.1,
    drop_path: Fraction = 0.1,
) -> Architecture:
    """Compact convolutional transformer: convolutions make the tokens, attention pools them (Hassani et al. 2021).

    The defaults are CCT-7/3x1, for pictures of 32 pixels.

    Args:
        width: features of a token.
        depth: number of blocks.
        heads: parts of the features that attend by themselves, a divisor of width.
        mlp_ratio: units of a block's hidden layer by width.
        kernel_size: of the convolutions that make the tokens, in pixels.
        convolutions: how many of them there are; each is followed by pooling that halves the picture.
        dropout: share of features that training leaves out, of the first tokens and of what blocks add to them.
        attention_dropout: share of attention weights that training leaves out.
        drop_path: stochastic depth (Huang et al. 2016): share of examples that pass by each half of the last block in
            training; blocks before it have less, the first none.
    """
    from kplug_attention.compact import build_cct
    from kplug_attention.vision_transformer import Block

    block = Block(heads, mlp_ratio, dropout, attention_dropout, drop_path)
    return authoring.Network(lambda x: build_cct(x, width, depth, block, kernel_size, convolutions), "cct")


def _the_stem_fits_the_picture(stem: str, last_stride: int, data: Known) -> None:
    fit_stride(pictures_of(data), stem, "botnet", small=4 * last_stride, large=16 * last_stride)


@rule(_the_stem_fits_the_picture)
def botnet(
    depth: Literal[18, 34, 50, 101, 152] = 50,
    width: Count = 64,
    heads: Count = 4,
    stem: Literal["auto", "small", "large"] = "auto",
    last_stride: Literal[1, 2] = 1,
) -> Architecture:
    """ResNet whose last stage has self-attention in place of its 3x3 convolutions (Srinivas et al. 2021).

    Args:
        depth: of the ResNet; from 50 on, blocks are bottlenecks.
        width: filters of the first stage; each later stage has twice as many.
        heads: parts of the features that attend by themselves, a divisor of 8 * width.
        stem: large halves the picture twice, small keeps its size, auto is small where the picture has fewer than 64
            pixels in height.
        last_stride: of the last stage; 1 leaves more places to attend to, 2 is the ResNet's.
    """
    from kplug_attention.bottleneck import build_botnet

    return authoring.Network(lambda x: build_botnet(x, depth, width, heads, stem, last_stride), "botnet")


def squeeze_excitation(ratio: Positive = 16.0) -> Architecture:
    """Weigh the channels of a feature map by what the whole picture says of them (Hu et al. 2018).

    Args:
        ratio: channels by units of the hidden layer.
    """
    from kplug_attention.channels import build_squeeze_excitation

    return authoring.Network(lambda x: build_squeeze_excitation(x, ratio), "squeeze_excitation")


def cbam(ratio: Positive = 16.0, kernel_size: Odd = 7) -> Architecture:
    """Weigh the channels of a feature map, then its places (Woo et al. 2018).

    Args:
        ratio: channels by units of the hidden layer.
        kernel_size: of the convolution that weighs places, in pixels.
    """
    from kplug_attention.channels import build_cbam

    return authoring.Network(lambda x: build_cbam(x, ratio, kernel_size), "cbam")


def cnn_rnn(
    filters: list[Count] = (32, 64, 128),  # type: ignore[assignment]
    cell: Literal["gru", "lstm"] = "gru",
    units: Count = 128,
    bidirectional: bool = True,
    read: Literal["rows", "columns", "pixels"] = "rows",
    dropout: Fraction = 0.0,
) -> Architecture:
    """Convolutional features read as a sequence by a recurrent network, and summed up by attention (Visin et al. 2015).

    Args:
        filters: of each convolutional stage; a stage has two convolutions and halves the picture.
        cell: of the recurrent network: GRU (Cho et al. 2014) or LSTM (Hochreiter and Schmidhuber 1997).
        units: of the recurrent network, in each direction.
        bidirectional: read forwards and backwards.
        read: what a step is: a row of the feature map, a column, or a pixel, row by row.
        dropout: share of the features that training leaves out before they are read.
    """
    from kplug_attention.recurrent import build_cnn_rnn

    return authoring.Network(
        lambda x: build_cnn_rnn(x, list(filters), cell, units, bidirectional, read, dropout), "cnn_rnn"
    )
