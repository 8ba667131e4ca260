"""The tables that samplers draw: seen to be whole, and an evaluation's dealt to replicas in whole blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kplug.errors import SpecError, listed
from kplug.records import Table


@dataclass(frozen=True)
class BatchSlices:
    """The replicas that this process feeds, `mine` of `count`: replica r has the r-th slice of every batch."""

    mine: range
    count: int


ALL = BatchSlices(range(1), 1)


@dataclass(frozen=True, eq=False)
class Order:
    """The examples of a split one after the other, as an evaluation sees them.

    Args:
        rows: numbers of the rows, int64 `[n]`; a row may come several times.
        columns: those that the sampler gives, `[n]` by name.
        sizes: how many of them stand in each batch.
        block: so many examples of a batch are never cut apart.
    """

    rows: np.ndarray
    columns: Mapping[str, np.ndarray]
    sizes: Sequence[int]
    block: int = 1


def whole_table(drawn: Any, gives: Sequence[str], where: str) -> Table:
    """Make a `Table` of what a sampler has drawn, seen to be one.

    Args:
        drawn: the table, or its rows alone.
        gives: the columns that the sampler is marked to give.
        where: its place in the spec.
    """
    table = drawn if isinstance(drawn, Table) else Table(drawn)
    rows = np.asarray(table.rows)
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or rows.size == 0:
        what = f"{where} must give int64 [steps, batch] with at least one row"
        raise TypeError(f"{what}; received {rows.dtype} {rows.shape}")
    columns = {name: np.asarray(values) for name, values in table.columns.items()}
    for name, values in columns.items():
        if values.shape != rows.shape or values.dtype.kind not in "biuf":
            what = f"column '{name}' of {where} holds a number for each place of a batch, {rows.shape}"
            raise TypeError(f"{what}; received {values.dtype} {values.shape}")
    if set(columns) != set(gives):
        marked, given = listed(gives) or "nothing", listed(columns) or "nothing"
        raise TypeError(f"{where} gives the columns that its mark @gives names, {marked}; received {given}")
    if table.block < 1 or rows.shape[1] % table.block or (rows >= 0).sum() % table.block:
        what = f"{where} gives whole blocks of {table.block} examples"
        raise TypeError(f"{what}; received {(rows >= 0).sum()} in batches of {rows.shape[1]}")
    return Table(rows.astype(np.int64), columns, table.block)


def refuse_other_form(table: Table, first: Table, epoch: int) -> None:
    """Refuse the table of an epoch that is not made like that of epoch 0, since batches have one form."""
    if len(table.rows) != len(first.rows):
        raise ValueError(f"data.sampler gave {len(table.rows)} steps in epoch {epoch} and {len(first.rows)} in epoch 0")
    forms = [
        (one.rows.shape[1], one.block, {name: str(values.dtype) for name, values in one.columns.items()})
        for one in (table, first)
    ]
    if forms[0] != forms[1]:
        words = [f"batches of {size}, blocks of {block}, columns {columns}" for size, block, columns in forms]
        raise ValueError(f"data.sampler gave {words[0]} in epoch {epoch} and {words[1]} in epoch 0")


def slices_of(table: Table, begin: int, columns: Iterable[str], shares: BatchSlices) -> list[np.ndarray]:
    """The rows and columns of a table as these shares train on them, one slice after the other, `[n, size]` each.

    Args:
        table: whose batches are cut into as many slices as there are shares.
        begin: the first batch.
        columns: their names, in the order in which they are given.
        shares: whose slices are given.
    """
    found = []
    for array in (table.rows, *(table.columns[name] for name in columns)):
        slices = array[begin:].reshape(len(array) - begin, shares.count, -1)
        found.append(slices[:, shares.mine.start : shares.mine.stop].reshape(-1, slices.shape[-1]))
    return found


def order_of(table: Table, split: str, shares: BatchSlices) -> Order:
    """The examples of a table in the order in which these shares evaluate them.

    Args:
        table: -1 pads it.
        split: its name, for messages.
        shares: the replicas that are dealt their examples here, out of how many.

    Raises:
        SpecError: there are fewer blocks than replicas.
    """
    there = table.rows >= 0
    rows, columns = table.rows[there], {name: values[there] for name, values in table.columns.items()}
    batch_size, block = table.rows.shape[1], table.block
    if shares.count == 1:
        full, rest = divmod(len(rows), batch_size)
        return Order(rows, columns, [batch_size] * full + [rest] * bool(rest), block)
    blocks = np.arange(len(rows)).reshape(-1, block)
    if len(blocks) < shares.count:
        what = f"{len(blocks)} examples" if block == 1 else f"{len(blocks)} blocks of {block} examples"
        raise SpecError(f"{what} of {split} cannot be shared by {shares.count} replicas")
    # as even as can be: a replica without an example would have to compute on an empty batch
    steps = min(-(-len(rows) // batch_size), len(blocks) // shares.count)
    parts = np.array_split(blocks, shares.count)[shares.mine.start : shares.mine.stop]
    slices = list(itertools.chain(*zip(*(np.array_split(part, steps) for part in parts), strict=True)))
    chosen = np.concatenate(slices).reshape(-1)
    sizes = [piece.size for piece in slices]
    return Order(rows[chosen], {name: values[chosen] for name, values in columns.items()}, sizes, block)
