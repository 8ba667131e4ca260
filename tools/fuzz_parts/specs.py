"""Mutated specs: checked, and where they are good, filled, written and read back."""

from __future__ import annotations

import contextlib
import io
import random
from functools import cached_property
from pathlib import Path
from typing import Any

from fuzz_parts.mutations import mutated_text, mutated_tree, settings_drawn
from fuzz_parts.trying import ACCEPTED, RAW, REFUSED

from kplug.console import printable
from kplug.errors import SpecError
from kplug.spec.plugins import host
from kplug.spec.spec import loads, settings
from kplug.spec.yaml12 import parse

ROOT = Path(__file__).resolve().parents[2]
LONG = (
    20_000  # bytes, beyond which a spec is not written back: that takes longer than the check, and no command does it
)


class MutatedSpecs:
    """Texts and trees of specs/*.yaml with a few changes each."""

    seconds, megabytes, added, lasts = 2.0, 500.0, False, 1_000

    @cached_property
    def bases(self) -> list[tuple[str, Any]]:
        """Each spec as text and as plain data, those that are filled among them."""
        texts = [file.read_text() for file in sorted((ROOT / "specs").glob("*.yaml"))]
        texts += [loads(text).filled().dump() for text in texts[:4]]
        return [(text, parse(text, "spec")[0]) for text in texts]

    def begin(self) -> None:
        """Discover the plugins, which is no case's time."""
        host()
        loads(self.bases[0][0])

    def case(self, seed: int, index: int) -> tuple[bytes, list[str]]:
        """A mutated text, and what is typed after --set."""
        rng = random.Random(f"specs {seed} {index}")
        text, data = rng.choice(self.bases)
        content = mutated_text(text, rng) if rng.random() < 0.5 else mutated_tree(data, rng)
        return content, settings_drawn(rng)

    def file(self, case: tuple[bytes, list[str]]) -> tuple[bytes, str]:
        """The text, with what is typed after --set below it, if anything is."""
        content, changes = case
        return content + "".join(f"\n# --set {change!r}" for change in changes).encode(), ".yaml"

    def run(self, case: tuple[bytes, list[str]]) -> tuple[str, str]:
        """Check it as `kplug check` and `--set` do."""
        content, changes = case
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # of candidates that are not tried a line is said
                spec = loads(content, "case.yaml", settings(changes) if changes else None)
        except SpecError as error:
            said = printable("\n".join([str(error), *getattr(error, "__notes__", ())]))
            return REFUSED, said.partition("\n")[0][:200]
        spec.missing_files()
        if len(content) > LONG:
            return ACCEPTED, ""
        filled = spec.filled()
        with contextlib.redirect_stderr(io.StringIO()):
            again = loads(filled.dump(), "again.yaml")
        if again.dump() != filled.dump():
            return RAW, "the filled spec is another when it is read back"
        return ACCEPTED, ""
