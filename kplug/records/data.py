"""The data of an experiment: its table, its splits, and the facts about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kplug.errors import SpecError, did_you_mean, listed
from kplug.records.fields import Codec, Field

if TYPE_CHECKING:
    import numpy

_OF_FEATURES = ("features", "facts")


@dataclass(frozen=True, eq=False)
class Columns:
    """The table of a split: what is known of every example without loading it.

    Args:
        size: how many examples.
        arrays: column name to an array with `size` rows: labels, paths, every further column.
    """

    size: int
    arrays: Mapping[str, numpy.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> numpy.ndarray:
        if name not in self.arrays:
            raise SpecError(
                f"no column named '{name}'{did_you_mean(name, self.arrays)} (columns: {listed(self.arrays)})"
            )
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def at(self, rows: Any) -> Columns:
        """The table of some rows, in their order."""
        return Columns(len(rows), {name: array[rows] for name, array in self.arrays.items()})

    @property
    def numeric(self) -> dict[str, numpy.ndarray]:
        """The columns of numbers, which join every batch."""
        return {name: array for name, array in self.arrays.items() if array.dtype.kind in "biuf"}


@dataclass(frozen=True, eq=False)
class Table:
    """The batches of an epoch, as a sampler draws them.

    Args:
        rows: their numbers in the split, int64 `[steps, batch]`; at the end of an evaluation's last batch -1 is none.
        columns: name to numbers `[steps, batch]` that join each batch and are cut with it, such as the role that an
            example plays in it; the sampler is marked with their names, `@gives("role")`.
        block: so many adjacent examples of a batch are never cut apart: replicas get whole blocks.
    """

    rows: numpy.ndarray
    columns: Mapping[str, numpy.ndarray] = field(default_factory=dict)
    block: int = 1


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a source: the table of its examples, and how one of them is loaded.

    The columns of numbers join every batch under their names, and so do those of text that have a feature; a source
    that wraps another changes labels by changing columns. `load` brings what is not in the table.

    Args:
        columns: the table.
        load: row (int64 scalar tensor) to values by field, graph-safe, in the form that the field's feature reads: a
            picture is a uint8 tensor `[height, width, channels]` or a string scalar that holds a file.
        features: field to the name of its feature, or to `call(NAME, ...)` with parameters.
        facts: field to what the source knows of it, in the words of its feature: {"label": {"classes": names}}; class
            names are the same in every split.
        group: the column that says which rows belong together (a patient, a recording): no share and no fold cuts a
            group; None where every row stands for itself.
        batched: `load` also takes many rows `[b]` at once and returns `[b, ...]`.
        cache_mb: memory for examples once they were read, decoded and resized, in MiB, for all splits of the source
            together: whole splits are kept while they fit. A split whose `load` is batched is in memory already.
        names: of every row for good, relative to the source, by which a share of the rows is chosen: they are the same
            wherever the data lie. Rows of one name are one example, which no share cuts. None: rows have paths, or
            numbers.
        sizes: of every row's file, in bytes; a run that goes on compares them. None: there are no files.
        place: row to where a person finds it ("table.csv:12"), for messages; None where `path` or the number says it.
    """

    columns: Columns
    load: Callable[[Any], dict[str, Any]]
    features: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    group: str | None = None
    batched: bool = False
    cache_mb: int = 1024
    names: Sequence[str] | None = None
    sizes: Sequence[int] | None = None
    place: Callable[[int], str] | None = None

    def __post_init__(self) -> None:
        for what in ("names", "sizes"):
            given = getattr(self, what)
            if given is not None and len(given) != self.columns.size:
                raise ValueError(f"a split of {self.columns.size} rows has {len(given)} {what}")

    def __len__(self) -> int:
        return self.columns.size

    def where(self, row: int) -> str:
        """A row as a person finds it: its file, its place, or else its number."""
        path = self.columns.arrays.get("path")
        if path is None:
            return f"row {row}" if self.place is None else self.place(row)
        return str(path[row]) if self.place is None else f"{path[row]} ({self.place(row)})"


@dataclass(frozen=True)
class AskedFeatures:
    """The section `data.features` of a spec, for a source that reads what another source gives.

    Args:
        nodes: field to its feature, or to parameters of the one that the source names, as YAML has it.
    """

    nodes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataInfo:
    """The facts about the data, known before a model is built and kept with the run as `data.json`.

    Args:
        fields: name to `Field`, of one example as the batch holds it.
        features: field to its feature, as YAML has it with all parameters; columns of numbers may have none.
        facts: field to what its feature has learnt of it, plain JSON.
        splits: examples per split.
        codecs: field to its codec, which knows the facts.
        label: the field of classes that the task names: `classes`, `counts` and `multi_label` are of it.
        rows: split to a digest of what its rows are: their names, the columns, the sizes of their files.
        resized: name to `Field` of an example after `data.augment`, of fields that it gives another shape.
    """

    fields: Mapping[str, Field]
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    codecs: Mapping[str, Codec] = field(default_factory=dict)
    label: str = "label"
    rows: Mapping[str, str] = field(default_factory=dict)
    resized: Mapping[str, Field] = field(default_factory=dict)

    @property
    def trained(self) -> dict[str, Field]:
        """The fields as a training batch holds them, after `data.augment`; `fields` are those that are evaluated."""
        return {**self.fields, **self.resized}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by label; empty where there are none."""
        return tuple(self.facts.get(self.label, {}).get("classes", ()))

    @property
    def counts(self) -> tuple[int, ...]:
        """Training examples of each class, by label."""
        return tuple(self.facts.get(self.label, {}).get("counts", {}).get("train", ()))

    @property
    def multi_label(self) -> bool:
        """True where an example may have several labels: the field is then a row of zeros and ones."""
        return self.label in self.fields and len(self.fields[self.label].shape) == 1

    @property
    def remarks(self) -> list[str]:
        """The remarks of all features on their fields, for a person who begins a training."""
        return [said for name, codec in self.codecs.items() for said in codec.remarks(name, self.facts.get(name, {}))]

    def naming(self, label: str) -> DataInfo:
        """The same for a task that names another field of classes."""
        return dataclasses.replace(self, label=label)

    def to_json(self) -> dict[str, Any]:
        plain = {key: {name: dict(value) for name, value in getattr(self, key).items()} for key in _OF_FEATURES}
        resized = {"resized": _plain_fields(self.resized)} if self.resized else {}
        return {
            "format": 2, "fields": _plain_fields(self.fields), **plain, "splits": dict(self.splits),
            "rows": dict(self.rows), **resized,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Codec]) -> DataInfo:
        """The record of what `to_json` gave; `make` makes the codec of a feature as YAML has it."""
        fields, resized = (
            {name: Field(tuple(f["shape"]), f["dtype"]) for name, f in data.get(key, {}).items()}
            for key in ("fields", "resized")
        )
        features, facts = data["features"], data["facts"]
        codecs = {name: make(node).with_facts(facts.get(name, {})) for name, node in features.items()}
        return cls(fields, features, facts, dict(data["splits"]), codecs, rows=data.get("rows", {}), resized=resized)


def _plain_fields(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {name: {"shape": list(one.shape), "dtype": one.dtype} for name, one in fields.items()}
