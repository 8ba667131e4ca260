"""The inside of a network: the output of every operation by name, through networks in networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from kplug.errors import SpecError
from kplug.model.network import Network
from kplug.model.patches import graph_of, layers_of, run_graph


def outputs_of(layer: Any, inputs: Any, training: bool = False) -> dict[str, Any]:
    """Compute a network and return what each of its operations gives, in order; the last is the network's own output.

    Names are those of layers, joined by "/" where one is inside another: `resnet/stage4_block1`. An operation that is
    called again has its second output under `NAME_1`.

    Args:
        layer: a Network, a functional or sequential model; of any other layer the inside cannot be seen.
        inputs: tensors, or symbolic ones.
        training: False computes in inference mode.
    """
    found: dict[str, Any] = {}
    _recorded(layer, "", training, found)(inputs)
    return found


def pyramid_of(layer: Any, inputs: Any) -> tuple[Any, dict[str, Any]]:
    """Compute a network and return its output with the levels of its pyramid: P2 has a stride of 4, P3 of 8.

    Args:
        layer: a Network, a part of a run, or a functional model with `pyramid_outputs`; it is built where it is not.
        inputs: a symbolic tensor.

    Raises:
        SpecError: it has no pyramid.
    """
    layer(inputs)
    levels = levels_of(layer, inputs)
    if not levels:
        raise SpecError(f"'{layer.name}' has no pyramid of features: it is no network of stages that keep a height")
    return levels.pop(""), levels


def levels_of(layer: Any, inputs: Any) -> dict[str, Any]:
    """The levels of a built network's pyramid, of these inputs, and its output as ""; empty where it has none."""
    levels = getattr(layer, "pyramid_outputs", None)
    if not levels:
        return {}
    # the graph that the levels are in: a Network or TrainedPart keeps it as `network`, a functional model is one itself
    graph = getattr(layer, "network", layer)
    first = graph.inputs[0] if len(graph.inputs) == 1 else graph.inputs
    whole = keras.Model(first, {"": graph.outputs[0], **levels}, name=f"{layer.name}_levels")
    allow_other_sizes(whole)
    return dict(whole(inputs))


def allow_other_sizes(part: Any) -> None:
    """Have the networks in a part ask for rank and channels alone: the sizes are those of its first data."""
    for layer in layers_of(part):
        inputs = getattr(layer, "inputs", None) if isinstance(layer, keras.Model) else None
        if inputs and len(inputs) == 1 and len(inputs[0].shape) > 1:
            layer.input_spec = keras.InputSpec(ndim=len(inputs[0].shape), axes={-1: inputs[0].shape[-1]})


def _recorded(operation: Any, prefix: str, training: bool, found: dict[str, Any]) -> Callable[..., Any]:
    """The operation as a function that also keeps what it gives, and what those inside it give before."""
    path = f"{prefix}{operation.name}"
    inner = operation.network if isinstance(operation, Network) else operation
    graph = graph_of(inner)

    def call(*args: Any, **options: Any) -> Any:
        if graph is not None:
            output = run_graph(graph, args[0], lambda one: _recorded(one, f"{path}/", training, found))
        elif isinstance(operation, keras.Layer) and takes_training(operation):
            output = operation(*args, **{**options, "training": training})
        else:
            output = operation(*args, **options)
        number, name = 0, path
        while name in found:
            number += 1
            name = f"{path}_{number}"
        found[name] = output
        return output

    return call


def takes_training(layer: keras.Layer) -> bool:
    """Return True where a layer's `call` has an argument `training`."""
    return "training" in inspect.signature(layer.call).parameters
