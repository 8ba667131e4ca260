"""Oracles: what proposes the points of a search, Keras Tuner's own and evolution."""

from typing import Annotated

from annotated_types import Ge, Le

from kplug import Count, NonNegative, Oracle, Positive, SearchInfo, by_epochs, hookimpl, rule
from kplug.kinds import MOST


@hookimpl
def components():
    return [random, grid, bayesian, hyperband, evolution]


def random(info: SearchInfo, trials: Count = 20) -> Oracle:
    """Points at random, no point twice (Bergstra and Bengio 2012; Keras Tuner).

    Args:
        trials: how many.
    """
    import keras_tuner

    return keras_tuner.oracles.RandomSearchOracle(max_trials=trials, **_common(info))


def grid(info: SearchInfo, trials: Count | None = None) -> Oracle:
    """Every point in order; of an interval without `step`, 10 of its values (Keras Tuner).

    Args:
        trials: how many at most; null: all.

    Raises:
        SpecError: the search begins with given points.
    """
    from kplug.errors import SpecError
    from kplug.tuning.keras_tuner_adapter import Grid

    if info.first:
        raise SpecError("grid tries every point in its own order; leave search.first out")
    return Grid(max_trials=trials, **_common(info))


def bayesian(
    info: SearchInfo,
    trials: Count = 20,
    initial: Count | None = None,
    beta: NonNegative = 2.6,
    alpha: Positive = 1e-4,
) -> Oracle:
    """Points where a Gaussian process over the trials expects most or knows least (Srinivas et al. 2010; Keras Tuner).

    Args:
        trials: how many.
        initial: random trials before the first that is proposed; null: three a dimension.
        beta: how much what is not known draws: 0 goes where most is expected.
        alpha: how noisy the objective is, as a variance, where its values are scaled to 1.
    """
    from kplug.tuning.keras_tuner_adapter import Bayesian

    return Bayesian(max_trials=trials, num_initial_points=initial, beta=beta, alpha=alpha, **_common(info))


@by_epochs
def hyperband(info: SearchInfo, factor: Annotated[int, Ge(2), Le(MOST)] = 3, iterations: Count = 1) -> Oracle:
    """Many points for few epochs, the best of them for more, in brackets of several such trade-offs (Li et al. 2018).

    A trial that is promoted goes on where it was; the brackets say how many trials there are (Keras Tuner).

    Args:
        factor: of the trials of a round one in so many goes on, for as many times the epochs.
        iterations: how often all brackets are gone through.

    Raises:
        SpecError: the trainings are too short for two rounds; the space has fewer points than the first, or the search
            begins with more.
    """
    from kplug.errors import SpecError
    from kplug.tuning.keras_tuner_adapter import Hyperband

    if info.epochs < factor:
        raise SpecError(
            f"hyperband promotes to trainings {factor} times as long (factor), and fit.epochs comes to {info.epochs}: "
            "no trial could be promoted; give it more, or use another oracle"
        )
    oracle = Hyperband(max_epochs=info.epochs, factor=factor, hyperband_iterations=iterations, **_common(info))
    if info.points < (first := oracle.first_round()):
        given = f"factor {factor} and {info.epochs} epochs"
        raise SpecError(
            f"hyperband begins with {first} points, of which it promotes the best ({given}), and the space has "
            f"{info.points:.0f}; give it further values, or use the oracle grid, which tries them all"
        )
    if info.first > first:
        raise SpecError(f"hyperband's first round has {first} points; search.first has {info.first}, leave some out")
    return oracle


def _sample_fits(population: int, sample: int) -> None:
    if sample > population:
        raise ValueError(f"sample: {sample} cannot be drawn from a population of {population}")


@rule(_sample_fits)
def evolution(info: SearchInfo, trials: Count = 100, population: Count = 20, sample: Count = 5) -> Oracle:
    """Regularized evolution: the best of a few is changed in one place, the oldest leaves (Real et al. 2019).

    Args:
        trials: how many.
        population: the first are random; then the last so many finished trials live.
        sample: so many of these are drawn, and the best of them has the child.
    """
    from kplug.default_plugins.search.evolution import Evolution

    return Evolution(info, trials, population, sample)


def _common(info: SearchInfo) -> dict:
    """The parameters of every oracle of Keras Tuner: the space is declared, and the search says when trials failed."""
    return {
        "objective": info.objective,
        "hyperparameters": info.hyperparameters,
        "seed": info.seed,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "max_consecutive_failed_trials": 10**9,
    }
