"""Rules that want to know the data are checked here before it is opened, against what the source tells of itself."""

from __future__ import annotations

from dataclasses import replace

from kplug.kinds import Known, SeesImages
from kplug.spec.check import Problems
from kplug.spec.tree import Node, plain, walk


def check_against_data(root: Node, problems: Problems) -> None:
    """Note what the rules of a spec's nodes find wrong with what is known of its data."""
    waiting = [
        (node, rule, SeesImages() in form.marks)
        for _, form, node in walk(root)
        if isinstance(node, Node)
        for rule in node.component.rules
        if rule.of_the_data
    ]
    if not waiting:
        return
    data = known_data(root.arguments["data"])
    unseen = replace(data, image=Known().image)
    for node, rule, sees_images in waiting:
        problems.note_rule(rule, node.component, node.arguments, node.path, data if sees_images else unseen)


def known_data(section: Node) -> Known:
    """The facts that the section `data` of a spec tells: its source's, in the form that it gives the images."""
    found = _of_source(section.arguments["source"])
    wanted = plain(section.arguments["image"])
    height, width, channels = found.image
    if wanted["size"] is not None:
        height, width = wanted["size"]
    return replace(found, image=(height, width, wanted["channels"] or channels))


def _of_source(source: Node) -> Known:
    tell = source.component.known
    if tell is None:
        return Known()
    values = {name: source.arguments[name] for name in tell.parameters}
    told = {name: _of_source(v) if isinstance(v, Node) else plain(v) for name, v in values.items()}
    found: Known = tell.function(**told)
    return found if found.classes else replace(found, classes=None)
