"""Data as a function of (seed, step): the batch at a step depends on nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import augment, fold_in
from kplug.data.features import loader
from kplug.errors import SpecError, listed
from kplug.records import Columns, DataInfo, Learner, Split
from kplug.spec import Spec
from kplug.spec.build import build


@dataclass(frozen=True)
class BatchSlices:
    """The replicas that this process feeds, `mine` of `count`: replica r has the r-th slice of every batch."""

    mine: range
    count: int


ALL = BatchSlices(range(1), 1)


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
        """The number of training steps in an epoch."""
        return len(self._first_table)

    @property
    def batch_size(self) -> int:
        """The number of examples in a training batch."""
        return self._first_table.shape[1]

    @cached_property
    def _first_table(self) -> np.ndarray:
        return self.table(0)

    def table(self, epoch: int) -> np.ndarray:
        """The rows of an epoch's batches, int64 `[steps, batch]`."""
        return self._sampler("data.sampler", "train")((self.spec["seed"], epoch))

    def _sampler(self, path: str, split: str) -> Callable[[Any], np.ndarray]:
        """A function of a seed to rows of batches, int64 `[steps, batch]`, as the sampler at a path draws them."""
        sampler = build(self.spec, self.spec[path], {Columns: self.split(split).columns, DataInfo: self.info})

        def table(seed: Any) -> np.ndarray:
            drawn = np.asarray(sampler(np.random.default_rng(seed)))
            if drawn.ndim != 2 or drawn.dtype.kind not in "iu" or drawn.size == 0:
                what = f"{path} must give int64 [steps, batch] with at least one row"
                raise TypeError(f"{what}; received {drawn.dtype} {drawn.shape}")
            return drawn.astype(np.int64)

        return table

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
        split, steps, seed = self.splits["train"], self.steps, self.spec["seed"]
        first_epoch, skipped = divmod(first_step, steps)
        augmentations = build(self.spec, self.spec["data.augment"], {DataInfo: self.info})
        sampler, size = self._sampler("data.sampler", "train"), self.batch_size // shares.count

        def epoch_table(epoch: np.ndarray) -> np.ndarray:
            table = sampler((seed, int(epoch)))
            if len(table) != steps:
                raise ValueError(f"data.sampler gave {len(table)} steps in epoch {epoch} and {steps} in epoch 0")
            table = table[skipped:] if epoch == first_epoch else table
            slices = table.reshape(len(table), shares.count, -1)[:, shares.mine.start : shares.mine.stop]
            return slices.reshape(-1, slices.shape[-1])

        def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
            table = tf.numpy_function(epoch_table, [epoch], tf.int64, stateful=False)
            return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(table, [None, size]))

        def finish(number: tf.Tensor, batch: dict[str, Any]) -> tuple[Any, ...]:
            step = tf.cast(first_step + number // len(shares.mine), tf.int32)
            step_seed = fold_in(tf.constant([seed, 0]), step)
            if shares.count > 1:
                replica = tf.cast(shares.mine.start + number % len(shares.mine), tf.int32)
                step_seed = fold_in(step_seed, replica)
            batch = augment(batch, augmentations, step_seed)
            return learner.prepare(batch, fold_in(step_seed, len(augmentations)), True)

        rows = tf.data.Dataset.range(first_epoch, epochs).flat_map(epoch_rows)
        batches = self._load(split, rows, lambda examples: examples.batch(size)).enumerate()
        batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
        total = (steps * epochs - first_step) * len(shares.mine)
        return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, learner: Learner, name: str, shares: BatchSlices = ALL) -> tf.data.Dataset:
        """Batches with every example of a split once, as `learner.prepare` gives them; slices as `shares` says."""
        batches = self.examples(name, shares)
        seed = tf.constant([0, 0])
        batches = batches.map(lambda batch: learner.prepare(batch, seed, False), num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)

    def examples(self, name: str, shares: BatchSlices = ALL) -> tf.data.Dataset:
        """Batches with every example of a split once, as `data.evaluate_with` says."""
        split = self.split(name)
        rows, sizes = self._evaluated(name, shares)
        even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]

        def group(examples: tf.data.Dataset) -> tf.data.Dataset:
            batches = examples.batch(sizes[0])
            return batches if even else batches.rebatch(sizes)

        batches = self._load(split, tf.data.Dataset.from_tensor_slices(rows).apply(group), group)
        return batches.apply(tf.data.experimental.assert_cardinality(len(sizes)))

    def evaluation_steps(self, name: str, shares: BatchSlices) -> int:
        """The number of batches of a split, of which `shares` says who has which slice."""
        return len(self._evaluated(name, shares)[1]) // len(shares.mine)

    def _evaluated(self, name: str, shares: BatchSlices) -> tuple[np.ndarray, list[int]]:
        """The rows of a split in the order in which these shares evaluate them, and how many at a time."""
        table = self._sampler("data.evaluate_with", name)(self.spec["seed"])
        batch_size, rows = table.shape[1], table[table >= 0]
        if shares.count == 1:
            full, rest = divmod(len(rows), batch_size)
            return rows, [batch_size] * full + [rest] * bool(rest)
        if len(rows) < shares.count:
            raise SpecError(f"{len(rows)} examples of {name} cannot be shared by {shares.count} replicas")
        # as even as can be: a replica without an example would have to compute on an empty batch
        steps = min(-(-len(rows) // batch_size), len(rows) // shares.count)
        parts = np.array_split(rows, shares.count)[shares.mine.start : shares.mine.stop]
        slices = list(itertools.chain(*zip(*(np.array_split(part, steps) for part in parts), strict=True)))
        return np.concatenate(slices), [len(piece) for piece in slices]

    def split(self, name: str) -> Split:
        if name not in self.splits:
            raise SpecError(f"there is no split '{name}'; the source has {listed(self.splits)}")
        return self.splits[name]

    def _load(
        self, split: Split, rows: tf.data.Dataset, group: Callable[[tf.data.Dataset], tf.data.Dataset]
    ) -> tf.data.Dataset:
        """Make batches of fields from batches of rows; `group` makes batches of examples."""
        load = loader(split, self.info)
        if split.batched:
            return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE)
        return rows.unbatch().map(load, num_parallel_calls=tf.data.AUTOTUNE).apply(group)
