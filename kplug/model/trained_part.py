"""A part of a rebuilt model, made a layer of another one: its names, and the sizes that it is applied to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import SpecError
from kplug.model.graph import allow_other_sizes, levels_of
from kplug.model.network import dtype_policy, integers_of
from kplug.model.patches import layers_of, name_counts

AROUND = ("Exception encountered when calling", "Could not automatically infer")  # how Keras begins a message
TWO = 2  # examples of a trial: enough to see whether they stay apart


class TrainedPart(keras.Layer):
    """A layer that was built in another model, applied to the tensors of this one.

    Its variables keep the paths that they have, beginning with the part's name.

    Args:
        part: the layer.
        title: what messages call it.
    """

    def __init__(self, part: keras.Layer, title: str) -> None:
        super().__init__(name=part.name)
        self.part, self.title = part, title
        self.given: tuple[str | None, ...] = ()  # dtypes of whole numbers among what it was first called with
        self.trained_on = _shape_of_input(part)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.built:  # Keras tells `build` shapes alone
            self.given = tuple(integers_of(tensor) for tensor in keras.tree.flatten(inputs))
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        with dtype_policy(self.dtype_policy):
            allow_other_sizes(self.part)
            given = iter(self.given)
            inputs = keras.tree.map_shape_structure(
                lambda shape: keras.Input(shape[1:], dtype=next(given, None) or self.compute_dtype), input_shape
            )
            outputs = self._fitting(lambda: self.part(inputs), input_shape)
            if self.trained_on != _without_batch(input_shape):
                self._fitting(lambda: self._try(inputs, outputs), input_shape)
            self.network = keras.Model(inputs, outputs, name=self.name)
            self.pyramid_outputs = {name: level for name, level in levels_of(self.part, inputs).items() if name}
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, training=training)

    def _fitting(self, apply: Callable[[], Any], input_shape: Any) -> Any:
        """Return what `apply` gives; refuse the part where Keras or TensorFlow cannot apply it."""
        try:
            return apply()
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            trained = f", which was trained on {_shown(self.trained_on)}," if self.trained_on else ""
            message = (
                f"{self.title}{trained} cannot be applied to {_shown(_without_batch(input_shape))}: {_reason(error)}"
            )
            raise SpecError(message) from error

    def _try(self, inputs: Any, outputs: Any) -> None:
        """Apply the part to numbers: a size that is fixed within it may mix examples without an error."""
        if any(None in tensor.shape[1:] for tensor in keras.tree.flatten(inputs)):
            return
        with tf.init_scope():
            zeros = keras.tree.map_structure(lambda tensor: tf.zeros((TWO, *tensor.shape[1:]), tensor.dtype), inputs)
            found = keras.tree.flatten(self.part(zeros, training=False))
        for real, promised in zip(found, keras.tree.flatten(outputs), strict=True):
            if (len(real.shape) and real.shape[0] != TWO) or len(real.shape) != len(promised.shape):
                raise ValueError(f"its layers hold to the size of then; {TWO} examples gave {tuple(real.shape)}")


def _reason(error: Exception) -> str:
    """Return the line of an error that says what is wrong; Keras puts others around it, and sets it in bold."""
    lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith(AROUND)), type(error).__name__)


def _shape_of_input(part: keras.Layer) -> Any:
    """Return the shape of what a layer was called with when its model was built; None where that is not known."""
    try:
        return keras.tree.map_structure(lambda tensor: tuple(tensor.shape[1:]), part.input)
    except (AttributeError, ValueError):
        return None


def _without_batch(shape: Any) -> Any:
    return keras.tree.map_shape_structure(lambda one: tuple(one[1:]), shape)


def _shown(shapes: Any) -> str:
    if isinstance(shapes, tuple) and all(isinstance(size, int | None) for size in shapes):
        return "x".join("?" if size is None else str(size) for size in shapes) or "single numbers"
    return " and ".join(_shown(shape) for shape in shapes)


# --- names -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def names_as_if_alone() -> Iterator[Callable[[keras.Layer], None]]:
    """Inside, a whole learner is built; outside, only the layers of the parts that are kept of it count as named.

    Paths of weights begin with names of layers, and checkpoints and files of weights know weights by their paths: a
    model must give its layers the same names in every build. Keras makes names unique in a session by counting each
    ("dense", "dense_1"). To take a part out of another run, that run's whole learner is built, with layers that are
    thrown away right after: its head, its second branch. They must leave no trace in the counts, else the new model's
    own head would be `linear_1` here, and `linear` where the part comes from a learner without a head. What is kept
    must count, else a new layer would get a name that the part has, and two weights would have one path.

    So the counts of before are put back at the end, raised to those of the layers that were kept. `Network` counts
    its names in the same place, by `keras.backend.get_uid`.

    Returns:
        a function to call with each part that is kept.
    """
    before = dict(name_counts())
    kept: dict[str, int] = {}

    def keep(part: keras.Layer) -> None:
        counted = name_counts()
        for layer in layers_of(part):
            base, number = _counted_name(layer.name, counted)
            if base:
                kept[base] = max(kept.get(base, 0), number)

    try:
        yield keep
    finally:
        now = name_counts()  # not the mapping of before: Keras makes another one when it clears its session
        now.clear()  # in place, since it is Keras's own
        now.update({name: max(before.get(name, 0), kept.get(name, 0)) for name in kept | before})


def _counted_name(name: str, counted: Mapping[str, int]) -> tuple[str, int]:
    """Split a layer's name into what Keras counted and how many of it there are then.

    The third layer of a name is `conv2d_2`: ("conv2d", 3). A layer that was called `block_2` by hand was not counted,
    unless `block` was: ("", 0).
    """
    numbered = re.fullmatch(r"(.+)_(\d+)", name)
    if numbered and numbered[1] in counted:
        return numbered[1], int(numbered[2]) + 1
    return (name, 1) if name in counted else ("", 0)
