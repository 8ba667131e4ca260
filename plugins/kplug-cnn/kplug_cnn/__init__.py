"""The classic convolutional networks: their signatures, free of TensorFlow."""

from collections.abc import Callable
from typing import Annotated, Literal

from annotated_types import Gt, Le

from kplug import Architecture, Count, Fraction, Known, Natural, NonNegative, Positive, authoring, hookimpl, rule
from kplug_cnn import pictures
from kplug_cnn.blocks import BLOCKS
from kplug_cnn.pictures import pictures_of

kplug_api = 2

Stem = Literal["auto", "small", "large"]


@hookimpl
def components():
    return [*NETWORKS, *BLOCKS]


# --- which pictures they take ----------------------------------------------------------------------------------------


def _alexnet_fits(stem: str, data: Known) -> None:
    pictures.fit_alexnet(pictures_of(data), stem)


def _vgg_fits(data: Known) -> None:
    pictures.fit_vgg(pictures_of(data))


def _inception_fits(stem: str, version: str, data: Known) -> None:
    pictures.fit_inception(pictures_of(data), stem, version)


def _densenet_fits(stem: str, depth: int, data: Known) -> None:
    pictures.fit_densenet(pictures_of(data), stem, pictures.blocks_of_densenet(depth))


def _stride_fits(network: str) -> Callable[..., None]:
    def check(stem: str, data: Known) -> None:
        pictures.fit_stride(pictures_of(data), stem, network)

    return check


# --- networks --------------------------------------------------------------------------------------------------------


@rule(_alexnet_fits)
def alexnet(
    width_multiplier: Positive = 1.0, stem: Stem = "auto", hidden: Count | None = None, dropout: Fraction = 0.5
) -> Architecture:
    """Five convolutions and two dense layers, in the form with one tower (Krizhevsky et al. 2012; Krizhevsky 2014).

    Args:
        width_multiplier: filters of every convolution by the paper's.
        stem: large begins with an 11x11 convolution of stride 4, small with a 3x3 one that keeps the picture's size;
            auto is small where the picture has fewer than 64 pixels in height.
        hidden: units of the dense layers; null is the paper's 4,096, and 512 with a small stem.
        dropout: share of the features that training leaves out before each dense layer.
    """
    from kplug_cnn.alex import build_alexnet

    return authoring.Network(lambda x: build_alexnet(x, width_multiplier, stem, hidden, dropout), "alexnet")


@rule(_vgg_fits)
def vgg(
    depth: Literal[11, 13, 16, 19] = 16,
    width: Count = 64,
    batch_norm: bool = False,
    hidden: Natural | None = None,
    dropout: Fraction = 0.5,
) -> Architecture:
    """Stacks of 3x3 convolutions, pooling after each (Simonyan and Zisserman 2015).

    Args:
        depth: layers with weights, the classifier and two dense layers among them.
        width: filters of the first stack; each later one has twice as many, at most 8 times.
        batch_norm: normalize after each convolution, without which a deep one hardly trains from scratch.
        hidden: units of the two dense layers, 0 for none; null is the paper's 4,096, and 8 * width where the picture
            has fewer than 64 pixels in height.
        dropout: share of the features that training leaves out after each dense layer.
    """
    from kplug_cnn.stacked import build_vgg

    return authoring.Network(lambda x: build_vgg(x, depth, width, batch_norm, hidden, dropout), "vgg")


@rule(_stride_fits("resnet"))
def resnet(
    depth: Literal[18, 34, 50, 101, 152] = 50,
    width: Count = 64,
    stem: Stem = "auto",
    version: Literal["v1", "v2"] = "v1",
    drop_path: Fraction = 0.0,
) -> Architecture:
    """Residual network (He et al. 2016a and, with normalization before convolution, 2016b).

    Args:
        depth: layers with weights; from 50 on, blocks are bottlenecks of three convolutions.
        width: filters of the first stage; each later stage has twice as many.
        stem: large halves the picture twice (7x7 convolution, pooling), small keeps its size (3x3 convolution), auto is
            small where the picture has fewer than 64 pixels in height.
        version: v1 normalizes and activates after each convolution, v2 before it, so that nothing stands in the way
            of the shortcuts.
        drop_path: stochastic depth (Huang et al. 2016): share of examples that pass by the last block in training;
            blocks before it have less, the first none.
    """
    from kplug_cnn.residual import build_resnet

    return authoring.Network(lambda x: build_resnet(x, depth, width, stem, version, drop_path), "resnet")


def _only_v3_has_a_hidden_layer(version: str, hidden: bool) -> None:
    if hidden and not version.startswith("v3"):
        raise ValueError(f"mobilenet {version} has no hidden layer; v3_small and v3_large have one")


@rule(_stride_fits("mobilenet"))
@rule(_only_v3_has_a_hidden_layer)
def mobilenet(
    version: Literal["v1", "v2", "v3_small", "v3_large"] = "v2",
    width_multiplier: Positive = 1.0,
    stem: Stem = "auto",
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
    from kplug_cnn.mobile import build_mobilenet

    return authoring.Network(
        lambda x: build_mobilenet(x, version, width_multiplier, stem, momentum, hidden), "mobilenet"
    )


@rule(_inception_fits)
def inception(
    version: Literal["v1", "v3"] = "v3", width_multiplier: Positive = 1.0, stem: Stem = "auto"
) -> Architecture:
    """Convolutions of several sizes side by side: GoogLeNet (Szegedy et al. 2015) and v3 (Szegedy et al. 2016).

    Args:
        version: v1 is GoogLeNet with batch normalization and without the two scores on the way.
        width_multiplier: filters of every convolution by the paper's.
        stem: large has a stride of 4 (v1) or 8 (v3), small keeps the picture's size; auto is small where the picture
            has fewer than 64 pixels in height.
    """
    from kplug_cnn import inceptions

    build = inceptions.googlenet if version == "v1" else inceptions.inception_v3
    return authoring.Network(lambda x: build(x, width_multiplier, stem), "inception")


@rule(_densenet_fits)
def densenet(
    depth: Literal[40, 100, 121, 169, 190, 201, 250, 264] = 121,
    growth: Count | None = None,
    compression: Annotated[float, Gt(0), Le(1)] = 0.5,
    stem: Stem = "auto",
    dropout: Fraction = 0.0,
) -> Architecture:
    """Every layer reads the outputs of all layers before it (Huang et al. 2017).

    Args:
        depth: layers with weights; 121, 169, 201 and 264 are those for ImageNet with four blocks, 40, 100, 190 and 250
            those for small pictures with three (DenseNet-BC).
        growth: channels that a layer adds; null is 32 for four blocks and 12 for three.
        compression: channels behind a transition between blocks by those before it.
        stem: large halves the picture twice, small keeps its size; auto is small with three blocks, and where the
            picture has fewer than 64 pixels in height.
        dropout: share of the features that training leaves out after each convolution.
    """
    from kplug_cnn.dense import build_densenet

    return authoring.Network(lambda x: build_densenet(x, depth, growth, compression, stem, dropout), "densenet")


@rule(_stride_fits("efficientnet"))
def efficientnet(
    version: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s"] = "b0",
    compound: NonNegative | None = None,
    width_multiplier: Positive = 1.0,
    stem: Stem = "auto",
    momentum: Fraction | None = None,
    drop_path: Fraction = 0.2,
) -> Architecture:
    """Inverted residuals with depth and width scaled together (Tan and Le 2019 and, with fused blocks, 2021).

    Args:
        version: b0 to b7 are of growing size, v2_s is the second version's smallest.
        compound: scale by 1.1^compound in width and 1.2^compound in depth instead of by the version's factors, which
            are those of about 0 to 6, rounded.
        width_multiplier: filters of every layer once more by this.
        stem: large has a stride of 32 in all, small leaves the first two strides out and has one of 8, auto is small
            where the picture has fewer than 64 pixels in height.
        momentum: of batch normalization, how slowly its moving statistics follow; null is 0.99, in v2 0.9.
        drop_path: stochastic depth (Huang et al. 2016): share of examples that pass by a block with a shortcut in
            training; it grows from none in the first block towards this behind the last.
    """
    from kplug_cnn.efficient import build_efficientnet

    return authoring.Network(
        lambda x: build_efficientnet(x, version, compound, width_multiplier, stem, momentum, drop_path), "efficientnet"
    )


NETWORKS = [alexnet, vgg, inception, resnet, densenet, mobilenet, efficientnet]
