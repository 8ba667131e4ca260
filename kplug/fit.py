"""Training, from a spec to a finished run."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from typing import Any

import keras
import tensorflow as tf

from kplug import callbacks as kept
from kplug.build import build, build_learner, build_optimizer
from kplug.data import Data, open_data
from kplug.errors import SpecError, listed
from kplug.evaluate import explained, log
from kplug.kinds import DataInfo, FitInfo, Learner
from kplug.plugins import host
from kplug.run import BEST, LAST, RESULT, Run, refuse_existing
from kplug.spec import Spec


def train(spec: Spec, run: str | os.PathLike[str] | None = None) -> Run:
    """Train what a spec says, and keep everything about it in a run directory.

    Args:
        spec: the experiment.
        run: a new directory for the run; by default the next number in `runs/NAME`.

    Raises:
        SpecError: the input is wrong; nothing is trained and no run is made.
    """
    # what the whole process uses
    if run is not None:
        refuse_existing(run)
    spec = spec.absolute()
    use_threads(spec)

    # the data
    data = open_data(spec)
    epochs = spec["fit.epochs"]
    fit = FitInfo(steps=data.steps * epochs, epochs=epochs)

    # the model
    learner = build_learner(spec, data.info, fit, spec["fit.precision"])
    model = learner.model
    freeze(spec, model)
    build_optimizer(model)
    names = reported_names(data, learner)
    monitor = best_metric(spec, names)

    # the run
    made = Run.create(spec, run)
    made.write_json("data.json", data.info.to_json())
    made.describe_environment(chosen(spec, model))
    keep_samples(made, data)
    log(f"run {made.path}: {describe(data, model)}")

    # the training
    keeper = kept.Keeper(made, monitor)
    if epochs:
        given = {DataInfo: data.info, FitInfo: fit}
        theirs = build(spec, spec["fit.callbacks"], given)
        theirs += [c for plugin in host().manager.hook.callbacks(run=made) for c in plugin or []]
        with explained(data, "train"), contextlib.closing(kept.Progress(epochs, data.steps)) as progress:
            model.fit(
                data.training(learner, epochs),
                validation_data=data.evaluation(learner, "validation") if "validation" in data.splits else None,
                epochs=epochs,
                steps_per_epoch=data.steps,
                callbacks=[*theirs, keeper, progress],
                shuffle=False,
                verbose=0,
            )
        metrics = keeper.best_metrics
    else:
        keeper.keep(model, BEST, LAST)
        metrics = first_metrics(data, learner)

    # the result
    made.write_json(RESULT, {"run": str(made.path), "metrics": metrics})
    return made


def use_threads(spec: Spec) -> None:
    """Compute with as many threads as the spec says; TensorFlow takes that once a process."""
    threads = spec["fit.threads"]
    if threads is None or tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        path = ("fit", "threads")
        message = f"TensorFlow already computes in this process; {threads} threads need a new one"
        raise SpecError(message).located(path, spec.where(path)) from None


def freeze(spec: Spec, model: keras.Model) -> None:
    """Freeze the layers whose path matches no pattern of `fit.trainable`.

    Raises:
        SpecError: a pattern matches no layer.
    """
    patterns = spec["fit.trainable"]
    layers = {path_of(layer): layer for layer in leaf_layers(model)}
    for position, pattern in enumerate(patterns):
        if not fnmatch.filter(layers, pattern):
            path = ("fit", "trainable", position)
            message = f"'{pattern}' matches no layer; there are {listed(sorted(layers), 40)}"
            raise SpecError(message).located(path, spec.where(path))
    for path_, layer in layers.items():
        layer.trainable = any(fnmatch.fnmatchcase(path_, pattern) for pattern in patterns)


def leaf_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that own weights themselves."""
    found = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in found if layer._trainable_variables or layer._non_trainable_variables]


def path_of(layer: keras.Layer) -> str:
    """A layer's path below the model: `resnet/stage1/conv`."""
    variables = [*layer._trainable_variables, *layer._non_trainable_variables]
    return variables[0].path.rpartition("/")[0]


def reported_names(data: Data, learner: Learner) -> list[str]:
    """The metrics that an epoch will report, from one batch seen before the first step."""
    split = "validation" if "validation" in data.splits else "train"
    with explained(data, split):
        batch = data.evaluation(learner, split).take(1)
        names = kept.in_order(learner.model.evaluate(batch, verbose=0, return_dict=True))
    learner.model.reset_metrics()
    return [*names, *(f"val_{name}" for name in names if split == "validation")]


def best_metric(spec: Spec, names: list[str]) -> tuple[str, str]:
    """(metric, minimize or maximize) of `fit.best`, checked against what will be reported."""
    ((direction, name),) = spec["fit.best"].items()
    if name in names:
        return name, direction
    if name == "val_loss" and not any(n.startswith("val_") for n in names):
        return "loss", direction  # the default, where nothing validates
    path = ("fit", "best", direction)
    raise SpecError(f"'{name}' is not reported; this run reports {', '.join(names)}").located(path, spec.where(path))


def first_metrics(data: Data, learner: Learner) -> dict[str, float]:
    """What weights that were never trained give on the validation split."""
    if "validation" not in data.splits:
        return {}
    values = learner.model.evaluate(data.evaluation(learner, "validation"), verbose=0, return_dict=True)
    return {f"val_{name}": value for name, value in kept.in_order(values).items()}


def keep_samples(run: Run, data: Data, most: int = 16) -> None:
    """A few real pictures, as the model gets them: what an export is compared on, without the source."""
    split = next(name for name in ("validation", "test", "train") if name in data.splits)
    with explained(data, split):
        pictures = next(iter(data.examples(split)))["image"][:most].numpy()
    for number, picture in enumerate(pictures):
        run.write(f"samples/{number:02}.png", tf.io.encode_png(picture).numpy())


def chosen(spec: Spec, model: keras.Model) -> dict[str, Any]:
    """What the training settled on, for `environment.json`."""
    return {
        "precision": spec["fit.precision"],
        "threads": spec["fit.threads"] or os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "parameters": model.count_params(),
    }


def describe(data: Data, model: keras.Model) -> str:
    """One line: how much data, how large a model."""
    sizes = ", ".join(f"{size:,} {name}" for name, size in data.info.splits.items())
    shape = "x".join(str(n) for n in data.info.image_shape)
    return f"{sizes} examples of {shape}; {model.count_params():,} parameters; {data.steps} steps an epoch"
