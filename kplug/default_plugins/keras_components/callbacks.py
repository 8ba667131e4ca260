"""Callbacks of Keras that neither write files nor run code.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from typing import Literal

from kplug.kinds import Callback, Fraction, MetricName, Natural, NonNegative


def early_stopping(
    monitor: MetricName = "val_loss",
    min_delta: NonNegative = 0,
    patience: Natural = 0,
    mode: Literal["auto", "min", "max"] = "auto",
    baseline: float | None = None,
    start_from_epoch: Natural = 0,
) -> Callback:
    """Ends the training when a number has stopped getting better.

    Args:
        monitor: name of the number that is watched, as in the metrics of an epoch.
        min_delta: smallest change that counts as better.
        patience: epochs without a better value that are waited for.
        mode: whether it should fall or rise; auto asks the metric.
        baseline: value that must be beaten; null is none.
        start_from_epoch: epochs at the start that do not count.
    """
    from kplug.default_plugins.keras_components.resumable_callbacks import EarlyStopping

    return EarlyStopping(
        monitor=monitor,
        min_delta=min_delta,
        patience=patience,
        mode=mode,
        baseline=baseline,
        start_from_epoch=start_from_epoch,
    )


def reduce_lr_on_plateau(
    monitor: MetricName = "val_loss",
    factor: Fraction = 0.1,
    patience: Natural = 10,
    mode: Literal["auto", "min", "max"] = "auto",
    min_delta: NonNegative = 0.0001,
    cooldown: Natural = 0,
    min_lr: NonNegative = 0.0,
) -> Callback:
    """Lowers the learning rate, or what is left of a schedule, when a number has stopped getting better.

    Args:
        monitor: name of the number that is watched, as in the metrics of an epoch.
        factor: what the learning rate, and all later ones of a schedule, are multiplied by.
        patience: epochs without a better value that are waited for, after a schedule's warm-up.
        mode: whether it should fall or rise; auto asks the metric.
        min_delta: smallest change that counts as better.
        cooldown: epochs after a change that do not count.
        min_lr: lowest learning rate.
    """
    from kplug.default_plugins.keras_components.resumable_callbacks import ReduceLROnPlateau

    return ReduceLROnPlateau(
        monitor=monitor,
        factor=factor,
        patience=patience,
        mode=mode,
        min_delta=min_delta,
        cooldown=cooldown,
        min_lr=min_lr,
    )


def terminate_on_nan(raise_error: bool = False) -> Callback:
    """Ends the training when the loss is no number.

    Args:
        raise_error: fail instead of ending.
    """
    import keras

    return keras.callbacks.TerminateOnNaN(raise_error=raise_error)


COMPONENTS = [early_stopping, reduce_lr_on_plateau, terminate_on_nan]
