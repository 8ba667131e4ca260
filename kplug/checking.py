"""Plain data against annotations: what fits becomes a tree of typed nodes with every default, the rest a problem."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kplug.component import Component, Registry, read_component
from kplug.errors import Path, Problem, SpecError, did_you_mean, listed
from kplug.kinds import NOUNS, Call, Kind
from kplug.leaves import adapter, as_json, leaf_problems, shown_value

_UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class Node:
    """One call: a component, the name it was called by, and its arguments, which may be nodes themselves."""

    component: Component
    name: str
    arguments: dict[str, Any]
    path: Path


def plain(tree: Any) -> Any:
    """A tree of nodes as the YAML that says the same with nothing left out."""
    if isinstance(tree, Node):
        named = {} if tree.component.kind is None else {"type": tree.name}
        return named | {key: plain(value) for key, value in tree.arguments.items()}
    if isinstance(tree, list | tuple):
        return [plain(item) for item in tree]
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return tree


def section(annotation: Any) -> Component | None:
    """The component of a section (a dataclass), which needs no `type`; None for anything else."""
    is_section = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    return _read_section(annotation) if is_section else None


_read_section = functools.cache(read_component)


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


class Checker:
    """Checks values against annotations and collects every problem.

    Args:
        registry: where component names are looked up.
        problem: takes (message, path, at the key instead of the value).
    """

    def __init__(self, registry: Registry, problem: Any) -> None:
        self.registry = registry
        self.problem = problem

    def check(self, annotation: Any, value: Any, path: Path) -> Any:
        """The value as a tree; where it does not fit, the value itself, and a problem is noted."""
        if isinstance(value, Call):
            value = ({} if value.type is None else {"type": value.type}) | dict(value.arguments)
        if not holds_nodes(annotation):
            return self._leaf(annotation, value, path)
        if kind := kind_of(annotation):
            return self._node(kind, value, path)
        if component := section(annotation):
            return self._section(component, value, path)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in _UNIONS:
            return self._union(arguments, value, path)
        if origin in (list, tuple):
            if not isinstance(value, list | tuple):
                return self._bad(value, "is not a list", path)
            return [self.check(arguments[0], item, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return self._bad(value, "is not a mapping", path)
        return {key: self.check(arguments[1], item, (*path, key)) for key, item in value.items()}

    def _bad(self, value: Any, message: str, path: Path) -> Any:
        self.problem(f"{shown_value(value)} {message}", path)
        return value

    def _union(self, members: tuple[Any, ...], value: Any, path: Path) -> Any:
        with_nodes = [m for m in members if holds_nodes(m)]
        leaves = tuple(m for m in members if not holds_nodes(m))
        if leaves and not isinstance(value, dict) and not leaf_problems(typing.Union[leaves], value):  # noqa: UP007
            return self._leaf(typing.Union[leaves], value, path)  # noqa: UP007
        for member in with_nodes:
            if _looks_like(member, value):
                return self.check(member, value, path)
        nouns = [_noun(m) for m in members]
        return self._bad(value, f"is not {', '.join(nouns[:-1])} or {nouns[-1]}", path)

    def _node(self, kind: Kind, value: Any, path: Path) -> Any:
        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            return self._bad(value, f"is not {_a(kind.name)}: write a name or {{type: name, ...}}", path)
        if "type" not in given:
            self.problem(f"which {kind.name}? 'type' is missing", path)
            return value
        name = given["type"]
        at_type = path if isinstance(value, str) else (*path, "type")
        if not isinstance(name, str):
            return self._bad(name, f"is not the name of {_a(kind.name)}", at_type)
        try:
            component = self.registry.find(kind.name, name)
        except SpecError as error:
            self.problem(str(error), path, mark=at_type)
            return value
        return self._call(component, name, {k: v for k, v in given.items() if k != "type"}, path)

    def _section(self, component: Component, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._bad(value, f"is not a mapping with {listed(component.parameters)}", path)
        return self._call(component, "", value, path)

    def _call(self, component: Component, name: str, given: dict[str, Any], path: Path) -> Any:
        noted = self.problem.count
        for key in given:
            if key not in component.parameters:
                self._unknown(component, key, path)
        arguments = {}
        for p in component.parameters.values():
            if p.name in given:
                arguments[p.name] = self.check(p.annotation, given[p.name], (*path, p.name))
            elif not p.required:
                arguments[p.name] = self.check(p.annotation, p.default, (*path, p.name))
            else:
                self.problem(
                    f"missing: {component.documentation[1].get(p.name, 'a value is required')}", (*path, p.name)
                )
        if self.problem.count == noted:
            self._rules(component, arguments, path)
        return Node(component, name, arguments, path)

    def _unknown(self, component: Component, key: str, path: Path) -> None:
        known = component.parameters
        near = did_you_mean(key, known)
        what = f"'{component.name}'" if component.kind else "it"
        allowed = f" ({what} takes {listed(known)})" if known else f" ({what} takes none)"
        self.problem(f"unknown parameter{near or allowed}", (*path, key), key=True)

    def _rules(self, component: Component, arguments: dict[str, Any], path: Path) -> None:
        for check in component.rules:
            names = check.__code__.co_varnames[: check.__code__.co_argcount]
            try:
                check(**{name: plain(arguments[name]) for name in names})
            except ValueError as error:
                self.problem(str(error), path)

    def _leaf(self, annotation: Any, value: Any, path: Path) -> Any:
        problems = leaf_problems(annotation, value)
        for message, below in problems:
            self.problem(message, (*path, *below))
        return value if problems else adapter(annotation).validate_json(as_json(value), strict=True)


def _looks_like(member: Any, value: Any) -> bool:
    origin = typing.get_origin(member)
    if kind_of(member):
        return isinstance(value, str) or (isinstance(value, dict) and "type" in value)
    if section(member) or origin is dict:
        return isinstance(value, dict) and "type" not in value
    return isinstance(value, list | tuple) and origin in (list, tuple)


def _noun(annotation: Any) -> str:
    if kind := kind_of(annotation):
        return _a(kind.name)
    if component := section(annotation):
        return f"a mapping with {listed(component.parameters)}"
    plain_names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    base = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    return NOUNS.get(annotation) or plain_names.get(base) or ("a list" if typing.get_origin(base) else str(base))


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


class Problems(list[Problem]):
    """Collects problems with the place that a document's marks give them."""

    def __init__(self, marks: Any) -> None:
        super().__init__()
        self.marks = marks

    @property
    def count(self) -> int:
        return len(self)

    def __call__(self, message: str, path: Path, key: bool = False, mark: Path | None = None) -> None:
        self.append(Problem(message, path, self.marks.where(path if mark is None else mark, key)))
