"""Outlines and colours for drawing what lives in a picture; free of TensorFlow."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

UNKNOWN = 255  # the class of a mask's pixel that counts nowhere


def colour_of(number: int) -> tuple[int, int, int]:
    """A colour for a number, unlike those of its neighbours."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.381966 % 1, 1.0, 1.0)  # the golden angle
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_outlines(ids: Any, draw: Any, factor: int, skipped: tuple[int, ...]) -> None:
    """Draw the borders of areas of equal numbers.

    Args:
        ids: integers `[h, w]`.
        draw: a `PIL.ImageDraw.Draw` of the picture, enlarged.
        factor: how many times.
        skipped: numbers whose areas have no outline.
    """
    ids = np.asarray(ids)
    grey = {UNKNOWN: (160, 160, 160)}
    padded = np.pad(ids, 1, constant_values=-1)
    for number in np.setdiff1d(ids, skipped).tolist():
        inside = padded == number
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            border = inside & ~np.roll(inside, -step, axis)
            for y, x in zip(*np.nonzero(border[1:-1, 1:-1]), strict=True):
                draw.line(
                    _side(int(x), int(y), axis, step, factor), fill=grey.get(number) or colour_of(number), width=2
                )


def _side(x: int, y: int, axis: int, step: int, factor: int) -> tuple[int, int, int, int]:
    """The side of a pixel that faces another, as a line in the enlarged picture."""
    left, top, right, bottom = x * factor, y * factor, (x + 1) * factor - 1, (y + 1) * factor - 1
    if axis == 0:
        edge = bottom if step > 0 else top
        return left, edge, right, edge
    edge = right if step > 0 else left
    return edge, top, edge, bottom
