"""The weights of a model: those that a stage trains, takes over from the stage before, or loads from a run."""

from __future__ import annotations

import contextlib
import fnmatch
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import keras

from kplug.console import log
from kplug.errors import Problem, SpecError, listed
from kplug.model.patches import layers_of, own_variables
from kplug.spec import Spec
from kplug.storage.run_directory import BEST, KEPT, RunDirectory

_follows: ContextVar[Callable[[Any], bool]] = ContextVar("follows", default=lambda weight: False)


def freeze(spec: Spec, model: keras.Model) -> None:
    """Freeze the layers whose path matches no pattern of `fit.trainable`.

    Raises:
        SpecError: a pattern matches no layer.
    """
    patterns = spec["fit.trainable"]
    layers = {path_of(layer): layer for layer in leaf_layers(model)}
    for position, pattern in enumerate(patterns):
        if not fnmatch.filter(layers, pattern):
            message = f"'{pattern}' matches no layer; there are {listed(sorted(layers), 40)}"
            raise spec.error(("fit", "trainable", position), message)
    for path, layer in layers.items():
        layer.trainable = any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def leaf_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that own weights themselves."""
    return [layer for layer in layers_of(model, include_self=False) if own_variables(layer)]


def path_of(layer: keras.Layer) -> str:
    """Return a layer's path below the model: `resnet/stage1/conv`."""
    return own_variables(layer)[0].path.rpartition("/")[0]


def carry_over(weights: Mapping[str, Any], model: keras.Model) -> None:
    """Give a model the weights of the stage before, by path; say which it does not take."""
    left = dict(weights)
    new = []
    for weight in model.weights:
        if weight.path in left and left[weight.path].shape == tuple(weight.shape):
            weight.assign(left.pop(weight.path))
        else:
            new.append(weight.path)
    finalize(model)
    if new or left:
        log(f"not carried over: {listed([*left, *new])}")


def finalize(model: keras.Model) -> None:
    """Let layers that compute with copies of their weights, as Normalization does, see that others were assigned."""
    for layer in layers_of(model, include_self=False):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


@contextlib.contextmanager
def weights_only(model: keras.Model) -> Iterator[None]:
    """Inside, a model is without its optimizer, whose variables Keras would write and read too: twice the weights."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def keeps_initial_values(weights: Iterable[Any]) -> bool:
    """True where weights that were just made keep their values: what reads them from a file asks here before it does.

    They do not in a network that is rebuilt for its run's own weights: for an evaluation, an export, a checkpoint, or
    the next stage of a training. The file may be gone by then.

    Args:
        weights: `keras.Variable`s.
    """
    follows = _follows.get()
    return not all(follows(weight) for weight in weights)


@contextlib.contextmanager
def values_follow(by_path: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Inside, networks are built whose weights get other values right after.

    Args:
        by_path: those that follow; None where all do.
    """

    def follows(weight: Any) -> bool:
        return by_path is None or (weight.path in by_path and tuple(by_path[weight.path].shape) == tuple(weight.shape))

    token = _follows.set(follows)
    try:
        yield
    finally:
        _follows.reset(token)


def refuse_without_weights(run: RunDirectory) -> None:
    """Refuse a run that has kept no weights yet."""
    for name in (BEST, KEPT):
        if not (run.path / name).exists():
            message = f"{name} is missing: the run did not get through its first epoch"
            raise SpecError([Problem(message, where=str(run.path))])


def load_kept_weights(run: RunDirectory, model: keras.Model) -> None:
    """Give a model the weights that a run kept.

    Raises:
        SpecError: the file is damaged, or of another model.
    """
    try:
        with weights_only(model), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # what the file lacks, Keras leaves as it was made, and warns
            model.load_weights(run.path / BEST)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        if isinstance(error, OSError):
            message = f"{BEST} is damaged ({error}); train again, or put back a copy"
        else:
            message = f"{BEST} does not fit the model that spec.yaml describes with what is installed now: {error}"
        raise SpecError([Problem(message, where=str(run.path))]) from error
