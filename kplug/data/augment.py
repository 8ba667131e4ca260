"""Augmentation: one loop, wherever examples are changed, with a seed for each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kplug.data.features import derive, derived
from kplug.records import Codec, DataInfo

Batch = dict[str, Any]
Augment = Callable[[Batch, Any], Batch]

fold_in = tf.random.experimental.stateless_fold_in


def views(info: DataInfo, batch: Batch, augmentations: Sequence[Augment], seed: Any, count: int) -> list[Batch]:
    """Make several augmented views of a batch, each drawn by itself.

    Args:
        info: knows the codecs of the fields.
        batch: arrays `[batch, ...]` by name.
        augmentations: applied in their order, to each view.
        seed: that of `Learner.prepare`, integers `[2]`.
        count: how many views.
    """
    return [augment(batch, augmentations, fold_in(seed, number), info.codecs) for number in range(count)]


def augment(batch: Batch, augmentations: Sequence[Augment], seed: Any, codecs: Mapping[str, Codec]) -> Batch:
    """Apply augmentations in their order; after each, what changed is brought back into the form of its field.

    Fields that are taken from others are made anew after the last one.

    Args:
        batch: arrays `[batch, ...]` by name.
        augmentations: each has a seed of its own, folded from `seed` and its position.
        seed: integers `[2]`.
        codecs: of the fields; `Codec.mend` brings back, so that pixels are rounded to uint8.
    """
    for position, augmentation in enumerate(augmentations):
        batch = augmentation(batch, fold_in(seed, position))
        batch = batch | {name: codec.mend(batch[name]) for name, codec in codecs.items() if codec.mends}
    for name in derived(codecs) if augmentations else ():
        batch = batch | derive(name, codecs, batch)
    return batch
