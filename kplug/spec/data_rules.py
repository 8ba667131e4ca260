"""Rules that want to know the data are checked here before it is opened, against what the source tells of itself."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kplug.errors import Path, did_you_mean, listed
from kplug.kinds import Known, NamesField, Sees
from kplug.records import Codec
from kplug.spec.check import Problems
from kplug.spec.component import Component
from kplug.spec.effects import is_augmentation, refused_in
from kplug.spec.features import known_of_source
from kplug.spec.forms import Form, ListOf, MapOf, OfKind, OneOf, Section, item_of, members_of
from kplug.spec.tree import Node, nodes, plain

Shape = tuple[int | None, ...]
Fitting = dict[int, tuple[Node, Known, Shape | None]]


def check_against_data(root: Node, problems: Problems, fitting: Fitting) -> None:
    """Note what a spec says that does not fit what is known of its data: names of fields, and what rules find wrong.

    Args:
        root: of the spec.
        problems: where they are noted.
        fitting: nodes that fitted before, by identity, with what was known then; those of this spec join them.
    """
    _check_answers(root, problems)
    _check_needs(root, known_of_source(root.arguments["data"].arguments["source"]).features, problems)
    _check_effects(root, problems)
    if any(_asks_data(node.component) for node in nodes(root)):
        known = known_data(root.arguments["data"])
        _check(root, replace(known, label=label_of_task(root.arguments["task"]) or known.label), problems, fitting)


def _check_answers(root: Node, problems: Problems) -> None:
    """Note evaluators that look at outputs which the task is marked not to give."""
    task = root.arguments["task"]
    said = task.component.gives
    answered = [field_of(name, task.arguments) for name in said or ()]
    for node in nodes(root) if said is not None else ():
        for name in node.component.needs if node.component.kind and node.component.kind.name == "evaluator" else ():
            if name not in answered:
                known = f"{did_you_mean(name, answered)} (outputs: {listed(answered) or 'none'})"
                problems.note(f"it looks at '{name}', which task '{task.name}' does not answer{known}", node.path)


def _check_needs(root: Node, fields: Container[str] | None, problems: Problems) -> None:
    """Note samplers that lack what the task needs; where the fields of the source are not known, nothing is said."""
    if fields is not None:
        for path, message in lacking(root, fields):
            problems.note(message, path)


def lacking(root: Node, fields: Container[str]) -> list[tuple[Path, str]]:
    """The places of samplers, and what the task needs that neither they nor the source give.

    Args:
        root: of a spec.
        fields: arrays of a batch that the source gives.
    """
    task, found = root.arguments["task"], []
    wanted = [field_of(name, task.arguments) for name in task.component.needs]
    for place in ("sampler", "evaluate_with"):
        node = root.arguments["data"].arguments[place]
        given = node.component.gives or ()
        for name in wanted:
            if name not in fields and name not in given:
                what = f"task '{task.name}' needs '{name}', which neither the source nor sampler '{node.name}' gives"
                found.append((node.path, f"{what}{did_you_mean(name, given)} (it gives: {listed(given) or 'nothing'})"))
    return found


def _check_effects(root: Node, problems: Problems) -> None:
    """Note augmentations that would leave behind what lives in a picture, as far as the features are known."""
    section = root.arguments["data"]
    if not any(is_augmentation(node) for node in nodes(section)):
        return
    facts = known_of_source(section.arguments["source"]).facts
    codecs = {name: _codec(node, facts.get(name, {})) for name, node in section.arguments["features"].items()}
    known = {name: codec for name, codec in codecs.items() if codec is not None}
    for path, message in refused_in(section, known):
        problems.note(message, path)


def label_of_task(task: Node) -> str | None:
    """The field of classes that a task names, by which samplers and evaluators go too; None where it names none."""
    return label_of(task.component, task.arguments)


def _check(node: Node, data: Known, problems: Problems, fitting: Fitting, sees: Shape | None = None) -> None:
    if id(node) in fitting and fitting[id(node)][1:] == (data, sees):
        return
    told, noted, component = data, len(problems.found), node.component
    if label := label_of(component, node.arguments):
        data = replace(data, label=label)
    for name in _naming_fields(component):
        value = node.arguments.get(name)
        if isinstance(value, str) and data.features is not None and value not in data.features:
            known = f"{did_you_mean(value, data.features)} (fields: {listed(data.features)})"
            problems.note(f"the source has no field '{value}'{known}", (*node.path, name))
    for rule in component.rules:
        if rule.of_the_data:
            problems.note_rule(rule, component, node.arguments, node.path, replace(data, sees=sees))
    for child, form in _inner(node):
        seen = next((mark.field for mark in marks_of(form, Sees)), None)
        shape = None if seen is None else data.shapes.get(field_of(seen, node.arguments))
        _check(child, data, problems, fitting, shape)
    if len(problems.found) == noted:
        fitting[id(node)] = (node, told, sees)


@cache
def _asks_data(component: Component) -> bool:
    return bool(_naming_fields(component)) or any(rule.of_the_data for rule in component.rules)


@cache
def _naming_fields(component: Component, has_classes: bool = False) -> tuple[str, ...]:
    """The parameters of a component that name a field of the data, or those alone that name one with classes."""
    return tuple(
        name
        for name, parameter in component.parameters.items()
        if any(mark.has_classes or not has_classes for mark in marks_of(parameter.form, NamesField))
    )


def label_of(component: Component, arguments: Mapping[str, Any]) -> str | None:
    """The field of classes that a component names, by a parameter that is marked so; None where it names none."""
    named = (arguments.get(name) for name in _naming_fields(component, has_classes=True))
    return next((value for value in named if value is not None), None)


def field_of(seen: str, arguments: Mapping[str, Any]) -> str:
    """The field that `Sees` means: its name, or the value of the parameter in braces."""
    return str(arguments.get(seen[1:-1])) if seen.startswith("{") else seen


def marks_of(form: Form, of: type) -> list[Any]:
    return [mark for member in members_of(form) for mark in member.marks if isinstance(mark, of)]


def _inner(node: Node) -> Iterator[tuple[Node, Form]]:
    """Yield the nodes that stand in a node's arguments, each with the form of its place, where any may ask the data."""
    for name, value in node.arguments.items():
        parameter = node.component.parameters.get(name)
        if parameter is not None and _may_ask_data(parameter.form):
            yield from _nodes_in(value, parameter.form)


@cache
def _may_ask_data(form: Form) -> bool:
    match form:
        case OfKind():
            return True
        case Section(component=component):
            return _asks_data(component) or any(_may_ask_data(p.form) for p in component.parameters.values())
        case ListOf(item=item) | MapOf(item=item):
            return _may_ask_data(item)
    return any(map(_may_ask_data, form.members)) if isinstance(form, OneOf) else False


def _nodes_in(value: Any, form: Form) -> Iterator[tuple[Node, Form]]:
    if isinstance(value, Node):
        yield value, form
    elif isinstance(value, dict | list | tuple):
        inner = item_of(form)
        for item in value.values() if isinstance(value, dict) else value:
            yield from _nodes_in(item, inner)


def known_data(section: Node) -> Known:
    """The facts that the section `data` of a spec tells: its source's, in the form that its features give them."""
    found = known_of_source(section.arguments["source"])
    features = section.arguments["features"]
    shapes = {name: _shape(node, found.facts.get(name, {})) for name, node in features.items()}
    fields = found.features
    if fields is not None:  # with those that are taken from others
        fields = {**fields, **{name: None for name in features if name not in fields}}
    return replace(found, features=fields, shapes={name: shape for name, shape in shapes.items() if shape is not None})


def _shape(node: Any, facts: Mapping[str, Any]) -> Shape | None:
    """The shape of a field in a batch, as far as its feature can tell without the data."""
    codec = _codec(node, facts)
    with contextlib.suppress(Exception):  # the feature says so itself when the data is opened
        return None if codec is None else codec.field.shape
    return None


def _codec(node: Any, facts: Mapping[str, Any]) -> Codec | None:
    """The codec of a feature, which is made without TensorFlow, as far as it knows its facts."""
    if not isinstance(node, Node):
        return None
    with contextlib.suppress(Exception):  # the feature says so itself when the data is opened
        codec = node.component.function(**{name: plain(value) for name, value in node.arguments.items()})
        return codec.with_facts(facts)
    return None
