"""The registry: every component is found here by kind and name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kplug.errors import SpecError, did_you_mean, listed, shown_value, with_article
from kplug.kinds import KINDS, Kind
from kplug.spec.component import KPLUG, BadComponent, Component, read_component
from kplug.spec.defaults import refuse_defaults


@dataclass
class Registry:
    """All components, found by kind and name; those of a plugin come together or not at all."""

    components: list[Component] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=lambda: dict(KINDS))

    def declare(self, kinds: Iterable[Kind]) -> None:
        """Take the kinds that a plugin declares.

        Raises:
            BadComponent: one has the name of another.
        """
        kinds = list(kinds)
        for kind in kinds:
            if kind.name in self.kinds and self.kinds[kind.name] != kind:
                raise BadComponent(f"the kind '{kind.name}' is there already: {self.kinds[kind.name].promise}")
        self.kinds |= {kind.name: kind for kind in kinds}
        self.__dict__.pop("_by_kind", None)

    def add(self, functions: Iterable[Callable[..., Any]], distribution: str = KPLUG, version: str = "") -> None:
        """Register the functions of one plugin: all of them or, where one is bad, none."""
        new = [read_component(function, distribution, version) for function in functions]
        if strange := [component.name for component in new if component.kind is None]:
            raise BadComponent(f"{strange[0]} is a class; a component is a function that returns what it makes")
        for component in new:
            kind = component.kind
            if kind is not None and self.kinds.get(kind.name) != kind:
                declared = "is declared otherwise by another plugin" if kind.name in self.kinds else "nobody declares"
                raise BadComponent(f"{component.name} is of the kind '{kind.name}', which {declared} (hook `kinds`)")
        seen = {(c.kind, c.name) for c in self.components if c.distribution == distribution}
        for component in new:
            if (component.kind, component.name) in seen:
                what = f"a {component.kind} named '{component.name}'"
                raise BadComponent(f"two components of one distribution are {what}")
            seen.add((component.kind, component.name))
        before = self.components
        self._take([*before, *new])
        try:
            if distribution != KPLUG:  # ours are checked by a test, not at every start
                refuse_defaults(new, self)
        except BaseException:
            self._take(before)
            raise

    def _take(self, components: list[Component]) -> None:
        self.components = components
        self.__dict__.pop("_by_kind", None)

    @cached_property
    def _by_kind(self) -> dict[str, dict[str, list[Component]]]:
        table: dict[str, dict[str, list[Component]]] = {kind: {} for kind in self.kinds}
        for component in self.components:
            assert component.kind is not None
            names = table[component.kind.name]
            names.setdefault(component.name, []).append(component)
            names[f"{component.distribution}/{component.name}"] = [component]
        return table

    def of_kind(self, kind: str) -> Iterator[tuple[str, Component]]:
        """Yield (name as YAML may write it, component) by name; one that another has taken stands with its owner."""
        for name, found in sorted(self._by_kind.get(kind, {}).items()):
            if "/" not in name:
                winner = self._winner(found)
                yield from [(name if c is winner else f"{c.distribution}/{name}", c) for c in found]

    def find(self, kind: str, name: str) -> Component:
        """The component of that kind and name.

        Raises:
            SpecError: there is none, or two plugins claim the name.
        """
        found = self._by_kind.get(kind, {}).get(name)
        if not found:
            raise SpecError(f"no {kind} named {shown_value(name)}{self._instead(kind, name)}")
        winner = self._winner(found)
        if winner is None:
            claims = " or ".join(f"'{c.distribution}/{name}' ({c.owner})" for c in found)
            raise SpecError(f"{len(found)} plugins have a {kind} named '{name}'; write {claims}")
        return winner

    def has(self, kind: str, name: str) -> bool:
        return name in self._by_kind.get(kind, {})

    def _instead(self, kind: str, name: str) -> str:
        """A hint at what may stand in the place of an unknown name."""
        others = [with_article(other) for other in self.kinds if self.has(other, name)]
        hint = f", which is {' and '.join(others)}" if others else did_you_mean(name, self._names(kind))
        return f"{hint} ({self.installed(kind)})"

    def installed(self, kind: str) -> str:
        """The names of a kind, or the command that lists them where they are many."""
        names = self._names(kind)
        return f"installed: {listed(names) or 'none'}" if len(names) <= 12 else f"kplug components {kind} lists them"

    def _names(self, kind: str) -> list[str]:
        return [name for name, _ in self.of_kind(kind)]

    @staticmethod
    def _winner(found: list[Component]) -> Component | None:
        ours = [c for c in found if c.distribution == KPLUG]
        return ours[0] if ours else found[0] if len(found) == 1 else None
