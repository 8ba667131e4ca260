"""An estimate of the memory that a training step needs, made before the step is, and the batch that would fit.

The estimate goes through the graph of the step, operation by operation, and notes how much is held at once: what the
backward pass needs, gradients, what the optimizer computes. Weights and the optimizer's variables are there by then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.errors import NoMemory, SpecError
from kplug.model.machine import free_memory, in_words
from kplug.model.patches import calls_of, layers_of
from kplug.records import Learner

if TYPE_CHECKING:
    from kplug.data.pipeline import Data

# The part of the estimate that a step needs at least: a step is refused where even that is not free. A higher number
# refuses steps that fit, a lower one lets steps begin that the system ends. Steps once took 0.6 and more of
# their estimates, on which machine is not known; tests/test_memory.py checks that its models take more than this.
CERTAIN = 0.5
# The part of the free memory that a batch may take which is said to fit. It is advice alone: a higher number names
# batches that fail again, a lower one smaller batches than need be.
ROOM = 0.8
# The part of the free memory up to which the rough estimate is believed. Above it a trace makes a good one, which takes
# seconds. A higher number overlooks steps that do not fit, a lower one has small trainings wait for a trace.
NEAR = 0.1
# What kernels' workspaces, and operations computed at the same time, make of the graph's peak: 1.0 to 1.75 times of it
# were once seen, on which machine is not known. Where it is wrong, all estimates are by as much; tests/test_memory.py
# has those of its models within half and double of what a process takes.
OVERHEAD = 1.25
BUFFERED = 3  # batches that the input pipeline holds: one being made, one waiting, one in use
VIEWS = {"ExpandDims", "Identity", "IdentityN", "Reshape", "Squeeze", "StopGradient"}  # share the memory of their input
IN_PLACE = {
    "Add", "AddN", "AddV2", "BiasAdd", "Div", "DivNoNan", "Elu", "EluGrad", "Exp", "Log", "Maximum", "Minimum", "Mul",
    "Neg", "Pow", "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad", "Rsqrt", "RsqrtGrad", "Selu", "SeluGrad",
    "Sigmoid", "SigmoidGrad", "Softmax", "Softplus", "Sqrt", "SqrtGrad", "Square", "SquaredDifference", "Sub",
    "Tanh", "TanhGrad",
}  # kernels that write into an input which nobody needs any more  # fmt: skip
NOTHING = {"Const", "Placeholder", "ReadVariableOp"}  # take no memory: what they give was there before


def refuse_too_large(data: Data, learner: Learner, replicas: int = 1, kept: int = 0) -> None:
    """Refuse a training step that cannot fit into the memory that is free; warn of one that may not.

    Args:
        data: gives the batches.
        learner: compiled, with its optimizer built.
        replicas: that share each batch, each with a memory of its own on GPUs.
        kept: bytes of the machine's memory that examples will take meanwhile.

    Raises:
        SpecError: the step cannot fit.
    """
    free, where = free_memory()
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    memories = replicas if on_gpu else 1
    if kept and not on_gpu:
        free, where = free - kept, f"{where}, beside {in_words(kept)} of examples that stay in memory (cache_mb),"
    if rough_need(learner.model, data.batch_size) / memories < NEAR * free:
        return
    need = step_need(data, learner) / memories
    if CERTAIN * need > free:
        message = f"{_comparison(data, need, free, where)}{_instead(data, learner, need, free, memories)}"
        raise NoMemory([data.spec.problem("data.sampler", message)])
    if need > free:
        instead = _instead(data, learner, need, free, memories)
        log(f"warning: {_comparison(data, need, free, where)}; it may not fit{instead}")


def refuse_large_evaluation(data: Data, learner: Learner, split: str) -> None:
    """Refuse an evaluation whose batches cannot fit into the memory that is free.

    Args:
        data: gives the batches.
        learner: compiled.
        split: that is evaluated.

    Raises:
        SpecError: a batch cannot fit.
    """
    free, where = free_memory()
    batch = data.evaluation(learner, split).element_spec
    size = data.evaluation_size(split)
    if rough_need(learner.model, size) < NEAR * free:
        return
    known = tf.nest.map_structure(lambda item: tf.TensorSpec([size, *item.shape[1:]], item.dtype), batch)
    inputs = sum(_bytes(item.shape, item.dtype) for item in tf.nest.flatten(known))
    step = tf.function(lambda batch: learner.model.test_step(batch), autograph=False)
    need = OVERHEAD * graph_peak(step.get_concrete_function(known).graph) + BUFFERED * inputs
    learner.model.reset_metrics()
    if CERTAIN * need > free:
        said = f"a batch of {size:,} needs about {in_words(need)} by estimate, and {where} has {in_words(free)} free"
        raise NoMemory([data.spec.problem("data.evaluate_with", f"evaluating {said}; take a smaller batch_size")])


def out_of_memory(data: Data, split: str, error: Exception, learner: Learner | None = None) -> SpecError:
    """Make the error that takes the place of TensorFlow's own where memory was not enough.

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
        path = "data.evaluate_with"
        message = f"{where} has {in_words(free)} free; take a smaller batch_size"
    else:
        path = "data.sampler"
        need = step_need(data, learner)
        # It was not enough, whatever the estimate says and seems to be free: name a batch that takes half of it at
        # most.
        half = need / 2 / ROOM  # ROOM of it is half the need
        message = _comparison(data, need, free, where) + _instead(data, learner, need, min(free, half), 1)
    return NoMemory([data.spec.problem(path, f"memory is exhausted: {message} (TensorFlow: {said})")])


def _comparison(data: Data, need: float, free: float, where: str) -> str:
    return (
        f"a training step with a batch of {data.batch_size:,} needs about {in_words(need)} by estimate, and "
        f"{where} has {in_words(free)} free"
    )


def _instead(data: Data, learner: Learner, need: float, free: float, memories: int) -> str:
    size = batch_size_that_fits(learner.model, data.batch_size, need, free, memories)
    if not size:
        return "; not even one example should fit: take a smaller model or smaller examples (data.features)"
    return f"; a batch of {size:,} should fit"


def batch_size_that_fits(model: keras.Model, batch_size: int, need: float, free: float, memories: int = 1) -> int:
    """Return the largest power of two, times the replicas, that should leave memory free; 0 where no example fits.

    Args:
        model: whose gradients are of one size whatever the batch.
        batch_size: of the step that was estimated.
        need: that of one replica, in bytes.
        free: in bytes.
        memories: how many replicas have a memory of their own.
    """
    gradients = sum(_bytes(weight.shape, weight.dtype) for weight in model.trainable_weights)
    # Gradients are not all held at once, so that they alone may be more than the need. Examples then count as a
    # twentieth of it, lest a batch without end be named.
    each = max(need - gradients, 0.05 * need) / batch_size * memories
    most = (ROOM * free - gradients) / each
    return memories * 2 ** int(math.log2(most)) if most >= 1 else 0


# --- what a step needs -----------------------------------------------------------------------------------------------


def rough_need(model: keras.Model, batch_size: int) -> float:
    """Estimate the bytes of a step from the model alone: all that its layers give, and three times its weights.

    It is seldom too few: layers whose outputs nobody keeps are counted too, and a layer with others inside that Keras
    did not see called counts as if each of those gave its output.
    """
    weights = sum(_bytes(weight.shape, weight.dtype) for weight in model.trainable_weights)
    return _given_by_layers(model) * batch_size + 3 * weights


def rows_at_once(model: Any, most: int) -> int:
    """Return how many examples to ask a model about at once: a power of two, so that what its layers give fits.

    Args:
        model: of a learner; what is none is asked about as many as may be.
        most: a power of two that is not exceeded.
    """
    each = _given_by_layers(model) if isinstance(model, keras.Model) else 0.0
    fits = ROOM * free_memory()[0] / each if each else most
    return most if fits >= most else 2 ** int(math.log2(max(fits, 1)))


def _given_by_layers(model: keras.Model) -> float:
    """The bytes of all that the layers of a model give for one example."""
    each = 0.0
    for layer in {id(x): x for x in _operations(model)}.values():
        calls = calls_of(layer)
        if not calls or getattr(layer, "operations", None):
            continue
        inside = layers_of(layer, include_self=False) if isinstance(layer, keras.Layer) else ()
        inner = sum(not calls_of(part) for part in inside)  # those that Keras did not see called
        for output in calls[-1].output_tensors:
            each += (1 + inner) * _bytes([size for size in output.shape if size is not None], output.dtype)
    return each


def _operations(model: keras.Model) -> Iterator[Any]:
    """Yield all layers of a model, and the operations of the networks among them, `keras.ops` included."""
    for layer in layers_of(model):
        yield layer
        yield from getattr(layer, "operations", ())


def step_need(data: Data, learner: Learner) -> float:
    """Estimate the bytes that a training step takes beside the variables, with the batches that wait for it.

    The step is traced as `fit` does; nothing is computed.
    """
    batch = data.training(learner, 1).element_spec
    inputs = sum(_bytes(item.shape, item.dtype) for item in tf.nest.flatten(batch))
    step = tf.function(lambda batch: learner.model.train_step(batch), autograph=False)
    return OVERHEAD * graph_peak(step.get_concrete_function(batch).graph) + BUFFERED * inputs


def graph_peak(graph: Any) -> float:
    """Return the most bytes that the operations of a graph hold at once, computed in the order in which they were made.

    A tensor takes memory from the operation that makes it to the last one that reads it. Views share the memory of
    their input, so that this lives until the last use of any of them.
    """
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
    """Go through operations in order, adding what each makes and dropping what it is the last to read.

    An operation that may write in place takes over the memory of an input that ends with it and is large enough. The
    peak is looked at before anything is dropped: while an operation computes, its inputs and outputs are both there.
    """
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
    """Return the bytes of a tensor; 0 where its size is not known, or where it is no array."""
    dtype = tf.as_dtype(dtype)
    sizes = tf.TensorShape(shape)
    if dtype in (tf.resource, tf.variant, tf.string) or not sizes.is_fully_defined():
        return 0.0
    return float(math.prod(sizes.as_list()) * dtype.size)
