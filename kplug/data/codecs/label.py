"""The codec of classes; free of TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Codec, Field, Split

UNKNOWN = -1  # the class of an example that nobody has told: counted nowhere, of weight 0
MOST_UNNAMED = 2**16  # classes that are counted from the labels alone


@dataclass(frozen=True)
class LabelCodec(Codec):
    """The codec of the feature `label`.

    Args:
        classes: class names; learnt.
        several: an example may have several classes: the field is a row of zeros and ones; learnt.
    """

    classes: tuple[str, ...] | None = None
    several: bool | None = None

    takes_batches = True
    must_match = ("classes",)
    ending = ".txt"
    mixes = pastes = True

    @property
    def field(self) -> Field:
        count = len(self.classes or ())
        if self.several:
            return Field((count or None,), "float32", "1 for each class that is there, else 0")
        return Field((), "int32", "number of the class; -1 where it is not known", below=count or None)

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        import numpy as np

        from kplug.data.values import values_of

        given = {split_name: np.asarray(values_of(split, name)) for split_name, split in splits.items()}
        classes = tuple(splits["train"].facts.get(name, {}).get("classes") or _classes_of(name, given["train"]))
        labels = {split_name: _numbers(split_name, values, classes) for split_name, values in given.items()}
        several = labels["train"].ndim == 2
        for split_name, values in labels.items():
            _refuse_outside(split_name, values, len(classes), several)
        counts = {split_name: _counts(values, len(classes)) for split_name, values in labels.items()}
        unknown = {split_name: int(_unknown(values).sum()) for split_name, values in labels.items()}
        found = {"classes": list(classes), "several": several, "counts": counts}
        return found | ({"unknown": unknown} if any(unknown.values()) else {})

    def read(self, value: Any) -> Any:
        import tensorflow as tf

        if value.dtype != tf.string:
            return tf.cast(value, self.field.dtype)  # a column of numbers may be of any width
        matches = tf.equal(value[..., tf.newaxis], tf.constant(list(self.classes or ())))
        number = tf.argmax(matches, -1, tf.int32)  # a class has one name, and no name is none of them
        return tf.where(tf.reduce_any(matches, -1), number, UNKNOWN)

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        """The shares of the classes, float32 [batch, classes]; -1 throughout where a class of the two is not known."""
        import tensorflow as tf

        one, other = self._as_rows(arrays[""]), self._as_rows(others[""])
        part = tf.reduce_mean(tf.reshape(share, [tf.shape(one)[0], -1]), axis=1, keepdims=True)
        unknown = tf.reduce_any((one < 0) | (other < 0), axis=1, keepdims=True)
        return {"": tf.where(unknown, -1.0, part * one + (1 - part) * other)}

    def _as_rows(self, labels: Any) -> Any:
        import tensorflow as tf

        if labels.shape.rank == 2:  # they were mixed before, or are several
            return tf.cast(labels, tf.float32)
        rows = tf.one_hot(labels, len(self.classes or ()))
        return tf.where(labels[:, tf.newaxis] < 0, -1.0, rows)

    def keep(self, value: Any) -> bytes:
        import json

        return f"{json.dumps(value.tolist())} {self.summary(value)}\n".encode()

    def open(self, content: bytes) -> Any:
        import json

        import numpy as np

        text = content.decode()
        return np.asarray(json.JSONDecoder().raw_decode(text)[0], "float32" if self.several else "int32")

    def assets(self, name: str) -> dict[str, str]:
        # the file of 0.1.0, which knew one field of classes
        file = "classes.txt" if name == "label" else f"{name}.classes.txt"
        return {file: "".join(f"{one}\n" for one in self.classes or ())}

    def summary(self, value: Any) -> str:
        names = self.classes or ()
        if self.several:
            return listed([name for name, there in zip(names, value, strict=True) if there]) or "none"
        return "not known" if value == UNKNOWN else names[int(value)]


def _numbers(split: str, labels: Any, classes: tuple[str, ...]) -> Any:
    """Labels as numbers; texts are names of classes, and an empty one is not known."""
    import numpy as np

    if labels.dtype.kind not in "OU":
        return labels
    numbers = {name: number for number, name in enumerate(classes)} | {"": UNKNOWN}
    if strange := sorted({str(label) for label in labels} - numbers.keys()):
        known = f"{did_you_mean(strange[0], classes)} (classes: {listed(classes)})"
        raise SpecError(f"'{strange[0]}' in {split} is no class that train has{known}")
    return np.array([numbers[str(label)] for label in labels], np.int32)


def _classes_of(name: str, labels: Any) -> tuple[str, ...]:
    """The classes of a field whose source names none: texts in order, or the numbers that there are."""
    if labels.dtype.kind in "OU":
        return tuple(sorted({str(label) for label in labels} - {""}))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        given = f"{labels.dtype} {labels.shape}"
        raise SpecError(f"'{name}' gives {given}, and the source names no classes; numbers that are none: type: tensor")
    size = int(labels.max(initial=UNKNOWN)) + 1
    if size > MOST_UNNAMED:
        raise SpecError(f"'{name}' is up to {size - 1}: number the classes from 0")
    return tuple(map(str, range(size)))


def _refuse_outside(split: str, labels: Any, count: int, several: bool) -> None:
    if several:
        if labels.ndim != 2 or labels.shape[1] != count:
            raise SpecError(f"the labels of {split} have the shape {labels.shape}, for {count} classes")
        return
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise SpecError(f"the labels of {split} are {labels.dtype} {labels.shape}, not whole numbers [n]")
    outside = labels[(labels < UNKNOWN) | (labels >= count)]
    if len(outside):
        raise SpecError(f"{len(outside)} labels of {split} are outside the {count} classes, such as {outside[0]}")


def _unknown(labels: Any) -> Any:
    return (labels < 0).any(-1) if labels.ndim == 2 else labels < 0


def _counts(labels: Any, classes: int) -> list[int]:
    """The number of examples of each class; those whose class is not known are left out."""
    import numpy as np

    known = labels[~_unknown(labels)]
    return [int(n) for n in (known.sum(0) if known.ndim == 2 else np.bincount(known, minlength=classes))]
