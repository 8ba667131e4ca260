"""A run's answers for every example of a split, batch after batch: once, or as the mean over augmented views."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.augment import Augment, Batch, augment, fold_in
from kplug.data.geometry import WAY, moved_back, way_name
from kplug.data.pipeline import Data
from kplug.data.tables import ALL, BatchSlices
from kplug.data.values import Arrays, owner
from kplug.errors import Path, SpecError, listed
from kplug.inference.endpoints import from_arrays, predictor
from kplug.records import Columns, DataInfo, Field, Learner
from kplug.spec import Spec
from kplug.spec.build import build

AUGMENT: Path = ("data", "augment")
Answers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """An endpoint that is asked about batches of the data.

    Args:
        learner: whose endpoint it is.
        endpoint: its name.
    """

    learner: Learner
    endpoint: str

    @cached_property
    def _entry(self) -> Any:
        return from_arrays(self.endpoint, self.learner.serve[self.endpoint])

    @cached_property
    def _ask(self) -> Callable[..., Arrays]:
        return predictor(self.learner, self.endpoint)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self._entry.outputs)

    @property
    def inputs(self) -> frozenset[str]:
        """The arrays of a batch that it is asked about."""
        return frozenset(self._entry.inputs)

    @property
    def averaged(self) -> tuple[str, ...]:
        """The outputs of which the mean over views makes sense."""
        return tuple(name for name, output in self._entry.outputs.items() if output.averaged)

    def field(self, name: str) -> Field:
        """The description of an output."""
        return self._entry.outputs[name]

    def lacking(self, names: Container[str]) -> list[str]:
        """The inputs that no array of a batch fills."""
        return [name for name in self._entry.inputs if name not in names]

    def about(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        return self._ask(**{name: batch[name] for name in self._entry.inputs})


@dataclass(frozen=True)
class Views:
    """The views of a split that are asked about.

    Args:
        data: whose spec says how they are made.
        split: its name.
        asked: what the answers go by: arrays that a view may change.
        count: 1 is the examples as they are; more are themselves and others under `data.augment`.
        shares: whose rows they are, of how many that share the split.
    """

    data: Data
    split: str
    asked: frozenset[str] = frozenset()
    count: int = 1
    shares: BatchSlices = ALL

    @cached_property
    def _augmentations(self) -> list[Augment]:
        """The augmentations of the spec.

        Raises:
            SpecError: there is none, or one changes what the answers do not go by, such as the truth.
        """
        spec = self.data.spec
        made = build(spec, spec["data.augment"], {DataInfo: self.data.info})
        if not made:
            raise spec.error(AUGMENT, "it is empty, so that views would not differ; give it random_flip, for example")
        ways = {way_name(name) for name, codec in self.data.info.codecs.items() if codec.is_frame}
        return [_only_asked(spec, position, change, self.asked, ways) for position, change in enumerate(made)]

    def refuse(self) -> None:
        """Refuse what no view can be made with; it is seen with the first batch."""
        if self.count > 1:
            for batch in self.data.examples(self.split).take(1):
                self._changed(1, 0, batch)

    def _changed(self, number: int, step: int, batch: Batch) -> Batch:
        """A view: what is asked about, changed, with the way of each picture; truths stay as they are."""
        # training folds its seeds from (seed, 0)
        seed = fold_in(fold_in(tf.constant([self.data.spec["seed"], 1]), number), tf.cast(step, tf.int32))
        every = self.data.info.codecs
        truths = {name for name, codec in every.items() if codec.in_frame and name not in self.asked}
        seen = {array: values for array, values in batch.items() if owner(array, every) not in truths}
        for frame in [name for name in seen if name in every and every[name].is_frame]:
            seen[way_name(frame)] = tf.eye(3, batch_shape=[tf.shape(seen[frame])[0]], dtype=tf.float64)
        codecs = {name: codec for name, codec in every.items() if name not in truths and codec.of not in truths}
        return augment(seen, self._augmentations, seed, codecs)

    def batches(self) -> Iterator[tuple[np.ndarray, Columns, list[Arrays]]]:
        """Yield (rows, columns, views) of each batch, in the sampler's order.

        They are the numbers of its rows in the split, what the split and the sampler say of them, and the views.
        """
        begin = 0
        changed = tf.function(self._changed, autograph=False, reduce_retracing=True) if self.count > 1 else None
        rows, columns = self.data.order(self.split, self.shares).rows, self.data.columns(self.split, self.shares)
        for step, batch in enumerate(self.data.examples(self.split, self.shares)):
            views = [batch]
            if changed is not None:
                step_number = tf.constant(step, tf.int32)
                views += [changed(tf.constant(n, tf.int32), step_number, batch) for n in range(1, self.count)]
            found = [{name: values.numpy() for name, values in view.items()} for view in views]
            size = len(next(iter(found[0].values())))
            now = slice(begin, begin + size)
            yield rows[now], columns.at(np.arange(len(rows))[now]), found
            begin += size


def mean_answer(asked: Asked, views: list[Arrays]) -> Arrays:
    """An endpoint's outputs for a batch: all of one view, of more the mean of those that may be averaged.

    What has a value for each pixel of a picture is moved back as that was moved, and each of its places is the mean of
    the views that show it.
    """
    found = asked.about(views[0])
    if len(views) == 1:
        return found
    sums: Arrays = {name: found[name] for name in asked.averaged}
    counts: dict[str, Any] = dict.fromkeys(sums, 1)
    for view in views[1:]:
        more = asked.about(view)
        for name in sums:
            values, seen = _at_its_place(more[name], asked.field(name), view, name)
            sums[name], counts[name] = sums[name] + values, counts[name] + seen
    return {name: value / counts[name] for name, value in sums.items()}


def _at_its_place(values: np.ndarray, field: Field, view: Arrays, name: str) -> tuple[Any, Any]:
    """An output of a view, moved back where it has a value for each pixel, and how much of it the view shows.

    Raises:
        SpecError: it cannot be moved back.
    """
    ways = {array: way for array, way in view.items() if array.endswith(WAY)}
    if not field.frame:
        if len(field.shape) >= 3 and any((way != np.eye(3)).any() for way in ways.values()):
            what = f"output '{name}' has a value for each pixel, and these views are moved"
            raise SpecError(f"{what}: the task's Field(frame=...) would say of which picture; leave moves out")
        return values, 1
    way = view[way_name(field.frame)]
    if np.isnan(way).any():
        what = f"data.augment moves pictures in a way that is not undone for output '{name}'"
        raise SpecError(f"{what}; leave out what bends pictures, such as random_elastic_transform")
    back, seen = moved_back(tf.constant(values), tf.constant(way), view[field.frame].shape[1:3])
    return back.numpy(), seen.numpy()


class Predictions(Mapping[str, np.ndarray]):
    """The outputs of the main endpoint, a row for each example, computed when the first is looked at, and then kept."""

    def __init__(self, asked: Asked, views: Views) -> None:
        self._asked, self._views = asked, views
        self.names = asked.outputs if views.count == 1 else asked.averaged

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:  # without computing anything, as `Mapping` would
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _found(self) -> Arrays:
        parts = [mean_answer(self._asked, views) for _, _, views in self._views.batches()]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}


def _only_asked(spec: Spec, position: int, change: Augment, asked: frozenset[str], ways: Container[str]) -> Augment:
    """An augmentation that is refused where it changes other arrays than those that are asked about, and the ways."""

    def checked(batch: Batch, seed: Any) -> Batch:
        after = change(batch, seed)
        changed = [name for name in after if after[name] is not batch.get(name)]
        others = [name for name in changed if name not in asked and name not in ways]
        if others:
            message = f"it changes {listed(others)}; a view differs from its example in {listed(sorted(asked))} alone"
            raise SpecError([spec.problem((*AUGMENT, position), message)])
        return after

    return checked
