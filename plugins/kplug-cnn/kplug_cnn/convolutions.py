"""The convolutions and the stems that several networks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers


def filter_alone(
    x: Any, filters: int, size: Any, stride: int, name: str, padding: str = "same", initializer: Any = "he_normal"
) -> Any:
    """Convolution without normalization, activation or bias."""
    return layers.Conv2D(
        filters, size, stride, padding, use_bias=False, kernel_initializer=initializer, name=f"{name}_conv"
    )(x)


def add_stem(x: Any, filters: int, small: bool, activate: Callable[[Any, str], Any] | None = None) -> tuple[Any, int]:
    """The first convolution of a ResNet or a DenseNet, and its level in the pyramid.

    Args:
        x: pictures `[b, h, w, c]`.
        filters: of the convolution.
        small: the stem for pictures of the size of CIFAR's, with a stride of 1; else that for ImageNet, with one of 4.
        activate: (features, name) to what follows the convolution; None: nothing does.
    """
    activate = activate or (lambda x, name: x)
    if small:
        return activate(filter_alone(x, filters, 3, 1, "stem"), "stem"), 0
    x = layers.ZeroPadding2D(3, name="stem_pad")(x)
    x = activate(filter_alone(x, filters, 7, 2, "stem", "valid"), "stem")
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)
    return layers.MaxPooling2D(3, 2, name="pool")(x), 2
