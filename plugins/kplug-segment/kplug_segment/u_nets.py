"""U-Net (Ronneberger et al. 2015), Attention U-Net (Oktay et al. 2018), U-Net++ (Zhou et al. 2018)."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug import SpecError
from kplug.authoring import pyramid_of
from kplug_segment.convolutions import Cut, Mirrored, convolve, double, resized_like
from kplug_segment.sizes import Steps, margin_of, refuse_mirrored, refuse_undivided


def build_unet(pictures: Any, steps: Steps, encoder: Any = None) -> Any:
    """A U-Net: pictures `[b, h, w, c]` to features `[b, h, w, width]`.

    Args:
        pictures: in 0 to 1.
        steps: how it is made.
        encoder: a network with a pyramid in the place of the way down; None is the paper's.
    """
    x = pictures
    if steps.padding == "same" and encoder is None:
        refuse_undivided(pictures.shape[1:3], 2**steps.depth, "unet")
    if steps.padding == "valid":
        refuse_mirrored(pictures.shape[1:3], steps.depth, steps.convolutions)
        margin = margin_of(steps.depth, steps.convolutions)
        stride = 2**steps.depth
        x = Mirrored(margin, stride, -2 * steps.convolutions % stride, name="mirrored")(x)
    x, skips = _down(x, steps) if encoder is None else _encoded(x, steps, encoder)
    for level in range(len(skips) - 1, -1, -1):
        x = _up(x, skips[level], level, steps)
    if steps.padding == "valid":
        x = Cut("corner", name="cut")([x, pictures])
    return x


# --- down ------------------------------------------------------------------------------------------------------------


def _down(x: Any, steps: Steps) -> tuple[Any, list[Any]]:
    """The features at the bottom, and those of every level above it, the picture's own first."""
    skips = []
    for level in range(steps.depth):
        x = block(x, steps, level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
    x = block(x, steps, steps.depth, "bottom")
    return (layers.Dropout(steps.dropout, name="dropout")(x) if steps.dropout else x), skips


def _encoded(x: Any, steps: Steps, encoder: Any) -> tuple[Any, list[Any]]:
    """The deepest features of an encoder, and what goes over to each level; the picture itself where it has none."""
    _, pyramid = pyramid_of(encoder, x)
    levels = {int(name[1:]): features for name, features in pyramid.items() if 0 <= int(name[1:]) <= steps.depth}
    if not levels or max(levels) < steps.depth:
        had = ", ".join(sorted(pyramid))
        raise SpecError(f"depth: {steps.depth} asks for the level P{steps.depth} of an encoder that has {had}")
    skips = [levels.get(level) for level in range(steps.depth)]
    if skips[0] is None:
        skips[0] = block(x, steps, 0, "at_once")
    bottom = levels[steps.depth]
    return (layers.Dropout(steps.dropout, name="dropout")(bottom) if steps.dropout else bottom), skips


def block(x: Any, steps: Steps, level: int, name: str) -> Any:
    """The convolutions of one level."""
    for number in range(steps.convolutions):
        filters = steps.filters(level)
        x = convolve(x, filters, f"{name}_{number}", steps.norm, steps.groups, padding=steps.padding)
    return x


# --- up --------------------------------------------------------------------------------------------------------------


def _up(x: Any, skip: Any, level: int, steps: Steps) -> Any:
    name = f"up{level}"
    x = double(x, steps.filters(level), steps.up, name)
    if skip is not None:
        x = layers.Concatenate(name=f"{name}_join")([_gated(skip, x, level, steps, name), x])
    return block(x, steps, level, name)


def _gated(skip: Any, x: Any, level: int, steps: Steps, name: str) -> Any:
    """The features that go over: cut to the size of what comes up, and weighed by gates, but at the top."""
    if steps.padding == "valid":
        skip = Cut("middle", name=f"{name}_skip")([skip, x])
    elif tuple(skip.shape[1:3]) != tuple(x.shape[1:3]):
        skip = resized_like(skip, x, f"{name}_skip")
    return attention_gate(skip, x, f"{name}_gate") if steps.attention_gates and level else skip


def attention_gate(skip: Any, signal: Any, name: str) -> Any:
    """Features weighed by how much each place matters to what comes up from below (Oktay et al. 2018)."""
    inner = max(1, skip.shape[-1] // 2)
    of_skip = layers.Conv2D(inner, 1, use_bias=False, name=f"{name}_skip")(skip)
    of_signal = layers.Conv2D(inner, 1, name=f"{name}_signal")(signal)
    both = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([of_skip, of_signal]))
    weight = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_weight")(both)
    return layers.Multiply(name=f"{name}_out")([skip, weight])


# --- U-Net++ ---------------------------------------------------------------------------------------------------------


def build_unet_plus_plus(pictures: Any, steps: Steps) -> tuple[Any, dict[str, Any]]:
    """Nested U-Nets of every depth that share their ways down, and the features of each at the picture's own size.

    Returns:
        The mean of the features of all depths, which is what the mean of their scores comes to, and a pyramid with
        those of each: D1 of the shallowest, D2 and so on.
    """
    refuse_undivided(pictures.shape[1:3], 2**steps.depth, "unet_plus_plus")
    grid: dict[tuple[int, int], Any] = {}
    x = pictures
    for level in range(steps.depth + 1):
        grid[level, 0] = block(x, steps, level, f"x{level}_0")
        x = layers.MaxPooling2D(2, name=f"pool{level}")(grid[level, 0]) if level < steps.depth else None
    for column in range(1, steps.depth + 1):
        for level in range(steps.depth + 1 - column):
            name = f"x{level}_{column}"
            up = double(grid[level + 1, column - 1], steps.filters(level), steps.up, name)
            joined = layers.Concatenate(name=f"{name}_join")([*(grid[level, n] for n in range(column)), up])
            grid[level, column] = block(joined, steps, level, name)
    found = [grid[0, column] for column in range(1, steps.depth + 1)]
    whole = layers.Average(name="mean")(found) if len(found) > 1 else found[0]
    whole = layers.Dropout(steps.dropout, name="dropout")(whole) if steps.dropout else whole
    return whole, {f"D{column}": features for column, features in enumerate(found, 1)}
