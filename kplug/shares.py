"""Who has which examples: a share that is the same each time, and the slices of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy


def stable_share(keys: Sequence[str], share: float) -> numpy.ndarray:
    """Choose the round(share * n) examples whose keys have the smallest hashes.

    Exact in count. An example added shifts the border in the order of hashes, so that at most one other example
    changes sides; equal keys are neighbours in that order.

    Args:
        keys: what names each example for good, such as its path.
        share: 0 to 1.

    Returns:
        bool `[n]`, True for the chosen.
    """
    return stable_part(keys, 0.0, share)


def stable_part(keys: Sequence[str], begin: float, end: float) -> numpy.ndarray:
    """Choose the examples from one share to another in the order of their keys' hashes, as `stable_share` does."""
    import hashlib

    import numpy

    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    hashes = numpy.frombuffer(b"".join(digests), ">u8")
    chosen = numpy.zeros(len(keys), bool)
    order = numpy.argsort(hashes, kind="stable")
    chosen[order[round(begin * len(keys)) : round(end * len(keys))]] = True
    return chosen


@dataclass(frozen=True)
class Shares:
    """The replicas that a process feeds, among all: replica r has the r-th slice of every batch."""

    mine: range
    count: int


ALL = Shares(range(1), 1)
