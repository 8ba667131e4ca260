"""The parts that tasks of classes share: targets, weights of examples, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.errors import SpecError, listed
from kplug.model.class_weights import example_weights
from kplug.records import Codec, DataInfo, Field, FitInfo, Signature


def has_unknown(data: DataInfo, label: str) -> bool:
    """True where an example of some split has no known class."""
    return any(data.facts.get(label, {}).get("unknown", {}).values())


def refuse_unseen_classes(data: DataInfo, fit: FitInfo) -> None:
    """Refuse to train a task that answers with classes where some have no training example.

    Raises:
        SpecError: a training begins, and names of classes are left that nothing could teach.
    """
    if fit.is_new and len(data.classes) == 1 and not data.multi_label:
        what = f"'{data.label}' has one class alone, {data.classes[0]!r}, so that there is nothing to tell apart"
        raise SpecError(f"{what}; has the source a folder, or a value, for each class?")
    unseen = [name for name, count in zip(data.classes, data.counts, strict=False) if not count]
    if fit.is_new and unseen:
        what = f"classes of '{data.label}' without a training example: {listed(unseen)}"
        instead = "give them some, leave them out of the source's `classes`, or let validation take less of train"
        raise SpecError(f"{what}; {instead}")


def metrics_argument(data: DataInfo, label: str) -> str:
    """The argument of `compile` for metrics: with weights, 0 for unknown classes, only where there are any."""
    return "weighted_metrics" if has_unknown(data, label) else "metrics"


@dataclass(frozen=True)
class Targets:
    """The targets of a batch, and the weights of its examples.

    Args:
        label: the field of classes.
        count: how many classes there are.
        weights: that of each class in training, `[classes]`; None is 1 for all.
        has_unknown: some examples have no known class, and the weight 0.
    """

    label: str
    count: int
    weights: Any = None
    has_unknown: bool = False

    def of(self, batch: Mapping[str, Any], training: bool) -> tuple[Any, ...]:
        """Return (y,) or (y, weight): y is float `[batch, classes]`, zeros where the class is not known."""
        label = batch[self.label]
        y = tf.one_hot(label, self.count) if label.shape.rank == 1 else tf.cast(label, tf.float32)
        weight = example_weights(y, self.weights) if self.weights is not None and training else None
        if self.has_unknown:
            known = tf.cast(label >= 0, tf.float32)
            known = known if label.shape.rank == 1 else tf.reduce_min(known, -1)
            y = tf.maximum(y, 0.0)
            weight = known if weight is None else weight * known
        return (y,) if weight is None else (y, weight)


def known_rows(y: Any, weight: Any) -> Any:
    """The weights of examples for metrics: 1, and 0 where the weight is; None where there are no weights."""
    return None if weight is None else tf.cast(weight > 0, tf.float32)


def answers(probabilities: Any, classes: Sequence[str]) -> dict[str, Any]:
    """The outputs of an endpoint that tells classes."""
    names = tf.gather(tf.constant(list(classes)), tf.argmax(probabilities, -1))
    return {"probabilities": probabilities, "classes": names}


def outputs_of_classes(count: int) -> dict[str, Field]:
    """The description of what `answers` gives."""
    return {
        "probabilities": Field(
            (count,), "float32", "probability of each class, float32 [batch, classes]", averaged=True
        ),
        "classes": Field((), "string", "name of the most probable class, string [batch]"),
    }


def endpoints_of_classes(
    classify: Callable[..., dict[str, Any]], name: str, codec: Codec, outputs: Mapping[str, Any], classes: Sequence[str]
) -> dict[str, Signature]:
    """The endpoints of a task that tells classes: `classify`, and beside it `images`, as 0.1.0 served it.

    Args:
        classify: a batch of the field, by its name, to the outputs.
        name: of the field that is classified.
        codec: its own.
        outputs: the description of what `classify` gives.
        classes: their names.
    """
    answer = ranked(classes)

    def serve_images(images: Any) -> dict[str, Any]:
        return classify(**{name: images}) | {"valid": tf.ones([tf.shape(images)[0]], tf.bool)}

    pixels, valid = {"images": replace(codec.field, like=name)}, Field((), "bool", "true: pixels are always valid")
    return {
        "classify": Signature(classify, {name: codec}, outputs, answer=answer),
        "images": Signature(serve_images, pixels, {**outputs, "valid": valid}, answer=answer),
    }


def ranked(classes: Sequence[str]) -> Callable[[Mapping[str, Any], int], dict[str, Any]]:
    """A `Signature.answer` that names the most probable classes."""

    def answer(outputs: Mapping[str, Any], top: int) -> dict[str, Any]:
        scores = outputs["probabilities"]
        order = np.argsort(-scores, kind="stable")[:top]
        best = [[classes[i], float(scores[i])] for i in order]
        return {"class": best[0][0], "score": best[0][1], "top": best}

    return answer
