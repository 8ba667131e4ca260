"""A spec as a tree of nodes: walked, changed, compared, and written as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kplug.errors import Path
from kplug.kinds import Call
from kplug.spec.component import Component, form_of
from kplug.spec.forms import Form, item_of

ANYTHING = form_of(Any)


@dataclass(frozen=True)
class Node:
    """One call: a component, the name it was called by, and its arguments, which may be nodes themselves."""

    component: Component
    name: str
    arguments: dict[str, Any]
    path: Path

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The node itself and all that stand in it."""
        return (self, *(inner for value in self.arguments.values() for inner in nodes(value)))


def plain(tree: Any) -> Any:
    """A tree of nodes as the YAML that says the same with nothing left out; a default call as it is written."""
    if isinstance(tree, Node):
        named = {} if tree.component.kind is None else {"type": tree.name}
        return named | {key: plain(value) for key, value in tree.arguments.items()}
    if isinstance(tree, Call):
        named = {} if tree.type is None else {"type": tree.type}
        return named | {key: plain(value) for key, value in tree.arguments}
    if isinstance(tree, list | tuple):
        return [plain(item) for item in tree]
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return tree


Said = dict[int, tuple[Any, Form, Path, Any]]


def said(tree: Any, form: Form, found: Said, path: Path = ()) -> Any:
    """A tree as `plain` writes it, noting what says what, so that a checker that meets it again need not look inside.

    Args:
        tree: a node, or what stands in one.
        form: of its place.
        found: gets (what is written, form, path, tree) of all that holds something, by the identity of the first.
        path: of the tree.
    """
    if not isinstance(tree, Node | list | tuple | dict):
        return plain(tree)
    inside = {step: said(value, inner, found, (*path, step)) for step, inner, value in _children(tree, form)}
    result: Any = list(inside.values()) if isinstance(tree, list | tuple) else inside
    if isinstance(tree, Node) and tree.component.kind is not None:
        result = {"type": tree.name} | inside
    found[id(result)] = (result, form, path, tree)
    return result


# --- traversal -------------------------------------------------------------------------------------------------------


def walk(tree: Any, path: Path = (), form: Form = ANYTHING) -> Iterator[tuple[Path, Form, Any]]:
    """Yield (path, form, value) of everything in a tree, what holds before what is held.

    Args:
        tree: a node, which knows its path, or what stands in one.
        path: the path of a tree that is no node.
        form: says what may stand where the tree stands.
    """
    path = tree.path if isinstance(tree, Node) else path
    yield path, form, tree
    if isinstance(tree, Node) and tree.component.kind:
        yield (*path, "type"), ANYTHING, tree.name
    for step, inner, value in _children(tree, form):
        yield from walk(value, (*path, step), inner)


def leaves(tree: Any) -> Iterator[tuple[Path, Form, Any]]:
    """Yield (path, form, value) of everything in a tree that holds nothing, empty lists among them."""
    for path, form, value in walk(tree):
        if not isinstance(value, Node) and not (value and isinstance(value, dict | list | tuple)):
            yield path, form, value


def nodes(tree: Any) -> Iterator[Node]:
    """Yield every node of a tree, itself among them."""
    if isinstance(tree, Node):
        yield from tree.nodes
    elif isinstance(tree, dict | list | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from nodes(value)


def map_leaves(change: Callable[[Form, Any], Any], tree: Any, form: Form = ANYTHING) -> Any:
    """The same tree, with `change(form, value)` in place of every value that holds nothing."""
    items = {step: map_leaves(change, value, inner) for step, inner, value in _children(tree, form)}
    if isinstance(tree, Node):
        return replace(tree, arguments=items)
    if isinstance(tree, dict):
        return items
    return list(items.values()) if isinstance(tree, list | tuple) else change(form, tree)


def _children(tree: Any, form: Form) -> Iterator[tuple[Any, Form, Any]]:
    if isinstance(tree, Node):
        for name, value in tree.arguments.items():
            yield name, tree.component.parameters[name].form, value
    elif isinstance(tree, dict | list | tuple):
        inner = item_of(form)
        for step, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield step, inner, value


def value_at(tree: Any, path: Path) -> Any:
    """The value at a path of a tree.

    Raises:
        LookupError: nothing is there.
    """
    for step in path:
        if isinstance(tree, Node):
            tree = tree.name if step == "type" else tree.arguments[str(step)]
        elif isinstance(tree, dict):
            tree = tree[str(step)]
        elif isinstance(tree, list | tuple) and isinstance(step, int):
            tree = tree[step]
        else:
            raise LookupError(step)
    return tree


def differences(before: Any, now: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield (path, before, now) of every value that differs between two trees of plain data."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from differences(before.get(key), now.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, (*path, number))
    elif before != now:
        yield path, before, now
