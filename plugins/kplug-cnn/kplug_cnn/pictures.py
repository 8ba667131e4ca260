"""Rules on the size of a network's pictures; free of TensorFlow, so that `kplug check` can ask them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kplug import Known, SpecError

WithPyramid = tuple[Any, dict[str, Any]]  # what a network returns: features, and level ("P2") to tensor
SMALL = 64  # pixels; below that the stem of the papers leaves too little to look at


@dataclass(frozen=True)
class Pictures:
    """Stands for a tensor of them: `shape` is (None, height, width, channels)."""

    shape: tuple[int | None, ...]


def pictures_of(data: Known) -> Pictures:
    """The pictures as far as the data tells; their sizes are left out without a height, by which the stem is chosen."""
    height, width, channels = data.picture
    return Pictures((None, height, width, channels) if height is not None else (None, None, None, channels))


# Each of these says whether the stem is the small one, and raises SpecError where pictures are too small for it.


def fit_alexnet(x: Any, stem: str) -> bool:
    return fit_stride(x, stem, "alexnet", small=8) if takes_small_stem(x, stem) else fit_least(x, 63, "alexnet")


def fit_inception(x: Any, stem: str, version: str) -> bool:
    if version == "v1" or takes_small_stem(x, stem):
        return fit_stride(x, stem, f"inception {version}", small=4)
    return fit_least(x, 75, f"inception {version}")


def blocks_of_densenet(depth: int) -> int:
    """The number of dense blocks: four in the depths for ImageNet, three in those for small pictures."""
    return 4 if depth in (121, 169, 201, 264) else 3


def fit_densenet(x: Any, stem: str, blocks: int) -> bool:
    """Return True where the stem is small; with three blocks auto always is."""
    shrinking = 2 ** (blocks - 1)  # of the transitions
    return fit_stride(x, "small" if stem == "auto" and blocks == 3 else stem, "densenet", shrinking, 4 * shrinking)


def fit_stride(x: Any, stem: str, network: str, small: int = 8, large: int = 32) -> bool:
    """Choose the stem, and refuse pictures smaller than the whole network's stride, in pixels, with that stem.

    Returns:
        True where the stem is the small one.
    """
    found = takes_small_stem(x, stem)
    stride = small if found else large
    if is_under(x, stride):
        remedy = f"; stem: small has a stride of {small}" if small < stride else ""
        raise SpecError(
            f"{network} has a stride of {stride} pixels, the picture only {shown(x)}: "
            f"make it larger with data.features.image.size{remedy}"
        )
    return found


def fit_least(x: Any, least: int, network: str) -> bool:
    refuse_under(x, least, network, small_stem=True)
    return False


def fit_vgg(x: Any) -> bool:
    """Return True where the picture is small; its 17 pixels at least leave the last of five poolings more than one."""
    refuse_under(x, 17, "vgg")
    return takes_small_stem(x, "auto")


# --- what they are made of -------------------------------------------------------------------------------------------


def takes_small_stem(x: Any, stem: str) -> bool:
    """Return True where the stem is small, by name or since `auto` is for pictures `[b, h, w, c]` of that size."""
    return stem == "small" or (stem == "auto" and x.shape[1] is not None and x.shape[1] < SMALL)


def refuse_under(x: Any, least: int, network: str, small_stem: bool = False) -> None:
    """Raise where a side of the picture has fewer pixels than convolutions or pooling without padding need.

    Args:
        x: pictures `[b, h, w, c]`.
        least: pixels.
        network: its name.
        small_stem: it has a small stem, which the message then offers.
    """
    if is_under(x, least):
        remedy = "take stem: small, or " if small_stem else ""
        raise SpecError(
            f"{network} needs pictures of {least} pixels at least, these have {shown(x)}: "
            f"{remedy}make them larger with data.features.image.size"
        )


def is_under(x: Any, least: int) -> bool:
    """Return True where a side that is known is less."""
    return any(side is not None and side < least for side in x.shape[1:3])


def shown(x: Any) -> str:
    return "x".join("?" if side is None else str(side) for side in x.shape[1:3])
