"""Data as a function of (seed, step): the batch at a step depends on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug import images, pixels
from kplug.apart import set_apart, validating
from kplug.build import build
from kplug.errors import SpecError, listed
from kplug.kinds import Columns, DataInfo, Field, Learner, Split
from kplug.shares import ALL, Shares
from kplug.spec import Spec

SPLITS = ("train", "validation", "test")
LOOKED_AT = 100  # pictures that are opened to find out whether all have one size


@dataclass(frozen=True)
class Data:
    """The splits of a spec's source, and all that turns their rows into batches.

    Args:
        spec: the experiment.
        splits: name to `Split`; a validation split taken from train among them.
        info: what the data is.
    """

    spec: Spec
    splits: Mapping[str, Split]
    info: DataInfo

    @property
    def steps(self) -> int:
        """Training steps in an epoch."""
        return len(self._first_table)

    @property
    def batch_size(self) -> int:
        """Examples in a training batch."""
        return self._first_table.shape[1]

    @cached_property
    def _first_table(self) -> np.ndarray:
        return self.table(0)

    def table(self, epoch: int) -> np.ndarray:
        """The rows of an epoch's batches, int64 `[steps, batch]`."""
        sampler = self._sampler("data.sampler", "train")
        return _checked(sampler(np.random.default_rng((self.spec["seed"], epoch))), "data.sampler")

    def _sampler(self, path: str, split: str) -> Callable[[np.random.Generator], np.ndarray]:
        return build(self.spec, self.spec[path], {Columns: self.split(split).columns, DataInfo: self.info})

    def training(self, learner: Learner, epochs: int, first_step: int = 0, shares: Shares = ALL) -> tf.data.Dataset:
        """Batches of all epochs in a row, as `learner.prepare` gives them, from any step on.

        Args:
            learner: prepares them.
            epochs: how many there are.
            first_step: the step of the first batch.
            shares: the slices of each batch that are given, one after the other.
        """
        split, steps, seed = self.splits["train"], self.steps, self.spec["seed"]
        first_epoch, skipped = divmod(first_step, steps)
        augment = build(self.spec, self.spec["data.augment"], {DataInfo: self.info})
        sampler = self._sampler("data.sampler", "train")

        def epoch_table(epoch: np.ndarray) -> np.ndarray:
            table = _checked(sampler(np.random.default_rng((seed, int(epoch)))), "data.sampler")
            if len(table) != steps:
                raise ValueError(f"data.sampler gave {len(table)} steps in epoch {epoch} and {steps} in epoch 0")
            table = table[skipped:] if epoch == first_epoch else table
            slices = table.reshape(len(table), shares.count, -1)[:, shares.mine.start : shares.mine.stop]
            return slices.reshape(-1, slices.shape[-1])

        def finish(number: tf.Tensor, batch: dict[str, Any]) -> tuple[Any, ...]:
            step = tf.cast(first_step + number // len(shares.mine), tf.int32)
            step_seed = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0]), step)
            if shares.count > 1:
                replica = tf.cast(shares.mine.start + number % len(shares.mine), tf.int32)
                step_seed = tf.random.experimental.stateless_fold_in(step_seed, replica)
            for position, augmentation in enumerate(augment):
                batch = augmentation(batch, tf.random.experimental.stateless_fold_in(step_seed, position))
                batch = batch | {"image": pixels.to_uint8(batch["image"])}
            last = tf.random.experimental.stateless_fold_in(step_seed, len(augment))
            return learner.prepare(batch, last, True)

        rows = tf.data.Dataset.range(first_epoch, epochs).flat_map(
            lambda epoch: tf.data.Dataset.from_tensor_slices(
                tf.ensure_shape(tf.numpy_function(epoch_table, [epoch], tf.int64, stateful=False), [None, None])
            )
        )
        size = self.batch_size // shares.count
        rows = rows.map(lambda row: tf.ensure_shape(row, [size]))
        batches = self._load(split, rows, lambda examples: examples.batch(size)).enumerate()
        batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
        total = (steps * epochs - first_step) * len(shares.mine)
        return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, learner: Learner, name: str, shares: Shares = ALL) -> tf.data.Dataset:
        """Every example of a split once, as `learner.prepare` gives it; of each batch the slices that `shares` says."""
        batches = self.examples(name, shares)
        seed = tf.constant([0, 0])
        batches = batches.map(lambda batch: learner.prepare(batch, seed, False), num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)

    def examples(self, name: str, shares: Shares = ALL) -> tf.data.Dataset:
        """Every example of a split once, in batches as `data.evaluate_with` says."""
        split = self.split(name)
        rows, sizes = self._evaluated(name, shares)
        even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]

        def group(examples: tf.data.Dataset) -> tf.data.Dataset:
            batches = examples.batch(sizes[0])
            return batches if even else batches.rebatch(sizes)

        batches = self._load(split, tf.data.Dataset.from_tensor_slices(rows).apply(group), group)
        return batches.apply(tf.data.experimental.assert_cardinality(len(sizes)))

    def evaluation_steps(self, name: str, shares: Shares) -> int:
        """Batches of a split, of which `shares` says who has which slice."""
        return len(self._evaluated(name, shares)[1]) // len(shares.mine)

    def _evaluated(self, name: str, shares: Shares) -> tuple[np.ndarray, list[int]]:
        """The rows of a split in the order in which these shares evaluate them, and how many at a time."""
        sampler = self._sampler("data.evaluate_with", name)
        table = _checked(sampler(np.random.default_rng(self.spec["seed"])), "data.evaluate_with")
        batch_size, rows = table.shape[1], table[table >= 0]
        if shares.count == 1:
            full, rest = divmod(len(rows), batch_size)
            return rows, [batch_size] * full + [rest] * bool(rest)
        if len(rows) < shares.count:
            raise SpecError(f"{len(rows)} examples of {name} cannot be shared by {shares.count} replicas")
        # as even as can be: a replica without an example would have to compute on an empty batch
        steps = min(-(-len(rows) // batch_size), len(rows) // shares.count)
        parts = np.array_split(rows, shares.count)[shares.mine.start : shares.mine.stop]
        slices = [
            piece for step in zip(*(np.array_split(part, steps) for part in parts), strict=True) for piece in step
        ]
        return np.concatenate(slices), [len(piece) for piece in slices]

    def split(self, name: str) -> Split:
        if name not in self.splits:
            raise SpecError(f"there is no split '{name}'; the source has {listed(self.splits)}")
        return self.splits[name]

    def _load(
        self, split: Split, rows: tf.data.Dataset, group: Callable[[tf.data.Dataset], tf.data.Dataset]
    ) -> tf.data.Dataset:
        """Batches of rows to batches of features; `group` makes batches of examples."""
        load = _loader(split, self.info)
        if split.batched:
            return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE)
        return rows.unbatch().map(load, num_parallel_calls=tf.data.AUTOTUNE).apply(group)


def open_data(spec: Spec) -> Data:
    """The data of a spec: its source built, validation set apart, and its description made."""
    splits = dict(_splits(spec))
    begin, end = validating(spec, splits)
    if begin < end:
        splits["train"], splits["validation"] = set_apart(splits["train"], begin, end)
    for name, split in splits.items():
        if len(split) == 0:
            raise _at_source(spec, f"the split '{name}' is empty")
    splits = {name: splits[name] for name in SPLITS if name in splits}
    return Data(spec, splits, _describe(spec, splits))


def _splits(spec: Spec) -> Mapping[str, Split]:
    splits = build(spec, spec["data.source"])
    unknown = set(splits) - set(SPLITS)
    if unknown or "train" not in splits:
        raise _at_source(spec, f"a source has the splits train, validation, test; received {listed(splits)}")
    if any(split.classes != splits["train"].classes for split in splits.values()):
        raise _at_source(spec, "the splits have different classes")
    return splits


def _at_source(spec: Spec, message: str) -> SpecError:
    path = ("data", "source")
    return SpecError(message).located(path, spec.where(path))


def _loader(split: Split, info: DataInfo) -> Callable[[Any], dict[str, Any]]:
    """row or rows to features: what the split loads, its pictures in their size, and its numeric columns."""
    height, width, channels = info.image_shape
    numeric = {name: tf.constant(column) for name, column in split.columns.numeric.items()}

    def load(row: Any) -> dict[str, Any]:
        features = dict(split.load(row))
        image = features["image"]
        if image.dtype == tf.string:
            image = images.decode(image, channels)
        image = images.resize(pixels.to_channels(image, channels), (height, width), info.resize)
        features["image"] = tf.ensure_shape(image, [*image.shape[:-3], height, width, channels])
        return features | {name: tf.gather(values, row) for name, values in numeric.items()}

    return load


def _describe(spec: Spec, splits: Mapping[str, Split]) -> DataInfo:
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
    loaded = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).map(_loader(_one_by_one(train), info)).element_spec
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
        found = {pixels.size_of(split.load(tf.constant(row))["image"]) for row in np.unique(rows)}
    except tf.errors.InvalidArgumentError as error:
        raise unreadable(split, rows, error) from None
    if len(found) == 1:
        return found.pop()
    few = ", ".join(f"{h}x{w}" for h, w in sorted(found)[:3])
    path = ("data", "image", "size")
    message = f"the pictures differ in size ({few}, ...); say to which size they are brought, such as [224, 224]"
    raise SpecError(message).located(path, spec.where(path))


def _channels(spec: Spec, split: Split) -> int:
    return spec["data.image.channels"] or split.image[2] or 3


def unreadable(split: Split, rows: Any, error: Exception) -> Exception:
    """The error of a pipeline, with the examples named that cause it; the same error where none does."""
    problems = []
    for row in rows:
        try:
            features = split.load(tf.constant(row, tf.int64))
            if features["image"].dtype == tf.string:
                images.decode(features["image"], 3)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as bad:
            path = split.columns.arrays.get("path")
            name = f"row {row}" if path is None else str(path[row])
            problems.append(f"{name}: {images.reason(bad)}")
        if len(problems) == 5:
            break
    if not problems:
        return error
    return SpecError("these pictures cannot be read; mend or remove them:\n  " + "\n  ".join(problems))


def _checked(table: Any, path: str) -> np.ndarray:
    table = np.asarray(table)
    if table.ndim != 2 or table.dtype.kind not in "iu" or table.size == 0:
        raise TypeError(
            f"{path} must give int64 [steps, batch] with at least one row; received {table.dtype} {table.shape}"
        )
    return table.astype(np.int64)
