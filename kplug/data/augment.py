"""Augmentation: one loop, wherever pictures are changed, with a seed for each change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kplug.data.codecs.pixels import to_uint8

Batch = dict[str, Any]
Augment = Callable[[Batch, Any], Batch]

fold_in = tf.random.experimental.stateless_fold_in


def augment(batch: Batch, augmentations: Sequence[Augment], seed: Any) -> Batch:
    """Apply augmentations in their order; after each, pictures are rounded back to uint8.

    Args:
        batch: fields `[batch, ...]` by name.
        augmentations: each has a seed of its own, folded from `seed` and its position.
        seed: integers `[2]`.
    """
    for position, augmentation in enumerate(augmentations):
        batch = augmentation(batch, fold_in(seed, position))
        batch = batch | {"image": to_uint8(batch["image"])}
    return batch
