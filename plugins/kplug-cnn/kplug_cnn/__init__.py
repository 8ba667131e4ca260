"""The classic convolutional networks: their signatures, free of TensorFlow."""

from typing import Literal

from kplug import Architecture, Count, hookimpl

kplug_api = 1


@hookimpl
def components():
    return [resnet]


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
