"""Rules on the pictures that a CapsNet takes; free of TensorFlow."""

from kplug import SpecError


def refuse_small(kernel_size: int, height: int | None, width: int | None) -> None:
    """Raise SpecError where two convolutions, the second with a stride of 2, leave nothing; None: a side not known."""
    least = 2 * kernel_size - 1
    if any(side is not None and side < least for side in (height, width)):
        size = "x".join("?" if side is None else str(side) for side in (height, width))
        raise SpecError(
            f"two convolutions of {kernel_size}x{kernel_size} need pictures of {least} pixels at least, these have "
            f"{size}: take a smaller kernel_size, or make them larger with data.features.image.size"
        )
