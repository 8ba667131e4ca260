"""Readers of records by row, from TFRecord and array_record files.

Files are opened for each read and closed again, or belong to array_record's readers, which are safe under threads: no
handle is shared between the threads of an input pipeline, and a split of a thousand files holds none open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kplug.data.source_files import object_column
from kplug.errors import SpecError

HEADER, FOOTER = 12, 4  # bytes around a TFRecord's data: length and its checksum, checksum of the data


def open_records(file_format: str, instructions: Mapping[str, Sequence[Any]]) -> dict[str, Records]:
    """Open the records of each split.

    Args:
        file_format: TFDS's name of the format.
        instructions: split name to TFDS's file instructions: filename, skip, take, examples_in_shard.
    """
    # a file that several splits share is looked through once
    files = {part.filename: part.examples_in_shard for parts in instructions.values() for part in parts}
    for filename in sorted(files):
        if not os.path.isfile(filename):
            raise SpecError(f"{filename} is missing; the dataset is not whole: remove its folder and prepare it again")
    if file_format == "array_record":
        return {split: ArrayRecords(parts) for split, parts in instructions.items()}
    if file_format != "tfrecord":
        what = f"the dataset's files are {file_format}; only tfrecord and array_record are read"
        raise SpecError(f"{what}: prepare it in one of them")
    indexes = {filename: record_offsets(filename, examples) for filename, examples in files.items()}
    return {split: TFRecords(parts, indexes) for split, parts in instructions.items()}


class ArrayRecords:
    """The serialized examples of array_record files, which have an index of their own, by row."""

    def __init__(self, instructions: Sequence[Any]) -> None:
        from array_record.python.array_record_data_source import ArrayRecordDataSource  # type: ignore[import-untyped]

        self._source = ArrayRecordDataSource(list(instructions))

    def __len__(self) -> int:
        return len(self._source)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The records of rows, an object array of bytes; safe under threads."""
        if len(rows) == 1:  # several are read in threads that are made for the call
            return object_column([self._source[int(rows[0])]])
        return object_column(self._source.__getitems__(rows.tolist()))


class TFRecords:
    """The serialized examples of TFRecord files, found by the offsets of their beginnings, by row."""

    def __init__(self, instructions: Sequence[Any], indexes: Mapping[str, np.ndarray]) -> None:
        self._files = [part.filename for part in instructions]
        parts = [indexes[part.filename][part.skip : part.skip + part.take + 1] for part in instructions]
        self._file = np.repeat(np.arange(len(parts)), [len(offsets) - 1 for offsets in parts])
        self._start = np.concatenate([offsets[:-1] for offsets in parts]) + HEADER
        self._size = np.concatenate([np.diff(offsets) for offsets in parts]) - HEADER - FOOTER

    def __len__(self) -> int:
        return len(self._start)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The records of rows, an object array of bytes; safe under threads."""
        found: list[bytes] = [b""] * len(rows)
        files = self._file[rows]
        for file in np.unique(files) if len(rows) > 1 else files:
            with open(self._files[file], "rb", buffering=0) as handle:
                for at in np.flatnonzero(files == file):
                    row = rows[at]
                    found[at] = os.pread(handle.fileno(), int(self._size[row]), int(self._start[row]))
        return object_column(found)


Records = ArrayRecords | TFRecords


def record_offsets(filename: str, examples: int) -> np.ndarray:
    """The offsets at which the records of a TFRecord file begin, and at last the end of the file.

    Args:
        filename: the file.
        examples: how many it is to hold.
    """
    size, offset, offsets = os.path.getsize(filename), 0, [0]
    with open(filename, "rb", buffering=0) as file:
        while offset < size:
            header = os.pread(file.fileno(), 8, offset)
            length = int.from_bytes(header, "little") if len(header) == 8 else size
            offset += length + HEADER + FOOTER
            offsets.append(offset)
    if offset != size or len(offsets) != examples + 1:
        what = f"{filename} is damaged: it should hold {examples:,} whole records"
        raise SpecError(f"{what}; remove the dataset's folder and prepare it again")
    return np.array(offsets, np.int64)
