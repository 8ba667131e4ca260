"""The weights of a model: those that a stage trains, takes over from the stage before, or loads from a run."""

from __future__ import annotations

import contextlib
import fnmatch
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.console import log
from kplug.errors import Problem, SpecError, listed
from kplug.model.patches import layers_of, own_variables
from kplug.spec import Spec
from kplug.storage.run_directory import BEST, KEPT, RunDirectory


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
        # what a task froze, a momentum copy say, is never thawed; each stage is built anew, so that nothing is lost
        layer.trainable = layer.trainable and any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


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
    """Let layers that compute with copies of their weights, as Normalization does, see that these were assigned."""
    for layer in layers_of(model, include_self=False):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


@contextlib.contextmanager
def weights_only(model: keras.Model) -> Iterator[None]:
    """Take a model's optimizers away meanwhile: Keras would write and read their variables too, twice the size again.

    They are looked for in all attributes, wherever a task has put them: a file that has an optimizer's variables does
    not fit the model of an evaluation, whose second optimizer nobody has built.
    """
    places = [(layer, name) for layer in layers_of(model) for name, value in vars(layer).items() if _optimizes(value)]
    kept = [(layer, name, vars(layer)[name]) for layer, name in places]
    for layer, name, _ in kept:
        vars(layer)[name] = None
    try:
        yield
    finally:
        for layer, name, value in kept:
            vars(layer)[name] = value


def _optimizes(value: Any) -> bool:
    """True of an optimizer, and of a container with one."""
    if isinstance(value, dict | list | tuple):
        return any(map(_optimizes, value.values() if isinstance(value, dict) else value))
    return isinstance(value, keras.optimizers.Optimizer)


def taken_over_from(by_path: Mapping[str, Any]) -> Callable[[Iterable[Any]], bool]:
    """A `Rebuild.weights_follow` for the next stage of a training, which takes weights over as `carry_over` does.

    Args:
        by_path: the weights of the stage before; one of another shape is not taken over.
    """

    def follow(weights: Iterable[Any]) -> bool:
        return all(w.path in by_path and tuple(by_path[w.path].shape) == tuple(w.shape) for w in weights)

    return follow


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
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            model.load_weights(run.path / BEST)
    except Exception as error:  # a file that was changed has Keras, h5py and NumPy raise nearly anything
        if isinstance(error, OSError | RuntimeError):
            message = f"{BEST} is damaged ({error}); train again, or put back a copy"
        else:
            message = f"{BEST} does not fit the model that spec.yaml describes with what is installed now: {error}"
        raise SpecError([Problem(message, where=str(run.path))]) from error
    if found := without_numbers(model):
        log(f"{run.path / BEST}: {listed(found)} is not a number: the training diverged, and answers will be NaN")


def without_numbers(model: keras.Model) -> list[str]:
    """The paths of the weights of a model in which something is NaN."""
    floating = [weight for weight in model.weights if tf.as_dtype(weight.dtype).is_floating]
    return [weight.path for weight in floating if bool(tf.reduce_any(tf.math.is_nan(weight.value)))]
