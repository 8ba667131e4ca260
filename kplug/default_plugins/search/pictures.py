"""Pictures of a search: its history, the importance of its paths, and the front of several objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from kplug.default_plugins.search.figures import better, fence, has_all, number_in_words, number_of
from kplug.inference.figures import as_png
from kplug.spec.search.names import shortened
from kplug.spec.search.objectives import COUNTED, MEASURED, Limit, Objective, Objectives
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial, TrialState

MARKS: dict[str, dict[str, Any]] = {
    TrialState.FINISHED: {"marker": "o", "color": "tab:blue"},
    TrialState.PAUSED: {"marker": "s", "color": "tab:cyan"},
    TrialState.PRUNED: {"marker": "v", "color": "tab:gray"},
    TrialState.SAME: {"marker": "o", "color": "tab:blue", "markerfacecolor": "white"},
}
TICKS = {TrialState.REFUSED: "tab:gray", TrialState.FAILED: "tab:red"}
WIDE = 30.0  # largest over least of some sizes: from there on their scale is in orders of magnitude
BEST_COLOR = "tab:orange"
FRONT: dict[str, Any] = {"color": BEST_COLOR, "markeredgecolor": "black", "markersize": 7}


# --- history ---------------------------------------------------------------------------------------------------------


def draw_history(study: Study) -> bytes | None:
    """A picture of what every trial gave, in the order of asking, and the best so far; a panel for each objective."""
    if all(trial.is_under_way for trial in study.trials):
        return None
    objectives = study.aim.objectives
    figure = Figure(figsize=(8.5, 1.3 + 2.9 * len(objectives)), layout="constrained")
    panels = figure.subplots(len(objectives), 1, sharex=True, squeeze=False)[:, 0]
    for panel, objective in zip(panels, objectives, strict=True):
        _draw_trials(panel, study.trials, objective)
        panel.set(ylabel=better(objective).replace(" (", "\n("))
        panel.grid(alpha=0.3)
        panel.margins(y=0.1)
    panels[-1].set(xlabel="trial", xlim=(-0.8, len(study.trials) - 0.2))
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, study.spec.name, 4)


def _with_legend(figure: Figure, title: str, columns: int) -> bytes:
    """The picture of a figure, with a title, and below the panels a legend of all their marks, each once."""
    found: dict[str, Any] = {}
    for panel in figure.axes:
        handles, labels = panel.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), frameon=False, loc="outside lower center", ncols=columns)
    figure.suptitle(title)
    return as_png(figure)


def _draw_trials(panel: Any, trials: Sequence[Trial], objective: Objective) -> None:
    """A panel with what each trial gave; those far beyond the others, or without a number, are at its edge."""
    name = objective.name
    counted = [trial for trial in trials if trial.counts and number_of(trial, name) is not None]
    worst = math.inf
    if counted and not _set_scale(panel, "y", name, [trial.numbers[name] for trial in counted]):
        worst = fence([objective.cost(trial.numbers) for trial in counted])
    shown = [trial for trial in counted if objective.cost(trial.numbers) <= worst]
    beyond = [trial for trial in counted if objective.cost(trial.numbers) > worst]
    _draw_values(panel, shown, name)
    _draw_best(panel, shown, objective, len(trials))
    marker, edge = ("^", 0.96) if objective.direction == "minimize" else ("v", 0.07)
    _draw_at_edge(panel, beyond, edge, "far worse", marker=marker, markersize=6, color="tab:purple")
    for status, color in TICKS.items():
        of_it = [trial for trial in trials if trial.status == status]
        _draw_at_edge(panel, of_it, 0.025, status, marker="|", markersize=9, markeredgewidth=1.6, color=color)
    if not counted:
        panel.set_yticks([])
        panel.text(0.5, 0.5, "no trial has this number", ha="center", va="center", transform=panel.transAxes)


def _draw_values(panel: Any, trials: Sequence[Trial], name: str) -> None:
    """A mark for each trial, by how it ended, and a bar where there are several trainings of it."""
    for status, marks in MARKS.items():
        of_it = [trial for trial in trials if trial.status == status]
        if not of_it:
            continue
        at, values = [trial.number for trial in of_it], [trial.numbers[name] for trial in of_it]
        panel.plot(at, values, linestyle="none", markersize=5, label=f"{status} ({len(of_it)})", **marks)
        spread = [trial.spread.get(name, 0.0) for trial in of_it]
        if any(spread):
            bars = {"linestyle": "none", "elinewidth": 0.8, "ecolor": "tab:gray", "alpha": 0.6, "zorder": 1}
            panel.errorbar(at, values, spread, label="± 1 standard deviation of its trainings", **bars)


def _draw_best(panel: Any, trials: Sequence[Trial], objective: Objective, count: int) -> None:
    """A line through the best so far, up to the last of so many trials."""
    best: list[Trial] = []
    for trial in trials:
        if not best or objective.cost(trial.numbers) < objective.cost(best[-1].numbers):
            best.append(trial)
    if best:
        at = [*(trial.number for trial in best), count - 1]
        values = [trial.numbers[objective.name] for trial in (*best, best[-1])]
        panel.step(at, values, where="post", color=BEST_COLOR, linewidth=1.8, label="best so far", zorder=1)


def _draw_at_edge(panel: Any, trials: Sequence[Trial], edge: float, what: str, **marks: Any) -> None:
    """Trials without a place on the axis, at a height of the panel."""
    if trials:
        at, place = [trial.number for trial in trials], panel.get_xaxis_transform()
        label = f"{what} ({len(trials)})"
        panel.plot(at, [edge] * len(at), linestyle="none", transform=place, label=label, **marks)


def _set_scale(panel: Any, side: str, name: str, values: Sequence[float]) -> bool:
    """Put an axis in orders of magnitude where sizes differ by them, and return True where it is."""
    is_log = name in (*COUNTED, *MEASURED) and min(values) > 0 and max(values) >= WIDE * min(values)
    axis = getattr(panel, f"{side}axis")
    if is_log:
        getattr(panel, f"set_{side}scale")("log")
        axis.set_minor_formatter(NullFormatter())
    if is_log or max(map(abs, values)) >= 1e4:
        axis.set_major_formatter(FuncFormatter(lambda value, _: number_in_words(value)))
    return is_log


# --- importance ------------------------------------------------------------------------------------------------------


def draw_importance(found: Mapping[str, Any], study: Study) -> bytes:
    """A picture of the share of the variance that each path explains; a panel for the score and each objective."""
    panels = [(name, one) for name, one in found["of"].items() if "paths" in one]
    paths = [one.path for one in study.space]
    names = dict(zip(paths, shortened(paths), strict=True))
    figure = Figure(figsize=(7.5, len(panels) * (1.3 + 0.3 * len(paths)) + 0.6), layout="constrained")
    for panel, (name, one) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        shares, places = one["paths"], np.arange(len(one["paths"]))
        panel.barh(
            places, [share["main_effect"] for share in shares.values()], height=0.62, label="by itself (main effect)"
        )
        shuffled = [share["shuffled"] for share in shares.values()]
        panel.plot(shuffled, places, "D", color="black", markersize=4, label="check: shuffled among the trials")
        panel.set_yticks(places, [names[path] for path in shares])
        panel.set(xlim=(0, max(1.0, *shuffled) * 1.02), ylim=(len(shares) - 0.4, -0.6))
        panel.set(title=f"{name}: {_trust(one)}")
        panel.title.set_fontsize(10)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    panel.set(xlabel="share of the variance")
    return _with_legend(figure, f"{study.spec.name}: importance of each path, {found['trials']} trials", 2)


def _trust(one: Mapping[str, Any]) -> str:
    """A sentence that says how far the shares can be believed."""
    unseen = one["unseen_r2"]
    if unseen <= 0.1:
        return "hardly to be told from these trials"
    return f"{one['interactions']:.0%} by paths acting together; foretells {unseen:.0%} of what unseen trials give"


# --- front -----------------------------------------------------------------------------------------------------------


def draw_front(study: Study) -> bytes | None:
    """A picture of the first objective against each other one, with the trials that no other beats."""
    others = study.aim.objectives[1:]
    trials = [trial for trial in study.ranked() if has_all(trial, study)]
    if not others or not trials:
        return None
    refused = [t for t in study.trials if t.status == TrialState.REFUSED and has_all(t, study)]
    front = {trial.number for trial in study.front()}
    figure = Figure(figsize=(0.6 + 6.4 * len(others), 5.2), layout="constrained")
    panels = figure.subplots(1, len(others), squeeze=False)[0]
    for panel, other in zip(panels, others, strict=True):
        _draw_pair(panel, study, trials, refused, front, other)
    return _with_legend(figure, study.spec.name, 3)


def _draw_pair(
    panel: Any, study: Study, trials: Sequence[Trial], refused: Sequence[Trial], front: set[int], other: Objective
) -> None:
    first = study.aim.first
    for side, objective in (("x", other), ("y", first)):
        _set_scale(panel, side, objective.name, [trial.numbers[objective.name] for trial in (*trials, *refused)])

    def draw(some: Sequence[Trial], *form: str, **marks: Any) -> None:
        panel.plot([t.numbers[other.name] for t in some], [t.numbers[first.name] for t in some], *form, **marks)

    on_front = [trial for trial in trials if trial.number in front]
    behind = [trial for trial in trials if trial.number not in front]
    for what, mark, some, marks in (
        ("refused", "x", refused, {"color": "tab:gray", "markersize": 5}),
        ("beaten", "o", behind, {"color": "tab:blue", "alpha": 0.5, "markersize": 5}),
        ("front", "o", [trial for trial in on_front if trial.is_finished], FRONT),
        ("front, not trained in full", "o", [t for t in on_front if not t.is_finished], FRONT | {"mfc": "white"}),
    ):
        if some:
            draw(some, mark, label=f"{what} ({len(some)})", **marks)
    line = _front_of_two(trials, first, other)
    line.sort(key=lambda trial: (other.cost(trial.numbers), first.cost(trial.numbers)))
    # steps: between two trials, no third is promised that lies on their way
    draw(line, color=BEST_COLOR, linewidth=1.4, zorder=1, drawstyle="steps-post")
    panel.margins(0.09)
    panel.set(xlabel=better(other), ylabel=better(first))
    panel.grid(alpha=0.3)
    for limit in study.aim.limits:
        for side, name in (("x", other.name), ("y", first.name)):
            if limit.name == name:
                _draw_limit(panel, side, limit)
    _label(panel, on_front, other.name, first.name)


def _front_of_two(trials: Sequence[Trial], one: Objective, other: Objective) -> list[Trial]:
    """The trials that no other beats in these two objectives."""
    return [trials[place] for place in Objectives((one, other)).front([trial.numbers for trial in trials])]


def _draw_limit(panel: Any, side: str, limit: Limit) -> None:
    """A line where a limit lies, or a sentence where it is far from all trials."""
    form: dict[str, Any] = {"color": "tab:red", "linestyle": "--", "linewidth": 1.2}
    draw = panel.axvline if side == "x" else panel.axhline
    for words, end in (("at least", limit.at_least), ("at most", limit.at_most)):
        if not math.isfinite(end):
            continue
        low, high = getattr(panel, f"get_{side}lim")()
        label = f"{limit.name} {words} {number_in_words(end)}"
        is_log = getattr(panel, f"get_{side}scale")() == "log"
        room = high / low if is_log else high - low
        if low / room <= end <= high * room if is_log else low - room <= end <= high + room:
            draw(end, label=label, **form)
        else:
            panel.plot([], [], label=f"{label} (beyond the picture)", **form)


def _label(panel: Any, trials: Sequence[Trial], horizontal: str, vertical: str) -> None:
    """Numbers of trials, the best first, beside their points, where there is room."""
    panel.figure.draw_without_rendering()  # scales and sizes are known after it
    values = np.array([(trial.numbers[horizontal], trial.numbers[vertical]) for trial in trials])
    points = panel.transData.transform(values) * 72 / panel.figure.dpi
    taken = list(points)
    for trial, value, point in zip(trials, values, points, strict=True):
        half = 3.0 * len(str(trial.number))  # half the width of the text, in points
        for side in ((5 + half, 8), (5 + half, -8), (-5 - half, 8), (-5 - half, -8)):
            middle = point + side
            if all(abs(middle[0] - x) > half + 4 or abs(middle[1] - y) > 6 for x, y in taken):
                taken += [middle, middle - np.array([half, 0]), middle + np.array([half, 0])]
                place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center"}
                panel.annotate(str(trial.number), value, side, fontsize=8, **place)
                break
