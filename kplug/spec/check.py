"""Plain data against forms: what fits becomes a tree of typed nodes with every default, the rest a problem."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from kplug.console import harmless
from kplug.errors import (
    Path,
    Problem,
    SpecError,
    Terminated,
    did_you_mean,
    in_one_line,
    listed,
    shown_value,
    with_article,
)
from kplug.kinds import Call, Kind
from kplug.spec.component import KPLUG, Component, Parameter, Told
from kplug.spec.forms import Form, ListOf, MapOf, OfKind, OneOf, Section, either, holds_nodes, one_of, wanted
from kplug.spec.registry import Registry
from kplug.spec.tree import Node, Said, plain
from kplug.spec.values import read_leaf

MOST_PROBLEMS = 100  # a person mends these first; each costs a search for near names


class Checker:
    """Checks values against forms and collects every problem.

    Args:
        registry: where component names are looked up.
        problems: where the problems are noted.
        said: what was checked before, and is not looked into where it stands in the same place again.
    """

    def __init__(self, registry: Registry, problems: Problems, said: Said | None = None) -> None:
        self.registry = registry
        self.problems = problems
        self.said = said or {}
        self.defaults: dict[int, Any] = {}  # of parameters that hold no nodes, read once each

    def check(self, form: Form, value: Any, path: Path) -> Any:
        """The value as a tree; where it does not fit, the value itself, and a problem is noted."""
        value = plain(value) if isinstance(value, Call) else value
        if (known := self.said.get(id(value))) and known[1] is form and known[2] == path:
            return known[3]
        if len(self.problems.found) >= MOST_PROBLEMS:
            return value
        if not holds_nodes(form):
            return self._leaf(form, value, path)
        match form:
            case OfKind(kind=kind):
                return self._node(kind, value, path)
            case Section(component=component) if isinstance(value, dict):
                return self._call(component, "", value, path)
            case Section(component=component):
                return self._refuse(value, f"is not a mapping (keys: {listed(component.parameters)})", path)
            case OneOf(members=members):
                return self._union(members, value, path)
            case ListOf(item=item) if isinstance(value, list | tuple):
                return [self.check(item, inside, (*path, i)) for i, inside in enumerate(value)]
            case ListOf():
                hint = f"; write [{value.lstrip('- ')}]" if isinstance(value, str) else ""
                return self._refuse(value, f"is not a list{hint}", path)
            case MapOf(item=item) if isinstance(value, dict):
                return {key: self.check(item, inside, (*path, key)) for key, inside in value.items()}
        return self._refuse(value, "is not a mapping", path)

    def _refuse(self, value: Any, message: str, path: Path) -> Any:
        self.problems.note(f"{shown_value(value)} {message}", path)
        return value

    def _leaf(self, form: Form, value: Any, path: Path) -> Any:
        read, problems = read_leaf(form, value)
        for message, below in problems:
            self.problems.note(message, (*path, *below))
        return read

    def _union(self, members: tuple[Form, ...], value: Any, path: Path) -> Any:
        plain_ones = [member for member in members if not holds_nodes(member)]
        if plain_ones and not isinstance(value, dict):
            read, problems = read_leaf(one_of(plain_ones), value)
            if not problems:
                return read
        for member in sorted(members, key=lambda member: _likeness(member, value)):
            match member, value:
                case OfKind(kind=kind), str() | dict():
                    return self._node(kind, value, path, [wanted(other) for other in plain_ones])
                case Section() | MapOf(), dict() if "type" not in value and holds_nodes(member):
                    return self.check(member, value, path)
                case ListOf(), list() | tuple() if holds_nodes(member):
                    return self.check(member, value, path)
        return self._refuse(value, f"is not {either([wanted(member) for member in members])}", path)

    def _node(self, kind: Kind, value: Any, path: Path, others: Sequence[str] = ()) -> Any:
        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            return self._refuse(value, f"is not {with_article(kind.name)}; write its name or {{type: NAME, ...}}", path)
        if "type" not in given:
            name = next((key for key in given if self.registry.has(kind.name, key)), None)
            hint = f"; write {{type: {name}, ...}}" if name else f" ({self.registry.installed(kind.name)})"
            self.problems.note(f"which {kind.name}? 'type' is missing{hint}", path)
            return value
        name = given["type"]
        at_type = path if isinstance(value, str) else (*path, "type")
        if not isinstance(name, str):
            return self._refuse(name, f"is not the name of {with_article(kind.name)}", at_type)
        try:
            component = self.registry.find(kind.name, name)
        except SpecError as error:
            nor = f", nor is it {either(others)}" if others and isinstance(value, str) else ""
            self.problems.note(str(error) + nor, path, mark=at_type)
            return value
        return self._call(component, name, {k: v for k, v in given.items() if k != "type"}, path)

    def _call(self, component: Component, name: str, given: dict[str, Any], path: Path) -> Any:
        noted = len(self.problems.found)
        # what is unknown is kept, so that it is found again after other values were changed
        arguments = {key: value for key, value in given.items() if key not in component.parameters}
        for key in arguments:
            if len(self.problems.found) < MOST_PROBLEMS:
                self._unknown(component, key, path)
        for p in component.parameters.values():
            if p.required and p.name not in given:
                self._missing(component, p.name, name if not given else "", path)
            elif p.name in given:
                arguments[p.name] = self.check(p.form, given[p.name], (*path, p.name))
            else:
                arguments[p.name] = self._default(p, (*path, p.name))
        if len(self.problems.found) == noted:
            for rule in component.rules:
                if not rule.of_the_data:
                    self.problems.note_rule(rule, component, arguments, path)
        return Node(component, name, arguments, path)

    def _default(self, parameter: Parameter, path: Path) -> Any:
        if holds_nodes(parameter.form):
            return self.check(parameter.form, parameter.default, path)
        if id(parameter) not in self.defaults:
            noted = len(self.problems.found)
            read = self.check(parameter.form, parameter.default, path)
            if len(self.problems.found) > noted:
                return read
            self.defaults[id(parameter)] = read
        return self.defaults[id(parameter)]

    def _unknown(self, component: Component, key: str, path: Path) -> None:
        known = component.parameters
        what, taken = ("parameter", f"'{component.name}' takes") if component.kind else ("key", "allowed:")
        allowed = f" ({taken} {listed(known, 20) or 'none'})"
        if key in component.injected:
            allowed = " (kplug gives it, a spec cannot)"
        self.problems.note(f"unknown {what}{did_you_mean(key, known) or allowed}", (*path, key), key=True)

    def _missing(self, component: Component, parameter: str, bare_name: str, path: Path) -> None:
        said = component.documentation[1].get(parameter, "").partition(";")[0].rstrip(".")
        required = "".join(f", {name}: ..." for name in component.required)
        hint = f"; write {{type: {bare_name}{required}}}" if bare_name else ""
        self.problems.note(f"missing{': ' if said else ''}{said}{hint}", (*path, parameter))


def _likeness(member: Form, value: Any) -> int:
    """The place of an alternative of a union: sections, which have no type, by the keys of the value they know."""
    if isinstance(member, Section) and isinstance(value, dict):
        return -len(value.keys() & member.component.parameters.keys())
    return int(isinstance(member, OfKind))


class Problems:
    """Collects problems with the place that a document's marks give them."""

    def __init__(self, marks: Any) -> None:
        self.marks = marks
        self.found: list[Problem] = []

    def note(self, message: str, path: Path, key: bool = False, mark: Path | None = None) -> None:
        """Add what is wrong at a path.

        Args:
            message: what is wrong.
            path: where in the spec.
            key: the key itself is, not its value.
            mark: the path that is pointed at, where it is another.
        """
        self.found.append(Problem(message, path, self.marks.where(path if mark is None else mark, key)))

    def note_rule(
        self, rule: Told, component: Component, arguments: Mapping[str, Any], path: Path, known: Any = None
    ) -> None:
        """Add what a rule finds wrong with the arguments of a component, and with what is known of the data."""
        told = {name: plain(arguments[name]) for name in rule.parameters if name in arguments}
        told |= dict.fromkeys(rule.of_the_data, known)
        try:
            with contextlib.nullcontext() if component.distribution == KPLUG else harmless():
                rule.function(**told)
        except (KeyboardInterrupt, Terminated):
            raise
        except ValueError as error:
            self.note(str(error), path)
        except SpecError as error:
            for problem in error.problems:
                self.note(problem.message, (*path, *problem.path))
        except BaseException as error:
            what = f"the rule of {component.kind or 'section'} '{component.name}' of {component.owner}"
            if component.distribution == KPLUG:
                error.add_note(f"in {what}")
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(last.filename)}:{last.lineno}"
            self.note(f"{what} failed: {in_one_line(error)} ({place}); that is for its author to mend", path)
