"""Plain data against annotations: what fits becomes a tree of typed nodes with every default, the rest a problem."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence
from typing import Any

from kplug.errors import Path, Problem, SpecError, did_you_mean, listed, shown_value, with_article
from kplug.kinds import Call, Kind
from kplug.spec.component import UNIONS, Component, holds_nodes, kind_of, knowing, section
from kplug.spec.registry import Registry
from kplug.spec.tree import Node, plain
from kplug.spec.values import adapter, as_json, either, leaf_problems, noun


class Checker:
    """Checks values against annotations and collects every problem.

    Args:
        registry: where component names are looked up.
        problem: where the problems are noted.
    """

    def __init__(self, registry: Registry, problem: Problems) -> None:
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
        if origin in UNIONS:
            return self._union(arguments, value, path)
        if origin in (list, tuple):
            if not isinstance(value, list | tuple):
                hint = f"; write [{value.lstrip('- ')}]" if isinstance(value, str) else ""
                return self._bad(value, f"is not a list{hint}", path)
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
        for member in sorted(with_nodes, key=lambda m: kind_of(m) is not None):  # sections first: they have no type
            if (kind := kind_of(member)) and isinstance(value, str | dict):
                return self._node(kind, value, path, [noun(m) for m in leaves])
            if not kind and _looks_like(member, value):
                return self.check(member, value, path)
        return self._bad(value, f"is not {either([wanted(member) for member in members])}", path)

    def _node(self, kind: Kind, value: Any, path: Path, others: Sequence[str] = ()) -> Any:
        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            return self._bad(value, f"is not {with_article(kind.name)}; write its name or {{type: NAME, ...}}", path)
        if "type" not in given:
            name = next((key for key in given if self.registry.has(kind.name, key)), None)
            hint = f"; write {{type: {name}, ...}}" if name else f" ({self.registry.installed(kind.name)})"
            self.problem(f"which {kind.name}? 'type' is missing{hint}", path)
            return value
        name = given["type"]
        at_type = path if isinstance(value, str) else (*path, "type")
        if not isinstance(name, str):
            return self._bad(name, f"is not the name of {with_article(kind.name)}", at_type)
        try:
            component = self.registry.find(kind.name, name)
        except SpecError as error:
            nor = f", nor is it {either(others)}" if others and isinstance(value, str) else ""
            self.problem(str(error) + nor, path, mark=at_type)
            return value
        return self._call(component, name, {k: v for k, v in given.items() if k != "type"}, path)

    def _section(self, component: Component, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._bad(value, f"is not a mapping (keys: {listed(component.parameters)})", path)
        return self._call(component, "", value, path)

    def _call(self, component: Component, name: str, given: dict[str, Any], path: Path) -> Any:
        noted = len(self.problem)
        arguments = {}
        for key in given:
            if key not in component.parameters:
                self._unknown(component, key, path)
                arguments[key] = given[key]  # kept, so that it is found again after other values were changed
        for p in component.parameters.values():
            if p.name in given:
                arguments[p.name] = self.check(p.annotation, given[p.name], (*path, p.name))
            elif not p.required:
                arguments[p.name] = self.check(p.annotation, p.default, (*path, p.name))
            else:
                self._missing(component, p.name, name if not given else "", path)
        if len(self.problem) == noted:
            self._rules(component, arguments, path)
        return Node(component, name, arguments, path)

    def _unknown(self, component: Component, key: str, path: Path) -> None:
        known = component.parameters
        what = "parameter" if component.kind else "key"
        taken = f"'{component.name}' takes" if component.kind else "allowed:"
        allowed = f" ({taken} {listed(known, 20) or 'none'})"
        if key in component.injected:
            allowed = " (kplug gives it, a spec cannot)"
        self.problem(f"unknown {what}{did_you_mean(key, known) or allowed}", (*path, key), key=True)

    def _missing(self, component: Component, parameter: str, bare_name: str, path: Path) -> None:
        said = component.documentation[1].get(parameter, "").partition(";")[0].rstrip(".")
        required = "".join(f", {name}: ..." for name in component.required)
        hint = f"; write {{type: {bare_name}{required}}}" if bare_name else ""
        self.problem(f"missing{': ' if said else ''}{said}{hint}", (*path, parameter))

    def _rules(self, component: Component, arguments: dict[str, Any], path: Path) -> None:
        for check in component.rules:
            if not knowing(check):
                self.problem.of_rule(check, component, arguments, path)

    def _leaf(self, annotation: Any, value: Any, path: Path) -> Any:
        problems = leaf_problems(annotation, value)
        for message, below in problems:
            self.problem(message, (*path, *below))
        return value if problems else adapter(annotation).validate_json(as_json(value), strict=True)


def _looks_like(member: Any, value: Any) -> bool:
    origin = typing.get_origin(member)
    if section(member) or origin is dict:
        return isinstance(value, dict) and "type" not in value
    return isinstance(value, list | tuple) and origin in (list, tuple)


def wanted(annotation: Any) -> str:
    """What an annotation asks for, in words: `a schedule or a number > 0`."""
    if not holds_nodes(annotation):
        return noun(annotation)
    if kind := kind_of(annotation):
        return with_article(kind.name)
    if component := section(annotation):
        return f"a mapping (keys: {listed(component.parameters)})"
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in UNIONS:
        return either([wanted(member) for member in arguments])
    whole, item = ("mapping", arguments[1]) if typing.get_origin(annotation) is dict else ("list", arguments[0])
    return f"a {whole}, each item {wanted(item)}"


class Problems(list[Problem]):
    """Collects problems with the place that a document's marks give them."""

    def __init__(self, marks: Any) -> None:
        super().__init__()
        self.marks = marks

    def __call__(self, message: str, path: Path, key: bool = False, mark: Path | None = None) -> None:
        self.append(Problem(message, path, self.marks.where(path if mark is None else mark, key)))

    def of_rule(
        self,
        check: Any,
        component: Component,
        arguments: dict[str, Any],
        path: Path,
        given: dict[str, Any] | None = None,
    ) -> None:
        """Note what a rule finds wrong with the arguments of a component, and with what it is given beside them."""
        wanted = [name for name in inspect.signature(check).parameters if name in arguments]
        try:
            check(**{name: plain(arguments[name]) for name in wanted}, **(given or {}))
        except ValueError as error:
            self(str(error), path)
        except SpecError as error:
            for problem in error.problems:
                self(problem.message, (*path, *problem.path))
        except Exception as error:
            error.add_note(f"in the rule of {component.kind or 'section'} '{component.name}' of {component.owner}")
            raise
