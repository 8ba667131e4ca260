"""A spec as a tree of nodes: walked, compared, and written as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kplug.errors import Path
from kplug.spec.component import Component


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


def nodes(tree: Any) -> Iterator[Node]:
    """Every node of a tree, itself among them."""
    if isinstance(tree, Node):
        yield tree
        tree = tree.arguments
    for item in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(item)


def differences(before: Any, now: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """(path, before, now) of every value that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from differences(before.get(key), now.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, (*path, number))
    elif before != now:
        yield path, before, now
