"""A run's predictions for every example of a split: once, or as the mean over views that augmentation makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import Augment, Batch, augment, fold_in
from kplug.data.pipeline import Data
from kplug.errors import Path, listed
from kplug.records import DataInfo
from kplug.spec import Spec
from kplug.spec.build import build

AUGMENT: Path = ("data", "augment")


class Predictions(Mapping[str, np.ndarray]):
    """The outputs of a task's signature for images, a row for each example, computed when the first is looked at.

    Args:
        ask: keyword `images`, uint8 `[b, h, w, c]`, to the outputs by name.
        names: of the outputs.
        data: whose spec says how the views are made.
        split: that is asked about.
        views: how many; 1 is the pictures as they are. Of more, numbers are the mean, and text cannot be had.
    """

    def __init__(
        self, ask: Callable[..., dict[str, np.ndarray]], names: Mapping[str, str], data: Data, split: str, views: int
    ) -> None:
        self.ask, self.data, self.split, self.views = ask, data, split, views
        self.names = tuple(names) if views == 1 else tuple(self._numbers())

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self._found[name]

    def _numbers(self) -> list[str]:
        """The outputs that a mean can be taken of; the first view is made for it, so that a bad one is refused here."""
        batch = next(iter(view(self.data, self.split, 1)))
        return [name for name, value in self.ask(images=batch["image"].numpy()).items() if value.dtype.kind == "f"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _found(self) -> dict[str, np.ndarray]:
        found = self._of_view(0)
        for number in range(1, self.views):
            more = self._of_view(number)
            found = {name: found[name] + more[name] for name in self.names}
        return found if self.views == 1 else {name: value / self.views for name, value in found.items()}

    def _of_view(self, number: int) -> dict[str, np.ndarray]:
        parts = [self.ask(images=batch["image"].numpy()) for batch in view(self.data, self.split, number)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def view(data: Data, split: str, number: int) -> tf.data.Dataset:
    """The batches of a split under `data.augment`; in view 0 the pictures are as they are.

    Raises:
        SpecError: there is no augmentation, or one that changes more than pictures.
    """
    batches = data.examples(split)
    if number == 0:
        return batches
    augmentations = build(data.spec, data.spec["data.augment"], {DataInfo: data.info})
    if not augmentations:
        raise data.spec.error(AUGMENT, "it is empty, so that views would not differ; give it random_flip, for example")
    only_pixels = [_only_pixels(data.spec, position, change) for position, change in enumerate(augmentations)]
    seed = fold_in(tf.constant([data.spec["seed"], 1]), number)  # training folds its seeds from (seed, 0)

    def changed(step: Any, batch: Batch) -> Batch:
        return augment(batch, only_pixels, fold_in(seed, tf.cast(step, tf.int32)))

    for batch in batches.take(1):
        changed(0, batch)  # where it is refused, it says so here, out of the graph
    batches = batches.enumerate().map(changed, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def _only_pixels(spec: Spec, position: int, change: Augment) -> Augment:
    """An augmentation that is refused where it changes other fields than the picture."""

    def checked(batch: Batch, seed: Any) -> Batch:
        after = change(batch, seed)
        others = [name for name in after if name != "image" and after[name] is not batch.get(name)]
        if others:
            message = f"it changes {listed(others)}; a view differs from its picture in the pixels alone"
            raise spec.error((*AUGMENT, position), message)
        return after

    return checked
