"""A share of some examples that is the same each time, and nearly the same when examples are added."""

from __future__ import annotations

from collections.abc import Sequence
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
    import hashlib

    import numpy

    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    hashes = numpy.frombuffer(b"".join(digests), ">u8")
    chosen = numpy.zeros(len(keys), bool)
    chosen[numpy.argsort(hashes, kind="stable")[: round(share * len(keys))]] = True
    return chosen
