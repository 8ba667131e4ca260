"""The sizes of pictures that the networks take; free of TensorFlow, so that `kplug check` can ask too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kplug import SpecError


@dataclass(frozen=True)
class Steps:
    """The make of a U-Net; the parameters are those of the component `unet`."""

    width: int
    depth: int
    convolutions: int
    padding: str
    norm: str
    groups: int
    up: str
    dropout: float
    attention_gates: bool = False
    widest: int = 16

    def filters(self, level: int) -> int:
        """Channels of a level, that of the picture's own size first: twice as many in each, up to a limit."""
        return self.width * min(2**level, self.widest)


def margin_of(depth: int, convolutions: int) -> int:
    """The pixels that a U-Net without padding takes from each side of a picture.

    A convolution of 3x3 takes one pixel of its level. There are as many on the way down to each level, the bottom
    among them, as on the way up.
    """
    return convolutions * (3 * 2**depth - 2)


def refuse_mirrored(sides: Sequence[int | None], depth: int, convolutions: int) -> None:
    """Refuse a picture, as far as its size is known, that is too small for its mirror image to be put around it."""
    margin = margin_of(depth, convolutions)
    if small := [side for side in sides if side is not None and side <= 2 * margin]:
        what = f"padding: valid adds {margin} mirrored pixels to each side, more than half of {small[0]}"
        raise SpecError(f"{what}; take padding: same, a smaller depth, or larger pictures")


def refuse_undivided(sides: Sequence[int | None], stride: int, network: str) -> None:
    """Refuse a picture whose height or width is no multiple of a network's stride, as far as it is known.

    Raises:
        SpecError: with the next sizes that are.
    """
    if any(side is not None and side % stride for side in sides):
        had = "x".join("?" if side is None else str(side) for side in sides)
        near = [side if side is None else -(-side // stride) * stride for side in sides]
        wanted = ", ".join("..." if side is None else str(side) for side in near)
        message = f"{network} halves pictures until {stride} pixels are one, and {had} is no multiple of that"
        raise SpecError(f"{message}; set data.features.image.size: [{wanted}]")
