"""Networks on the pyramid of another: the feature pyramid (Lin et al. 2017), DeepLabV3+ (Chen et al. 2018)."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug import SpecError
from kplug.authoring import pyramid_of
from kplug_segment.convolutions import convolve, normalize, resized_like


def levels_of(encoder: Any, pictures: Any, names: list[str]) -> dict[str, Any]:
    """The levels of an encoder's pyramid by these names.

    Raises:
        SpecError: it lacks one of them.
    """
    _, pyramid = pyramid_of(encoder, pictures)
    if missing := [name for name in names if name not in pyramid]:
        raise SpecError(f"the encoder has no level {missing[0]} (levels: {', '.join(sorted(pyramid))})")
    return {name: pyramid[name] for name in names}


def build_fpn(pictures: Any, encoder: Any, levels: list[str], width: int, further: int, norm: str, groups: int) -> Any:
    """A feature pyramid: at each level what the encoder sees there, and what it has understood further up.

    Args:
        pictures: `[b, h, w, c]` in 0 to 1.
        encoder: with a pyramid.
        levels: of it, such as P3, P4, P5.
        width: channels of every level.
        further: levels above the last, each at half the size of the one before.
        norm: batch, group or none, after each 3x3 convolution.
        groups: of group normalization.

    Returns:
        The features of the finest level, and those of all.
    """
    found = levels_of(encoder, pictures, levels)
    names = sorted(found, key=lambda name: int(name[1:]))
    merged: dict[str, Any] = {}
    above = None
    for name in reversed(names):
        x = layers.Conv2D(width, 1, name=f"{name}_lateral")(found[name])
        if above is not None:
            x = layers.Add(name=f"{name}_add")([x, resized_like(above, x, f"{name}_from_above", "nearest")])
        above = merged[name] = x
    pyramid = {}
    for name in names:
        x = layers.Conv2D(width, 3, padding="same", use_bias=norm == "none", name=f"{name}_out")(merged[name])
        pyramid[name] = normalize(x, norm, groups, name)
    last = int(names[-1][1:])
    for level in range(last + 1, last + 1 + further):
        x = pyramid[f"P{level - 1}"]
        x = layers.ReLU(name=f"P{level}_relu")(x) if level > last + 1 else x
        pyramid[f"P{level}"] = layers.Conv2D(width, 3, 2, "same", name=f"P{level}_out")(x)
    return pyramid[names[0]], pyramid


def build_deeplab(
    pictures: Any,
    encoder: Any,
    high: str,
    low: str,
    rates: tuple[int, ...],
    width: int,
    low_width: int,
    dropout: float,
    norm: str,
    groups: int,
) -> Any:
    """DeepLabV3+: what is seen at several distances, joined with finer features of a level below.

    Args:
        pictures: `[b, h, w, c]` in 0 to 1.
        encoder: with a pyramid.
        high: its level that convolutions with holes look at, with a stride of 16 in the paper.
        low: its level of finer features, with a stride of 4 in the paper.
        rates: of the convolutions with holes: how far apart, in pixels of the level, the nine places are.
        width: channels of each branch, and of what comes out.
        low_width: channels of the finer features.
        dropout: share of the features that training leaves out.
        norm: batch, group or none.
        groups: of group normalization.
    """
    found = levels_of(encoder, pictures, [high, low])
    x, own = found[high], (norm, groups)
    branches = [convolve(x, width, "aspp_0", *own, size=1)]
    branches += [convolve(x, width, f"aspp_{rate}", *own, dilation_rate=rate) for rate in rates]
    pooled = convolve(
        layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x), width, "aspp_picture", *own, size=1
    )
    branches.append(resized_like(pooled, x, "aspp_picture_spread"))
    x = convolve(layers.Concatenate(name="aspp_join")(branches), width, "aspp", *own, size=1)
    x = layers.Dropout(dropout, name="aspp_dropout")(x) if dropout else x
    finer = convolve(found[low], low_width, "low", *own, size=1)
    x = layers.Concatenate(name="join")([resized_like(x, finer, "up"), finer])
    for number in range(2):
        x = convolve(x, width, f"decode_{number}", *own)
    return x
