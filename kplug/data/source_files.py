"""The files that a source lists, and how its examples are shared out to splits."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kplug.data.codecs.decoding import BMP, SIGNATURES
from kplug.data.splits import SPLITS, stable_share
from kplug.errors import SpecError

SHOWN = 5  # files that an error lists


def share_out(
    examples: Sequence, keys: Sequence[str], test: float, groups: Sequence[str] | None = None
) -> dict[str, list]:
    """Share examples out to train and, unless `test` is 0, to test, in their order.

    Args:
        examples: anything, one a key.
        keys: by which a stable share is chosen; examples of equal keys stay together.
        test: the share, 0 to 1.
        groups: which examples belong together: none is cut; None: each stands by itself.
    """
    if test == 0:
        return {"train": list(examples)}
    chosen = (
        stable_share(keys, test, len(set(keys)) < len(keys)) if groups is None else stable_share(groups, test, True)
    )
    if chosen.all() or not chosen.any():
        part = "train" if chosen.any() else "test"
        of = f"{len(keys)} examples" if groups is None else f"{len(set(groups))} groups"
        what = f"test: {test:g} of {of} leaves none for {part}"
        raise SpecError(f"{what}; choose another share, or 0 for no test")
    parts = {"train": ~chosen, "test": chosen}
    return {split: list(itertools.compress(examples, part)) for split, part in parts.items()}


def in_order(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a source by split, in the order train, validation, test; those that hold nothing are left out."""
    return {split: parts[split] for split in SPLITS if parts.get(split)}


def object_column(values: Sequence[Any]) -> np.ndarray:
    """An array of objects, such as strings or bytes.

    NumPy's own strings all have the length of the longest, and its bytes lose zeros at the end.
    """
    return np.array([*values, None], object)[:-1]


@dataclass(frozen=True)
class Files:
    """Files of pictures.

    Args:
        paths: as they are read.
        names: for good, relative to the source; one file has one name, whatever links lead to it.
        sizes: in bytes.
    """

    paths: Sequence[str]
    names: Sequence[str]
    sizes: Sequence[int]

    def at(self, rows: Sequence[int]) -> Files:
        """Some of them."""
        paths, names = ([one[row] for row in rows] for one in (self.paths, self.names))
        return Files(paths, names, [self.sizes[row] for row in rows])


def found_files(paths: Sequence[str], root: str) -> Files:
    """Look at files, which exist.

    Args:
        paths: as they are read.
        root: the folder of the source, which may be moved with all in it.

    Raises:
        SpecError: some cannot be looked at, such as links that lead nowhere.
    """
    above = os.path.abspath(root or ".")
    of_file: dict[tuple[int, int], str] = {}
    identities: list[tuple[int, int]] = []
    names: list[str] = []
    sizes: list[int] = []
    problems: list[str] = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            what = f"a link that leads nowhere, to {os.readlink(path)}" if os.path.islink(path) else error.strerror
            problems.append(f"\n  {path}: {what}")
            continue
        name = os.path.relpath(os.path.abspath(path), above)
        # a file system without numbers of files gives 0
        identity = (status.st_dev, status.st_ino) if status.st_ino else (-1, len(names))
        of_file[identity] = min(of_file.get(identity, name), name)
        identities.append(identity)
        names.append(name)
        sizes.append(status.st_size)
    if problems:
        more = f"\n  ... ({len(problems)} in all)" if len(problems) > SHOWN else ""
        raise SpecError(f"pictures that cannot be read:{''.join(problems[:SHOWN])}{more}")
    return Files(list(paths), [of_file[identity] for identity in identities], sizes)


def is_picture(path: str) -> bool:
    """Return True where a file is a picture that is read, by its first bytes, whatever it is called."""
    try:
        with open(path, "rb") as file:
            head = file.read(10)
    except OSError:
        return False
    # a text may begin with the letters of a BMP, which has four zeros behind its length
    return head.startswith(SIGNATURES) and (not head.startswith(BMP) or head[6:] == bytes(4))


def tell_repeated(files: Files, labels: Sequence[str] | None) -> None:
    """Say how many rows are of a file that an earlier one has, and which files have several labels."""
    first: dict[str, int] = {}
    repeated = [(row, first[name]) for row, name in enumerate(files.names) if first.setdefault(name, row) != row]
    if not repeated:
        return
    row, before = repeated[0]
    what = f"{len(repeated):,} of {len(files.names):,} pictures come again: {files.paths[row]} is {files.paths[before]}"
    several = [(row, before) for row, before in repeated if labels is not None and labels[row] != labels[before]]
    if several and labels is not None:
        row, before = several[0]
        other = f"{files.paths[row]} is {labels[before]} and {labels[row]}"
        what = f"{what}; {len(several):,} of them have another label then: {other}"
    logging.getLogger("kplug").warning("%s", what)
