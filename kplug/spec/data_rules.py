"""The rules that want to know the data, checked before it is opened: what the source tells of itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kplug.kinds import Known, SeesImages
from kplug.spec.check import Problems
from kplug.spec.component import knowing
from kplug.spec.tree import Node, plain


def check_against_data(root: Node, problems: Problems) -> None:
    """Note what the rules of a spec's nodes find wrong with what is known of its data."""
    waiting = [(node, seen, check) for node, seen in _walk(root, False) for check in node.component.rules]
    waiting = [(node, seen, check) for node, seen, check in waiting if knowing(check)]
    if not waiting:
        return
    data = known_data(root.arguments["data"])
    for node, seen, check in waiting:
        given = dict.fromkeys(knowing(check), data if seen else replace(data, image=Known().image))
        problems.of_rule(check, node.component, node.arguments, node.path, given)


def known_data(section: Node) -> Known:
    """What the section `data` of a spec tells: its source, and the form that it gives the images."""
    found = _of_source(section.arguments["source"])
    wanted = plain(section.arguments["image"])
    height, width, channels = found.image
    if wanted["size"] is not None:
        height, width = wanted["size"]
    return replace(found, image=(height, width, wanted["channels"] or channels))


def _of_source(source: Node) -> Known:
    tell = getattr(source.component.function, "kplug_known", None)
    if tell is None:
        return Known()
    values = {name: source.arguments[name] for name in inspect.signature(tell).parameters}
    known = {name: _of_source(v) if isinstance(v, Node) else plain(v) for name, v in values.items()}
    found: Known = tell(**known)
    return found if found.classes else replace(found, classes=None)


def _walk(tree: Any, seen: bool) -> Iterator[tuple[Node, bool]]:
    """Every node, and whether it gets the data's images."""
    if isinstance(tree, Node):
        yield tree, seen
        parameters = tree.component.parameters
        for name, value in tree.arguments.items():
            yield from _walk(value, SeesImages() in getattr(parameters[name].annotation, "__metadata__", ()))
    elif isinstance(tree, dict | list | tuple):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _walk(item, False)
