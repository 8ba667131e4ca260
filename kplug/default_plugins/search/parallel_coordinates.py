"""A search as parallel coordinates: a line for each trial, an axis for each path and each objective."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from kplug.default_plugins.search.figures import fence, number_in_words, scored
from kplug.inference.figures import as_png
from kplug.spec.search.names import shortened
from kplug.spec.search.ranges import Range
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial

ABSENT = -0.16  # the height of what is not there; axes go from 0 to 1
SPREAD = 0.05  # height over which lines that would lie on each other at a choice are spread, the best on top
MOST_WORDS = 14  # letters of a choice
OUTLINE = [withStroke(linewidth=3, foreground="white")]
BEST_COLOR = "tab:red"


@dataclass(frozen=True)
class Axis:
    """One vertical axis.

    Args:
        title: above it.
        height: gives the height of a trial's value, 0 to 1, or ABSENT.
        ticks: (height, text).
        is_of_choices: True where lines meet in its values.
    """

    title: str
    height: Callable[[Trial], float]
    ticks: Sequence[tuple[float, str]]
    is_of_choices: bool = False


def draw_parallel(study: Study) -> bytes | None:
    """A picture with a line for each trial that counts, coloured by its score, the best in front."""
    found = scored(study)
    if not found:
        return None
    trials = [trial for trial, _ in found]
    axes = axes_of(study, trials)
    heights = np.stack([_heights(axis, trials) for axis in axes], 1)  # [trials, axes], the best first
    figure = Figure(figsize=(float(np.clip(2.2 + 1.3 * len(axes), 7, 24)), 5.6), layout="constrained")
    panel = figure.subplots()
    _draw_lines(panel, heights, study, [score for _, score in found])
    for place, axis in enumerate(axes):
        _draw_axis(panel, place, axis)
    if (heights < -SPREAD).any():
        panel.axhline(ABSENT, color="lightgray", linewidth=0.8, linestyle=":", zorder=0)
        panel.text(-0.12, ABSENT, "not there", ha="right", va="center", fontsize=8, color="dimgray")
    panel.set(xlim=(-0.15, len(axes) - 0.55), ylim=(ABSENT - 0.06, 1.04), yticks=[])
    panel.set_xticks(range(len(axes)), [axis.title for axis in axes], rotation=24, ha="left", rotation_mode="anchor")
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    figure.suptitle(f"{study.spec.name}: {len(trials)} trials, the best (red) is trial {trials[0].number}")
    return as_png(figure)


def _heights(axis: Axis, trials: Sequence[Trial]) -> np.ndarray:
    """The height of each trial's line at an axis `[trials]`, spread where several would lie on each other."""
    heights = np.array([axis.height(trial) for trial in trials])
    for height in np.unique(heights) if axis.is_of_choices else [ABSENT]:
        where = np.flatnonzero(heights == height)
        heights[where] += SPREAD * (0.5 - (np.arange(len(where)) + 0.5) / max(1, len(where)))
    return heights


def _draw_lines(panel: Any, heights: np.ndarray, study: Study, scores: Sequence[float]) -> None:
    is_minimal = study.aim.first.direction == "minimize"
    worst = _worst(scores, is_minimal)
    norm = Normalize(min(scores[0], worst), max(scores[0], worst))
    colors = ScalarMappable(norm, "viridis" if is_minimal else "viridis_r")
    lines = [np.column_stack([np.arange(heights.shape[1]), row]) for row in heights[::-1]]
    alpha = float(np.clip(30 / len(lines), 0.25, 0.8))
    tones = colors.to_rgba(np.array(scores[::-1]), alpha=alpha)
    panel.add_collection(LineCollection(lines[:-1], colors=tones[:-1], linewidths=1.3, zorder=1))
    panel.add_collection(LineCollection(lines[-1:], colors=BEST_COLOR, linewidths=2.6, zorder=2))
    if worst != scores[0]:
        panel.figure.colorbar(colors, ax=panel, label=study.score_name, fraction=0.03, pad=0.02)


def _worst(values: Sequence[float], is_minimal: bool) -> float:
    """The worst value that is not far beyond the others."""
    return fence(values) if is_minimal else -fence([-value for value in values])


def _draw_axis(panel: Any, place: int, axis: Axis) -> None:
    panel.plot([place, place], [0, 1], color="black", linewidth=1, zorder=3)
    for height, text in axis.ticks:
        panel.plot([place - 0.025, place + 0.025], [height, height], color="black", linewidth=1, zorder=3)
        panel.text(place + 0.05, height, text, va="center", fontsize=8, zorder=4, path_effects=OUTLINE)


# --- axes ------------------------------------------------------------------------------------------------------------


def axes_of(study: Study, trials: Sequence[Trial]) -> list[Axis]:
    """An axis for each path that some trial has, and one for each objective."""
    ranges = [one for one in study.space if any(one.path in trial.point for trial in trials)]
    names = shortened([one.path for one in ranges])
    axes = [_axis_of_range(one, name) for one, name in zip(ranges, names, strict=True)]
    for objective in study.aim.objectives:
        values = [trial.numbers[objective.name] for trial in trials]
        is_minimal = objective.direction == "minimize"
        worst = _worst(values, is_minimal)
        low, high = (min(values), worst) if is_minimal else (worst, max(values))
        axes.append(_axis_of_number(objective.name, "↓" if is_minimal else "↑", low, high))
    return axes


def _axis_of_number(name: str, arrow: str, low: float, high: float) -> Axis:
    height, ticks = _scale(low, high)
    return Axis(f"{arrow} {name}", lambda trial: height(trial.numbers[name]), ticks)


def _axis_of_range(one: Range, name: str) -> Axis:
    if one.kind in ("choice", "bool"):
        values = list(one.values or ())
        heights = [0.5] if len(values) == 1 else [float(height) for height in np.linspace(0.03, 0.97, len(values))]
        height = dict(zip(values, heights, strict=True)).__getitem__
        ticks = [(place, _word(value)) for place, value in zip(heights, values, strict=True)]
    else:
        height, ticks = _scale(one.low, one.high, one.kind == "log", one.kind == "int")

    def of_trial(trial: Trial) -> float:
        return height(trial.point[one.path]) if one.path in trial.point else ABSENT

    return Axis(name, of_trial, ticks, one.kind in ("choice", "bool"))


def _scale(
    low: float, high: float, is_log: bool = False, is_whole: bool = False
) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """The function that gives a number's height between two others, at the edge beyond them, and the ticks."""
    if low == high:
        return lambda value: 0.5, [(0.5, number_in_words(low))]
    turned: Callable[[float], float] = math.log if is_log else float
    bottom, top = turned(low), turned(high)

    def height(value: float) -> float:
        return float(np.clip((turned(value) - bottom) / (top - bottom), 0, 1))

    evenly = MaxNLocator(5, integer=is_whole, steps=[1, 2, 5, 10])
    shown = _decades(low, high) if is_log else evenly.tick_values(low, high)
    inside = [value for value in shown if low <= value <= high]
    if len(inside) < 2:
        inside = [low, high]
    return height, [(height(value), number_in_words(value)) for value in inside]


def _decades(low: float, high: float) -> list[float]:
    """The powers of ten between two numbers; of few, their doubles and halves too."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if math.log10(high / low) >= 3 else (1, 3) if high / low >= 20 else (1, 2, 5)
    return [factor * 10.0**power for power in powers for factor in factors]


def _word(value: Any) -> str:
    other = number_in_words if isinstance(value, float) else json.dumps
    text = value if isinstance(value, str) else other(value)
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"
