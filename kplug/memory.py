"""Whether a training step fits into memory, estimated before it is made, and which batch would fit.

The estimate goes through the graph of the step, operation by operation, and notes how much is held at once: what the
backward pass needs, gradients, what the optimizer computes. Weights and the optimizer's variables are there by then.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kplug.data import Data
from kplug.errors import NoMemory, Problem, SpecError
from kplug.errors import Path as SpecPath
from kplug.evaluate import log
from kplug.kinds import Learner

CERTAIN = 0.5  # share of the estimate that a step needs at least (measured: 0.6 or more): no step is refused in vain
ROOM = 0.8  # share of the free memory that a batch which should fit may take
GROUPS = Path("/sys/fs/cgroup")
NEAR = 0.1  # share of the free memory from which on a rough estimate is made a good one, which takes a trace
OVERHEAD = 1.25  # what kernels' workspaces and operations computed at the same time add (measured: 1.0 to 1.75)
BUFFERED = 3  # batches that the input pipeline holds: one being made, one waiting, one in use
VIEWS = frozenset({"ExpandDims", "Identity", "IdentityN", "Reshape", "Squeeze", "StopGradient"})
IN_PLACE = {  # kernels that write into an input which nobody needs any more
    *(
        "Add",
        "AddN",
        "AddV2",
        "BiasAdd",
        "Div",
        "DivNoNan",
        "Elu",
        "EluGrad",
        "Exp",
        "Log",
        "Maximum",
        "Minimum",
        "Mul",
    ),
    *("Neg", "Pow", "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad", "Rsqrt", "RsqrtGrad", "Selu", "SeluGrad"),
    *("Sigmoid", "SigmoidGrad", "Softmax", "Softplus", "Sqrt", "SqrtGrad", "Square", "SquaredDifference", "Sub"),
    *("Tanh", "TanhGrad"),
}
NOTHING = frozenset({"Const", "Placeholder", "ReadVariableOp"})  # what is there before the step


def refuse_too_large(data: Data, learner: Learner, replicas: int = 1) -> None:
    """Compare what a training step needs with what is free; say so where it may not fit.

    Args:
        data: gives the batches.
        learner: compiled, with its optimizer built.
        replicas: that share each batch, each with a memory of its own on GPUs.

    Raises:
        SpecError: the step cannot fit.
    """
    free, where = free_memory()
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    shares = replicas if on_gpu else 1
    if rough_need(learner.model, data.batch_size) / shares < NEAR * free:
        return
    need = step_need(data, learner) / shares
    if CERTAIN * need > free:
        raise _too_large(data, learner, need, free, where, shares)
    if need > free:
        instead = _instead(data, learner, need, free, shares)
        log(f"warning: {_comparison(data, need, free, where)}; it may not fit{instead}")


def out_of_memory(data: Data, split: str, error: Exception, learner: Learner | None = None) -> SpecError:
    """What to say instead of TensorFlow's own words where memory was not enough.

    Args:
        data: gives the batches.
        split: what was read; where it is train, a batch that should fit is named.
        error: TensorFlow's.
        learner: what is trained.
    """
    free, where = free_memory()
    lines = str(getattr(error, "message", error)).strip().splitlines()
    said = next((line for line in lines if "OOM" in line), lines[0] if lines else "").partition(" on /job")[0]
    if learner is None or split != "train":
        path: SpecPath = ("data", "evaluate_with")
        message = f"{where} has {in_words(free)} free; take a smaller batch_size"
    else:
        path = ("data", "sampler")
        need = step_need(data, learner)
        message = _comparison(data, need, free, where) + _instead(data, learner, need, min(free, need / 2 / ROOM), 1)
    return NoMemory([Problem(f"memory is exhausted: {message} (TensorFlow: {said})", path, data.spec.where(path))])


def _too_large(data: Data, learner: Learner, need: float, free: float, where: str, shares: int) -> SpecError:
    path = ("data", "sampler")
    message = f"{_comparison(data, need, free, where)}{_instead(data, learner, need, free, shares)}"
    return NoMemory([Problem(message, path, data.spec.where(path))])


def _comparison(data: Data, need: float, free: float, where: str) -> str:
    return (
        f"a training step with a batch of {data.batch_size:,} needs about {in_words(need)} by estimate, and "
        f"{where} has {in_words(free)} free"
    )


def _instead(data: Data, learner: Learner, need: float, free: float, shares: int) -> str:
    size = batch_size_that_fits(learner.model, data.batch_size, need, free, shares)
    if not size:
        return "; not even one picture should fit: take a smaller model or smaller pictures (data.image.size)"
    return f"; a batch of {size:,} should fit"


def batch_size_that_fits(model: keras.Model, batch_size: int, need: float, free: float, shares: int = 1) -> int:
    """The largest power of two, times the replicas, that should leave some memory free; 0 where not one example fits.

    Args:
        model: whose gradients are of one size whatever the batch.
        batch_size: of the step that was estimated.
        need: that of one replica, in bytes.
        free: in bytes.
        shares: replicas with a memory of their own.
    """
    gradients = sum(_bytes(weight.shape, weight.dtype) for weight in model.trainable_weights)
    each = max(need - gradients, 0.05 * need) / batch_size * shares
    most = (ROOM * free - gradients) / each
    return shares * 2 ** int(math.log2(most)) if most >= 1 else 0


def in_words(count: float) -> str:
    """Bytes as `3.2 GB` or `210 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


# --- what a step needs -----------------------------------------------------------------------------------------------


def rough_need(model: keras.Model, batch_size: int) -> float:
    """Bytes of all that the layers give, kept or not, and three times those of the weights: seldom too few."""
    each = 0.0
    for layer in {id(x): x for x in _operations(model)}.values():
        if not getattr(layer, "_inbound_nodes", ()) or getattr(layer, "operations", None):
            continue
        inside = layer._flatten_layers(include_self=False) if isinstance(layer, keras.layers.Layer) else ()
        inner = sum(not part._inbound_nodes for part in inside)  # those that Keras did not see called
        for output in layer._inbound_nodes[-1].output_tensors:
            each += (1 + inner) * _bytes([size for size in output.shape if size is not None], output.dtype)
    weights = sum(_bytes(weight.shape, weight.dtype) for weight in model.trainable_weights)
    return each * batch_size + 3 * weights


def _operations(model: keras.Model) -> Iterator[Any]:
    for layer in model._flatten_layers(recursive=True):
        yield layer
        yield from getattr(layer, "operations", ())


def step_need(data: Data, learner: Learner) -> float:
    """Bytes that a training step takes beside the variables, with the batches that wait for it."""
    batch = data.training(learner, 1).element_spec
    inputs = sum(_bytes(item.shape, item.dtype) for item in tf.nest.flatten(batch))
    step = tf.function(lambda batch: learner.model.train_step(batch), autograph=False)
    return OVERHEAD * graph_peak(step.get_concrete_function(batch).graph) + BUFFERED * inputs


def graph_peak(graph: Any) -> float:
    """The most bytes that the operations of a graph hold at once, computed in the order in which they were made."""
    operations = graph.get_operations()
    root: dict[Any, Any] = {}  # tensor to the one whose memory it shares
    last: dict[Any, int] = {}  # tensor with memory of its own to the last operation that needs it
    for number, operation in enumerate(operations):
        for place, output in enumerate(operation.outputs):
            root[output.ref()] = output.ref()
            if operation.type in VIEWS and operation.inputs[0].dtype != tf.resource:
                root[output.ref()] = root[operation.inputs[place].ref()]
        for tensor in (*operation.inputs, *operation.outputs):
            last[root[tensor.ref()]] = number
    for output in graph.outputs:
        last[root[output.ref()]] = len(operations)
    return _peak(operations, root, last)


def _peak(operations: Any, root: dict[Any, Any], last: dict[Any, int]) -> float:
    held: dict[Any, float] = {}
    now = peak = 0.0
    for number, operation in enumerate(operations):
        ending = {root[t.ref()] for t in operation.inputs if last[root[t.ref()]] == number and root[t.ref()] in held}
        for output in operation.outputs:
            if root[output.ref()] != output.ref():
                continue
            size = 0.0 if operation.type in NOTHING else _bytes(output.shape, output.dtype)
            reused = next((r for r in ending if operation.type in IN_PLACE and held[r] >= size), None)
            if reused is not None:
                ending.discard(reused)
                now -= held.pop(reused)
            held[output.ref()] = size
            now += size
        peak = max(peak, now)
        for ref in ending | {output.ref() for output in operation.outputs if last.get(output.ref()) == number}:
            now -= held.pop(ref, 0.0)
    return peak


def _bytes(shape: Any, dtype: Any) -> float:
    """Of a tensor; 0 where its size is not known, or where it is no array."""
    dtype = tf.as_dtype(dtype)
    sizes = tf.TensorShape(shape)
    if dtype in (tf.resource, tf.variant, tf.string) or not sizes.is_fully_defined():
        return 0.0
    return float(math.prod(sizes.as_list()) * dtype.size)


# --- what is free ----------------------------------------------------------------------------------------------------


def free_memory() -> tuple[float, str]:
    """Bytes that can still be had where the training computes, and what that is."""
    return _free_on_gpu() if tf.config.list_physical_devices("GPU") else free_on_machine()


def free_on_machine() -> tuple[float, str]:
    """Bytes that a process of this machine can still have, and what has so few."""
    found = [
        (_available(), "the machine"),
        (_left_in_group(), "the control group"),
        (_left_to_limit(), "the limit of the process"),
    ]
    return min(found)


def _free_on_gpu() -> tuple[float, str]:
    from tensorflow.python.client import device_lib

    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    used = [
        tf.config.experimental.get_memory_info(device.name.partition("device:")[2])["current"]
        for device in tf.config.list_logical_devices("GPU")
    ]
    return min(limit - now for limit, now in zip(limits, used, strict=True)), "the GPU"


def _available() -> float:
    """Of the machine, without swapping; more than can be where the system does not say."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _left_in_group() -> float:
    """To the limit of the control group that holds the process; files that are cached count as free."""
    left = math.inf
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            left = min(
                left, _left_below(GROUPS / "memory", path, "limit_in_bytes", "usage_in_bytes", "total_inactive_file")
            )
        elif not controllers:  # version 2
            left = min(left, _left_below(GROUPS, path, "max", "current", "inactive_file"))
    return left


def _left_below(top: Path, path: str, limit: str, used: str, cached: str) -> float:
    """The least of a group and those around it; inside a container its own group may stand at the top."""
    left = math.inf
    inside = top / path.strip("/")
    for folder in (inside, *inside.parents):
        most, now = (_number(folder / f"memory.{name}") for name in (limit, used))
        if most is not None and now is not None and folder.is_relative_to(top):
            files = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat")).get(cached, "0")
            left = min(left, most - now + float(files))
    return left


def _left_to_limit() -> float:
    """To what `ulimit -v` allows."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if most == resource.RLIM_INFINITY else most - _kilobytes(Path("/proc/self/status"), "VmSize")


def _kilobytes(file: Path, name: str) -> float:
    return next((float(line.split()[1]) * 1024 for line in _lines(file) if line.startswith(f"{name}:")), math.inf)


def _number(file: Path) -> float | None:
    text = "".join(_lines(file))
    return float(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
