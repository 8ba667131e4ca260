"""A documented, annotated Python function read as a component, and the registry of all of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kplug.errors import SpecError, did_you_mean, listed
from kplug.kinds import INJECTED, KINDS, Kind

REQUIRED = inspect.Parameter.empty
KPLUG = "kplug"  # the distribution whose names win


class BadComponent(Exception):
    """A function that cannot be a component; its plugin is quarantined."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component: what may fill it, and what fills it where nothing is said."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, eq=False)
class Component:
    """A typed function with a name. A section of the spec is one too: a dataclass without a kind."""

    function: Callable[..., Any]
    name: str
    kind: Kind | None
    parameters: Mapping[str, Parameter]
    injected: Mapping[str, type]
    distribution: str = KPLUG
    version: str = ""
    rules: tuple[Callable[..., None], ...] = ()

    @property
    def required(self) -> list[str]:
        return [p.name for p in self.parameters.values() if p.required]

    @cached_property
    def documentation(self) -> tuple[str, dict[str, str]]:
        """The docstring's text before `Args:`, and what it says of each parameter."""
        return _read_docstring(inspect.getdoc(self.function) or "")

    @property
    def summary(self) -> str:
        return self.documentation[0].split("\n\n")[0].replace("\n", " ")

    @property
    def owner(self) -> str:
        return f"{self.distribution} {self.version}".strip()


def read_component(function: Callable[..., Any], distribution: str = KPLUG, version: str = "") -> Component:
    """A function (or a dataclass, for a section) as a `Component`.

    Raises:
        BadComponent: it takes `type`, `*args` or `**kwargs`, or an annotation is missing or cannot be read.
    """
    name = getattr(function, "__name__", repr(function)).rstrip("_")
    hints = _hints(function, name)
    kind = None if isinstance(function, type) else _kind(hints.pop("return", None), name)
    parameters, injected = {}, {}
    for p in inspect.signature(function).parameters.values():
        _refuse_odd_parameter(p, hints, name)
        if hints[p.name] in INJECTED:
            injected[p.name] = hints[p.name]
        else:
            parameters[p.name] = Parameter(p.name, hints[p.name], p.default)
    rules = tuple(getattr(function, "kplug_rules", ()))
    return Component(function, name, kind, parameters, injected, distribution, version, rules)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    annotations = getattr(function, "__annotations__", None)
    if annotations is None:
        raise BadComponent(f"{name} is not a function")
    if not any(isinstance(a, str) for a in annotations.values()):
        return dict(annotations)  # get_type_hints costs ten times as much
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise BadComponent(f"{name}: an annotation cannot be read: {error}") from error


def _kind(annotation: Any, name: str) -> Kind:
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, Kind):
            return mark
    raise BadComponent(f"{name}: the return annotation must be a kind, one of {listed(KINDS)}; received {annotation!r}")


def _refuse_odd_parameter(p: inspect.Parameter, hints: Mapping[str, Any], name: str) -> None:
    if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
        raise BadComponent(f"{name}: parameter {p} cannot be given by name")
    if p.name == "type":
        raise BadComponent(f"{name}: a parameter may not be called 'type', the word that names a component in YAML")
    if p.name not in hints:
        raise BadComponent(f"{name}: parameter '{p.name}' has no annotation")


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    head, _, rest = text.partition("Args:\n")
    body = rest.split("\n\n")[0] if rest else ""
    indent = len(body) - len(body.lstrip())
    documented: dict[str, str] = {}
    last = ""
    for line in body.splitlines():
        word, colon, description = line.strip().partition(":")
        if colon and len(line) - len(line.lstrip()) == indent and word.isidentifier():
            last = word
            documented[last] = description.strip()
        elif last:
            documented[last] += " " + line.strip()
    return head.strip(), documented


@dataclass
class Registry:
    """Every component by kind and name, each plugin's own apart, so that one plugin can be taken back whole."""

    components: list[Component] = field(default_factory=list)

    def add(self, functions: Iterable[Callable[..., Any]], distribution: str = KPLUG, version: str = "") -> None:
        """Register the functions of one plugin: all of them or, where one is bad, none."""
        new = [read_component(function, distribution, version) for function in functions]
        seen = {(c.kind, c.name) for c in self.components if c.distribution == distribution}
        for component in new:
            if (component.kind, component.name) in seen:
                kind = component.kind.name if component.kind else "component"
                raise BadComponent(f"two components of one plugin are a {kind} named '{component.name}'")
            seen.add((component.kind, component.name))
        self.components.extend(new)
        self.__dict__.pop("_by_kind", None)

    @cached_property
    def _by_kind(self) -> dict[str, dict[str, list[Component]]]:
        table: dict[str, dict[str, list[Component]]] = {kind: {} for kind in KINDS}
        for component in self.components:
            assert component.kind is not None
            names = table[component.kind.name]
            names.setdefault(component.name, []).append(component)
            names[f"{component.distribution}/{component.name}"] = [component]
        return table

    def of_kind(self, kind: str) -> Iterator[tuple[str, Component]]:
        """(name as YAML may write it, component) by name; a name that two strangers claim is written with its owner."""
        for name, found in sorted(self._by_kind[kind].items()):
            if "/" not in name:
                winner = self._winner(found)
                yield from [(name, winner)] if winner else [(f"{c.distribution}/{name}", c) for c in found]

    def find(self, kind: str, name: str) -> Component:
        """The component of that kind and name.

        Raises:
            SpecError: there is none, or two plugins claim the name.
        """
        found = self._by_kind[kind].get(name)
        if not found:
            known = [known for known, _ in self.of_kind(kind)]
            near = did_you_mean(name, known)
            raise SpecError(f"no {kind} named '{name}'{near} (installed: {listed(known) or 'none'})")
        winner = self._winner(found)
        if winner is None:
            claims = " and ".join(f"'{c.distribution}/{name}' ({c.owner})" for c in found)
            raise SpecError(f"two plugins have a {kind} named '{name}'; write {claims.replace(' and ', ' or ')}")
        return winner

    @staticmethod
    def _winner(found: list[Component]) -> Component | None:
        ours = [c for c in found if c.distribution == KPLUG]
        return ours[0] if ours else found[0] if len(found) == 1 else None
