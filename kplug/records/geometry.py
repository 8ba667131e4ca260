"""The move of a picture, and its placement: what all fields that live in the picture are moved by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Fill = Literal["constant", "nearest", "reflect", "wrap"]
SHOWS_TWICE = ("reflect", "wrap", "symmetric")  # fills that show what is in a picture a second time

# The arrays of a placement, float32 [6]: the place (x, y) of a file's upright picture is (x * scale + shift) in the
# batch's. Beside them the height and the width that the upright picture had.
PLACEMENT = ("scale_y", "scale_x", "shift_y", "shift_x", "height", "width")


@dataclass(frozen=True, eq=False)
class Geometry:
    """A move of a batch of pictures: where each place of the picture after it was before.

    Places are edges, x to the right and y down: the pixel in column i covers [i, i + 1). Either a matrix says the move
    or a field.

    Args:
        before: height and width of the pictures that are moved; scalar tensors where a graph is made for any size.
        after: height and width that they have then.
        matrix: float32 or float64 `[b, 3, 3]`, which takes (x, y, 1) after the move to where it was before, up to a
            factor; in float64 one that was made of numbers of pixels in float32 (`from_indices`) stays exact.
        field: float32 `[b, height, width, 2]`, what is added to (x, y) of the middle of each pixel after the move.
        fill: what is shown of places outside of the picture: constant, its nearest pixel, or the picture again,
            mirrored (reflect) or not (wrap).
        value: pixels of pictures outside, where the fill is constant; fields of another kind have their own blank.
        interpolation: how pixels between pixels are made in pictures.
        copy: (values `[b, h, w, channels]`, blank) to the moved values, where whole pixels are copied: it takes the
            place of sampling for pictures, masks and the like, and does what matrix and fill say. Points and boxes go
            by the matrix, which is there too.
        visible: the share of an object, 0 to 1, that must be seen after the move, else it is ignored.
    """

    before: tuple[Any, Any]
    after: tuple[Any, Any]
    matrix: Any = None
    field: Any = None
    fill: Fill = "constant"
    value: float = 0.0
    interpolation: Literal["nearest", "bilinear"] = "bilinear"
    copy: Callable[[Any, float], Any] | None = None
    visible: float | None = None
