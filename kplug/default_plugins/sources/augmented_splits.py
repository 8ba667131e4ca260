"""A source whose pictures are changed once and for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import Augment, Batch, augment, fold_in
from kplug.data.codecs import pixels
from kplug.data.features import codecs_of, loader, placement_name
from kplug.data.values import owner
from kplug.default_plugins.sources.upright_codecs import UprightIds, upright
from kplug.errors import SpecError, listed
from kplug.records import AskedFeatures, Codec, DataInfo, Field, Split

TRIED = 4  # examples of the batches that an augmentation is tried on
TRIES = 3  # seeds it is tried with
TRIED_SIDE = 32  # pixels, where the pictures have no one size


def distort(
    of: Mapping[str, Split],
    asked: AskedFeatures,
    makers: Sequence[Callable[[DataInfo], Augment]],
    splits: Sequence[str],
    seed: int,
) -> dict[str, Split]:
    """The splits of a source, some with changed pictures; the parameters are those of the component `augmented`."""
    if missing := [name for name in splits if name not in of]:
        raise SpecError(f"there is no split '{missing[0]}' to change; the source has {listed(of)}")
    return {name: _distorted(split, asked, makers, seed) if name in splits else split for name, split in of.items()}


def _distorted(split: Split, asked: AskedFeatures, makers: Sequence[Callable[[DataInfo], Augment]], seed: int) -> Split:
    codecs = _codecs(split, asked)
    augmentations = _built(makers, split, codecs)
    # upright pictures of their own sizes with all that lives in them, and the numeric columns, which an augmentation
    # may go by
    load_example = loader(split, codecs)
    frames = [name for name, codec in codecs.items() if codec.is_frame]
    shapes = {name: _shape(split, name, codecs[name]) for name in frames}
    placements = {placement_name(name) for name in frames}

    def example_at(row: Any) -> Batch:
        example = {name: value for name, value in load_example(row).items() if name not in placements}
        return example | {name: tf.ensure_shape(example[name], shapes[name]) for name in frames}

    example = tf.data.Dataset.range(1).map(example_at).element_spec
    after = dict(shapes)
    try:
        for position, change in enumerate(augmentations):
            after = _shapes_after(change, example, codecs, position, after)
    except Exception as error:
        if isinstance(error.__context__, SpecError):  # TensorFlow wraps what is raised while a graph is made
            raise error.__context__ from None
        raise

    def load(row: Any) -> Batch:
        # each alone, so that neither its neighbours nor their sizes play a part
        alone = {name: value[tf.newaxis] for name, value in example_at(row).items()}
        step_seed = fold_in(tf.constant([seed, 0]), tf.cast(row, tf.int32))
        changed = augment(alone, augmentations, step_seed, codecs)
        changed |= {name: tf.ensure_shape(changed[name], [1, *after[name]]) for name in frames}
        return {name: value[0] for name, value in changed.items() if name not in left}

    moved = {name for name in split.columns.arrays if owner(name, codecs) in codecs}
    left = {name for name in split.columns.arrays if name not in moved}
    columns = {name: array for name, array in split.columns.arrays.items() if name not in moved}
    facts = {**split.facts, **{name: _facts(split, name, after[name]) for name in frames}}
    return replace(split, columns=replace(split.columns, arrays=columns), load=load, facts=facts, batched=False)


def _codecs(split: Split, asked: AskedFeatures) -> dict[str, Codec]:
    """The codecs of pictures and of what lives in them, in their own frames."""
    made = {name: codec for name, codec in codecs_of(split, asked).items() if codec.of is None}
    frames = [name for name, codec in made.items() if codec.is_frame]
    found = {}
    for name, codec in made.items():
        if not (codec.is_frame or codec.in_frame):
            continue
        codec = codec.with_facts({"frame": frames[0]}) if codec.in_frame and len(frames) == 1 else codec
        own = upright(codec, split.facts.get(name, {}).get("channels"))
        if own is None:
            raise SpecError(f"'{name}', which is read by {type(codec).__name__}, cannot be changed once and for all")
        found[name] = own
    return found


def _shape(split: Split, name: str, codec: Codec) -> tuple[int | None, ...]:
    return (*(split.facts.get(name, {}).get("size") or (None, None)), codec.field.shape[-1])


def _facts(split: Split, name: str, shape: tuple[int | None, ...]) -> dict[str, Any]:
    told = {**split.facts.get(name, {}), "channels": shape[-1]}
    if None not in shape:
        told["size"] = shape[:2]
    return told


def _built(makers: Sequence[Callable[[DataInfo], Augment]], split: Split, codecs: Mapping[str, Codec]) -> list[Augment]:
    """The augmentations, which are told what they are given here: pictures, and columns of numbers."""
    fields = {name: Field(array.shape[1:], array.dtype.name) for name, array in split.columns.numeric.items()}
    label = {"label": {"classes": list(split.facts.get("label", {}).get("classes", ()))}}
    pictures = {name: Field(_shape(split, name, codec), "uint8") for name, codec in codecs.items() if codec.is_frame}
    info = DataInfo({**fields, **pictures}, facts=label, codecs=codecs)
    return [make(info) for make in makers]


# --- what may be used ----------------------------------------------------------------------------------------------

Shapes = dict[str, tuple[int | None, ...]]  # of pictures, by field


def _shapes_after(
    change: Augment, example: Mapping[str, tf.TensorSpec], codecs: Mapping[str, Codec], position: int, shapes: Shapes
) -> Shapes:
    """The shapes of pictures after an augmentation.

    Args:
        change: an augmentation, which is given batches that have the first example alone in common.
        example: the fields of a batch.
        codecs: of pictures, and of what lives in them.
        position: where the augmentation stands in its list.
        shapes: of pictures before it.

    Raises:
        SpecError: it lets a picture depend on its neighbours, changes other fields of an example, or needs a size.
    """
    example = dict(example) | {name: tf.TensorSpec(shape, tf.uint8) for name, shape in shapes.items()}
    in_graph = tf.function(change)
    if any(None in shape for shape in shapes.values()):
        _take_any_size(in_graph, example, position)
    rng = np.random.default_rng(0)
    one, other = _batch(example, codecs, rng), _batch(example, codecs, rng)
    other |= {name: tf.concat([one[name][:1], other[name][1:]], axis=0) for name in shapes}
    changed = one
    for number in range(TRIES):
        changed, again = (in_graph(batch, tf.constant([number, 0])) for batch in (one, other))
        for name, value in one.items():
            if owner(name, codecs) not in codecs and not _equal(value, changed[name]):
                raise SpecError(f"augment.{position} changes '{name}'; here it may change the picture alone")
        for name in shapes:
            first, alone = (tf.cast(pixels.to_uint8(batch[name])[0], tf.int32) for batch in (changed, again))
            if tf.reduce_max(tf.abs(first - alone)) > 1:
                what = f"augment.{position} lets a picture depend on the others of its batch"
                raise SpecError(f"{what}; here each is changed by itself")
    is_kept = {name: changed[name].shape[1:] == one[name].shape[1:] for name in shapes}
    return {name: shape if is_kept[name] else tuple(changed[name].shape[1:]) for name, shape in shapes.items()}


def _take_any_size(in_graph: Any, example: Mapping[str, tf.TensorSpec], position: int) -> None:
    """Refuse an augmentation that cannot do without knowing the size of pictures."""
    alone = {name: tf.TensorSpec([1, *spec.shape], spec.dtype) for name, spec in example.items()}
    try:
        in_graph.get_concrete_function(alone, tf.TensorSpec([2], tf.int32))
    except (TypeError, ValueError) as error:
        what = f"augment.{position} works on pictures of one known size, and those of this source differ"
        raise SpecError(f"{what}; leave it out, or resize the files") from error


def _batch(example: Mapping[str, tf.TensorSpec], codecs: Mapping[str, Codec], rng: np.random.Generator) -> Batch:
    """A batch of zeros, with noise as pictures, and nothing that lives in them."""
    zeros = {name: tf.zeros([TRIED, *(n or 1 for n in spec.shape)], spec.dtype) for name, spec in example.items()}
    for name, codec in codecs.items():
        if codec.is_frame:
            noise = rng.integers(0, 256, (TRIED, *_sides(example[name].shape), example[name].shape[-1]))
            zeros[name] = tf.constant(noise, tf.uint8)
        if isinstance(codec, UprightIds) and codec.frame:
            sides = _sides(example[codec.frame].shape)
            zeros[name] = tf.zeros([TRIED, *sides, example[name].shape[-1] or 1], tf.int32)
    return zeros


def _sides(shape: Any) -> tuple[int, int]:
    return shape[0] or TRIED_SIDE, shape[1] or TRIED_SIDE


def _equal(one: Any, other: Any) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(tf.reduce_all(one == other))
