"""A documented, annotated Python function read as a component, and the registry of all of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kplug.errors import listed
from kplug.kinds import INJECTED, KINDS, Kind, Known

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
