"""Every private name of Keras and TensorFlow that kplug uses, each with the reason why no public one does.

Reading a private name fails loudly where it is gone. What replaces a method of Keras's could go wrong in silence, so
that each replacement names the test that tells when it can go. pyproject.toml admits Keras 3.15 and TensorFlow 2.21
alone; where somebody installs another Keras all the same, several replicas are refused, batch normalization is left
unfused, and the other replacements (`leave_out_weight_decay`, `Plateau`, `skipping`) are made as ever.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import keras
import tensorflow as tf

TESTED = "3.15."  # Keras; another version may have other private names
_originals: dict[str, Any] = {}


# --- layers ----------------------------------------------------------------------------------------------------------


def layers_of(layer: keras.Layer, include_self: bool = True) -> list[keras.Layer]:
    """Return a layer or model and all that is inside it, at any depth; `Model.layers` has the first level alone."""
    return layer._flatten_layers(include_self=include_self, recursive=True)


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Return the weights that a layer owns itself; its public lists have those of the layers inside it too."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def calls_of(operation: keras.Operation) -> list[Any]:
    """Return the symbolic calls of a layer, each with `output_tensors`; `Layer.output` refuses where there are several.

    A layer that is called inside another one's `call` has none.
    """
    return getattr(operation, "_inbound_nodes", [])


def steps_of(model: keras.Model) -> list[Any]:
    """Return the calls that a functional model's output needs, each after those that it takes from.

    A call has `operation`, `input_tensors` and `outputs`. `Model.layers` does not say which layer feeds which.
    """
    return [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]


def graph_of(layer: Any) -> Any:
    """Return the functional model that a layer is, or is computed by, as a sequential one is; None of other layers."""
    layer = getattr(layer, "_functional", None) if isinstance(layer, keras.Sequential) else layer
    return layer if isinstance(layer, keras.Model) and hasattr(layer, "_run_through_graph") else None


def run_graph(model: Any, inputs: Any, function_of: Callable[[Any], Callable[..., Any]]) -> Any:
    """Compute a functional model with a function in the place of each operation; Keras has no public way to do so."""
    output = model._run_through_graph(inputs, operation_fn=function_of)
    return output[0] if isinstance(output, list | tuple) and len(output) == 1 else output


def has_mask(tensor: Any) -> bool:
    """Return True where Keras has attached a mask to a tensor, as `Embedding(mask_zero=True)` does."""
    return getattr(tensor, "_keras_mask", None) is not None


def loss_tracker_of(model: keras.Model) -> Any:
    """Return the metric that reports the compiled loss of a model as `loss`; it is made though there is none."""
    return getattr(model, "_loss_tracker", None)


def is_written(graph: tf.Graph, metric: Any) -> bool:
    """Return True where a graph writes a variable of a metric, or may do so in a function that it calls."""
    if metric is None:
        return True
    handles = {id(variable.value.handle) for variable in metric.variables if hasattr(variable.value, "handle")}
    inside = {id(placeholder) for captured, placeholder in graph.captures if id(captured) in handles}
    users = [op for op in graph.get_operations() if any(id(tensor) in inside for tensor in op.inputs)]
    return not handles or any(op.type.startswith("Assign") or "Call" in op.type for op in users)


def name_counts() -> MutableMapping[str, int]:
    """Return how many objects of each name Keras has named in this session, to be changed in place.

    `keras.backend.get_uid` reads a count by raising it.
    """
    from keras.src.backend.common.global_state import get_global_attribute

    return get_global_attribute("object_name_uids", default=defaultdict(int), set_to_default=True)


def key_in_files(layer: keras.Layer) -> str:
    """Return what weight files of Keras 3 call a layer: its class in snake case, by Keras's own rule."""
    from keras.src.utils.naming import to_snake_case

    return to_snake_case(type(layer).__name__)


def make_variables(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Make the variables of a compiled model and its metrics from a batch (x, y), as `fit` does before its first step.

    `Model.build` leaves out the metrics, which then cannot be made inside a step of several replicas.
    """
    model._symbolic_build(data_batch=batch)


# --- optimizers ------------------------------------------------------------------------------------------------------


def rate_of(optimizer: Any) -> Any:
    """Return an optimizer's schedule, or its variable; None of one that wraps another.

    `Optimizer.learning_rate` computes the rate of the step that comes.
    """
    return getattr(optimizer, "_learning_rate", None)


def steps_made(optimizer: keras.optimizers.Optimizer) -> int:
    """Return how many gradients an optimizer was given; `iterations` is divided by those that it accumulates."""
    return int(keras.ops.convert_to_numpy(optimizer._iterations))  # on several replicas it is no number itself


def trained_by(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Return the weights that an optimizer changes, none before it is built; it has no public list of them."""
    return [getattr(variable, "value", variable) for variable in optimizer._trainable_variables]


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the averages that `use_ema` keeps, in the order of the weights; Keras uses them when `fit` ends alone."""
    return optimizer._model_variables_moving_average


def path_ends(optimizer: keras.optimizers.ScheduleFreeAdamW) -> list[keras.Variable | None]:
    """Return z of a schedule-free optimizer for each weight, which it keeps in the place of momentums."""
    return optimizer._momentums


def number_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Return the place of a variable among those of an optimizer, which knows it by a key of its own."""
    return optimizer._get_variable_index(variable)


def weight_decay_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    """Return the weight decay of a variable, 0 where it is excluded; Muon has two, of which no public name tells."""
    by_adam = getattr(optimizer, "_should_use_adamw", None)
    decay = optimizer.adam_weight_decay if by_adam and by_adam(variable) else optimizer.weight_decay
    return decay if decay and optimizer._use_weight_decay(variable) else 0.0


def leave_out_weight_decay(optimizer: keras.optimizers.Optimizer) -> None:
    """Have an optimizer apply no weight decay before its steps, since its `update_step` was replaced by one that does.

    Setting `weight_decay` to None would not do for Muon, which has a second one. Where Keras calls this otherwise some
    day, weights decay twice: tests/test_optimizers.py compares each step with one by hand.
    """
    optimizer._apply_weight_decay = lambda variables: None


def clip_over_replicas(optimizer: keras.optimizers.Optimizer) -> None:
    """Have an optimizer clip the gradients of the whole batch; Keras clips those of each replica, then adds them up.

    The hook has a private name. Where that is another some day, two replicas train otherwise than one again:
    tests/test_options_on_strategies.py compares them.
    """
    clip = optimizer._clip_gradients

    def clip_sum(gradients: list[Any]) -> list[Any]:
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return clip(gradients)
        there = [gradient for gradient in gradients if gradient is not None]
        summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
        clipped = clip([None if gradient is None else next(summed) for gradient in gradients])
        # each replica has the sum, and Keras adds up what they have
        return [None if gradient is None else gradient / context.num_replicas_in_sync for gradient in clipped]

    if any(getattr(optimizer, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue")):
        optimizer._clip_gradients = clip_sum


class Plateau(keras.callbacks.ReduceLROnPlateau, ABC):
    """Keras's callback, which can also lower the rates of a schedule.

    It sets `optimizer.learning_rate`, which a schedule refuses, in a method with a private name. Where that has another
    name some day, schedules are refused again. tests/test_optimizers.py: a plateau lowers all later rates.
    """

    @abstractmethod
    def lower_schedule(self, optimizer: Any) -> bool | None:
        """Lower the rates of an optimizer's schedule; True where there was room, None where its rate is a number."""

    def _reduce_optimizer_lr(self, optimizer: Any, epoch: int, name: str = "") -> bool:
        is_lowered = self.lower_schedule(optimizer)
        return super()._reduce_optimizer_lr(optimizer, epoch, name) if is_lowered is None else is_lowered


def directions_of(model: Any) -> dict[str, str]:
    """Return minimize or maximize by the name of each metric of a model that says it, which Keras keeps private."""
    every = [inner for metric in model.metrics for inner in getattr(metric, "metrics", [metric])]
    told = {metric.name: getattr(metric, "_direction", None) for metric in every}
    return {name: {"up": "maximize", "down": "minimize"}[way] for name, way in told.items() if way in ("up", "down")}


# --- graphs, devices, workers ----------------------------------------------------------------------------------------


def function_in(graph: tf.Graph, name: str) -> Any:
    """Return a function that operations of a graph call by name; it has a `graph`, a `FunctionDef` has no shapes."""
    return graph._get_function(name)


def gpu_memory_limits() -> list[float]:
    """Return the bytes that TensorFlow may take of each GPU; `get_memory_info` tells those that it uses alone."""
    from tensorflow.python.client import device_lib

    return [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]


def place_among_workers(strategy: tf.distribute.Strategy) -> tuple[int, int] | None:
    """Return (number of processes, the number of this one); None of a strategy of one process.

    A cluster resolver numbers the workers of each job from 0, a chief apart; collective operations count all.
    """
    extended = strategy.extended
    if not getattr(extended, "_in_multi_worker_mode", lambda: False)():
        return None
    return extended._num_workers, extended._id_in_cluster


def watch_workers(cluster: Any, heartbeat: int, joining: int) -> None:
    """Have TensorFlow's coordination service, which has no public name, notice soon that a worker is gone.

    Args:
        cluster: a `tf.train.ClusterSpec`.
        heartbeat: seconds without a sign of life after which a worker is gone.
        joining: seconds to wait for all workers at the start.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.distribute import multi_worker_util
    from tensorflow.python.eager import context

    jobs = [coordination_config_pb2.CoordinatedJob(name=job, num_tasks=cluster.num_tasks(job)) for job in cluster.jobs]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=multi_worker_util.coordination_leader(cluster),
        coordinated_jobs=jobs,
        heartbeat_timeout_in_ms=heartbeat * 1000,
        cluster_register_timeout_in_ms=joining * 1000,
    )


# --- a training that goes on in the middle of an epoch ---------------------------------------------------------------


@contextlib.contextmanager
def skipping(model: keras.Model, count: int) -> Iterator[None]:
    """Inside, the first `count` training steps of `fit` do nothing and take no batch: they were made before.

    So the epoch keeps its number of steps, and a training begins and ends once: `fit` called for the rest of the
    epoch and again for the other epochs would finish the optimizer's moving averages in between. `fit` has no
    argument for a first step; it takes `model.train_function` where there is one. tests/test_resume.py: a killed
    training ends as the whole one.
    """
    model.make_train_function()
    train, left = model.train_function, count // model.steps_per_execution

    def step(iterator: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            return {}
        return train(iterator)

    model.train_function = step
    try:
        yield
    finally:
        model.train_function = train


# --- what Keras 3.15 lacks for several replicas and for speed --------------------------------------------------------
#
# Its `fit` fails under MultiWorkerMirroredStrategy (keras-team/keras#20585), and under MirroredStrategy where the first
# batch cannot be cut evenly. Two of the names that are replaced are private to Keras (`_maybe_symbolic_build` and
# `reduce_per_replica`) and two are public (`BatchNormalization.call` and `SeedGenerator.next`), but what a replacement
# has to do follows from Keras's own code. So another version of Keras is refused where there are several replicas; the
# fused operation, which changes nothing but the speed, is then left out without a word.


def fuse_batch_normalization() -> None:
    """Patch BatchNormalization to train through TensorFlow's fused operation, on processors; once a process."""
    known = keras.__version__.startswith(TESTED) and not tf.config.list_physical_devices("GPU")
    if "normalize" not in _originals and known:
        _originals["normalize"] = keras.layers.BatchNormalization.call
        keras.layers.BatchNormalization.call = normalize_fused


def normalize_fused(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Instead of `BatchNormalization.call`, which makes a dozen passes over the pictures and widens them to float32.

    tests/test_batch_normalization.py: the same outputs, gradients and statistics; Keras's graph without the operation.
    """
    fits = inputs.shape.rank == 4 and self.axis in (3, -1) and inputs.dtype in (tf.float32, tf.bfloat16)
    if not (training and self.trainable and fits) or mask is not None or self.renorm or self.synchronized:
        return _originals["normalize"](self, inputs, training=training, mask=mask)
    ones = tf.ones_like(self.moving_mean)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.cast(self.gamma, tf.float32) if self.scale else ones,
        offset=tf.cast(self.beta, tf.float32) if self.center else tf.zeros_like(ones),
        mean=[],
        variance=[],
        epsilon=self.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) / tf.size(ones), tf.float32)
    variance *= tf.maximum(count - 1, 1) / count  # Keras keeps the variance of the batch, not that of its population
    for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
        kept.assign(kept * self.momentum + tf.stop_gradient(new) * (1 - self.momentum))
    return tf.cast(outputs, self.compute_dtype)


def make_keras_distribute() -> None:
    """Patch Keras for several replicas; once a process, and without effect on a training on one device."""
    if "build" in _originals:
        return
    if not keras.__version__.startswith(TESTED):
        raise RuntimeError(
            f"several replicas need Keras {TESTED}x, whose faults are patched; this is {keras.__version__}"
        )
    from keras.src.backend.tensorflow import trainer

    _originals["build"] = trainer.TensorFlowTrainer._maybe_symbolic_build
    _originals["reduce"] = trainer.reduce_per_replica
    _originals["next"] = keras.random.SeedGenerator.next
    trainer.TensorFlowTrainer._maybe_symbolic_build = build_on_a_slice
    trainer.reduce_per_replica = reduce_scalars_too
    keras.random.SeedGenerator.next = next_of_a_replica


def build_on_a_slice(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
    """Instead of `_maybe_symbolic_build`: shapes come from one replica's slice.

    Keras takes the mean of the replicas' batches for it, which fails where they differ in size, and outside a
    function where they are in different processes. tests/test_replicas.py: a first batch that is odd.
    """
    if self._distribute_strategy is None:
        return
    if iterator is not None:
        for _, _, batches in iterator:
            batch = next(batches)
            data_batch = keras.tree.map_structure(self.distribute_strategy.experimental_local_results, batch)
            data_batch = keras.tree.map_structure_up_to(batch, lambda slices: slices[0], data_batch)
            break
    with self.distribute_strategy.scope():
        self._symbolic_build(data_batch=data_batch)


def reduce_scalars_too(values: Any, strategy: Any, reduction: str) -> Any:
    """Instead of `reduce_per_replica`, which takes the mean of scalars along their first axis.

    tests/test_multi_worker.py: training with two workers.
    """
    from keras.src.backend.tensorflow import trainer

    if reduction not in ("auto", "mean") or not trainer._collective_all_reduce_multi_worker(strategy):
        return _originals["reduce"](values, strategy, reduction)
    return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)


def next_of_a_replica(self: Any, ordered: bool = True) -> Any:
    """Instead of `SeedGenerator.next`, which draws the same numbers on every replica.

    tests/test_replicas.py: dropout of two replicas differs.
    """
    seed = _originals["next"](self, ordered)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(context.replica_id_in_sync_group, seed.dtype))
