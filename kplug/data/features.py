"""The fields of an example: which feature reads each, what it has learnt, and how a row of a split becomes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf

from kplug.data.staging import as_raised, placed
from kplug.data.values import readable_column
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Codec, DataInfo, Field, Split
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.data_rules import label_of_task
from kplug.spec.tree import plain

HERE, SOURCE = ("data", "features"), ("data", "source")


def loader(split: Split, codecs: Mapping[str, Codec]) -> Callable[[Any], dict[str, Any]]:
    """A function of a row, or of rows where the split is batched, to the arrays of a batch by name.

    Args:
        split: gives values.
        codecs: read them, by field. Numbers without one are left as they are.
    """
    columns = {
        name: tf.constant(readable_column(column))
        for name, column in split.columns.arrays.items()
        if name in split.columns.numeric or name in codecs
    }

    read = {name: placed(codec.read, (*HERE, name)) for name, codec in codecs.items()}

    def load(row: Any) -> dict[str, Any]:
        values = dict(split.load(row)) | {name: tf.gather(column, row) for name, column in columns.items()}
        found: dict[str, Any] = {}
        for name, value in values.items():
            found |= {name: value} if name not in codecs else arrays_of(name, read[name](value))
        return found

    return load


def arrays_of(name: str, read: Any) -> dict[str, Any]:
    """The arrays that a codec has read, by the names that a batch gives to them."""
    if not isinstance(read, dict):
        return {name: read}
    return {f"{name}_{suffix}" if suffix else name: value for suffix, value in read.items()}


def is_batched(split: Split, codecs: Mapping[str, Codec]) -> bool:
    """True where many rows of a split can be loaded and read at once."""
    return split.batched and all(codec.takes_batches for codec in codecs.values())


def describe(spec: Spec, splits: Mapping[str, Split]) -> DataInfo:
    """Describe the data: which fields an example has, and what the feature of each learns of them."""
    train = splits["train"]
    whole = spec.with_features(train.features)
    nodes = whole["data.features"]
    given = _given(whole, train)
    for name in nodes:
        if name not in given:
            raise whole.error((*HERE, name), f"the source gives no field '{name}'{did_you_mean(name, given)}")
    codecs, facts = {}, {}
    for name, node in nodes.items():
        codec = build(whole, node)
        if not isinstance(codec, Codec):
            raise TypeError(f"feature '{node.name}' returned {type(codec).__name__}, not a Codec")
        try:
            facts[name] = codec.learn(name, splits)
        except SpecError as error:
            problems = [p if p.where else whole.problem((*node.path, *p.path), p.message) for p in error.problems]
            raise SpecError(problems) from error.__cause__
        codecs[name] = codec.with_facts(facts[name])
    fields = _fields(whole, train, codecs)
    features = {name: plain(node) for name, node in nodes.items()}
    info = DataInfo(fields, features, facts, {name: len(split) for name, split in splits.items()}, codecs)
    label = label_of_task(spec["task"])
    return info if label is None else info.naming(label)


def _given(spec: Spec, split: Split) -> list[str]:
    """The fields that a split gives: its columns, and what it loads."""
    load = placed(split.load, SOURCE, spec.where(SOURCE))
    rows = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
    with as_raised():  # the row itself is given too, since a dataset has at least one element
        loaded, _ = rows.map(lambda row: (load(row), row)).element_spec
    both = [name for name in loaded if name in split.columns]
    if both:
        raise SpecError(f"the source gives {listed(both)} twice, as a column and from `load`", SOURCE)
    return [*loaded, *split.columns.arrays]


def _fields(spec: Spec, split: Split, codecs: Mapping[str, Codec]) -> dict[str, Field]:
    """The arrays of an example as a batch holds them; nothing is loaded for it.

    Raises:
        SpecError: one has no shape that all examples share, or is text that no feature reads.
    """
    one_by_one = replace(split, batched=False)
    row = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
    with as_raised():
        found = row.map(placed(loader(one_by_one, codecs), SOURCE, spec.where(SOURCE))).element_spec
    for name, array in found.items():
        own = name if name in codecs else next((key for key in codecs if name.startswith(f"{key}_")), None)
        if array.dtype == tf.string and own is None:
            known = f"write its feature, such as data.features.{name}: {{type: text}}"
            raise spec.error(HERE, f"which feature is '{name}'? The source gives text or files for it; {known}")
        if not array.shape.is_fully_defined():
            shape = array.shape.as_list() if array.shape.rank is not None else "none that is known"
            message = f"'{name}' has no one shape that all examples share, but {shape}; a batch needs one"
            raise spec.error("data.source" if own is None else (*HERE, own), message)
    return {name: Field(tuple(array.shape.as_list()), array.dtype.name) for name, array in found.items()}
