"""A network written as a function of tensors, that is a layer: built when its first input's shape is known."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import keras

from kplug.errors import Path, SpecError


def is_of_keras(error: Exception) -> bool:
    """Return True where Keras itself raised an error: what it was given does not fit, say a picture under a kernel."""
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return str(innermost.f_globals.get("__name__", "")).startswith("keras.")


class Network(keras.Layer):
    """A function from tensor to tensor as a layer.

        return Network(lambda images: keras.layers.Dense(8)(images), name="tiny")

    Args:
        function: builds the network on a symbolic tensor and returns its output; or the output and a mapping of
            pyramid level ("P2" has a stride of 4, "P3" of 8, ...) to tensor.
        name: the layer's name, the first part of its weights' paths; a second network of the name becomes `name_1`.
    """

    def __init__(self, function: Callable[[Any], Any], name: str) -> None:
        count = keras.backend.get_uid(name)  # afresh in each build; a network with two of a name is refused by Keras
        super().__init__(name=name if count == 1 else f"{name}_{count - 1}")
        self.function = function

    def build(self, input_shape: Any) -> None:
        with dtype_policy(self.dtype_policy):
            inputs = keras.Input(input_shape[1:], dtype=self.compute_dtype)
            try:
                outputs = self.function(inputs)
            except SpecError as error:
                raise error.located(*self._place) from error.__cause__
            except ValueError as error:
                if not is_of_keras(error):
                    raise
                raise SpecError(f"cannot be built: {error}").located(*self._place) from error
            outputs, pyramid = outputs if isinstance(outputs, tuple) else (outputs, {})
            self.network = keras.Model(inputs, outputs, name=self.name)
            self.pyramid_outputs = pyramid
        self.built = True

    @property
    def _place(self) -> tuple[Path, str]:
        return getattr(self, "spec_place", ((), ""))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, training=training)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        if inputs.shape[1:] != self.network.inputs[0].shape[1:]:
            return super().compute_output_spec(inputs, training=training)
        output = self.network.outputs[0]  # known, where Keras would go through every layer again
        return keras.KerasTensor((inputs.shape[0], *output.shape[1:]), output.dtype)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Inside, layers are made with this dtype policy; Keras's global one is put back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
