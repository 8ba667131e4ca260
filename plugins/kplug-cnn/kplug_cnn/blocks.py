"""The blocks that the networks are made of, for networks written in YAML: their signatures, free of TensorFlow."""

from typing import Annotated, Any, Literal

from annotated_types import Gt, Le

from kplug import Architecture, Count, Fraction, Odd, Positive, authoring, rule


def vgg_block(filters: Count, convolutions: Count = 2, batch_norm: bool = False) -> Architecture:
    """3x3 convolutions with ReLU, then pooling that halves height and width: VGG's (Simonyan and Zisserman 2015).

    Args:
        filters: channels of the output.
        convolutions: how many stand before the pooling.
        batch_norm: normalize after each convolution, which then has no bias.
    """
    from kplug_cnn.stacked import convolve_repeatedly, pool

    def network(x: Any) -> Any:
        return pool(convolve_repeatedly(x, filters, convolutions, batch_norm, "block"), "block")

    return authoring.Network(network, "vgg_block")


def inception_block(
    filters_1x1: Count,
    reduce_3x3: Count,
    filters_3x3: Count,
    reduce_5x5: Count,
    filters_5x5: Count,
    pool_projection: Count,
) -> Architecture:
    """Convolutions of three sizes and pooling side by side: GoogLeNet's module (Szegedy et al. 2015), normalized.

    The parameters are the columns of the paper's table, in its order; the output has the sum of filters_1x1,
    filters_3x3, filters_5x5 and pool_projection channels.

    Args:
        filters_1x1: of the branch that is a 1x1 convolution.
        reduce_3x3: of the 1x1 convolution before the 3x3 one.
        filters_3x3: of the 3x3 convolution.
        reduce_5x5: of the 1x1 convolution before the 5x5 one.
        filters_5x5: of the 5x5 convolution.
        pool_projection: of the 1x1 convolution after 3x3 pooling.
    """
    from kplug_cnn.inceptions import googlenet_module

    filters = (filters_1x1, (reduce_3x3, filters_3x3), (reduce_5x5, filters_5x5), pool_projection)
    return authoring.Network(lambda x: googlenet_module(x, filters, "block"), "inception_block")


def _four_divides_a_bottleneck(filters: int, bottleneck: bool) -> None:
    if bottleneck and filters % 4:
        raise ValueError(f"a bottleneck has a quarter of its filters inside, and 4 does not divide {filters}")


@rule(_four_divides_a_bottleneck)
def residual_block(
    filters: Count,
    stride: Literal[1, 2] = 1,
    bottleneck: bool = False,
    version: Literal["v1", "v2"] = "v1",
    drop_path: Fraction = 0.0,
) -> Architecture:
    """Two or three convolutions beside a shortcut: ResNet's block (He et al. 2016).

    Args:
        filters: channels of the output; a bottleneck has a quarter of them inside.
        stride: 2 halves height and width, in the first convolution (v1), or in the first 3x3 one (v2 with bottleneck).
        bottleneck: 1x1 down, 3x3, 1x1 up instead of two 3x3 convolutions.
        version: v1 normalizes after each convolution and starts as the identity where the shortcut has no projection;
            v2 normalizes and activates before each, so that after the last block both are still to come.
        drop_path: share of examples that pass by the block in training (Huang et al. 2016).
    """
    from kplug_cnn.residual import EXPANSION, block_of

    block, inner = block_of(version, bottleneck), filters // EXPANSION if bottleneck else filters
    return authoring.Network(lambda x: block(x, inner, stride, "block", drop_path), "residual_block")


def dense_block(layers: Count, growth: Count = 12, dropout: Fraction = 0.0) -> Architecture:
    """Layers of a 1x1 and a 3x3 convolution that each read all before them: DenseNet-BC's block (Huang et al. 2017).

    Args:
        layers: how many.
        growth: channels that each layer adds to those that come in.
        dropout: share of the features that training leaves out after each convolution.
    """
    from kplug_cnn.dense import dense_block as apply

    return authoring.Network(lambda x: apply(x, layers, growth, dropout, "block"), "dense_block")


def dense_transition(compression: Annotated[float, Gt(0), Le(1)] = 0.5) -> Architecture:
    """1x1 convolution and 2x2 mean pooling, what stands between DenseNet's blocks (Huang et al. 2017).

    Args:
        compression: channels of the output by those that come in, rounded down.
    """
    from kplug_cnn.dense import transition

    return authoring.Network(lambda x: transition(x, compression, "transition"), "dense_transition")


def depthwise_separable_block(
    filters: Count,
    kernel_size: Odd = 3,
    stride: Literal[1, 2] = 1,
    activation: Literal["relu", "relu6", "silu", "hard_silu"] = "relu6",
    momentum: Fraction = 0.99,
) -> Architecture:
    """Depthwise and 1x1 convolution, each normalized and activated: MobileNet v1's block (Howard et al. 2017).

    Args:
        filters: channels of the output.
        kernel_size: height and width of the depthwise kernel, in pixels.
        stride: 2 halves height and width.
        activation: after each convolution.
        momentum: of batch normalization, how slowly its moving statistics follow.
    """
    from kplug_cnn.mobile import Row, apply_block

    row = Row(filters, stride, expansion=0, size=kernel_size, activation=activation)
    return authoring.Network(lambda x: apply_block(x, row, momentum, "block"), "depthwise_separable_block")


def inverted_residual_block(
    filters: Count,
    kernel_size: Odd = 3,
    stride: Literal[1, 2] = 1,
    expansion: Positive = 6.0,
    squeeze: bool = False,
    activation: Literal["relu", "relu6", "silu", "hard_silu"] = "relu6",
    momentum: Fraction = 0.99,
) -> Architecture:
    """Expansion, depthwise convolution, projection and a shortcut: MobileNet v2's block (Sandler et al. 2018).

    Args:
        filters: channels of the output; the shortcut is there where as many come in and the stride is 1.
        kernel_size: height and width of the depthwise kernel, in pixels.
        stride: 2 halves height and width.
        expansion: inner channels by those that come in; 1 leaves the expansion out.
        squeeze: weigh the inner channels by squeeze-and-excitation (Hu et al. 2018), as MobileNet v3 does.
        activation: after the first two convolutions; the projection has none.
        momentum: of batch normalization, how slowly its moving statistics follow.
    """
    from kplug_cnn.mobile import Row, apply_block

    row = Row(filters, stride, expansion, kernel_size, squeeze, activation)
    return authoring.Network(lambda x: apply_block(x, row, momentum, "block"), "inverted_residual_block")


def _only_an_expansion_is_squeezed(expansion: int, squeeze: bool) -> None:
    if squeeze and expansion == 1:
        raise ValueError("squeeze weighs the expanded channels, and a block with expansion: 1 expands nothing")


@rule(_only_an_expansion_is_squeezed)
def fused_inverted_residual_block(
    filters: Count,
    kernel_size: Odd = 3,
    stride: Literal[1, 2] = 1,
    expansion: Count = 4,
    squeeze: bool = False,
    momentum: Fraction = 0.9,
    drop_path: Fraction = 0.0,
) -> Architecture:
    """Full convolution that expands, projection and a shortcut: EfficientNetV2's Fused-MBConv (Tan and Le 2021).

    Args:
        filters: channels of the output; the shortcut is there where as many come in and the stride is 1.
        kernel_size: height and width of the convolution that expands, in pixels.
        stride: 2 halves height and width.
        expansion: inner channels by those that come in; 1 is a single convolution without a projection.
        squeeze: weigh the inner channels by squeeze-and-excitation (Hu et al. 2018), with a quarter of the channels
            that come in; not with an expansion of 1.
        momentum: of batch normalization, how slowly its moving statistics follow.
        drop_path: share of examples that pass by the block in training (Huang et al. 2016), where there is a shortcut.
    """
    from kplug_cnn.efficient import Stage, fused_block

    stage = Stage(filters, 1, stride, expansion, kernel_size, squeeze, fused=True)
    return authoring.Network(
        lambda x: fused_block(x, stage, momentum, drop_path, "block"), "fused_inverted_residual_block"
    )


BLOCKS = [vgg_block, inception_block, residual_block, dense_block, dense_transition, depthwise_separable_block]
BLOCKS += [inverted_residual_block, fused_inverted_residual_block]
