"""The contracts of losses (float targets with logits) and metrics (float targets with probabilities)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, finite, same, weights_of
from kplug.model.patches import make_variables

CLASSES = (3,)
STEPS, BATCH = 4, 8
ODD = 13  # the last batch of an evaluation is 5, which two replicas cannot halve

# --- loss ----------------------------------------------------------------------------------------------------------


def check_loss(subject: Subject) -> None:
    """Check a loss; `inputs` is the shape of one example's targets, by default that of three classes."""
    loss = subject.make()
    subject.of_class(loss, keras.losses.Loss, "keras.losses.Loss")
    targets, logits = _targets(subject, BATCH), _logits(subject, BATCH)
    for scale, range_ in ((1.0, "-2 to 2"), (20.0, "-40 to 40")):
        scores = tf.constant(logits * scale)
        with tf.GradientTape() as tape:
            tape.watch(scores)
            values = tf.convert_to_tensor(loss.call(tf.constant(targets), scores))
        gradient = tape.gradient(values, scores)
        _check_values(values, range_)
        demand(gradient is not None, "a loss has a gradient for the scores; this one has none")
        demand(finite(gradient), f"the gradient of a loss is finite; with logits from {range_} it is not")


def _check_values(values: Any, range_: str) -> None:
    demand(
        values.shape == (BATCH,),
        f"a loss gives one value per example: shape ({BATCH},) for {BATCH} examples; loss.call gave the shape "
        f"{tuple(values.shape)}. Keras takes the mean; one taken in the loss gives N-fold gradients on N replicas",
    )
    demand(values.dtype.is_floating, f"a loss gives floats; this one gave {values.dtype.name}")
    demand(finite(values), f"a loss is finite; with logits from {range_} it gave {values.numpy()}")


def train_with_loss(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train a dense layer for some steps, then evaluate with a last batch that is smaller."""
    shape = _shape(subject)
    with scope:
        dense = keras.layers.Dense(int(np.prod(shape)))
        model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Reshape(shape)])
        model.compile(keras.optimizers.SGD(0.1), subject.make())
        features = np.random.default_rng(1).normal(size=(STEPS * BATCH, 4)).astype(np.float32)
        _run(model, model.train_step, features, _targets(subject, STEPS * BATCH))
        model.reset_metrics()
        _run(model, model.test_step, features[:ODD], _targets(subject, ODD))
        after = float(model.get_metrics_result()["loss"])
    return weights_of(model) | {f"loss of {ODD} examples": after}


# --- metric --------------------------------------------------------------------------------------------------------


def check_metric(subject: Subject) -> None:
    """Check a metric; `inputs` is the shape of one example's targets, by default that of three classes."""
    metric = subject.make()
    subject.of_class(metric, keras.metrics.Metric, "keras.metrics.Metric")
    first = _result(metric, subject)
    for name, value in first.items():
        demand(finite(value), f"a metric is finite on probabilities; {name} is {value}")
    metric.reset_state()
    again = _result(metric, subject)
    demand(same(first, again), f"after reset_state a metric starts afresh; it gave {first}, then {again}")


def _result(metric: Any, subject: Subject) -> dict[str, np.ndarray]:
    """The values of a metric, by name, after two batches."""
    targets, probabilities = (np.split(rows(subject, 2 * BATCH), 2) for rows in (_targets, _probabilities))
    for batch in zip(targets, probabilities, strict=True):
        metric.update_state(*batch)
    result = metric.result()
    named = result if isinstance(result, dict) else {metric.name: result}
    return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}


def evaluate_metric(subject: Subject, scope: Any) -> dict[str, Any]:
    """Evaluate given probabilities with a last batch that is smaller."""
    with scope:
        model = keras.Sequential([keras.Input(_shape(subject)), keras.layers.Identity()])
        model.compile(loss="mse", metrics=[subject.make()])
        _run(model, model.test_step, _probabilities(subject, ODD), _targets(subject, ODD))
        values = model.get_metrics_result()
    return {f"{name} of {ODD} examples": value for name, value in values.items() if name != "loss"}


# --- replicas ------------------------------------------------------------------------------------------------------


def _run(model: keras.Model, step: Callable[[Any], Any], x: np.ndarray, y: np.ndarray) -> None:
    """Run a step of Keras for each batch, shared out among the replicas, without the slow iterators of `fit`."""
    strategy = model.distribute_strategy
    make_variables(model, (x[:BATCH], y[:BATCH]))  # as fit does under a strategy: no variable is made in a step
    on_replicas = tf.function(lambda *data: strategy.run(step, (data,)), reduce_retracing=True)
    for start in range(0, len(x), BATCH):
        on_replicas(*(_share_out(strategy, values[start : start + BATCH]) for values in (x, y)))


def _share_out(strategy: tf.distribute.Strategy, batch: np.ndarray) -> Any:
    """The part of a batch for each replica; the first gets one more of an odd number, as of a dataset."""
    parts = [tf.constant(part) for part in np.array_split(batch, strategy.num_replicas_in_sync)]
    return strategy.experimental_distribute_values_from_function(lambda c: parts[c.replica_id_in_sync_group])


# --- examples ------------------------------------------------------------------------------------------------------


def _shape(subject: Subject) -> tuple[int, ...]:
    return tuple(subject.inputs or CLASSES)


def _targets(subject: Subject, examples: int) -> np.ndarray:
    """Float one-hot rows, every class among them."""
    shape = _shape(subject)
    labels = (np.arange(examples * int(np.prod(shape[:-1]))) * 5 % 7) % shape[-1]
    return np.eye(shape[-1], dtype=np.float32)[labels].reshape(examples, *shape)


def _logits(subject: Subject, examples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-2, 2, (examples, *_shape(subject))).astype(np.float32)


def _probabilities(subject: Subject, examples: int) -> np.ndarray:
    powers = np.exp(_logits(subject, examples))
    return powers / powers.sum(-1, keepdims=True)
