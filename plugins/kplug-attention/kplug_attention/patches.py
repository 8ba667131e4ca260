"""Rules on the patches that a picture can be cut into; free of TensorFlow."""

import math

from kplug import SpecError
from kplug.errors import listed


def refuse_other_sizes(patch: int, height: int | None, width: int | None) -> None:
    """Raise SpecError where a patch of so many pixels does not divide a picture; None: a side is not known."""
    if (height or 0) % patch or (width or 0) % patch:
        common = math.gcd(height or 0, width or 0)
        fitting = [side for side in range(1, common + 1) if common % side == 0]
        size = "x".join("?" if side is None else str(side) for side in (height, width))
        raise SpecError(
            f"a patch of {patch} pixels does not divide a picture of {size}; those of {listed(fitting)} do, "
            "or change data.image.size"
        )
