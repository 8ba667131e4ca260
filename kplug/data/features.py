"""The fields of an example: which feature reads each, what it has learnt, and how a row of a split becomes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from kplug.data.staging import as_raised, placed
from kplug.data.values import owner, readable_column
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.kinds import Feature
from kplug.records import AskedFeatures, Codec, DataInfo, Field, Split
from kplug.spec import Spec
from kplug.spec.build import build, build_plain
from kplug.spec.data_rules import label_of_task
from kplug.spec.features import completed
from kplug.spec.plugins import host
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

    def load(row: Any) -> dict[str, Any]:
        values = dict(split.load(row)) | {name: tf.gather(column, row) for name, column in columns.items()}
        return read_fields(values, codecs)

    return load


def read_fields(values: Mapping[str, Any], codecs: Mapping[str, Codec]) -> dict[str, Any]:
    """The arrays of an example by the names of a batch; pictures first, since others are placed as they are.

    Args:
        values: of one example, or of many where all codecs take batches, by field, as a source or a person gives them.
        codecs: of the fields; what has none is left as it is.
    """
    given: dict[str, Any] = {}
    for array, value in values.items():
        name = owner(array, codecs)
        given.setdefault(name, {})[array[len(name) + 1 :]] = value
    inhabited = {codec.frame for codec in codecs.values() if codec.in_frame}
    found: dict[str, Any] = {}
    for name in sorted(given, key=lambda name: name in codecs and codecs[name].in_frame):
        value = given[name][""] if set(given[name]) == {""} else given[name]
        found |= _read_field(name, value, codecs, found, name in inhabited)
    for name in derived(codecs):
        found |= derive(name, codecs, found, is_one=True)
    return found


def derived(codecs: Mapping[str, Codec]) -> list[str]:
    """The fields that are taken from others, which no source gives."""
    return [name for name, codec in codecs.items() if codec.of is not None]


def _read_field(
    name: str, value: Any, codecs: Mapping[str, Codec], read: Mapping[str, Any], is_inhabited: bool
) -> dict[str, Any]:
    if name not in codecs:
        return {name: value}
    codec = codecs[name]
    if codec.in_frame:
        call = placed(codec.read_in, (*HERE, name))
        return arrays_of(name, call(value, read[placement_name(codec.frame)]))
    if not is_inhabited:
        return arrays_of(name, placed(codec.read, (*HERE, name))(value))
    picture, placement = placed(codec.read_placed, (*HERE, name))(value)
    return arrays_of(name, picture) | {placement_name(name): placement}


def placement_name(frame: str | None) -> str:
    """The array of a batch that says how a picture was placed."""
    return f"{frame}_placement"


def derive(name: str, codecs: Mapping[str, Codec], arrays: Mapping[str, Any], is_one: bool = False) -> dict[str, Any]:
    """The arrays of a field that is taken from another one, of a batch, or of one example."""
    codec = codecs[name]
    assert codec.of is not None
    own = {suffix: f"{codec.of}_{suffix}" if suffix else codec.of for suffix in codecs[codec.of].arrays}
    given = {suffix: arrays[array] for suffix, array in own.items()}
    if not is_one:
        return arrays_of(name, codec.derive(given))
    found = codec.derive({suffix: value[tf.newaxis] for suffix, value in given.items()})
    return arrays_of(name, {suffix: value[0] for suffix, value in found.items()})


def arrays_of(name: str, read: Any) -> dict[str, Any]:
    """The arrays that a codec has read, by the names that a batch gives to them."""
    if not isinstance(read, dict):
        return {name: read}
    return {f"{name}_{suffix}" if suffix else name: value for suffix, value in read.items()}


def codecs_of(split: Split, asked: AskedFeatures) -> dict[str, Codec]:
    """The codecs of a split's fields, which have learnt nothing yet, for a source that reads what another one gives.

    Args:
        split: of the other source; a field of which neither it nor the spec names the feature has none.
        asked: what the spec says of the fields.
    """
    named = completed(asked.nodes, split.features, host().registry)
    return {name: build_plain(Feature, node) for name, node in named.items()}


def is_batched(split: Split, codecs: Mapping[str, Codec]) -> bool:
    """True where many rows of a split can be loaded and read at once."""
    return split.batched and all(codec.takes_batches for codec in codecs.values())


def describe(spec: Spec, splits: Mapping[str, Split]) -> DataInfo:
    """Describe the data: which fields an example has, and what the feature of each learns of them."""
    train = splits["train"]
    whole = spec.with_features(train.features)
    nodes = whole["data.features"]
    given = _given(whole, train)
    made = {name: build(whole, node) for name, node in nodes.items()}
    for name in nodes:
        if name not in given and getattr(made[name], "of", None) is None:
            raise whole.error((*HERE, name), f"the source gives no field '{name}'{did_you_mean(name, given)}")
    for name, codec in made.items():
        if not isinstance(codec, Codec):
            raise TypeError(f"feature '{nodes[name].name}' returned {type(codec).__name__}, not a Codec")
    codecs: dict[str, Codec] = {}
    facts: dict[str, Any] = {}
    for name in sorted(nodes, key=lambda name: (made[name].in_frame, made[name].of is not None)):
        try:
            facts[name] = _learnt(name, made[name], splits, codecs, facts)
        except SpecError as error:
            problems = [
                p if p.where else whole.problem((*nodes[name].path, *p.path), p.message) for p in error.problems
            ]
            raise SpecError(problems) from error.__cause__
        codecs[name] = made[name].with_facts(facts[name])
        if not spec.written.kept and (problem := _unfit_name(facts[name].get("classes") or ())):
            raise spec.error("data.source", f"a class of '{name}' {problem}")
    codecs, facts = ({name: one[name] for name in nodes} for one in (codecs, facts))
    fields = _fields(whole, train, codecs)
    features = {name: plain(node) for name, node in nodes.items()}
    info = DataInfo(fields, features, facts, {name: len(split) for name, split in splits.items()}, codecs)
    label = label_of_task(spec["task"])
    return info if label is None else info.naming(label)


def _unfit_name(classes: Sequence[str]) -> str:
    """The reason why class names cannot be written into files and shown to a person; "" where they can."""
    seen: dict[str, str] = {}
    for name in map(str, classes):
        if any("\ud800" <= character <= "\udfff" for character in name):
            raw = name.encode("utf-8", "surrogateescape")
            return f"has a name that is no Unicode text, {raw!r}: rename it, in UTF-8"
        if any(unicodedata.category(character) == "Cc" for character in name):
            return f"has a control character in its name, {name!r}: rename it"
        same = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if same != name:
            return f"is named {name!a} and another one {same!a}, which look the same: rename one, or make them one"
    return ""


def _learnt(
    name: str, codec: Codec, splits: Mapping[str, Split], codecs: Mapping[str, Codec], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts of a field; of one that lives in a picture, which that is and its size among them.

    Args:
        name: of the field.
        codec: of its feature, which knows nothing yet.
        splits: of the source.
        codecs: of the pictures, and of the fields that others are taken from.
        facts: of the same.
    """
    if codec.linked is not None and not (codec.linked in codecs and codecs[codec.linked].is_frame):
        raise SpecError([Problem(f"'{codec.linked}' is no picture that stands before it", ("linked",))])
    if not codec.in_frame:
        return codec.learn(name, splits)
    frame = codec.frame or _only_frame(codecs)
    if frame not in codecs or not codecs[frame].is_frame:
        raise SpecError([Problem(f"'{frame}' is no field of pictures", ("frame",))])
    size = list(codecs[frame].field.shape[-3:-1])
    if codec.of is None:
        return codec.learn(name, splits) | {"frame": frame, "size": size}
    if codec.of not in codecs or codecs[codec.of].of is not None:
        raise SpecError([Problem(f"there is no field '{codec.of}' to take them from", ("of",))])
    return codec.learn_from(facts[codec.of]) | {"frame": frame, "size": size}


def _only_frame(codecs: Mapping[str, Codec]) -> str:
    frames = [name for name, codec in codecs.items() if codec.is_frame]
    if len(frames) != 1:
        what = f"there are the pictures {listed(frames)}; say in which" if frames else "there is no picture for"
        raise SpecError(
            [Problem(f"{what} it lives", ("frame",))] if frames else "it lives in a picture, and there is none"
        )
    return frames[0]


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
