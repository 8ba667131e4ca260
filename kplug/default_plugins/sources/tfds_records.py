"""The source of datasets of TensorFlow Datasets, read as raw records by row.

TFDS itself reads TFRecord files in order only and array_record files outside tf.data only; records (serialized
tf.train.Example) are common to both, and its features decode them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder, registered

from kplug.data.source_files import object_column
from kplug.default_plugins.sources.picture_splits import cached, described, memory_split
from kplug.default_plugins.sources.record_files import Records, open_records
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Columns, Split

READ_AT_ONCE = 256  # records in one call, when all of a split are read
DOWNLOAD_HOST = ("storage.googleapis.com", 443)  # TFDS's own store; where its name is unknown there is no network
Arrays = dict[str, np.ndarray]

# --- the source ----------------------------------------------------------------------------------------------------


def open_tfds(
    name: str,
    data_dir: str | None,
    expressions: Mapping[str, str | None],
    image: str,
    label: str | None,
    cache_mb: int,
    download: bool,
) -> dict[str, Split]:
    """The splits of a dataset; `kplug.default_plugins.sources.tfds` says the parameters."""
    builder = _prepared(name, os.path.expanduser(data_dir) if data_dir else None, download)
    features = builder.info.features
    picture = _picture_feature(name, features, image)
    if label is not None:
        _check_label_feature(name, features, label)
    parts = {split: _instructions(builder, split, text) for split, text in expressions.items() if text is not None}
    records = open_records(builder.info.file_format.value, parts)
    with _damage_reported(builder):
        columns = {split: _scalar_columns(found, features, label) for split, found in records.items()}
    classes = () if label is None else _replace_labels(name, features[label], label, columns)
    splits, room = {}, cache_mb * 2**20
    for split, found in records.items():
        size = len(found) * int(np.prod([side or 0 for side in picture.shape]))
        if 0 < size <= room:
            room -= size
            with _damage_reported(builder):
                pictures = _decoded(found, image, picture)
            splits[split] = memory_split(pictures, columns[split], classes)
        else:
            splits[split] = _random_access_split(found, image, picture, columns[split], classes)
    # what is left is for pictures of several sizes, which the host keeps once they are resized
    return cached(splits, room // 2**20)


def _instructions(builder: tfds.core.DatasetBuilder, split: str, expression: str) -> list[Any]:
    """The file instructions of a split expression: which records of which files it means."""
    known = {name: info.num_examples for name, info in builder.info.splits.items()}
    sizes = listed(f"{name} ({size:,})" for name, size in known.items())
    try:
        found = list(builder.info.splits[expression].file_instructions)
    except (ValueError, KeyError, AssertionError, NotImplementedError) as error:
        reason, none = str(error).splitlines()[-1], ""
        if expression.isidentifier():
            reason = f"{builder.info.full_name} has no such split{did_you_mean(expression, known)}"
            none = "" if split == "train" else f"; {split}: null for none"
        raise SpecError(f"{split}: '{expression}': {reason} (splits: {sizes}{none})") from None
    if not sum(instruction.take for instruction in found):
        raise SpecError(f"{split}: '{expression}' holds no example (splits of {builder.info.full_name}: {sizes})")
    return found


# --- the dataset on disk -------------------------------------------------------------------------------------------


def _prepared(name: str, data_dir: str | None, download: bool) -> tfds.core.DatasetBuilder:
    """The builder of a dataset that is on disk, downloaded where need be."""
    builder = _find_builder(name, data_dir)
    if builder.info.splits:
        return builder
    what, remedy = f"{name} is not prepared in {_what_is_there(data_dir)}", "data_dir to the folder that has it"
    if not download:
        raise SpecError(f"{what}; set download: true, or {remedy}")
    if not _has_network():
        raise SpecError(f"{what}, and there is no network to download it from; set {remedy}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints its notes to stdout, which is for results
            builder.download_and_prepare()
    except (OSError, ValueError, AssertionError) as error:
        raise SpecError(f"{what}, and cannot be: {error}") from error
    return builder


def _find_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset: from its files where they are there, of any version; else from its code."""
    try:
        with contextlib.suppress(registered.DatasetNotFoundError):
            return read_only_builder.builder_from_files(name, data_dir=data_dir)
        return tfds.builder(name, data_dir=data_dir)
    except registered.DatasetNotFoundError:
        plain = name.split("/")[0].split(":")[0]
        known = [*_folders(data_dir), *tfds.list_builders(with_community_datasets=False)]
        what = f"no dataset named '{plain}'{did_you_mean(plain, known)}"
        raise SpecError(f"{what}; not in TensorFlow Datasets, nor in {_what_is_there(data_dir)}") from None
    except (ValueError, AssertionError) as error:
        raise SpecError(f"{name}: {error}; looked in {_what_is_there(data_dir)}") from None


def _folders(data_dir: str | None) -> list[str]:
    """The datasets in a folder, each a folder of its own."""
    folder = data_dir or tfds.core.constants.DATA_DIR
    if not os.path.isdir(folder):
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name != "downloads")


def _what_is_there(data_dir: str | None) -> str:
    """The folder of datasets with what it holds, for an error."""
    folder = data_dir or tfds.core.constants.DATA_DIR
    found = f"holds {listed(_folders(data_dir)) or 'no datasets'}" if os.path.isdir(folder) else "does not exist"
    return f"{folder} (which {found})"


def _has_network() -> bool:
    """Return True where a download can be tried: offline, TFDS itself goes on trying for minutes."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.getproxies() or socket.getaddrinfo(*DOWNLOAD_HOST))
    return False


# --- features ------------------------------------------------------------------------------------------------------


def _picture_feature(name: str, features: tfds.features.FeaturesDict, image: str) -> tfds.features.FeatureConnector:
    def fits(feature: tfds.features.FeatureConnector) -> bool:
        plain = isinstance(feature, tfds.features.Image) or type(feature) is tfds.features.Tensor
        return plain and feature.np_dtype == np.uint8 and len(feature.shape) == 3

    pictures = [key for key, feature in sorted(features.items()) if fits(feature)]
    if image not in pictures:
        what = f"'{image}' is no uint8 picture" if image in features else f"no feature '{image}'"
        known = f"pictures: {listed(pictures) or 'none'}"
        raise SpecError(f"image: {name}: {what}{did_you_mean(image, pictures)} ({known})")
    return features[image]


def _is_scalar(feature: tfds.features.FeatureConnector) -> bool:
    """Return True for a feature that a record holds as one number or string: ClassLabel, Scalar, Text."""
    kinds = (tfds.features.ClassLabel, tfds.features.Scalar, tfds.features.Text, tfds.features.Tensor)
    info = feature.get_serialized_info() if isinstance(feature, kinds) else None
    if info is None or info.shape != () or feature.shape != ():
        return False
    return info.np_dtype != np.object_ or isinstance(feature, tfds.features.Text)  # else a number as compressed bytes


def _check_label_feature(name: str, features: tfds.features.FeaturesDict, label: str) -> None:
    scalars = [(key, feature) for key, feature in sorted(features.items()) if _is_scalar(feature)]
    labels = [key for key, feature in scalars if np.issubdtype(feature.np_dtype, np.integer)]
    if label not in labels:
        what = f"'{label}' is no class" if label in features else f"no feature '{label}'"
        known = f"classes and integers: {listed(labels) or 'none'}; null for no labels"
        raise SpecError(f"label: {name}: {what}{did_you_mean(label, labels)} ({known})")


def _replace_labels(
    name: str, feature: tfds.features.FeatureConnector, label: str, columns: dict[str, Arrays]
) -> tuple[str, ...]:
    """Put `label`, int32, first into every split's columns; return the class names."""
    values = {split: found.pop(label) for split, found in columns.items()}
    if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes:
        numbers = np.arange(feature.num_classes)
        classes = tuple(feature.names)
    else:
        numbers = np.unique(np.concatenate(list(values.values())))
        classes = tuple(str(number) for number in numbers)
    for split, found in columns.items():
        if outside := int((~np.isin(values[split], numbers)).sum()):
            what = f"{outside:,} of {len(values[split]):,} examples of {name}'s split for {split} have no label"
            raise SpecError(f"{what} (outside 0 to {len(numbers) - 1}); choose another split, or null")
        columns[split] = {"label": np.searchsorted(numbers, values[split]).astype(np.int32), **found}
    return classes


@contextlib.contextmanager
def _damage_reported(builder: tfds.core.DatasetBuilder) -> Iterator[None]:
    """Say which dataset has records that cannot be read."""
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # TensorFlow quotes the bytes, which may be no text
        what = f"a record in {builder.data_dir} cannot be read; remove the folder and prepare the dataset again"
        raise SpecError(what) from error


# --- reading -------------------------------------------------------------------------------------------------------


def _batches(records: Records, parse: Callable[[tf.Tensor], Any]) -> tf.data.Dataset:
    """All records in order, some at a time, as `parse` makes them of strings `[n]`."""

    def read(rows: tf.Tensor) -> Any:
        return parse(tf.ensure_shape(tf.numpy_function(records.read, [rows], tf.string, stateful=False), [None]))

    rows = tf.data.Dataset.range(len(records)).batch(READ_AT_ONCE)
    return rows.map(read, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _scalar_columns(records: Records, features: tfds.features.FeaturesDict, label: str | None) -> Arrays:
    """The features that are one number or string an example, by name; pictures are not decoded for them."""
    given = {"image", "label"} - {label}  # names that the batch gives to what the spec chose
    scalars = {key: features[key] for key in sorted(features) if key not in given and _is_scalar(features[key])}
    if not scalars:
        return {}
    spec = {key: features.tf_example_spec[key] for key in scalars}
    parts = list(_batches(records, lambda raw: tf.io.parse_example(raw, spec)).as_numpy_iterator())
    columns = {}
    for key, feature in scalars.items():
        values = np.concatenate([part[key] for part in parts])
        if values.dtype == object:
            columns[key] = object_column([value.decode("utf-8", "replace") for value in values])
        else:
            columns[key] = values.astype(np.int32 if feature.np_dtype == np.bool_ else feature.np_dtype)
    return columns


def _decoded(records: Records, image: str, picture: tfds.features.FeatureConnector) -> np.ndarray:
    """All pictures, uint8 `[n, height, width, channels]`."""
    deserialize = tfds.features.FeaturesDict({image: picture}).deserialize_example
    signature = tf.TensorSpec(picture.shape, tf.uint8)

    def decode(raw: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda record: deserialize(record)[image], raw, fn_output_signature=signature)

    pictures = np.empty((len(records), *picture.shape), np.uint8)
    for number, batch in enumerate(_batches(records, decode).as_numpy_iterator()):
        pictures[number * READ_AT_ONCE :][: len(batch)] = batch
    return pictures


def _random_access_split(
    records: Records, image: str, picture: tfds.features.FeatureConnector, columns: Arrays, classes: Sequence[str]
) -> Split:
    """A split that reads an example when it is asked for; an encoded picture is left to the host."""
    only_image = tfds.features.FeaturesDict({image: picture})
    decoders = {image: tfds.decode.SkipDecoding()} if isinstance(picture, tfds.features.Image) else None

    def load(row: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = tf.numpy_function(lambda row: records.read(row[np.newaxis])[0], [row], tf.string, stateful=False)
        return {"image": only_image.deserialize_example(tf.ensure_shape(raw, []), decoders=decoders)[image]}

    told = described(columns, classes, tuple(picture.shape))
    return Split(Columns(len(records), columns), load, **told)
