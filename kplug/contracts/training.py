"""The contracts of optimizers, schedules, callbacks and strategies."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, finite, weights_of
from kplug.model.learner import build_optimizers
from kplug.records import FitInfo, Learner

STEPS, EPOCHS, BATCH = 4, 2, 8

# --- optimizer -----------------------------------------------------------------------------------------------------


def check_optimizer(subject: Subject) -> None:
    """Check an optimizer on a single step of a small network."""
    optimizer = subject.make()
    subject.of_class(optimizer, keras.optimizers.Optimizer, "keras.optimizers.Optimizer")
    model, (x, y) = _small_model(), _examples(BATCH)
    before = model.get_weights()  # all of them are trained
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(y, model(x), from_logits=True))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        new = variable.numpy()
        demand(finite(new), f"an optimizer keeps weights finite; after one step {variable.path} is not")
        demand((new != old).any(), f"one step of an optimizer changes every weight; {variable.path} is as it was")


def train_with_optimizer(subject: Subject, scope: Any) -> dict[str, Any]:
    """Train a small network for some steps."""
    with scope:
        model = _small_model()
        model.compile(subject.make(_fit_info()), keras.losses.CategoricalCrossentropy(from_logits=True))
        build_optimizers(Learner(model, lambda batch, seed, training: ()))
    model.fit(_batches(STEPS * BATCH), shuffle=False, verbose=0)
    return weights_of(model)


# --- schedule ------------------------------------------------------------------------------------------------------


def check_schedule(subject: Subject) -> None:
    """Check a schedule at every step of a short training, and one step after it."""
    schedule = subject.make(_fit_info())
    subject.of_class(schedule, keras.optimizers.schedules.LearningRateSchedule, "LearningRateSchedule")
    rate = tf.function(lambda step: tf.cast(schedule(step), tf.float32))
    rates = [float(rate(tf.constant(step, tf.int64))) for step in range(STEPS + 1)]
    for step, value in enumerate(rates):
        promise = "a schedule gives a finite rate of at least 0 at every step, the last too"
        demand(np.isfinite(value) and value >= 0, f"{promise}; at step {step} of {STEPS} it is {value}")
    demand(max(rates) > 0, f"a schedule is above 0 at some step; all of {rates} are not")


# --- callback ------------------------------------------------------------------------------------------------------


def check_callback(subject: Subject) -> None:
    """Check a callback in a short training and, where it remembers, another with its state."""
    callback = subject.make(_fit_info())
    subject.of_class(callback, keras.callbacks.Callback, "keras.callbacks.Callback")
    _fit_with(callback)
    able = [name for name in ("state", "restore") if callable(getattr(callback, name, None))]
    has = "".join(able)
    demand(len(able) != 1, f"a callback that remembers has state() and restore(state); this one has {has} alone")
    if not able:
        return
    state = callback.state()
    try:
        kept = json.loads(json.dumps(state))
    except TypeError as error:
        raise AssertionError(f"state() gives what JSON can hold; received {state!r}: {error}") from error
    other = subject.make(_fit_info())
    other.restore(kept)
    _fit_with(other)


def _fit_with(callback: Any) -> None:
    model = _small_model()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    data = _batches(STEPS * BATCH // EPOCHS)
    model.fit(data, validation_data=data, epochs=EPOCHS, callbacks=[callback], shuffle=False, verbose=0)


# --- strategy ------------------------------------------------------------------------------------------------------


def check_strategy(subject: Subject) -> None:
    """Check the class of a strategy, which is only made: a process can have one at work."""
    subject.of_class(subject.make(), tf.distribute.Strategy, "tf.distribute.Strategy")


# --- examples ------------------------------------------------------------------------------------------------------


def _fit_info() -> dict[type, Any]:
    return {FitInfo: FitInfo(steps=STEPS, epochs=EPOCHS)}


def _small_model() -> keras.Model:
    initial = keras.initializers.GlorotUniform(seed=0)
    hidden = keras.layers.Dense(6, "tanh", kernel_initializer=initial)
    return keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3, kernel_initializer=initial)])


def _examples(count: int) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return tf.constant(x), tf.constant(np.eye(3, dtype=np.float32)[np.arange(count) % 3])


def _batches(count: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(_examples(count)).batch(BATCH)
