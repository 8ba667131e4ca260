"""The defaults of strangers' components: each is a value of its annotation, and no default node leads to itself."""

from __future__ import annotations

import contextlib
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from kplug.errors import SpecError, dotted, with_article
from kplug.spec.component import BadComponent, Component, Parameter
from kplug.spec.forms import Form, Leaf, ListOf, MapOf, OfKind, Section, holds_nodes, item_of, members_of, wanted
from kplug.spec.tree import plain
from kplug.spec.values import read_leaf

if TYPE_CHECKING:
    from kplug.spec.registry import Registry

_PLAIN = (bool, int, str, type(None))
_LIMITS: dict[type, Callable[[Any, Any], bool]] = {
    Ge: lambda value, mark: value >= mark.ge,
    Gt: lambda value, mark: value > mark.gt,
    Le: lambda value, mark: value <= mark.le,
    Lt: lambda value, mark: value < mark.lt,
}


def refuse_defaults(components: Sequence[Component], registry: Registry) -> None:
    """Refuse components with a default that a spec could not write, or that goes on for ever.

    Args:
        components: those of one plugin, registered already.
        registry: with all others too.

    Raises:
        BadComponent: with the component, its parameter and the default.
    """
    for component in components:
        for parameter in component.parameters.values():
            if not parameter.required and (reason := _misfit(parameter.form, parameter.default)):
                raise BadComponent(f"{component.name}: the default of '{parameter.name}' {reason}")
    for component in components:
        _refuse_circle(component, {}, registry, [])


def _misfit(form: Form, value: Any) -> str:
    """The reason for which a default does not fit, "" where it does; what a call is given is checked at its use."""
    if _clearly_fits(form, value):
        return ""
    try:
        written = plain(value)
        json.dumps(written, allow_nan=False)
    except Exception:  # of its own class, whatever that does
        return f"is no value that YAML can hold; received {with_article(type(value).__name__)}, not {wanted(form)}"
    if not holds_nodes(form):
        said = "; ".join(_located(*problem) for problem in read_leaf(form, written)[1])
        return f"does not fit its annotation: {said}" if said else ""
    fits = any(_has_the_shape(member, written) for member in members_of(form))
    return "" if fits else f"does not fit its annotation: {json.dumps(written)} is not {wanted(form)}"


def _clearly_fits(form: Form, value: Any) -> bool:
    """Return True for what can be told without pydantic, which takes a third of the time of the discovery."""
    is_plain = type(value) in _PLAIN or (type(value) is float and math.isfinite(value))
    return is_plain and any(
        any(value is choice for choice in member.choices) or _is_within(member, value)
        for member in members_of(form)
        if isinstance(member, Leaf)
    )


def _is_within(leaf: Leaf, value: Any) -> bool:
    """True for a value of the type and the limits of a leaf; of further marks pydantic is asked."""
    if typing.get_origin(leaf.annotation) not in (None, Annotated):
        return False
    base = getattr(leaf.annotation, "__origin__", leaf.annotation)
    return base is type(value) and all(
        type(mark) in _LIMITS and _LIMITS[type(mark)](value, mark) for mark in leaf.marks
    )


def _located(message: str, path: Any) -> str:
    return f"{dotted(path)}: {message}" if path else message


def _has_the_shape(form: Form, value: Any) -> bool:
    match form:
        case OfKind():
            return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("type"), str))
        case Section():
            return isinstance(value, dict)
        case ListOf(item=item) if holds_nodes(item):
            return isinstance(value, list) and all(_misfit(item, inside) == "" for inside in value)
        case MapOf(item=item) if holds_nodes(item):
            return isinstance(value, dict) and all(_misfit(item, inside) == "" for inside in value.values())
    return not read_leaf(form, value)[1]


# --- circles ---------------------------------------------------------------------------------------------------------


def _refuse_circle(component: Component, given: Mapping[str, Any], registry: Registry, above: list[Parameter]) -> None:
    """Refuse a component where one of its defaults, or of those that these call, is needed to write itself out.

    Args:
        component: that is called.
        given: the arguments of the call.
        registry: where the components that are called are found.
        above: parameters whose defaults are being written out.
    """
    for parameter in component.parameters.values():
        if parameter.name in given:
            _follow(parameter.form, given[parameter.name], registry, above)
        elif not parameter.required and holds_nodes(parameter.form):
            if any(parameter is one for one in above):
                way = " -> ".join(f"'{one.name}'" for one in [*above, parameter])
                raise BadComponent(f"{component.name}: a default node leads to itself: {way}")
            _follow(parameter.form, plain(parameter.default), registry, [*above, parameter])


def _follow(form: Form, value: Any, registry: Registry, above: list[Parameter]) -> None:
    kind = next((member.kind.name for member in members_of(form) if isinstance(member, OfKind)), "")
    name = value.get("type") if isinstance(value, dict) else value
    if isinstance(value, list):
        for item in value:
            _follow(item_of(form), item, registry, above)
    elif isinstance(name, str) and registry.has(kind, name):
        with contextlib.suppress(SpecError):  # two are called so: told where it is used
            called = registry.find(kind, name)
            given = {key: inside for key, inside in value.items() if key != "type"} if isinstance(value, dict) else {}
            _refuse_circle(called, given, registry, above)
    elif isinstance(value, dict):
        for member in members_of(form):
            if isinstance(member, Section):
                _refuse_circle(member.component, value, registry, above)
            elif isinstance(member, MapOf):
                for item in value.values():
                    _follow(member.item, item, registry, above)
