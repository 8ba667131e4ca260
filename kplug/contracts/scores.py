"""Loss and metric: float targets with logits, float targets with probabilities."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, same

CLASSES = (3,)
BATCH = 8
ODD = 13  # the last batch of an evaluation is 5, which two replicas cannot halve

# --- loss ----------------------------------------------------------------------------------------------------------


def check_loss(subject: Subject) -> None:
    """`inputs` is the shape of one example's targets, by default that of three classes."""
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
        demand(
            np.isfinite(tf.convert_to_tensor(gradient).numpy()).all(),
            f"the gradient of a loss is finite; with logits from {range_} it is not",
        )


def _check_values(values: Any, range_: str) -> None:
    demand(
        values.shape == (BATCH,),
        f"a loss gives one value per example: shape ({BATCH},) for {BATCH} examples; loss.call gave {tuple(values.shape)}. "
        "Keras and the distribution strategy take the mean; a mean taken in the loss multiplies the gradient by the replicas",
    )
    demand(values.dtype.is_floating, f"a loss gives floats; this one gave {values.dtype.name}")
    demand(np.isfinite(values.numpy()).all(), f"a loss is finite; with logits from {range_} it gave {values.numpy()}")


def train_with_loss(subject: Subject, scope: Any) -> dict[str, Any]:
    """Two epochs of a dense layer, then an evaluation whose last batch is smaller."""
    shape = _shape(subject)
    with scope:
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(int(np.prod(shape))), keras.layers.Reshape(shape)]
        )
        model.compile(keras.optimizers.SGD(0.1), subject.make())
    features = np.random.default_rng(1).normal(size=(2 * BATCH, 4)).astype(np.float32)
    model.fit(_batches(features, _targets(subject, 2 * BATCH)), epochs=2, verbose=0)
    after = model.evaluate(_batches(features[:ODD], _targets(subject, ODD)), verbose=0)
    weights = {f"weight {weight.path}": weight.numpy() for weight in model.trainable_variables}
    return weights | {f"loss of {ODD} examples": after}


# --- metric --------------------------------------------------------------------------------------------------------


def check_metric(subject: Subject) -> None:
    """`inputs` is the shape of one example's targets, by default that of three classes."""
    metric = subject.make()
    subject.of_class(metric, keras.metrics.Metric, "keras.metrics.Metric")
    targets, probabilities = _targets(subject, 2 * BATCH), _probabilities(subject, 2 * BATCH)
    first = _result(metric, targets, probabilities)
    for name, value in first.items():
        demand(np.isfinite(value).all(), f"a metric is finite on probabilities; {name} is {value}")
    metric.reset_state()
    again = _result(metric, targets, probabilities)
    demand(same(first, again), f"after reset_state a metric starts afresh; it gave {first}, then {again}")


def _result(metric: Any, targets: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    for start in (0, BATCH):
        metric.update_state(targets[start : start + BATCH], probabilities[start : start + BATCH])
    result = metric.result()
    named = result if isinstance(result, dict) else {metric.name: result}
    return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}


def evaluate_metric(subject: Subject, scope: Any) -> dict[str, Any]:
    """An evaluation of given probabilities whose last batch is smaller."""
    with scope:
        model = keras.Sequential([keras.Input(_shape(subject)), keras.layers.Identity()])
        model.compile(loss="mse", metrics=[subject.make()])
    data = _batches(_probabilities(subject, ODD), _targets(subject, ODD))
    values = model.evaluate(data, verbose=0, return_dict=True)
    return {f"{name} of {ODD} examples": value for name, value in values.items() if name != "loss"}


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


def _batches(x: np.ndarray, y: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
