"""A source whose pictures are changed once and for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import Augment, Batch, augment, fold_in
from kplug.data.codecs import pixels
from kplug.data.codecs.decoding import decode
from kplug.data.features import loader
from kplug.data.geometry import warp
from kplug.errors import SpecError, listed
from kplug.records import Codec, DataInfo, Field, Geometry, Split

TRIED = 4  # examples of the batches that an augmentation is tried on
TRIES = 3  # seeds it is tried with
TRIED_SIDE = 32  # pixels, where the pictures have no one size


def distort(
    of: Mapping[str, Split], makers: Sequence[Callable[[DataInfo], Augment]], splits: Sequence[str], seed: int
) -> dict[str, Split]:
    """The splits of a source, some with changed pictures; the parameters are those of the component `augmented`."""
    if missing := [name for name in splits if name not in of]:
        raise SpecError(f"there is no split '{missing[0]}' to change; the source has {listed(of)}")
    return {name: _distorted(split, makers, seed) if name in splits else split for name, split in of.items()}


def _distorted(split: Split, makers: Sequence[Callable[[DataInfo], Augment]], seed: int) -> Split:
    told = split.facts.get("image", {})
    shape = (*(told.get("size") or (None, None)), told.get("channels") or 3)
    codecs = {"image": Decoded(shape)}
    augmentations = _built(makers, split, codecs)
    # upright pictures of their own sizes, with the numeric columns, which an augmentation may go by
    load_example = loader(split, codecs)

    def load(row: Any) -> Batch:
        example = load_example(row)
        example["image"] = tf.ensure_shape(example["image"], shape)
        # each alone, so that neither its neighbours nor their sizes play a part
        alone = {name: value[tf.newaxis] for name, value in example.items()}
        step_seed = fold_in(tf.constant([seed, 0]), tf.cast(row, tf.int32))
        changed = augment(alone, augmentations, step_seed, codecs)
        changed["image"] = tf.ensure_shape(changed["image"], [1, *shape])
        return {name: value[0] for name, value in changed.items() if name not in split.columns}

    example = tf.data.Dataset.range(1).map(split.load).element_spec | {"image": tf.TensorSpec(shape, tf.uint8)}
    example |= {name: tf.TensorSpec(array.shape[1:], array.dtype) for name, array in split.columns.numeric.items()}
    try:
        for position, change in enumerate(augmentations):
            _try(change, example, position)
    except Exception as error:
        if isinstance(error.__context__, SpecError):  # TensorFlow wraps what is raised while a graph is made
            raise error.__context__ from None
        raise
    facts = {**split.facts, "image": {**told, "channels": shape[2]}}
    return replace(split, load=load, facts=facts, batched=False)


@dataclass(frozen=True)
class Decoded(Codec):
    """The codec of pictures that keep their own sizes.

    Args:
        shape: height, width, which may vary, and channels, 1, 3 or 4, which files are given.
    """

    shape: tuple[int | None, int | None, int]

    mends = is_frame = moves = True

    @property
    def field(self) -> Field:
        return Field(self.shape, "uint8")

    def read(self, value: Any) -> Any:
        return decode(value, self.shape[2]) if value.dtype == tf.string else value

    def mend(self, value: Any) -> Any:
        return pixels.to_uint8(value)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        return {"": warp(arrays[""], geometry, geometry.interpolation, geometry.value)}


def _built(makers: Sequence[Callable[[DataInfo], Augment]], split: Split, codecs: Mapping[str, Codec]) -> list[Augment]:
    """The augmentations, which are told what they are given here: the picture, and columns of numbers."""
    fields = {name: Field(array.shape[1:], array.dtype.name) for name, array in split.columns.numeric.items()}
    label = {"label": {"classes": list(split.facts.get("label", {}).get("classes", ()))}}
    info = DataInfo({"image": codecs["image"].field, **fields}, facts=label, codecs=codecs)
    return [make(info) for make in makers]


# --- what may be used ----------------------------------------------------------------------------------------------


def _try(change: Augment, example: Mapping[str, tf.TensorSpec], position: int) -> None:
    """Refuse what lets a picture depend on its neighbours, changes other fields of an example, or needs a size.

    Args:
        change: an augmentation, which is given batches that have the first example alone in common.
        example: the fields of a batch.
        position: where the augmentation stands in its list.
    """
    in_graph = tf.function(change)
    if None in example["image"].shape:
        _take_any_size(in_graph, example, position)
    rng = np.random.default_rng(0)
    one, other = _batch(example, rng), _batch(example, rng)
    other["image"] = tf.concat([one["image"][:1], other["image"][1:]], axis=0)
    for number in range(TRIES):
        changed, again = (in_graph(batch, tf.constant([number, 0])) for batch in (one, other))
        for name, value in one.items():
            if name != "image" and not _equal(value, changed[name]):
                raise SpecError(f"augment.{position} changes '{name}'; here it may change the picture alone")
        first, alone = (tf.cast(pixels.to_uint8(batch["image"])[0], tf.int32) for batch in (changed, again))
        if tf.reduce_max(tf.abs(first - alone)) > 1:
            what = f"augment.{position} lets a picture depend on the others of its batch"
            raise SpecError(f"{what}; here each is changed by itself")


def _take_any_size(in_graph: Any, example: Mapping[str, tf.TensorSpec], position: int) -> None:
    """Refuse an augmentation that cannot do without knowing the size of pictures."""
    alone = {name: tf.TensorSpec([1, *spec.shape], spec.dtype) for name, spec in example.items()}
    try:
        in_graph.get_concrete_function(alone, tf.TensorSpec([2], tf.int32))
    except (TypeError, ValueError) as error:
        what = f"augment.{position} works on pictures of one known size, and those of this source differ"
        raise SpecError(f"{what}; leave it out, or resize the files") from error


def _batch(example: Mapping[str, tf.TensorSpec], rng: np.random.Generator) -> Batch:
    """A batch of zeros, with noise as pictures."""
    zeros = {name: tf.zeros([TRIED, *(n or 1 for n in spec.shape)], spec.dtype) for name, spec in example.items()}
    height, width, channels = example["image"].shape
    shape = (TRIED, height or TRIED_SIDE, width or TRIED_SIDE, channels)
    return zeros | {"image": tf.constant(rng.integers(0, 256, shape), tf.uint8)}


def _equal(one: Any, other: Any) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(tf.reduce_all(one == other))
