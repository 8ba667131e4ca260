"""Learning rates over the whole training."""

from kplug import FitInfo, Fraction, NonNegative, Positive, Schedule, hookimpl


@hookimpl
def components():
    return [cosine]


def cosine(fit: FitInfo, peak: Positive = 1e-3, warmup: Fraction = 0.0, final: NonNegative = 0.0) -> Schedule:
    """Rise in a line to a peak, then fall along half a cosine to the end of training (Loshchilov and Hutter 2017).

    Args:
        peak: the highest learning rate.
        warmup: share of all steps in which the rate rises from near 0 to the peak.
        final: the rate at the last step.
    """
    import keras

    warmup_steps = round(warmup * fit.steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / (warmup_steps + 1) if warmup_steps else peak,
        decay_steps=max(fit.steps - warmup_steps, 1),
        alpha=final / peak,
        warmup_target=peak if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
