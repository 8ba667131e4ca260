"""The few forms that an annotation is read into: what may fill a parameter, and how that is said in words."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kplug.errors import listed, with_article
from kplug.kinds import Kind

if TYPE_CHECKING:
    from kplug.spec.component import Component


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Form:
    """The base of all forms.

    Args:
        annotation: what was read; pydantic checks plain values against it.
        marks: what `Annotated` has beside the type: limits, kinds, `Located`.
    """

    annotation: Any
    marks: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Leaf(_Form):
    """A plain value: bool, int, float, str, None, Any, a Literal.

    Args:
        noun: what it is called in messages, limits included.
        choices: the values of a Literal.
    """

    noun: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OfKind(_Form):
    """A node of a kind.

    Args:
        kind: what the node's component makes.
        is_maker: written `Callable[[], Kind]`: what is handed over is a function that makes another at each call.
    """

    kind: Kind
    is_maker: bool = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Section(_Form):
    """A mapping with the keys of a dataclass, which needs no `type`."""

    component: Component


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ListOf(_Form):
    """A list, of any length or, written as `tuple[X, Y]`, of one."""

    item: Form
    length: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MapOf(_Form):
    """A mapping with text, or some words alone, as its keys."""

    key: Form
    item: Form


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OneOf(_Form):
    """A union: any of several forms, of which one at most is of a kind."""

    members: tuple[Form, ...]


Form = Leaf | OfKind | Section | ListOf | MapOf | OneOf


def one_of(forms: Sequence[Form]) -> Form:
    """The form that takes what any of these takes."""
    members = tuple(dict.fromkeys(member for form in forms for member in members_of(form)))
    if len(members) == 1:
        return members[0]
    return OneOf(annotation=typing.Union[tuple(member.annotation for member in members)], members=members)  # noqa: UP007


def members_of(form: Form) -> tuple[Form, ...]:
    """The alternatives of a form: itself where it is no union."""
    return form.members if isinstance(form, OneOf) else (form,)


def item_of(form: Form) -> Form:
    """The form of what stands in a list or a mapping that fills this one."""
    items = [member.item for member in members_of(form) if isinstance(member, ListOf | MapOf)]
    return one_of(items) if items else form


@functools.cache
def holds_nodes(form: Form) -> bool:
    """Return True where a kind or a section stands anywhere in the form."""
    match form:
        case ListOf(item=item) | MapOf(item=item):
            return holds_nodes(item)
        case OneOf(members=members):
            return any(map(holds_nodes, members))
    return not isinstance(form, Leaf)


def is_marked(form: Form, text: Any, mark: type) -> bool:
    """Return True where the text stands for what the mark says, a path, and is no word that the form names beside."""
    members = members_of(form)
    is_named = any(text in member.choices for member in members if isinstance(member, Leaf))
    return not is_named and any(isinstance(own, mark) for member in members for own in member.marks)


# --- in words --------------------------------------------------------------------------------------------------------


def wanted(form: Form) -> str:
    """A form in words: `a schedule or a number > 0`."""
    match form:
        case Leaf(noun=noun):
            return noun
        case OfKind(kind=kind):
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
