"""Learning rate schedules of Keras, by the step of the optimizer.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from kplug.default_plugins.keras_components.types import values_between
from kplug.kinds import Count, Natural, NonNegative, Positive, Schedule, Unit, rule
from kplug.records import FitInfo


def cosine_decay(
    initial_learning_rate: NonNegative,
    fit: FitInfo,
    decay_steps: Count | None = None,
    alpha: Unit = 0.0,
    warmup_target: Positive | None = None,
    warmup_steps: Natural = 0,
) -> Schedule:
    """Falls along half a cosine, after a linear rise if wanted (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: learning rate of the first step.
        decay_steps: steps of the fall; null is to the end of the training.
        alpha: last learning rate as a share of the highest.
        warmup_target: learning rate at the end of the rise; null is no rise.
        warmup_steps: steps of the rise.
    """
    import keras

    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=initial_learning_rate,
        decay_steps=decay_steps or max(fit.steps - warmup_steps, 1),
        alpha=alpha,
        warmup_target=warmup_target,
        warmup_steps=warmup_steps,
    )


def cosine_decay_restarts(
    initial_learning_rate: NonNegative,
    first_decay_steps: Count,
    t_mul: Positive = 2.0,
    m_mul: Positive = 1.0,
    alpha: Unit = 0.0,
) -> Schedule:
    """Falls along half a cosine again and again (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: learning rate of the first step.
        first_decay_steps: steps of the first fall.
        t_mul: how many times longer each fall is than the last.
        m_mul: how many times higher each fall starts than the last.
        alpha: last learning rate as a share of the highest.
    """
    import keras

    return keras.optimizers.schedules.CosineDecayRestarts(
        initial_learning_rate=initial_learning_rate,
        first_decay_steps=first_decay_steps,
        t_mul=t_mul,
        m_mul=m_mul,
        alpha=alpha,
    )


def exponential_decay(
    initial_learning_rate: NonNegative, decay_steps: Count, decay_rate: Positive, staircase: bool = False
) -> Schedule:
    """Falls to the same share again and again.

    Args:
        initial_learning_rate: learning rate of the first step.
        decay_steps: steps in which the rate falls by one decay_rate.
        decay_rate: what the rate falls by.
        staircase: fall at once every decay_steps instead of little by little.
    """
    import keras

    return keras.optimizers.schedules.ExponentialDecay(
        initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate, staircase=staircase
    )


def inverse_time_decay(
    initial_learning_rate: NonNegative, decay_steps: Count, decay_rate: Positive, staircase: bool = False
) -> Schedule:
    """Falls like one over the time.

    Args:
        initial_learning_rate: learning rate of the first step.
        decay_steps: steps in which the rate falls by one decay_rate.
        decay_rate: what the rate falls by.
        staircase: fall at once every decay_steps instead of little by little.
    """
    import keras

    return keras.optimizers.schedules.InverseTimeDecay(
        initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate, staircase=staircase
    )


@rule(values_between)
def piecewise_constant_decay(boundaries: tuple[Count, ...], values: tuple[NonNegative, ...]) -> Schedule:
    """Stays at one value until a step, then at the next.

    Args:
        boundaries: steps after which the next value holds.
        values: learning rates: one more than boundaries.
    """
    import keras

    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries=boundaries, values=values)


def polynomial_decay(
    initial_learning_rate: NonNegative,
    fit: FitInfo,
    decay_steps: Count | None = None,
    end_learning_rate: NonNegative = 0.0001,
    power: Positive = 1.0,
    cycle: bool = False,
) -> Schedule:
    """Falls along a power of the remaining time; 1 is a straight line.

    Args:
        initial_learning_rate: learning rate of the first step.
        decay_steps: steps of the fall; null is to the end of the training.
        end_learning_rate: learning rate of the last step.
        power: exponent of the remaining time.
        cycle: start again after each fall.
    """
    import keras

    return keras.optimizers.schedules.PolynomialDecay(
        initial_learning_rate=initial_learning_rate,
        decay_steps=decay_steps or fit.steps,
        end_learning_rate=end_learning_rate,
        power=power,
        cycle=cycle,
    )


COMPONENTS = [
    cosine_decay,
    cosine_decay_restarts,
    exponential_decay,
    inverse_time_decay,
    piecewise_constant_decay,
    polynomial_decay,
]
