"""Pictures for the comparison of oracles: regret against epochs trained."""

from __future__ import annotations

import bisect
import io
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from studies.oracles.page import Search, best_of, by_oracle, cost, in_percent

# The palette of Okabe and Ito, which people with any colour vision tell apart; the dashes are for print in grey.
STYLES: dict[str, tuple[str, Any]] = {
    "random": ("#000000", "-"),
    "bayesian": ("#0072B2", "--"),
    "hyperband": ("#D55E00", "-."),
    "evolution": ("#009E73", "--"),
    "grid": ("#CC79A7", ":"),
}
OTHERS = ("#E69F00", ":")
LEAST = 0.1  # below it the scale of points of percent is even, so that no regret has a place too
TICKS = (0, 0.1, 0.3, 1, 3, 10, 30, 100)

Curve = tuple[list[int], list[float]]  # epochs, regret


def draw_regret(searches: Sequence[Search], digest: str) -> bytes:
    """The searches of a space: a thin line each, a thick one for the median of each oracle.

    Args:
        searches: of one space, with one objective.
        digest: written into the file, so that it can be told what it was made of.
    """
    objective = searches[0]["objective"]
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    panel = figure.subplots()
    highest = 0.0
    for name, curves in curves_of(searches).items():
        color, dashes = STYLES.get(name, OTHERS)
        for epochs, regret in curves:
            panel.step(epochs, regret, where="post", color=color, linewidth=0.8, alpha=0.45)
            highest = max(highest, *regret)
        label = f"{name} ({len(curves)} seed{'s' * (len(curves) != 1)})"
        panel.step(*median(curves), where="post", color=color, linestyle=dashes, linewidth=2.4, label=label)
    _set_scale(panel, highest, in_percent(objective))
    panel.set(xlabel="epochs trained", xlim=(0, None), title=searches[0]["spec"])
    panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Description": digest})
    return picture.getvalue()


def curves_of(searches: Sequence[Search]) -> dict[str, list[Curve]]:
    """Oracle to the regret of each of its searches, from the first trial that has a value."""
    costs = [cost(search, value) for search in searches if (value := best_of(search)) is not None]
    found: dict[str, list[Curve]] = {}
    for name, of_seeds in by_oracle(searches).items():
        for search in of_seeds.values():
            factor = 100 if in_percent(search["objective"]) else 1
            there = [trial for trial in search["trials"] if trial["best"] is not None]
            regret = [factor * (cost(search, trial["best"]) - min(costs)) for trial in there]
            if there:
                found.setdefault(name, []).append(([trial["epochs"] for trial in there], regret))
    return found


def median(curves: Sequence[Curve]) -> Curve:
    """The median of some curves, from where all have begun; one that is over stays where it ended."""
    start = max(epochs[0] for epochs, _ in curves)
    places = sorted({place for epochs, _ in curves for place in epochs if place >= start})
    return places, [statistics.median(_at(curve, place) for curve in curves) for place in places]


def _at(curve: Curve, place: int) -> float:
    epochs, regret = curve
    return regret[bisect.bisect_right(epochs, place) - 1]


def _set_scale(panel: Any, highest: float, percent: bool) -> None:
    """Orders of magnitude, with a place for zero: the first trials are tens of points away, the last tenths."""
    if percent:
        panel.set_yscale("symlog", linthresh=LEAST, linscale=0.4)
        panel.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS if tick <= 3 * highest or tick <= LEAST]))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.set(ylabel="regret, points of percent" if percent else "regret", ylim=(-LEAST / 5 if percent else 0, None))
