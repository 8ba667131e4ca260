"""A network written as a function of tensors, that is a layer: built when its first input's shape is known."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import keras
import tensorflow as tf

from kplug.errors import Path, SpecError
from kplug.model.patches import has_mask

PARTS = (keras.Layer, keras.Loss, keras.Metric)  # of a spec, which a task calls
NO_PRIMITIVE = "could not create a primitive"  # oneDNN's words for sizes that none of its kernels is made for


def is_of_keras(error: Exception, *others: str) -> bool:
    """Return True where Keras itself raised an error: what it was given does not fit, say a picture under a kernel.

    Args:
        error: that was raised.
        others: beginnings of the names of further modules that count.
    """
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return str(innermost.f_globals.get("__name__", "")).startswith(("keras.", *others))


def words_of(error: Exception) -> str:
    """The message of an error of Keras, which prints some of it in bold."""
    return re.sub(r"\x1b\[\d*m", "", str(error))


def raise_placed(error: Exception) -> NoReturn:
    """Raise an error again; as a SpecError where a part of the spec refused what a task gave it.

    A task calls what it is given, so that Keras's error would tell of the task. The part is the outermost of the spec
    that was being called: `build` says of each thing that it makes where it stands.
    """
    for one in _causes(error):
        called = _called(one)
        if called is not None:
            message = f"cannot be called with what the task gives it: {words_of(one)}"
            raise SpecError(message).located(*called.spec_place) from error
    raise error


@contextlib.contextmanager
def placed() -> Iterator[None]:
    """Inside, what a part of the spec refuses of what a task gives it is a SpecError at its place.

    Keras would drop its own frames from a traceback, and with them those of the losses and metrics that it calls.
    """
    is_filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    except (ValueError, TypeError) as error:
        raise_placed(error)
    except tf.errors.AbortedError as error:
        if NO_PRIMITIVE not in str(error):
            raise
        node = re.search(r"Detected at node (\S+)", str(error))
        which = f" ({node[1].removeprefix('while/body/_1/')})" if node else ""
        what = f"oneDNN, through which TensorFlow computes, does not take an operation of this model{which}"
        raise SpecError(f"{what}; change the layer, or compute without it: TF_ENABLE_ONEDNN_OPTS=0") from error
    finally:
        if is_filtering:
            keras.config.enable_traceback_filtering()


def _causes(error: BaseException | None) -> Iterator[Exception]:
    """Yield an error and those that it took the place of, the first first: AutoGraph and Keras raise them anew.

    Those have fewer frames. An error that was raised from another on purpose, or is of another kind, says more.
    """
    found: list[Exception] = []
    while isinstance(error, Exception) and (not found or type(error) is type(found[-1])):
        found.append(error)
        error = error.__context__ if error.__cause__ is None else None
    yield from reversed(found)


def _called(error: Exception) -> Any:
    """The outermost part of the spec that was being called when Keras raised an error; None where none was."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or not is_of_keras(error, "tensorflow."):
        return None
    for frame in frames:
        # Keras drops its own frames from the traceback, but for that of the wrapper around `__call__`
        for called in (frame.f_locals.get("self"), *(frame.f_locals.get("args") or ())[:1]):
            is_of_spec = isinstance(called, PARTS) and any(getattr(called, "spec_place", ()))
            is_fitted = isinstance(called, keras.Model) and called.compiled
            is_theirs = is_of_keras(error) or type(called).__module__.startswith("keras.")
            if is_of_spec and is_theirs and not is_fitted:
                return called
    return None


class Network(keras.Layer):
    """A function from tensor to tensor as a layer.

        return Network(lambda images: keras.layers.Dense(8)(images), name="tiny")

    Args:
        function: builds the network on a symbolic tensor and returns its output; or the output and a mapping of
            pyramid level ("P2" has a stride of 4, "P3" of 8, ...) to tensor.
        name: the layer's name, the first part of its weights' paths; a second network of the name becomes `name_1`.
    """

    given: str | None = None  # the dtype of whole numbers that it was first called with
    spec_place: tuple[Path, str] = ((), "")  # where the spec has it, which `build` says once the layer is made

    def __init__(self, function: Callable[[Any], Any], name: str) -> None:
        count = keras.backend.get_uid(name)  # afresh in each build; a network with two of a name is refused by Keras
        super().__init__(name=name if count == 1 else f"{name}_{count - 1}")
        self.function = function
        self.supports_masking = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.built:  # Keras tells `build` shapes alone
            self.given = integers_of(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        with dtype_policy(self.dtype_policy):
            inputs = keras.Input(input_shape[1:], dtype=self.given or self.compute_dtype)
            try:
                outputs = self.function(inputs)
            except SpecError as error:
                raise error.located(*self.spec_place) from error.__cause__
            except ValueError as error:
                if not is_of_keras(error):
                    raise
                raise SpecError(f"cannot be built: {words_of(error)}").located(*self.spec_place) from error
            outputs, pyramid = outputs if isinstance(outputs, tuple) else (outputs, {})
            self.network = keras.Model(inputs, outputs, name=self.name)
            self.pyramid_outputs = pyramid
        self.built = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Keras's hook: a mask goes with its inputs through the layers of the network, which say what comes out."""
        return None

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        refuse_rounding(self, inputs)
        if has_mask(inputs):  # the model as a layer would lose the mask: it saw none when it was built
            return self.network.call(inputs, training=training)
        return self.network(inputs, training=training)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        if inputs.shape[1:] != self.network.inputs[0].shape[1:]:
            return super().compute_output_spec(inputs, training=training)
        output = self.network.outputs[0]  # known, where Keras would go through every layer again
        return keras.KerasTensor((inputs.shape[0], *output.shape[1:]), output.dtype)


def integers_of(tensor: Any) -> str | None:
    """The dtype of whole numbers, which no precision changes; None of others.

    Keras converts what a model gets to the dtype of its input: the token 257 would be 256 in bfloat16.
    """
    dtype = keras.backend.standardize_dtype(tensor.dtype) if hasattr(tensor, "dtype") else ""
    return dtype if "int" in dtype else None


def refuse_rounding(network: Any, inputs: Any) -> None:
    """Refuse whole numbers that a network would round, since it was built without being called with any."""
    expected = network.network.inputs[0].dtype
    if integers_of(inputs) and expected in ("float16", "bfloat16"):
        message = f"'{network.name}' was built for {expected} and is given {inputs.dtype}, which that would round"
        raise TypeError(f"{message}; call it before a layer builds it that looks at shapes alone (TimeDistributed)")


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Inside, layers are made with this dtype policy; Keras's global one is put back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
