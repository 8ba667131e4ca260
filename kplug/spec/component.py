"""A documented, annotated Python function read as a component."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any

from kplug.errors import listed
from kplug.kinds import INJECTED, KINDS, MOST, NOUNS, Effect, Kind, Known
from kplug.spec.forms import Form, Leaf, ListOf, MapOf, OfKind, OneOf, Section, among, holds_nodes, one_of

REQUIRED = inspect.Parameter.empty
KPLUG = "kplug"  # the distribution whose names win
MARKED = {
    "gives": ("sampler", "task"),
    "needs": ("task", "evaluator"),
    "effect": ("augmentation",),
}  # marks that kinds alone may have


class BadComponent(Exception):
    """A function that cannot be a component; its plugin is quarantined."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component, with the form of what may fill it and what fills it where nothing is said."""

    name: str
    form: Form
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Told:
    """A function that is told values of a component's parameters: a rule, or what another mark was given.

    Args:
        function: takes them by name.
        parameters: the names of all that it takes.
        of_the_data: those among them that are annotated `Known`, and get what is known of the data.
    """

    function: Callable[..., Any]
    parameters: tuple[str, ...]
    of_the_data: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Component:
    """A typed function with a name. A section of the spec is one too: a dataclass without a kind.

    Args:
        function: makes what the component is.
        name: as YAML writes it.
        kind: what the function makes; None for a section.
        parameters: what a spec may say, by name.
        injected: what kplug gives beside, by name.
        distribution: owns the component.
        version: of the distribution.
        rules: what `@rule` was given: checks over several parameters.
        known: what `@known` was given: it tells what a source knows of its data unopened.
        canonical: what `@canonical` was given: equal calls have equal answers of it.
        by_epochs: `@by_epochs`: an oracle that compares trials at equal numbers of epochs.
        gives: what `@gives` was given: columns of a sampler, outputs of a task; None where nothing is said.
        needs: what `@needs` was given: arrays of a batch, or outputs for an evaluator.
        effect: of an augmentation, what `@moves`, `@recolours` or `@mixes` says; None where nothing is said.
    """

    function: Callable[..., Any]
    name: str
    kind: Kind | None
    parameters: Mapping[str, Parameter]
    injected: Mapping[str, type]
    distribution: str = KPLUG
    version: str = ""
    rules: tuple[Told, ...] = ()
    known: Told | None = None
    canonical: Told | None = None
    by_epochs: bool = False
    gives: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    effect: Effect | None = None

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
    """Read a function (or a dataclass, for a section) as a `Component`.

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
        if any(hints[p.name] is record for record in INJECTED):
            injected[p.name] = hints[p.name]
        else:
            parameters[p.name] = Parameter(p.name, _form(hints[p.name], p.name, name), _default(function, p))
    _refuse_marks_of_others(function, kind, name)
    marks = {mark: _told(name, parameters, said) for mark, said in getattr(function, "kplug_marks", {}).items()}
    return Component(function, name, kind, parameters, injected, distribution, version, **marks)


section = functools.cache(read_component)  # the component of a dataclass

# --- what an annotation says -----------------------------------------------------------------------------------------

_NOUNS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
    Any: "anything",
}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}

# By identity: `int | None` and `None | int` are equal, but differ in words. A form keeps its annotation, so that no
# other gets its id.
_forms: dict[int, Form] = {}


def form_of(annotation: Any) -> Form:
    """The form that an annotation stands for; each is read once.

    Raises:
        TypeError: nothing that is written in YAML fits, or it has no hash, by which a validator could be kept.
    """
    if id(annotation) not in _forms:
        _forms[id(annotation)] = _read_form(annotation)
    return _forms[id(annotation)]


def _read_form(annotation: Any) -> Form:
    hash(annotation)
    if kind := _kind_named(annotation):
        return OfKind(annotation=annotation, marks=annotation.__metadata__, kind=kind)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return Section(annotation=annotation, component=section(annotation))
    if annotation in _NOUNS:
        return Leaf(annotation=annotation, noun=_NOUNS[annotation])
    match typing.get_origin(annotation), typing.get_args(annotation):
        case typing.Annotated, (base, *marks) if not holds_nodes(form := form_of(base)):
            return _marked(form, annotation, tuple(marks))
        case typing.Literal, choices:
            return Leaf(annotation=annotation, noun=among(choices), choices=choices)
        case typing.Union | types.UnionType, alternatives:
            members = tuple(map(form_of, alternatives))
            if sum(isinstance(member, OfKind) for member in members) < 2:
                return OneOf(annotation=annotation, members=members)
        case abc.Callable, (_, made) if kind := _kind_named(made):
            return OfKind(annotation=annotation, marks=made.__metadata__, kind=kind, is_maker=True)
        case builtins.dict, (words, item) if not holds_nodes(key := form_of(words)):
            return MapOf(annotation=annotation, key=key, item=form_of(item))
        case (builtins.list, (item,)) | (builtins.tuple, (item, builtins.Ellipsis)):
            return ListOf(annotation=annotation, item=form_of(item))
        case builtins.tuple, (_, *_) as items if not holds_nodes(form := one_of([form_of(item) for item in items])):
            return ListOf(annotation=annotation, item=form, length=len(items))
    raise TypeError(f"a spec cannot fill {annotation!r}")


def _kind_named(annotation: Any) -> Kind | None:
    return next((mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Kind)), None)


def _marked(form: Form, annotation: Any, marks: tuple[Any, ...]) -> Form:
    if isinstance(form, Leaf):
        limits = [(sign, getattr(mark, key, None)) for mark in marks for key, sign in _SIGNS.items()]
        # that every whole number has an upper limit is told to those alone who go beyond it
        said = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit not in (None, MOST))
        form = dataclasses.replace(form, noun=NOUNS.get(annotation, f"{form.noun} {said}".rstrip()))
    return dataclasses.replace(form, annotation=annotation, marks=marks)


# --- the parts of a signature ----------------------------------------------------------------------------------------


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
    if kind := _kind_named(annotation):
        return kind
    needed = f"the return annotation must be a kind, such as kplug.Loss (all: {listed(KINDS, 20)})"
    raise BadComponent(f"{name}: {needed}; received {annotation!r}")


def _refuse_odd_parameter(p: inspect.Parameter, hints: Mapping[str, Any], name: str) -> None:
    if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
        raise BadComponent(f"{name}: parameter {p} cannot be given by name")
    if p.name == "type":
        raise BadComponent(f"{name}: a parameter may not be called 'type', the word that names a component in YAML")
    if p.name not in hints:
        raise BadComponent(f"{name}: parameter '{p.name}' has no annotation")


def _form(annotation: Any, parameter: str, name: str) -> Form:
    try:
        return form_of(annotation)
    except TypeError:
        raise BadComponent(
            f"{name}: parameter '{parameter}' is annotated {annotation!r}, which a spec cannot fill; use a kind, bool, "
            "int, float, str, None, Literal, a dataclass, or list[...], tuple[...], dict[str, ...] and unions of these"
        ) from None


def _default(function: Callable[..., Any], p: inspect.Parameter) -> Any:
    fields = getattr(function, "__dataclass_fields__", {})
    if p.name in fields and fields[p.name].default_factory is not dataclasses.MISSING:
        return fields[p.name].default_factory()
    return p.default


def _refuse_marks_of_others(function: Callable[..., Any], kind: Kind | None, name: str) -> None:
    marks = getattr(function, "kplug_marks", {})
    for mark, kinds in MARKED.items():
        if mark in marks and (kind is None or kind.name not in kinds):
            said, article = getattr(marks[mark], "does", mark), "an" if kinds[0][0] in "aeiou" else "a"
            raise BadComponent(f"{name}: @{said} says something of {article} {' or '.join(kinds)}")


def _told(name: str, known: Mapping[str, Parameter], said: Any) -> Any:
    """Read what a decorator (`rule`, `known`, `canonical`, ...) said: each function becomes a `Told`."""
    if isinstance(said, tuple):
        return tuple(_told(name, known, function) for function in said)
    if not callable(said):
        return said
    annotations = {p.name: p.annotation for p in inspect.signature(said).parameters.values()}
    of_the_data = tuple(key for key, a in annotations.items() if a in (Known, "Known", "kplug.Known"))
    if unknown := [key for key in annotations if key not in known and key not in of_the_data]:
        raise BadComponent(f"{name}: its rule takes {listed(unknown)}, which is no parameter of it")
    return Told(said, tuple(annotations), of_the_data)


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
