"""What the fields of an example are, and how a row becomes fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.codecs import decoding, pixels
from kplug.data.codecs import decoding as images
from kplug.data.readable import unreadable
from kplug.records import DataInfo, Field, Split
from kplug.spec import Spec

LOOKED_AT = 100  # pictures that are opened to find out whether all have one size


def loader(split: Split, info: DataInfo) -> Callable[[Any], dict[str, Any]]:
    """row or rows to features: what the split loads, its pictures in their size, and its numeric columns."""
    height, width, channels = info.image_shape
    numeric = {name: tf.constant(column) for name, column in split.columns.numeric.items()}

    def load(row: Any) -> dict[str, Any]:
        features = dict(split.load(row))
        image = features["image"]
        if image.dtype == tf.string:
            image = images.decode(image, channels)
        image = pixels.resize(pixels.to_channels(image, channels), (height, width), info.resize)
        features["image"] = tf.ensure_shape(image, [*image.shape[:-3], height, width, channels])
        return features | {name: tf.gather(values, row) for name, values in numeric.items()}

    return load


def describe(spec: Spec, splits: Mapping[str, Split]) -> DataInfo:
    train = splits["train"]
    shape = (*_image_size(spec, train), _channels(spec, train))
    labels = train.columns.arrays.get("label")
    counts: tuple[int, ...] = ()
    if labels is not None and train.classes:
        per_class = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=len(train.classes))
        counts = tuple(int(n) for n in per_class)
    sizes = {name: len(split) for name, split in splits.items()}
    info = DataInfo(
        {"image": Field(shape, "uint8")}, spec["data.image.resize"], train.classes, counts, sizes, train.vocabulary
    )
    loaded = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).map(loader(_one_by_one(train), info)).element_spec
    fields = {name: Field(tuple(s.shape.as_list()), s.dtype.name) for name, s in loaded.items()}
    return DataInfo(fields, info.resize, info.classes, info.counts, info.splits, info.vocabulary)


def _one_by_one(split: Split) -> Split:
    return Split(split.columns, split.load, split.classes, split.image, False, split.vocabulary)


def _image_size(spec: Spec, split: Split) -> tuple[int, int]:
    size = spec["data.image.size"]
    if size is not None:
        return size[0], size[1]
    if split.image[0] is not None and split.image[1] is not None:
        return split.image[0], split.image[1]
    rows = np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(np.int64)
    try:
        found = {decoding.size_of(split.load(tf.constant(row))["image"]) for row in np.unique(rows)}
    except tf.errors.InvalidArgumentError as error:
        raise unreadable(split, rows, error) from None
    if len(found) == 1:
        return found.pop()
    few = ", ".join(f"{h}x{w}" for h, w in sorted(found)[:3])
    message = f"the pictures differ in size ({few}, ...); say to which size they are brought, such as [224, 224]"
    raise spec.error("data.image.size", message)


def _channels(spec: Spec, split: Split) -> int:
    return spec["data.image.channels"] or split.image[2] or 3
