"""The blocks that stages and cells are made of: their signatures, free of TensorFlow.

Each keeps the shape of what it gets and none has a shortcut: in `stages` that is the stage's `skip`, in a `cell` the
graph. A convolution comes after ReLU and before normalization, as in the cells of Zoph et al. 2018, so that what is
added has one scale.
"""

from typing import Literal

from kplug import Architecture, Count, Odd, Positive, authoring


def residual(kernel: Odd = 3) -> Architecture:
    """Two convolutions: what a residual block adds to its input (He et al. 2016), the shortcut left to the stage.

    Args:
        kernel: height and width of both, in pixels.
    """
    from kplug_nas.operations import build_residual

    return authoring.Network(lambda x: build_residual(x, kernel), "residual")


def inverted_residual(expansion: Positive = 6.0, kernel: Odd = 3) -> Architecture:
    """Expansion, depthwise convolution, projection: MobileNet v2's block (Sandler et al. 2018) without its shortcut.

    Args:
        expansion: inner channels by those that come in; 1 leaves the expansion out.
        kernel: height and width of the depthwise kernel, in pixels.
    """
    from kplug_nas.operations import build_inverted_residual

    return authoring.Network(lambda x: build_inverted_residual(x, expansion, kernel), "inverted_residual")


def separable(kernel: Odd = 3) -> Architecture:
    """Depthwise and 1x1 convolution: fewer weights than a full one (Chollet 2017).

    Args:
        kernel: height and width of the depthwise kernel, in pixels.
    """
    from kplug_nas.operations import build_separable

    return authoring.Network(lambda x: build_separable(x, kernel), "separable")


def convolution(kernel: Odd = 3) -> Architecture:
    """Activation, convolution, normalization.

    Args:
        kernel: height and width, in pixels.
    """
    from kplug_nas.operations import activate, convolve

    return authoring.Network(lambda x: convolve(activate(x, "in"), x.shape[-1], kernel, "in"), "convolution")


def pooling(mode: Literal["max", "mean"] = "max", kernel: Odd = 3) -> Architecture:
    """Maximum or mean of the window around each pixel, which keeps the size.

    Args:
        mode: what of the window.
        kernel: its height and width, in pixels.
    """
    from kplug_nas.operations import make_pooling

    return make_pooling(mode, kernel)


def self_attention(heads: Count = 4) -> Architecture:
    """Multi-head self-attention of the pixels of a feature map, normalized before (Vaswani et al. 2017).

    It knows no positions. Memory grows with the square of the number of pixels: it belongs where few are left.

    Args:
        heads: parts of the features that attend by themselves, a divisor of the channels that come in.
    """
    from kplug_nas.operations import build_self_attention

    return authoring.Network(lambda x: build_self_attention(x, heads), "self_attention")
