"""The inside of a network: the output of every operation by name, through networks in networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from kplug.model.network import Network
from kplug.model.patches import graph_of, run_graph


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
