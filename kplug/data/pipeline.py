"""Data as a function of (seed, step): the batch at a step depends on nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import augment, fold_in
from kplug.data.cache import lookup, read_whole, size_of_an_example, splits_that_fit
from kplug.data.features import is_batched, loader
from kplug.data.readable import PREPARING, READING
from kplug.data.staging import as_raised, mapped, placed
from kplug.data.tables import ALL, BatchSlices, Order, order_of, refuse_other_form, slices_of, whole_table
from kplug.data.values import Arrays
from kplug.errors import SpecError, listed
from kplug.records import Columns, DataInfo, Field, Learner, Split, Table
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.effects import refused_in, resizes

# Batches, and the function that makes fields of one.
Unread = tuple[tf.data.Dataset, Callable[[Any], dict[str, Any]]]

# Batches of rows that are known: more than a pipeline reads ahead of the one that is wanted. Where an error is of one
# that was forgotten, the whole split is looked through.
MOST_ASKED = 256


@dataclass(frozen=True)
class Data:
    """The splits of a spec's source, and all that turns their rows into batches.

    Args:
        spec: the experiment.
        splits: name to `Split`; a validation split taken from train among them.
        info: what the data is.
        kept: splits that were read ahead, as a batch has them; `replace` shares them among stages of a training.
        asked: the rows of the last batches that were read, `[b]` each, by split: an error is looked for among them.
    """

    spec: Spec
    splits: Mapping[str, Split]
    info: DataInfo
    kept: dict[str, Arrays] = field(default_factory=dict, repr=False, compare=False)
    asked: dict[str, deque[np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    def knowing_sizes(self) -> Data:
        """The same, whose `info.trained` says what augmentations make of the sizes of fields."""
        if not resizes(self.spec["data.augment"]):
            return self
        augmentations, codecs = self.augmentations, self.info.codecs
        given = {name: tf.TensorSpec([None, *one.shape], one.dtype) for name, one in self.info.fields.items()}
        with as_raised():
            made = tf.function(lambda batch, seed: augment(batch, augmentations, seed, codecs), autograph=False)
            found = made.get_concrete_function(given, tf.TensorSpec([2], tf.int32)).structured_outputs
        resized = {
            name: Field(tuple(found[name].shape[1:]), found[name].dtype.name)
            for name, one in self.info.fields.items()
            if tuple(found[name].shape[1:]) != one.shape
        }
        return replace(self, info=replace(self.info, resized=resized))

    @property
    def steps(self) -> int:
        """The number of training steps in an epoch."""
        return len(self._first_table.rows)

    @property
    def batch_size(self) -> int:
        """The number of examples in a training batch."""
        return self._first_table.rows.shape[1]

    @property
    def block(self) -> int:
        """The number of adjacent examples of a training batch that are never cut apart."""
        return self._first_table.block

    @cached_property
    def _first_table(self) -> Table:
        return self._sampler("data.sampler", "train")((self.spec["seed"], 0))

    def _sampler(self, path: str, split: str) -> Callable[[Any], Table]:
        """A function of a seed to the table of an epoch, as the sampler at a path draws it."""
        columns, node = self.split(split).columns, self.spec[path]
        sampler = build(self.spec, node, {Columns: columns, DataInfo: self.info})
        gives = node.component.gives or ()
        if twice := [name for name in gives if name in columns or name in self.info.fields]:
            raise self.spec.error(path, f"the sampler gives {listed(twice)}, and so does the source; rename it there")
        return lambda seed: whole_table(sampler(np.random.default_rng(seed)), gives, path)

    def training(
        self, learner: Learner, epochs: int, first_step: int = 0, shares: BatchSlices = ALL
    ) -> tf.data.Dataset:
        """The batches of all epochs in a row, as `learner.prepare` gives them, from any step on.

        Args:
            learner: prepares them.
            epochs: how many there are.
            first_step: the step of the first batch.
            shares: the slices of each batch that are given, one after the other.
        """
        first, steps, seed = self._first_table, self.steps, self.spec["seed"]
        first_epoch, skipped = divmod(first_step, steps)
        augmentations = self.augmentations
        prepare = self._placed(learner.prepare, ("task",))
        sampler, size = self._sampler("data.sampler", "train"), self.batch_size // shares.count

        def epoch_arrays(epoch: np.ndarray) -> list[np.ndarray]:
            table = sampler((seed, int(epoch)))
            refuse_other_form(table, first, int(epoch))
            return slices_of(table, skipped if epoch == first_epoch else 0, first.columns, shares)

        def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
            dtypes = [tf.int64, *(array.dtype for array in first.columns.values())]
            arrays = tf.numpy_function(epoch_arrays, [epoch], dtypes, stateful=False)
            rows, *columns = (tf.ensure_shape(array, [None, size]) for array in arrays)
            return tf.data.Dataset.from_tensor_slices((rows, dict(zip(first.columns, columns, strict=True))))

        rows = tf.data.Dataset.range(first_epoch, epochs).flat_map(epoch_rows)
        batches, fields_of = self._read("train", rows, lambda examples: examples.batch(size, drop_remainder=True))

        def finish(number: tf.Tensor, batch: Any) -> tuple[Any, ...]:
            step = tf.cast(first_step + number // len(shares.mine), tf.int32)
            step_seed = fold_in(tf.constant([seed, 0]), step)
            if shares.count > 1:
                replica = tf.cast(shares.mine.start + number % len(shares.mine), tf.int32)
                step_seed = fold_in(step_seed, replica)
            fields = fields_of(batch)
            with tf.name_scope(PREPARING):
                augmented = augment(fields, augmentations, step_seed, self.info.codecs)
                return prepare(augmented, fold_in(step_seed, len(augmentations)), True)

        batches = mapped(batches.enumerate(), finish)
        total = (steps * epochs - first_step) * len(shares.mine)
        return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, learner: Learner, name: str, shares: BatchSlices = ALL) -> tf.data.Dataset:
        """Batches with every example of a split once, as `learner.prepare` gives them; slices as `shares` says."""

        prepare = self._placed(learner.prepare, ("task",))
        batches, fields_of = self._in_order(name, shares)

        def finish(number: tf.Tensor, batch: Any) -> tuple[Any, ...]:
            # (seed, 0) is training's and (seed, 1) that of views; each slice of a batch has a number of its own
            first, count = tf.constant([self.spec["seed"], 2]), len(shares.mine)
            seed = fold_in(first, tf.cast(number // count, tf.int32))
            if shares.count > 1:
                seed = fold_in(seed, tf.cast(shares.mine.start + number % count, tf.int32))
            fields = fields_of(batch)
            with tf.name_scope(PREPARING):
                return prepare(fields, seed, False)

        return mapped(batches.enumerate(), finish).prefetch(tf.data.AUTOTUNE)

    def examples(self, name: str, shares: BatchSlices = ALL) -> tf.data.Dataset:
        """Batches with every example of a split once, as `data.evaluate_with` says."""
        batches, fields_of = self._in_order(name, shares)
        return mapped(batches, lambda *batch: fields_of(batch if len(batch) > 1 else batch[0]))

    def _in_order(self, name: str, shares: BatchSlices) -> Unread:
        order = self.order(name, shares)
        sizes = order.sizes
        even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]

        def group(examples: tf.data.Dataset) -> tf.data.Dataset:
            batches = examples.batch(sizes[0])
            return batches if even else batches.rebatch(sizes)

        rows = tf.data.Dataset.from_tensor_slices((order.rows, dict(order.columns)))
        batches, fields_of = self._read(name, rows.apply(group), group)
        return batches.apply(tf.data.experimental.assert_cardinality(len(sizes))), fields_of

    def order(self, name: str, shares: BatchSlices = ALL) -> Order:
        """The examples of `examples` one after the other: their rows, and the columns that the sampler gives."""
        return order_of(self._sampler("data.evaluate_with", name)(self.spec["seed"]), name, shares)

    def columns(self, name: str, shares: BatchSlices = ALL) -> Columns:
        """The table of the examples of `examples`, in their order: the columns of the split and of the sampler."""
        order = self.order(name, shares)
        return Columns(len(order.rows), {**self.split(name).columns.at(order.rows).arrays, **order.columns})

    def evaluation_size(self, name: str) -> int:
        """The number of examples in the largest batch of a split's evaluation."""
        return max(self.order(name).sizes)

    def evaluation_steps(self, name: str, shares: BatchSlices) -> int:
        """The number of batches of a split, of which `shares` says who has which slice."""
        return len(self.order(name, shares).sizes) // len(shares.mine)

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of what a batch of an evaluation holds: the fields, and what its sampler gives."""
        return (*self.info.fields, *(self.spec["data.evaluate_with"].component.gives or ()))

    def split(self, name: str) -> Split:
        if name not in self.splits:
            raise SpecError(f"there is no split '{name}'; the source has {listed(self.splits)}")
        return self.splits[name]

    @property
    def augmentations(self) -> list[Callable[..., Any]]:
        """The augmentations of the spec."""
        found = refused_in(self.spec["data"], self.info.codecs)
        if problems := [self.spec.problem(path, message) for path, message in found]:
            raise SpecError(problems)
        made = build(self.spec, self.spec["data.augment"], {DataInfo: self.info})
        return [self._placed(change, ("data", "augment", position)) for position, change in enumerate(made)]

    def _placed(self, function: Callable[..., Any], path: tuple[str | int, ...]) -> Callable[..., Any]:
        return placed(function, path, self.spec.where(path))

    # --- reading ---------------------------------------------------------------------------------------------------

    def read_ahead(self, name: str) -> None:
        """Keep a split in memory from now on, where its source's `cache_mb` has room for it."""
        if name not in self.kept and name in splits_that_fit(self.splits, self.info):
            self.kept[name] = read_whole(name, self.split(name), self.info)

    @property
    def bytes_to_keep(self) -> int:
        """The memory that `read_ahead` will take for the splits that a training reads at every epoch."""
        each = size_of_an_example(self.info)
        there = {"train", "validation"} & set(splits_that_fit(self.splits, self.info)) - set(self.kept)
        return sum(len(self.splits[name]) * each for name in there)

    def _read(self, name: str, rows: tf.data.Dataset, group: Callable[[tf.data.Dataset], tf.data.Dataset]) -> Unread:
        """Begin to read batches of rows and the sampler's columns; `group` makes batches of examples.

        What reads many rows at once is left to the function, so that a batch is read and prepared in one map: handing
        batches from one to another costs a tenth of a small picture's time.
        """
        split = self.split(name)
        if name in self.kept:
            kept = lookup(self.kept[name], self.info)
            return rows, lambda batch: {**kept(batch[0]), **batch[1]}
        load = self._placed(loader(split, self.info.codecs), ("data", "source"))

        def read(row: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
            with tf.name_scope(READING):
                return {**load(row), **columns}

        if is_batched(split, self.info.codecs):
            return rows, lambda batch: read(*batch)
        return mapped(self._noted(name, rows).unbatch(), read).apply(group), lambda batch: batch

    def _noted(self, name: str, rows: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches of rows, the last of which are known in `asked`."""
        asked = self.asked.setdefault(name, deque(maxlen=MOST_ASKED))

        def note(batch: np.ndarray) -> np.ndarray:
            asked.append(batch.copy())
            return batch

        def noted(batch: Any, columns: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
            return tf.ensure_shape(tf.numpy_function(note, [batch], tf.int64), batch.shape), columns

        return rows.map(noted)
