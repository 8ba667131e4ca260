"""Weights of classes, for tasks of any shape: a number a class, and from it a weight an example or a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kplug.errors import SpecError, listed
from kplug.records import DataInfo
from kplug.spec.class_weights import unknown_classes


def class_weight_vector(
    wanted: Literal["balanced"] | Mapping[str, float] | None, data: DataInfo, parameter: str = "class_weights"
) -> Any:
    """Return the weight of each class, float32 `[classes]`.

    Args:
        wanted: "balanced" is n / (classes * count), as in scikit-learn, n being the sum of the counts: the mean over
            all labels is 1; a mapping gives classes by name, and 1 to those that it does not name; None is 1 for all.
        data: knows the classes and how many training examples each has.
        parameter: name of the component's parameter, for messages.

    Raises:
        SpecError: there are no classes, none of that name, or one without examples that is to be balanced.
    """
    import numpy

    if not data.classes:
        raise SpecError(f"{parameter}: the source gives no classes to be weighted")
    if wanted == "balanced":
        return numpy.asarray(_balanced(data, parameter), numpy.float32)
    given = dict(wanted or {})
    for _, message in unknown_classes(given, data.classes):
        raise SpecError(f"{parameter}: {message}")
    return numpy.asarray([given.get(name, 1.0) for name in data.classes], numpy.float32)


def _balanced(data: DataInfo, parameter: str) -> list[float]:
    if not data.counts:
        raise SpecError(f"{parameter}: balanced needs the number of examples of each class, which the source lacks")
    empty = [f"'{name}'" for name, count in zip(data.classes, data.counts, strict=True) if not count]
    if empty:
        raise SpecError(
            f"{parameter}: balanced divides by the number of training examples, and there are none of "
            f"{listed(empty)}; give weights by name, such as {{{data.classes[0]}: 2.0}}, or leave these classes out"
        )
    total = sum(data.counts)
    return [total / (len(data.counts) * count) for count in data.counts]


def example_weights(y: Any, vector: Any) -> Any:
    """Return the weight of each example, or pixel, from those of its classes: float32 `[...]` from y `[..., classes]`.

    It is the mean of the weights under y. One class: the weight of that class. Classes mixed by an augmentation:
    their weights mixed in the same shares. Several labels: the mean over those that the example has, since one weight
    an example stands for all its answers, yes and no alike; what weighs the yes of each class on its own is the loss
    (`pos_weight` elsewhere). No label at all: 1.

    Args:
        y: the targets, at least 0, one-hot, soft or several ones, `[..., classes]`.
        vector: the weights that `class_weight_vector` gives, `[classes]`.
    """
    import tensorflow as tf

    y = tf.cast(y, tf.float32)
    total = tf.reduce_sum(y, -1)
    weighted = tf.reduce_sum(y * tf.constant(vector, tf.float32), -1)
    return tf.where(total > 0, tf.math.divide_no_nan(weighted, total), tf.ones_like(total))
