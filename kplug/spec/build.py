"""A tree of nodes made real: every function called, innermost first."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from kplug.errors import SpecError, dotted
from kplug.spec import Spec
from kplug.spec.component import is_maker
from kplug.spec.tree import Node


def build(spec: Spec, tree: Any, given: Mapping[type, Any] | None = None) -> Any:
    """The object that a node, or a list of nodes, stands for.

    Args:
        spec: knows where each node was written.
        tree: part of `spec.root`.
        given: injected type to the object that parameters of this type get.

    Raises:
        SpecError: a component refused its input; the place is added.
        Exception: what a component raised, with a note that names the node, the plugin and the line.
    """
    if isinstance(tree, list):
        return [build(spec, item, given) for item in tree]
    if isinstance(tree, dict):
        return {key: build(spec, item, given) for key, item in tree.items()}
    if not isinstance(tree, Node):
        return tree
    arguments = {name: _argument(spec, tree, name, given) for name in tree.arguments}
    return _call(spec, tree, arguments, given or {})


def _argument(spec: Spec, node: Node, name: str, given: Mapping[type, Any] | None) -> Any:
    value = node.arguments[name]
    later = _holds_maker(node.component.parameters[name].annotation)
    return _made_later(spec, value, given) if later else build(spec, value, given)


def _holds_maker(annotation: Any) -> bool:
    """True where `Callable[[], Kind]` stands: alone, beside null, in a list."""
    return is_maker(annotation) or any(map(_holds_maker, typing.get_args(annotation)))


def _made_later(spec: Spec, value: Any, given: Mapping[type, Any] | None) -> Any:
    """A function that makes another object at each call, for each node of the value."""
    if isinstance(value, list):
        return [_made_later(spec, item, given) for item in value]
    if isinstance(value, Node) and value.component.kind:
        return lambda: build(spec, value, given)
    return build(spec, value, given)


def _call(spec: Spec, node: Node, arguments: dict[str, Any], given: Mapping[type, Any]) -> Any:
    component = node.component
    try:
        for name, injected in component.injected.items():
            if injected not in given:
                raise TypeError(f"'{component.name}' takes {injected.__name__}, which is not known where it stands")
            arguments[name] = given[injected]
        made = component.function(**arguments)
        if hasattr(
            made, "compute_output_spec"
        ):  # a Keras layer, which is built when it is called, can say where it stands
            made.spec_place = (node.path, spec.where(node.path))
        return made
    except SpecError as error:
        raise error.located(node.path, spec.where(node.path)) from error.__cause__
    except Exception as error:
        kind = component.kind.name if component.kind else "section"
        what = f"while building {dotted(node.path)}: {kind} '{component.name}' of {component.owner}"
        error.add_note(f"{spec.where(node.path)}: {what}")
        raise
