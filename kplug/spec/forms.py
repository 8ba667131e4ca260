"""What may fill a parameter: its annotation, read once into one of a few forms that all others match over."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import types
import typing
from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kplug.errors import listed, with_article
from kplug.kinds import NOUNS, Kind

if TYPE_CHECKING:
    from kplug.spec.component import Component

_PLAIN = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Form:
    """The base of all forms.

    Args:
        annotation: what was read; pydantic checks plain values against it.
        marks: what `Annotated` has beside the type: limits, kinds, `Located`.
    """

    annotation: Any
    marks: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaf(_Form):
    """A plain value: bool, int, float, str, None, Any, a Literal.

    Args:
        noun: what it is called in messages, limits included.
        choices: the values of a Literal.
    """

    noun: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class OfKind(_Form):
    """A node of a kind."""

    kind: Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Maker(_Form):
    """A node of a kind, written as `Callable[[], Kind]`: the component gets a function that makes one at each call."""

    kind: Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Section(_Form):
    """A mapping with the keys of a dataclass, which needs no `type`."""

    component: Component


@dataclass(frozen=True, kw_only=True, eq=False)
class ListOf(_Form):
    """A list, of any length or, written as `tuple[X, Y]`, of one."""

    item: Form
    length: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MapOf(_Form):
    """A mapping with text, or some words alone, as its keys."""

    key: Form
    item: Form


@dataclass(frozen=True, kw_only=True, eq=False)
class OneOf(_Form):
    """Any of several forms, of which one at most is of a kind."""

    members: tuple[Form, ...]


Form = Leaf | OfKind | Maker | Section | ListOf | MapOf | OneOf


class Unfillable(Exception):
    """Nothing that is written in YAML fits the annotation."""


# --- reading ---------------------------------------------------------------------------------------------------------

# By identity: `int | None` and `None | int` are equal, but differ in words. A form keeps its annotation, so that no
# other gets its id.
_read: dict[int, Form] = {}


def read_form(annotation: Any, read_section: Callable[[type], Component]) -> Form:
    """The form that an annotation stands for.

    Args:
        annotation: of a parameter.
        read_section: makes a component of a dataclass.

    Raises:
        Unfillable: it is none of the forms.
    """
    if id(annotation) not in _read:
        _read[id(annotation)] = _form(annotation, lambda inner: read_form(inner, read_section), read_section)
    return _read[id(annotation)]


def _form(annotation: Any, read: Callable[[Any], Form], read_section: Callable[[type], Component]) -> Form:
    _refuse_unhashable(annotation)
    if kind := named_kind(annotation):
        return OfKind(annotation=annotation, marks=annotation.__metadata__, kind=kind)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return Section(annotation=annotation, component=read_section(annotation))
    if annotation in _PLAIN:
        return Leaf(annotation=annotation, noun=_PLAIN[annotation])
    match typing.get_origin(annotation), typing.get_args(annotation):
        case typing.Annotated, (base, *marks):
            return _marked(annotation, base, tuple(marks), read)
        case typing.Literal, choices:
            return Leaf(annotation=annotation, noun=among(choices), choices=choices)
        case typing.Union | types.UnionType, arguments:
            members = tuple(map(read, arguments))
            if sum(isinstance(member, OfKind | Maker) for member in members) < 2:
                return OneOf(annotation=annotation, members=members)
        case abc.Callable, (_, made) if isinstance(form := read(made), OfKind):
            return Maker(annotation=annotation, kind=form.kind)
        case builtins.dict, (words, item) if not holds_nodes(key := read(words)):
            return MapOf(annotation=annotation, key=key, item=read(item))
        case (builtins.list, (item,)) | (builtins.tuple, (item, builtins.Ellipsis)):
            return ListOf(annotation=annotation, item=read(item))
        case builtins.tuple, (_, *_) as items if not holds_nodes(form := one_of([read(item) for item in items])):
            return ListOf(annotation=annotation, item=form, length=len(items))
    raise Unfillable


def _marked(annotation: Any, base: Any, marks: tuple[Any, ...], read: Callable[[Any], Form]) -> Form:
    form = read(base)
    if holds_nodes(form):
        raise Unfillable
    if isinstance(form, Leaf):
        limits = [(sign, getattr(mark, key, None)) for mark in marks for key, sign in _SIGNS.items()]
        said = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
        form = dataclasses.replace(form, noun=NOUNS.get(annotation, f"{form.noun} {said}".rstrip()))
    return dataclasses.replace(form, annotation=annotation, marks=marks)


def named_kind(annotation: Any) -> Kind | None:
    """The kind that an annotation such as `kplug.Loss` is."""
    return next((mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Kind)), None)


def _refuse_unhashable(annotation: Any) -> None:
    try:
        hash(annotation)
    except TypeError:  # no validator can be kept for it
        raise Unfillable from None


def one_of(forms: Sequence[Form]) -> Form:
    """The form that takes what any of these takes."""
    members = tuple(dict.fromkeys(member for form in forms for member in members_of(form)))
    if len(members) == 1:
        return members[0]
    return OneOf(annotation=typing.Union[tuple(member.annotation for member in members)], members=members)  # noqa: UP007


# --- asking ----------------------------------------------------------------------------------------------------------


def members_of(form: Form) -> tuple[Form, ...]:
    """The alternatives of a form: itself where it is no union."""
    return form.members if isinstance(form, OneOf) else (form,)


@functools.cache
def holds_nodes(form: Form) -> bool:
    """True where a kind or a section stands anywhere in the form."""
    match form:
        case Leaf():
            return False
        case ListOf(item=item) | MapOf(item=item):
            return holds_nodes(item)
        case OneOf(members=members):
            return any(map(holds_nodes, members))
    return True


def kind_of(form: Form) -> Kind | None:
    """The kind of the node that fills the form alone."""
    return form.kind if isinstance(form, OfKind | Maker) else None


def item_of(form: Form) -> Form:
    """The form of what stands in a list or a mapping that fills this one."""
    items = [member.item for member in members_of(form) if isinstance(member, ListOf | MapOf)]
    return one_of(items) if items else form


def is_marked(form: Form, text: Any, mark: type) -> bool:
    """True where the text stands for what the mark says, a path, and is no word that the form names beside."""
    members = members_of(form)
    is_named = any(text in member.choices for member in members if isinstance(member, Leaf))
    return not is_named and any(isinstance(own, mark) for member in members for own in member.marks)


# --- in words --------------------------------------------------------------------------------------------------------


def wanted(form: Form) -> str:
    """What a form asks for, in words: `a schedule or a number > 0`."""
    match form:
        case Leaf(noun=noun):
            return noun
        case OfKind(kind=kind) | Maker(kind=kind):
            return with_article(kind.name)
        case Section(component=component):
            return f"a mapping (keys: {listed(component.parameters)})"
        case OneOf(members=members):
            return either([wanted(member) for member in members])
        case ListOf(length=int(length)):
            return f"a list of {length}"
        case MapOf(key=Leaf(choices=(_, *_) as words)) if not holds_nodes(form):
            return f"a mapping with {' or '.join(words)}"
    whole = "a list" if isinstance(form, ListOf) else "a mapping"
    return f"{whole}, each item {wanted(form.item)}" if holds_nodes(form) else whole


def either(nouns: Sequence[str]) -> str:
    return " or ".join((", ".join(nouns[:-1]), nouns[-1]) if nouns[1:] else nouns)


def among(choices: Sequence[Any]) -> str:
    words = ", ".join(str(choice) for choice in choices)
    return f"one of {words}" if choices[1:] else words
