"""Rules on the size of a picture and the patches that it can be cut into; free of TensorFlow."""

import math
from typing import Any

from kplug_cnn.pictures import shown

from kplug import SpecError
from kplug.errors import listed


def refuse_open_size(x: Any, network: str, reason: str = "since its positions are learned") -> None:
    """Raise SpecError where pictures `[b, h, w, c]` may have several sizes."""
    if None in x.shape[1:3]:
        raise SpecError(f"{network} needs pictures of one size, {reason}: set data.features.image.size")


def refuse_other_sizes(x: Any, patch: int) -> None:
    """Raise SpecError where a patch of so many pixels does not divide pictures `[b, h, w, c]`, as far as is known."""
    common = math.gcd(*(side or 0 for side in x.shape[1:3]))
    if common % patch:
        fitting = [side for side in range(1, common + 1) if common % side == 0]
        raise SpecError(
            f"a patch of {patch} pixels does not divide a picture of {shown(x)}; those of {listed(fitting)} do, "
            "or change data.features.image.size"
        )
