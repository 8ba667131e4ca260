"""A tree of nodes made real: every function called, innermost first."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from kplug.checking import Node
from kplug.component import is_maker
from kplug.errors import SpecError, dotted
from kplug.kinds import DataInfo, FitInfo, Learner
from kplug.patches import fuse_batch_normalization
from kplug.spec import Spec


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
        if isinstance(made, keras.Layer):  # one that is built when it is called can say where it stands
            made.spec_place = (node.path, spec.where(node.path))
        return made
    except SpecError as error:
        raise error.located(node.path, spec.where(node.path)) from error.__cause__
    except Exception as error:
        kind = component.kind.name if component.kind else "section"
        what = f"while building {dotted(node.path)}: {kind} '{component.name}' of {component.owner}"
        error.add_note(f"{spec.where(node.path)}: {what}")
        raise


def build_learner(spec: Spec, info: DataInfo, fit: FitInfo, precision: str, strategy: Any = None) -> Learner:
    """The task's learner, the same each time: Keras's names and seeds start afresh.

    Args:
        spec: the experiment.
        info: what its data is.
        fit: how long it trains.
        precision: the Keras dtype policy to build under.
        strategy: the `tf.distribute.Strategy` whose devices hold the weights; None is TensorFlow's default.
    """
    fuse_batch_normalization()
    keras.utils.clear_session()  # not within a scope, which it would end
    keras.utils.set_random_seed(spec["seed"])
    with strategy.scope() if strategy else contextlib.nullcontext(), dtype_policy(precision):
        learner = build(spec, spec["task"], {DataInfo: info, FitInfo: fit})
    if not isinstance(learner, Learner):
        raise TypeError(f"task '{spec['task'].name}' returned {type(learner).__name__}, not a Learner")
    return learner


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables before `fit` does, once it stands which weights are trained.

    ScheduleFreeAdamW of Keras 3.15 copies the weights when it is built, and under `fit` that is a trace which never
    runs: its first step would set all weights to nearly 0.
    """
    if model.optimizer is not None and not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Keras's global dtype policy, put back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
