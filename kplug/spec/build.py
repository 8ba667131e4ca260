"""Nodes are made real here: every function is called, innermost first."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from kplug.errors import PluginFailed, Problem, SpecError, dotted
from kplug.records import DataInfo
from kplug.spec import Spec
from kplug.spec.check import Checker, Problems
from kplug.spec.component import form_of
from kplug.spec.data_rules import label_of
from kplug.spec.forms import Form, OfKind, item_of, members_of
from kplug.spec.plugins import host
from kplug.spec.tree import ANYTHING, Node, plain
from kplug.spec.yaml12 import Marks


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
    return _made(spec, tree, ANYTHING, given or {})


def _made(spec: Spec, tree: Any, form: Form, given: Mapping[type, Any]) -> Any:
    if isinstance(tree, list):
        return [_made(spec, item, item_of(form), given) for item in tree]
    if isinstance(tree, dict):
        return {key: _made(spec, item, item_of(form), given) for key, item in tree.items()}
    if not isinstance(tree, Node):
        return tree
    if tree.component.kind and any(isinstance(member, OfKind) and member.is_maker for member in members_of(form)):
        # whoever makes it may know a record that the host does not know here, such as the data of a source
        return lambda *records: build(spec, tree, {**given, **{type(record): record for record in records}})
    given = _naming_classes(tree, given)
    parameters = tree.component.parameters
    arguments = {name: _made(spec, value, parameters[name].form, given) for name, value in tree.arguments.items()}
    return _call(spec, tree, arguments, given)


def _naming_classes(node: Node, given: Mapping[type, Any]) -> Mapping[type, Any]:
    """The records for a node and all below it, which may name the field of classes that they go by."""
    label = label_of(node.component, node.arguments)
    return given if label is None or DataInfo not in given else {**given, DataInfo: given[DataInfo].naming(label)}


def build_plain(kind: Any, value: Any) -> Any:
    """The object that a node as YAML has it stands for, outside of a spec: `build_plain(Feature, {"type": "label"})`.

    Raises:
        SpecError: nothing of that name is installed, or an argument does not fit.
    """
    problems = Problems(Marks("data.json"))
    node = Checker(host().registry, problems).check(form_of(kind), value, ())
    if problems.found:
        raise SpecError(problems.found)
    arguments = {name: plain(argument) for name, argument in node.arguments.items()}
    return node.component.function(**arguments)


def is_refused_by_keras(error: Exception, function: Any) -> bool:
    """Return True where Keras raised an error over what a function handed it directly, or was called with."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    codes = [frame.f_code for frame in frames]
    code = getattr(function, "__code__", None)
    inner = frames[codes.index(code) + 1 :] if code in codes else []
    return bool(inner) and all(str(frame.f_globals.get("__name__", "")).startswith("keras.") for frame in inner)


def _placed(error: SpecError, spec: Spec, node: Node) -> SpecError:
    """The error of a component with the place of each of its problems, whose paths begin at it as those of rules do."""

    def is_placed(problem: Problem) -> bool:
        return bool(problem.where) or problem.path[: len(node.path)] == node.path != ()

    return SpecError([p if is_placed(p) else spec.problem((*node.path, *p.path), p.message) for p in error.problems])


def _call(spec: Spec, node: Node, arguments: dict[str, Any], given: Mapping[type, Any]) -> Any:
    component = node.component
    try:
        for name, injected in component.injected.items():
            if injected not in given:
                raise TypeError(f"'{component.name}' takes {injected.__name__}, which is not known where it stands")
            arguments[name] = given[injected]
        made = component.function(**arguments)
        if component.kind is not None and hasattr(made, "__dict__") and not isinstance(made, type | FunctionType):
            # a layer that is built when it is called can say where it stands; Keras would track it as its own
            object.__setattr__(made, "spec_place", (node.path, spec.where(node.path)))
        return made
    except SpecError as error:
        raise _placed(error, spec, node) from error.__cause__
    except SystemExit as error:
        what = f"{component.kind or 'section'} '{component.name}' of {component.owner}"
        raise PluginFailed(f"{what} called sys.exit({error.code!r}); it may not") from error
    except Exception as error:
        if is_refused_by_keras(error, component.function):
            raise SpecError(f"cannot be made: {error}").located(node.path, spec.where(node.path)) from error
        kind = component.kind.name if component.kind else "section"
        what = f"while building {dotted(node.path)}: {kind} '{component.name}' of {component.owner}"
        error.add_note(f"{spec.where(node.path)}: {what}")
        raise
