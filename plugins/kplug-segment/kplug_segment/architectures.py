"""The signatures of the networks, free of TensorFlow."""

from typing import Annotated, Any, Literal

from annotated_types import Le, MinLen

from kplug import Known, authoring, rule
from kplug.errors import Problem, SpecError
from kplug.kinds import Architecture, Count, Fraction, Natural
from kplug_segment.sizes import Steps, refuse_mirrored, refuse_undivided

Norm = Literal["batch", "group", "none"]
Level = Annotated[str, MinLen(2)]


def _groups_divide(width: int, norm: str, groups: int) -> None:
    if norm == "group" and width % groups:
        raise SpecError([Problem(f"{width} channels are no multiple of {groups} groups", ("groups",))])


def _unet_fits(depth: int, padding: str, convolutions: int, data: Known) -> None:
    if padding == "same":
        refuse_undivided(data.picture[:2], 2**depth, "unet")
    else:
        refuse_mirrored(data.picture[:2], depth, convolutions)


def _encoders_keep_sizes(encoder: Any, padding: str) -> None:
    if encoder is not None and padding == "valid":
        raise SpecError([Problem("an encoder pads its pictures: take padding: same", ("padding",))])


@rule(_groups_divide)
@rule(_unet_fits)
@rule(_encoders_keep_sizes)
def unet(
    width: Count = 64,
    depth: Annotated[Count, Le(8)] = 4,
    convolutions: Count = 2,
    padding: Literal["same", "valid"] = "same",
    norm: Norm = "batch",
    groups: Count = 8,
    up: Literal["transposed", "resize"] = "transposed",
    dropout: Fraction = 0.0,
    attention_gates: bool = False,
    encoder: Architecture | None = None,
    widest: Count = 16,
) -> Architecture:
    """U-Net: down to small features, and up again beside what was seen on the way (Ronneberger et al. 2015).

    Pictures `[b, h, w, c]` to features `[b, h, w, width]`.

    Args:
        width: channels at the picture's own size; each level has twice as many as the one above.
        depth: how often the picture is halved.
        convolutions: of 3x3 pixels, at each level on each way.
        padding: same continues features by zeros, and needs sizes that 2^depth divides; valid is the paper's, which
            loses a border: the picture is continued by its mirror image, so that none of it is lost.
        norm: after each convolution: over the batch, over groups of channels (for small batches), or none, as in the
            paper.
        groups: of group normalization; they divide `width`.
        up: transposed convolutions of 2x2 pixels, as in the paper, or each pixel four times and a convolution.
        dropout: share of the features at the bottom that training leaves out.
        attention_gates: weigh what goes over to the way up, but at the top, by what comes from below (Oktay et al.
            2018).
        encoder: a network with a pyramid, in the place of the way down; depth is the level where it ends (5 is P5).
        widest: no level has more than so many times `width` channels.
    """
    from kplug_segment.u_nets import build_unet

    steps = Steps(width, depth, convolutions, padding, norm, groups, up, dropout, attention_gates, widest)
    return authoring.Network(lambda x: build_unet(x, steps, encoder), "unet")


def _nested_fits(depth: int, data: Known) -> None:
    refuse_undivided(data.picture[:2], 2**depth, "unet_plus_plus")


@rule(_groups_divide)
@rule(_nested_fits)
def unet_plus_plus(
    width: Count = 32,
    depth: Annotated[Count, Le(6)] = 4,
    convolutions: Count = 2,
    norm: Norm = "batch",
    groups: Count = 8,
    up: Literal["transposed", "resize"] = "resize",
    dropout: Fraction = 0.0,
    widest: Count = 16,
) -> Architecture:
    """U-Net++: U-Nets of every depth within each other, whose features are averaged (Zhou et al. 2018).

    Its levels D1, D2, ... are those of each depth: `auxiliary: {D1: 0.5, D2: 0.5}` of a segmentation supervises them.

    Args:
        width: channels at the picture's own size; each level has twice as many as the one above.
        depth: of the deepest.
        convolutions: of 3x3 pixels, at each place.
        norm: after each convolution: over the batch, over groups of channels, or none.
        groups: of group normalization; they divide `width`.
        up: transposed convolutions of 2x2 pixels, or each pixel four times and a convolution.
        dropout: share of the features that training leaves out before the scores.
        widest: no level has more than so many times `width` channels.
    """
    from kplug_segment.u_nets import build_unet_plus_plus

    steps = Steps(width, depth, convolutions, "same", norm, groups, up, dropout, False, widest)
    return authoring.Network(lambda x: build_unet_plus_plus(x, steps), "unet_plus_plus")


def _are_different(levels: list[str]) -> None:
    for number, name in enumerate(levels):
        if not name[1:].isdigit() or name[0] != "P":
            raise SpecError([Problem(f"'{name}' is no level; P3 has a stride of 8, P4 of 16", ("levels", number))])
        if name in levels[:number]:
            raise SpecError([Problem(f"{name} stands here twice", ("levels", number))])


@rule(_are_different)
@rule(_groups_divide)
def fpn(
    encoder: Architecture,
    levels: Annotated[list[Level], MinLen(1)] = ("P2", "P3", "P4", "P5"),  # type: ignore[assignment]
    width: Count = 256,
    further: Natural = 0,
    norm: Norm = "none",
    groups: Count = 32,
) -> Architecture:
    """Feature pyramid: at each level what an encoder sees there, and what it understood further up (Lin et al. 2017).

    Its features are those of the finest level; all are its pyramid.

    Args:
        encoder: a network with a pyramid.
        levels: of it: P2 has a stride of 4, P3 of 8, and so on.
        width: channels of every level.
        further: levels above the last, each at half the size of the one before.
        norm: after the convolution of each level: over the batch, over groups of channels, or none.
        groups: of group normalization; they divide `width`.
    """
    from kplug_segment.pyramids import build_fpn

    chosen = list(levels)
    return authoring.Network(lambda x: build_fpn(x, encoder, chosen, width, further, norm, groups), "fpn")


@rule(_groups_divide)
def deeplab_v3_plus(
    encoder: Architecture,
    high: Level = "P4",
    low: Level = "P2",
    rates: tuple[Count, ...] = (6, 12, 18),
    width: Count = 256,
    low_width: Count = 48,
    dropout: Fraction = 0.1,
    norm: Norm = "batch",
    groups: Count = 16,
) -> Architecture:
    """DeepLabV3+: convolutions with holes of several sizes, joined with finer features (Chen et al. 2018).

    A rate that is larger than the level's picture acts as a convolution of one pixel: take smaller ones for small
    pictures. Its features have the size of `low`.

    Args:
        encoder: a network with a pyramid.
        high: its level that convolutions with holes look at; P4, with a stride of 16, is the paper's.
        low: its level of finer features.
        rates: how far apart, in pixels of the level, the nine places of each convolution are.
        width: channels of each branch, and of the features.
        low_width: channels that are taken of the finer features.
        dropout: share of the features that training leaves out.
        norm: after each convolution: over the batch, over groups of channels, or none.
        groups: of group normalization; they divide `width`.
    """
    from kplug_segment.pyramids import build_deeplab

    return authoring.Network(
        lambda x: build_deeplab(x, encoder, high, low, rates, width, low_width, dropout, norm, groups),
        "deeplab_v3_plus",
    )


NETWORKS = [unet, unet_plus_plus, fpn, deeplab_v3_plus]
