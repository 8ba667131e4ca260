"""Models that are trained by several losses, each with weights and an optimizer of its own, in one training step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

Objective = tuple[Any, Mapping[str, Any]]  # values [batch], and further numbers [batch] or [] that are reported


@dataclass(frozen=True)
class Step:
    """One step of an optimizer in a training step.

    Args:
        name: of its loss, which is reported as `NAME_loss`.
        optimizer: that of these weights alone; under mixed_float16 the model scales its loss.
        trains: layers whose trainable weights it changes.
    """

    name: str
    optimizer: Any
    trains: Sequence[Any]


@dataclass(frozen=True)
class Follower:
    """A momentum copy of a layer.

    Args:
        slow: follows; nothing trains it.
        fast: the layer that is followed, of the same weights.
        momentum: the share of itself that `slow` keeps at each step, 0 to 1, or a function of the step's number to it.
    """

    slow: Any
    fast: Any
    momentum: Any


class Stepped(keras.Model):
    """A keras.Model that makes one step of each optimizer in turn, and reports the mean of each loss.

    A class of it says what the losses are; scaling for replicas and for 16 bits, metrics, momentum copies and the
    optimizers of the learner are here. Layers are built before `steps` is given.

        class Pair(Stepped):
            def objective(self, name, x, y, training):
                return values, {}
    """

    @abstractmethod
    def objective(self, name: str, x: Any, y: Any, training: bool) -> Objective:
        """Return the values of a loss, `[batch]`, and further numbers to report, `[batch]` each or a scalar.

        Args:
            name: of a step.
            x: as `Learner.prepare` gives it.
            y: the same; None where it gives x alone.
            training: False in an evaluation.
        """

    def set_up(self, steps: Sequence[Step], followers: Sequence[Follower] = (), reported: Sequence[str] = ()) -> None:
        """Give the model its steps, and compile it.

        Args:
            steps: in their order.
            followers: momentum copies, which follow once all steps are made; they are frozen here, and begin as equal.
            reported: names of the further numbers of `objective`.
        """
        half = self.dtype_policy.name == "mixed_float16"
        self.steps_by_name = {step.name: step for step in steps}
        self.optimizers = {step.name: _scaled(step.optimizer) if half else step.optimizer for step in steps}
        self.followers = list(followers)
        for follower in followers:
            follower.slow.trainable = False
            follow(follower.slow, follower.fast, 0.0)
        names = [*(f"{step.name}_loss" for step in steps), *reported]
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.compile(optimizer=None)
        self.built = True  # its layers are

    @property
    def metrics(self) -> list[Any]:
        return list(self.means.values())

    @property
    def learner_optimizers(self) -> dict[str, tuple[Any, list[Any]]]:
        """The optimizers as `Learner.optimizers` takes them."""
        return {name: (self.optimizers[name], weights_of(step)) for name, step in self.steps_by_name.items()}

    def call(self, inputs: Any, training: bool = False) -> Any:
        raise NotImplementedError("a model of several steps is asked by the functions that its learner serves")

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        stepped = []
        for name, step in self.steps_by_name.items():
            optimizer, weights = self.optimizers[name], [w for w in weights_of(step) if w.trainable]
            with tf.GradientTape() as tape:
                values, further = self.objective(name, x, y, True)
                loss = optimizer.scale_loss(_mean_of_replicas(values))
            before = tf.identity(optimizer.iterations)
            gradients = tape.gradient(loss, [weight.value for weight in weights])
            optimizer.apply(gradients, weights)
            stepped.append(optimizer.iterations > before)
            self._report(name, values, further)
        for follower in self.followers:
            momentum = follower.momentum
            momentum = (
                momentum(self.optimizers[next(iter(self.optimizers))].iterations) if callable(momentum) else momentum
            )
            follow(follower.slow, follower.fast, momentum, tf.reduce_any(tf.stack(stepped)))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        for name in self.steps_by_name:
            self._report(name, *self.objective(name, x, y, False))
        return self.get_metrics_result()

    def _report(self, name: str, values: Any, further: Mapping[str, Any]) -> None:
        self.means[f"{name}_loss"].update_state(tf.cast(values, tf.float32))
        for key, numbers in further.items():
            self.means[key].update_state(tf.cast(numbers, tf.float32))


def weights_of(step: Step) -> list[Any]:
    """The weights that a step changes, each once."""
    found = {id(weight): weight for layer in step.trains for weight in layer.trainable_weights}
    return list(found.values())


def _scaled(optimizer: Any) -> Any:
    """An optimizer whose loss is scaled, so that small gradients are numbers in 16 bits, as Keras does with its own."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _mean_of_replicas(values: Any) -> Any:
    """The mean of values by its share of the global batch: optimizers add up the gradients of all replicas."""
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(values) / tf.distribute.get_strategy().num_replicas_in_sync


# --- momentum copies, and rows of other replicas ---------------------------------------------------------------------


def follow(slow: Any, fast: Any, momentum: Any, stepped: Any = True) -> None:
    """Move all weights of a layer towards those of another of the same architecture.

    Args:
        slow: the layer that follows: momentum * slow + (1 - momentum) * fast.
        fast: the layer that is followed.
        momentum: 0 copies, 1 stays.
        stepped: False, or a bool tensor that is, leaves everything as it is: the optimizer passed the step over.
    """
    if len(slow.weights) != len(fast.weights):
        raise ValueError(f"{slow.name} has {len(slow.weights)} weights, {fast.name} {len(fast.weights)}")
    share = 1.0 - tf.cast(momentum, tf.float32)
    share = tf.where(stepped, share, 0.0)
    for mine, theirs in zip(slow.weights, fast.weights, strict=True):
        if tf.as_dtype(mine.dtype).is_floating:
            mine.assign(mine + tf.cast(share, mine.dtype) * (theirs - mine))


def across_replicas(rows: Any) -> tuple[Any, Any]:
    """Return the rows of all replicas, `[replicas * batch, ...]`, with gradients to each, and where the own ones begin.

    Args:
        rows: `[batch, ...]`, the same number on each replica.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return rows, tf.constant(0)
    return context.all_gather(rows, axis=0), context.replica_id_in_sync_group * tf.shape(rows)[0]
