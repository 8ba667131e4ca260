"""A documented, annotated Python function read as a component, and the registry of all of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kplug.errors import SpecError, did_you_mean, listed, shown_value, with_article
from kplug.kinds import INJECTED, KINDS, Kind
from kplug.knowledge import Known

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
        BadComponent: it takes `type`, `*args` or `**kwargs`, an annotation is missing or nothing in YAML can fill it.
    """
    name = getattr(function, "__name__", repr(function)).rstrip("_")
    if not isinstance(function, type | types.FunctionType):
        raise BadComponent(f"{name} is not a function")
    signature = inspect.signature(function)
    hints = _hints(function, signature, name)
    kind = None if isinstance(function, type) else _kind(hints.pop("return", None), name)
    parameters, injected = {}, {}
    for p in signature.parameters.values():
        _refuse_odd_parameter(p, hints, name)
        if hints[p.name] in INJECTED:
            injected[p.name] = hints[p.name]
        else:
            parameters[p.name] = Parameter(p.name, hints[p.name], _default(function, p))
    rules = tuple(getattr(function, "kplug_rules", ()))
    marks = ("kplug_known", "kplug_canonical")
    tells = tuple(filter(None, [getattr(function, mark, None) for mark in marks]))
    for check in (*rules, *tells):
        if unknown := [key for key in inspect.signature(check).parameters if key not in parameters]:
            unknown = [key for key in unknown if key not in knowing(check)]
        if unknown:
            raise BadComponent(f"{name}: its rule takes {listed(unknown)}, which is no parameter of it")
    return Component(function, name, kind, parameters, injected, distribution, version, rules)


def knowing(check: Callable[..., None]) -> list[str]:
    """The parameters of a rule that want to know the data."""
    annotated = inspect.signature(check).parameters.values()
    return [p.name for p in annotated if p.annotation in (Known, "Known", "kplug.Known")]


# --- what an annotation says ---------------------------------------------------------------------------------------

UNIONS = (typing.Union, types.UnionType)
_PLAIN = (bool, int, float, str, type(None), Any)
_read_section = functools.cache(read_component)


def section(annotation: Any) -> Component | None:
    """The component of a section (a dataclass), which needs no `type`; None for anything else."""
    is_section = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    return _read_section(annotation) if is_section else None


def kind_of(annotation: Any) -> Kind | None:
    """The kind that an annotation names; of `Callable[[], Kind]` too."""
    if is_maker(annotation):
        annotation = typing.get_args(annotation)[-1]
    marks = getattr(annotation, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Kind)), None)


def is_maker(annotation: Any) -> bool:
    """True of `Callable[[], Kind]`: the component gets a function that makes another object at each call."""
    return typing.get_origin(annotation) is Callable


@functools.cache
def holds_nodes(annotation: Any) -> bool:
    """True where a kind or a section stands anywhere in the annotation."""
    if kind_of(annotation) or section(annotation):
        return True
    return any(holds_nodes(a) for a in typing.get_args(annotation) if not isinstance(a, str | int))


@functools.cache
def _is_fillable(annotation: Any) -> bool:
    """True of what the checker reads: plain values, kinds, records, and lists, mappings and unions of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _PLAIN or origin is typing.Literal or kind_of(annotation) or section(annotation):
        return True
    if origin in UNIONS:
        return all(map(_is_fillable, arguments)) and sum(kind_of(member) is not None for member in arguments) < 2
    if origin is typing.Annotated:
        return _is_fillable(arguments[0]) and not holds_nodes(arguments[0])
    if origin in (list, dict):
        return all(map(_is_fillable, arguments)) and not (origin is dict and holds_nodes(arguments[0]))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return all(_is_fillable(item) and not holds_nodes(item) for item in arguments)
    return origin is tuple and _is_fillable(arguments[0])


# --- how a component is read ----------------------------------------------------------------------------------------


def _hints(function: Callable[..., Any], signature: inspect.Signature, name: str) -> dict[str, Any]:
    written = {p.name: p.annotation for p in signature.parameters.values() if p.annotation is not p.empty}
    if not isinstance(function, type) and signature.return_annotation is not signature.empty:
        written["return"] = signature.return_annotation
    if not any(isinstance(a, str) for a in written.values()):
        return written  # get_type_hints costs ten times as much
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise BadComponent(f"{name}: an annotation cannot be read: {error}") from error


def _kind(annotation: Any, name: str) -> Kind:
    if found := kind_of(annotation):
        return found
    raise BadComponent(
        f"{name}: the return annotation must be a kind, such as kplug.Loss (all: {listed(KINDS, 20)}); received "
        f"{annotation!r}"
    )


def _refuse_odd_parameter(p: inspect.Parameter, hints: Mapping[str, Any], name: str) -> None:
    if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
        raise BadComponent(f"{name}: parameter {p} cannot be given by name")
    if p.name == "type":
        raise BadComponent(f"{name}: a parameter may not be called 'type', the word that names a component in YAML")
    if p.name not in hints:
        raise BadComponent(f"{name}: parameter '{p.name}' has no annotation")
    try:
        good = hints[p.name] in INJECTED or _is_fillable(hints[p.name])
    except TypeError:  # without a hash, no validator can be kept for it
        good = False
    if not good:
        raise BadComponent(
            f"{name}: parameter '{p.name}' is annotated {hints[p.name]!r}, which a spec cannot fill; use a kind, bool, "
            "int, float, str, None, Literal, a dataclass, or list[...], tuple[...], dict[str, ...] and unions of these"
        )


def _default(function: Callable[..., Any], p: inspect.Parameter) -> Any:
    fields = getattr(function, "__dataclass_fields__", {})
    if p.name in fields and fields[p.name].default_factory is not dataclasses.MISSING:
        return fields[p.name].default_factory()
    return p.default


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
        if strange := [component.name for component in new if component.kind is None]:
            raise BadComponent(f"{strange[0]} is a class; a component is a function that returns what it makes")
        seen = {(c.kind, c.name) for c in self.components if c.distribution == distribution}
        for component in new:
            if (component.kind, component.name) in seen:
                raise BadComponent(
                    f"two components of one distribution are a {component.kind} named '{component.name}'"
                )
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
        """(name as YAML may write it, component) by name; one that another has taken is written with its owner."""
        for name, found in sorted(self._by_kind[kind].items()):
            if "/" not in name:
                winner = self._winner(found)
                yield from [(name if c is winner else f"{c.distribution}/{name}", c) for c in found]

    def find(self, kind: str, name: str) -> Component:
        """The component of that kind and name.

        Raises:
            SpecError: there is none, or two plugins claim the name.
        """
        found = self._by_kind[kind].get(name)
        if not found:
            raise SpecError(f"no {kind} named {shown_value(name)}{self._instead(kind, name)}")
        winner = self._winner(found)
        if winner is None:
            claims = " or ".join(f"'{c.distribution}/{name}' ({c.owner})" for c in found)
            raise SpecError(f"{len(found)} plugins have a {kind} named '{name}'; write {claims}")
        return winner

    def has(self, kind: str, name: str) -> bool:
        return name in self._by_kind[kind]

    def _instead(self, kind: str, name: str) -> str:
        """What may stand in the place of an unknown name."""
        others = [with_article(other) for other in KINDS if self.has(other, name)]
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
