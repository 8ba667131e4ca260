"""The fields of an example: what they are, and how a row of a split becomes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.codecs import decoding, pixels
from kplug.data.readable import unreadable
from kplug.records import DataInfo, Field, Split
from kplug.spec import Spec

LOOKED_AT = 100  # pictures that are opened to find out whether all have one size


def examples_loader(split: Split, channels: int) -> Callable[[Any], dict[str, Any]]:
    """A function of a row, or of rows where the split is batched, to fields: pictures decoded, numeric columns joined.

    Args:
        split: loads the fields that are no columns.
        channels: 1, 3 or 4, which pictures of files are given.
    """
    numeric = {name: tf.constant(column) for name, column in split.columns.numeric.items()}

    def load(row: Any) -> dict[str, Any]:
        fields = dict(split.load(row))
        if fields["image"].dtype == tf.string:
            fields["image"] = decoding.decode(fields["image"], channels)
        return fields | {name: tf.gather(values, row) for name, values in numeric.items()}

    return load


def loader(split: Split, info: DataInfo) -> Callable[[Any], dict[str, Any]]:
    """A function as that of `examples_loader`, whose pictures have the size and the channels that `info` says."""
    height, width, channels = info.image_shape
    load_example = examples_loader(split, channels)

    def load(row: Any) -> dict[str, Any]:
        fields = load_example(row)
        image = pixels.to_channels(fields["image"], channels)
        image = pixels.resize(image, (height, width), info.resize)
        return fields | {"image": tf.ensure_shape(image, [*image.shape[:-3], height, width, channels])}

    return load


def describe(spec: Spec, splits: Mapping[str, Split]) -> DataInfo:
    """Describe the data: the fields of an example, classes, counts; the first example of train is loaded for it."""
    train = splits["train"]
    shape = (*_image_size(spec, train), spec["data.image.channels"] or train.image[2] or 3)
    labels = train.columns.arrays.get("label")
    counts: tuple[int, ...] = ()
    if labels is not None and train.classes:
        per_class = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=len(train.classes))
        counts = tuple(int(n) for n in per_class)
    sizes = {name: len(split) for name, split in splits.items()}
    image = {"image": Field(shape, "uint8")}
    info = DataInfo(image, spec["data.image.resize"], train.classes, counts, sizes, train.vocabulary)
    one_by_one = replace(train, batched=False)
    loaded = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).map(loader(one_by_one, info)).element_spec
    return replace(info, fields={name: Field(tuple(s.shape.as_list()), s.dtype.name) for name, s in loaded.items()})


def _image_size(spec: Spec, split: Split) -> tuple[int, int]:
    """Height and width as the spec says them, else the source, else as a sample of the pictures has them."""
    if size := spec["data.image.size"]:
        return size[0], size[1]
    height, width, _ = split.image
    if height is not None and width is not None:
        return height, width
    rows = np.unique(np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(np.int64))
    try:
        found = {decoding.size_of(split.load(tf.constant(row))["image"]) for row in rows}
    except tf.errors.InvalidArgumentError as error:
        raise unreadable(split, rows, error) from None
    if len(found) == 1:
        return found.pop()
    few = ", ".join(f"{h}x{w}" for h, w in sorted(found)[:3])
    message = f"the pictures differ in size ({few}, ...); say to which size they are brought, such as [224, 224]"
    raise spec.error("data.image.size", message)
