"""The contracts of losses (float targets with logits) and metrics (float targets with probabilities).

Those of another form are given a function of a generator to targets and predictions, as often as there are batches.
"""

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
    """Check a loss; `inputs` is the shape of one example's targets, or a function `rng -> (targets, predictions)`."""
    loss = subject.make()
    subject.of_class(loss, keras.losses.Loss, "keras.losses.Loss")
    if callable(subject.inputs):
        _check_loss(loss, *_drawn(subject, 0), "with the predictions of `inputs`")
        return
    targets, logits = _targets(subject, BATCH), _logits(subject, BATCH)
    for scale, range_ in ((1.0, "-2 to 2"), (20.0, "-40 to 40")):
        _check_loss(loss, targets, logits * np.float32(scale), f"with logits from {range_}")


def _check_loss(loss: Any, targets: Any, predictions: Any, given: str) -> None:
    targets, predictions = (tf.nest.map_structure(tf.constant, tree) for tree in (targets, predictions))
    floats = [one for one in tf.nest.flatten(predictions) if one.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        values = tf.convert_to_tensor(loss.call(targets, predictions))
    gradients = [gradient for gradient in tape.gradient(values, floats) if gradient is not None]
    _check_values(values, len(floats[0]), given)
    demand(gradients, "a loss has a gradient for the scores; this one has none")
    demand(all(map(finite, gradients)), f"the gradient of a loss is finite; {given} it is not")


def _check_values(values: Any, batch: int, given: str) -> None:
    demand(
        values.shape.rank > 0 and values.shape[0] == batch,
        f"a loss gives values for each example: shape ({batch}, ...) for {batch} examples; loss.call gave the shape "
        f"{tuple(values.shape)}. Keras takes the mean; one taken in the loss gives N-fold gradients on N replicas",
    )
    demand(values.dtype.is_floating, f"a loss gives floats; this one gave {values.dtype.name}")
    demand(finite(values), f"a loss is finite; {given} it gave {values.numpy()}")


class Shifted(keras.Model):
    """Predictions that are given, each changed by a scale and an offset that a loss trains."""

    def __init__(self, predictions: Any, loss: Any) -> None:
        super().__init__()
        self.loss_of = loss
        count = len(tf.nest.flatten(predictions))
        self.scales = [self.add_weight((), "ones", name=f"scale{number}") for number in range(count)]
        self.offsets = [self.add_weight((), "zeros", name=f"offset{number}") for number in range(count)]
        self.built = True

    def call(self, predictions: Any, training: bool | None = None) -> Any:
        flat = [
            one * scale + offset if keras.backend.is_float_dtype(one.dtype) else one
            for one, scale, offset in zip(tf.nest.flatten(predictions), self.scales, self.offsets, strict=True)
        ]
        return tf.nest.pack_sequence_as(predictions, flat)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        return self.loss_of(y, y_pred)


def _train_shifted(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train what shifts the predictions that `inputs` draws, then evaluate with a batch that is smaller."""
    batches = [_drawn(subject, number) for number in range(STEPS)]
    with scope:
        model = Shifted(batches[0][1], subject.make())
        model.compile(keras.optimizers.SGD(0.1))
        model.optimizer.build(model.trainable_variables)
        _run_batches(model, model.train_step, batches)
        model.reset_metrics()
        _run_batches(model, model.test_step, [batches[0], _fewer(batches[1])])
        after = float(model.get_metrics_result()["loss"])
    return weights_of(model) | {"loss with a last batch that is smaller": after}


def train_with_loss(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train a dense layer for some steps, then evaluate with a last batch that is smaller."""
    if callable(subject.inputs):
        return _train_shifted(subject, scope)
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
    """Check a metric; `inputs` is the shape of one example's targets, or a function `rng -> (targets, predictions)`."""
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
    if callable(subject.inputs):
        batches = [_drawn(subject, number) for number in range(2)]
    else:
        both = (np.split(rows(subject, 2 * BATCH), 2) for rows in (_targets, _probabilities))
        batches = list(zip(*both, strict=True))
    for targets, predictions in batches:
        metric.update_state(targets, predictions)
    result = metric.result()
    named = result if isinstance(result, dict) else {metric.name: result}
    return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}


class Measured(keras.Model):
    """Predictions that are given, measured by a metric."""

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self.measure = metric
        self.built = True

    def call(self, predictions: Any, training: bool | None = None) -> Any:
        return predictions

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        return tf.zeros([])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        self.measure.update_state(y, y_pred)
        return self.get_metrics_result()


def evaluate_metric(subject: Subject, scope: Any) -> dict[str, Any]:
    """Evaluate given probabilities with a last batch that is smaller."""
    if callable(subject.inputs):
        with scope:
            model = Measured(subject.make())
            model.compile()
            _run_batches(model, model.test_step, [_drawn(subject, 0), _fewer(_drawn(subject, 1))])
            values = model.get_metrics_result()
        return {f"{name} with a last batch that is smaller": values[name] for name in values if name != "loss"}
    with scope:
        model = keras.Sequential([keras.Input(_shape(subject)), keras.layers.Identity()])
        model.compile(loss="mse", metrics=[subject.make()])
        _run(model, model.test_step, _probabilities(subject, ODD), _targets(subject, ODD))
        values = model.get_metrics_result()
    return {f"{name} of {ODD} examples": value for name, value in values.items() if name != "loss"}


# --- replicas ------------------------------------------------------------------------------------------------------


def _run(model: keras.Model, step: Callable[[Any], Any], x: np.ndarray, y: np.ndarray) -> None:
    """Run a step of Keras for each batch, shared out among the replicas, without the slow iterators of `fit`."""
    make_variables(model, (x[:BATCH], y[:BATCH]))  # as fit does under a strategy: no variable is made in a step
    starts = range(0, len(x), BATCH)
    _run_batches(model, step, [(y[start : start + BATCH], x[start : start + BATCH]) for start in starts])


def _run_batches(model: keras.Model, step: Callable[[Any], Any], batches: list[tuple[Any, Any]]) -> None:
    """Run a step of Keras for each batch of (targets, predictions), shared out among the replicas."""
    strategy = model.distribute_strategy
    on_replicas = tf.function(lambda *data: strategy.run(step, (data,)), reduce_retracing=True)
    for y, x in batches:
        on_replicas(*(tf.nest.map_structure(lambda values: _share_out(strategy, values), tree) for tree in (x, y)))


def _share_out(strategy: tf.distribute.Strategy, batch: np.ndarray) -> Any:
    """The part of a batch for each replica; the first gets one more of an odd number, as of a dataset."""
    parts = [tf.constant(part) for part in np.array_split(batch, strategy.num_replicas_in_sync)]
    return strategy.experimental_distribute_values_from_function(lambda c: parts[c.replica_id_in_sync_group])


# --- examples ------------------------------------------------------------------------------------------------------


def _drawn(subject: Subject, number: int) -> tuple[Any, Any]:
    """The targets and predictions that `inputs` draws for a batch, arrays of the same number of examples."""
    drawn = subject.inputs(np.random.default_rng(number))
    demand(
        isinstance(drawn, tuple) and len(drawn) == 2,
        f"`inputs` gives (targets, predictions) for a generator; received {type(drawn).__name__}",
    )
    targets, predictions = (tf.nest.map_structure(np.asarray, tree) for tree in drawn)
    counts = {len(values) for values in tf.nest.flatten([targets, predictions])}
    demand(
        len(counts) == 1 and min(counts) >= 4,
        f"`inputs` gives the same number of examples, 4 at least, in all arrays; received {sorted(counts)}",
    )
    return targets, predictions


def _fewer(batch: tuple[Any, Any]) -> tuple[Any, Any]:
    """The first examples of a batch: an odd number, which two replicas cannot halve."""
    count = len(tf.nest.flatten(batch)[0])
    odd = count - 1 if count % 2 == 0 else count - 2
    return tf.nest.map_structure(lambda values: values[:odd], batch)


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
