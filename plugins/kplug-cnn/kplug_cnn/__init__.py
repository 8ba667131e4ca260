"""The classic convolutional networks: their signatures, free of TensorFlow."""

from typing import Literal

from kplug import Architecture, Count, Fraction, Odd, Positive, hookimpl, rule

kplug_api = 1


@hookimpl
def components():
    return [resnet, mobilenet, depthwise_separable_block, inverted_residual_block]


def resnet(
    depth: Literal[18, 34, 50, 101, 152] = 50,
    width: Count = 64,
    stem: Literal["auto", "small", "large"] = "auto",
) -> Architecture:
    """Residual network (He et al. 2016).

    Args:
        depth: layers with weights; from 50 on, blocks are bottlenecks of three convolutions.
        width: filters of the first stage; each later stage has twice as many.
        stem: large halves the picture twice (7x7 convolution, pooling), small keeps its size (3x3 convolution), auto is
            small where the picture has fewer than 64 pixels in height.
    """
    from kplug_cnn.residual import make_resnet

    return make_resnet(depth, width, stem)


def _only_v3_has_a_hidden_layer(version: str, hidden: bool) -> None:
    if hidden and not version.startswith("v3"):
        raise ValueError(f"mobilenet {version} has no hidden layer; v3_small and v3_large have one")


@rule(_only_v3_has_a_hidden_layer)
def mobilenet(
    version: Literal["v1", "v2", "v3_small", "v3_large"] = "v2",
    width_multiplier: Positive = 1.0,
    stem: Literal["auto", "small", "large"] = "auto",
    momentum: Fraction | None = None,
    hidden: bool = False,
) -> Architecture:
    """Light network of depthwise convolutions (Howard et al. 2017, 2019; Sandler et al. 2018).

    Args:
        version: v1 has plain blocks, v2 inverted residuals, v3 those with squeeze-and-excitation, in two sizes.
        width_multiplier: filters of every layer by the paper's; the papers try 0.25 to 1.4.
        stem: large has a stride of 32 in all, small leaves the first two strides out and has one of 8, auto is small
            where the picture has fewer than 64 pixels in height.
        momentum: of batch normalization, how slowly its moving statistics follow; a short training needs less than
            null, which is that of keras.applications: 0.99 in v1, 0.999 in v2 and v3.
        hidden: pool, and add the layer of 1,024 (v3_small) or 1,280 (v3_large) units that v3 has before its classifier.
    """
    from kplug_cnn.mobile import make_mobilenet

    return make_mobilenet(version, width_multiplier, stem, momentum, hidden)


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
    from kplug_cnn.mobile import Row, make_block

    row = Row(filters, stride, expansion=0, size=kernel_size, activation=activation)
    return make_block(row, momentum, "depthwise_separable_block")


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
    from kplug_cnn.mobile import Row, make_block

    row = Row(filters, stride, expansion, kernel_size, squeeze, activation)
    return make_block(row, momentum, "inverted_residual_block")
