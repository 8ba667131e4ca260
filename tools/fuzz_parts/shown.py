"""Hostile pictures between two healthy ones, live and exported: what they are and what they cost, `pictures` says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzz_parts.trying import ACCEPTED, LARGE, RAW, REFUSED, SLOW


class HostilePictures:
    """A file that does harm to a careless decoder, in a batch with others."""

    seconds, megabytes, added, lasts = 60.0, float("inf"), True, 500  # each way is weighed by itself, more narrowly

    def __init__(self) -> None:
        self._made: tuple[int, int, Iterator[tuple[str, bytes]]] = (-1, 0, iter(()))

    def begin(self) -> None:
        """Load TensorFlow and export the codec."""
        from fuzz_parts.pictures import SEEN_BY_RSS, Weighing

        from kplug.console import load_tensorflow

        os.environ |= SEEN_BY_RSS  # before TensorFlow is loaded
        load_tensorflow()
        self.folder = tempfile.TemporaryDirectory()
        self.weighing = Weighing(3, Path(self.folder.name))

    def case(self, seed: int, index: int) -> tuple[str, bytes]:
        """What the picture is, and its file; they are made in their order."""
        from fuzz_parts.pictures import hostile_pictures

        if self._made[0] != seed or self._made[1] > index:
            self._made = (seed, 0, iter(hostile_pictures(seed, 10**9)))
        _, at, pictures = self._made
        for _ in range(at, index):
            next(pictures)
        self._made = (seed, index + 1, pictures)
        return next(pictures)

    def file(self, case: tuple[str, bytes]) -> tuple[bytes, str]:
        """The file."""
        return case[1], ".picture"

    def run(self, case: tuple[str, bytes]) -> tuple[str, str]:
        """Decode it, live and exported, and compare the neighbours."""
        found = self.weighing.of(*case)
        said = f"{found['picture']}, {found['bytes']:,} bytes: {'; '.join(found['wrong']) or found['seconds']}"
        if found["wrong"]:
            cost = {"s": SLOW, "B": LARGE}.get(found["wrong"][0][-1], RAW) if len(found["wrong"]) == 1 else RAW
            return cost, said
        return (ACCEPTED if found["valid"] else REFUSED), said
