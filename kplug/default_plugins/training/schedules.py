"""Learning rates over the whole training, each with a rise in a line before it.

A rate belongs to a step: step 0 is the first of the training, and `final` is reached when the last one is done. In
`warmup` steps the rate rises to `peak`, from peak / (warmup + 1), so that the first step trains already.
"""

from typing import Annotated, Literal

from annotated_types import Gt, Lt, MinLen

from kplug import FitInfo, Fraction, NonNegative, Positive, Schedule, hookimpl, rule


@hookimpl
def components():
    return [constant, cosine, polynomial, step]


def constant(fit: FitInfo, peak: Positive = 1e-3, warmup: Fraction = 0.0) -> Schedule:
    """Rise in a line to a learning rate, then keep it (Goyal et al. 2017).

    Args:
        peak: the learning rate after the rise.
        warmup: share of all steps in which the rate rises from near 0 to the peak.
    """
    from kplug.default_plugins.training.warmup import Warmed, stairs

    return Warmed(stairs([peak], []), round(warmup * fit.steps))


def _falls(peak: float, final: float) -> None:
    if final > peak:
        raise ValueError(f"final ({final}) is over peak ({peak}): the rate would rise to the end")


@rule(_falls)
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


@rule(_falls)
def polynomial(
    fit: FitInfo, peak: Positive = 1e-3, power: Positive = 1.0, warmup: Fraction = 0.0, final: NonNegative = 0.0
) -> Schedule:
    """Rise in a line to a peak, then fall along a power of the remaining time, 1 being a line (Liu et al. 2015).

    Args:
        peak: the highest learning rate.
        power: exponent of the share of steps that remain; 1 is a straight line, over 1 falls early.
        warmup: share of all steps in which the rate rises from near 0 to the peak.
        final: the rate when the last step is done.
    """
    from kplug.default_plugins.training.warmup import Warmed, slope

    warmup_steps = round(warmup * fit.steps)
    return Warmed(slope(peak, final, power, warmup_steps, fit.steps), warmup_steps)


def _falls_in_order(at: tuple[float, ...], unit: str, warmup: float) -> None:
    if list(at) != sorted(set(at)):
        raise ValueError(f"at must increase; these are {', '.join(map(str, at))}")
    if unit == "share" and at[-1] >= 1:
        raise ValueError(f"at holds {at[-1]}, a share must be under 1; unit: epoch counts in epochs")
    if unit == "share" and at[0] < warmup:
        raise ValueError(f"at holds {at[0]}, which lies in the warm-up ({warmup} of the training)")


@rule(_falls_in_order)
def step(
    fit: FitInfo,
    peak: Positive = 1e-3,
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
    at: Annotated[tuple[Positive, ...], MinLen(1)] = (0.5, 0.75),
    unit: Literal["share", "epoch"] = "share",
    warmup: Fraction = 0.0,
) -> Schedule:
    """Rise in a line to a peak, then fall to a share of itself at chosen times (He et al. 2016).

    Args:
        peak: the highest learning rate.
        factor: what the rate is multiplied by at each of these times.
        at: when it falls, counted from the first step, in order; what comes after the end has no effect.
        unit: what `at` counts: shares of the whole training, 0 to 1, or finished epochs.
        warmup: share of all steps in which the rate rises from near 0 to the peak.
    """
    from kplug.default_plugins.training.warmup import Warmed, stairs

    length = fit.steps if unit == "share" else fit.steps / max(fit.epochs, 1)
    rates = [peak * factor**falls for falls in range(len(at) + 1)]
    return Warmed(stairs(rates, [round(time * length) for time in at]), round(warmup * fit.steps))
