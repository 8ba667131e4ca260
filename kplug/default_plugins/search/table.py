"""The lines that show a search: its space and first trials before it, a table during it, what it found after it."""

from __future__ import annotations

import collections
import contextlib
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from kplug.console import results_apart
from kplug.data.splits import open_data
from kplug.errors import SearchStopped, SpecError, dotted
from kplug.model.learner import build_learner
from kplug.records import FitInfo
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.search.names import in_words, point_in_words
from kplug.spec.search.space import spec_at
from kplug.spec.tree import plain
from kplug.storage.files import in_json
from kplug.tuning.loop import Running, TrialLoop
from kplug.tuning.search import Search, make_study, threads_of
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial

SHOWN = 5  # trials of a dry run
DRAWN = 200  # random points, from which a dry run says how many are refused
BEST_SHOWN = 8  # the best trials so far in the table


# --- before a search -------------------------------------------------------------------------------------------------


def first_trials(spec: Spec, as_json: bool) -> None:
    """Print the size of a space, how many of its points fit, and the trials that would be first."""
    with results_apart():
        study = make_study(spec.absolute(), threads_of(spec, executor_of(spec)))
        size, refused = study.space.size(), refusals(study)
        asked = [trial for trial in (study.ask() for _ in range(SHOWN)) if isinstance(trial, Trial)]
        trials = [foreseen(trial, study) for trial in asked]
    if as_json:
        points = {"drawn": DRAWN, "refused": len(refused), "reasons": refused[:1]}
        found = {"size": None if math.isinf(size) else int(size), "points": points, "trials": trials}
        print(in_json(found, indent=2))
        return
    said = "more points than can be counted (an interval has no step)" if math.isinf(size) else f"{int(size):,} points"
    paths = len(study.space.ranges)
    print(f"the space has {said}, over {paths} path{'s' * (paths != 1)}")
    for one in study.space:
        print(f"  {one.path}: {one.in_words}")
    if refused:
        print(f"of {DRAWN} random points {len(refused)} are refused, such as: {refused[0].splitlines()[0]}")
    print("the first trials (a trial's result may change those after it):")
    for number, trial in enumerate(trials):
        count, epochs = trial["parameters"], trial["epochs"]
        model = "" if count is None else f"{count:,} parameters, {epochs} epoch{'s' * (epochs != 1)}"
        why = f"refused: {trial['reason'].splitlines()[0]}" if trial["reason"] else ""
        print("  ".join(filter(None, (f"  {number}", point_in_words(trial["point"], study.space), model, why))))


def executor_of(spec: Spec) -> Any:
    """The executor that a spec names, to be asked how many it trains at once."""
    return build(spec, spec["search"].arguments["executor"])


def refusals(study: Study) -> list[str]:
    """The reasons why some of DRAWN random points of a space make no spec."""
    rng = random.Random(0)
    reasons = []
    for _ in range(DRAWN):
        try:
            spec_at(study.base, study.space, study.space.sample(rng))
        except SpecError as error:
            reasons.append(str(error))
    return reasons


def foreseen(trial: Trial, study: Study) -> dict[str, Any]:
    """A trial before it is trained, and why it would not be."""
    count, reason = None, trial.reason
    if trial.spec is not None:
        try:
            count = parameters(trial.spec)
            reason = study.aim.broken_by({"parameters": count})
        except SpecError as error:
            if not study.space.is_of(trial.point, [dotted(problem.path) for problem in error.problems]):
                raise
            reason = str(error)
    return {"point": trial.point, "epochs": epochs_of(trial, study), "parameters": count, "reason": reason}


def parameters(spec: Spec) -> int:
    """The number of parameters of a spec's model.

    Raises:
        SpecError: it cannot be built.
    """
    learner = build_learner(spec, open_data(spec).info, FitInfo(1, 1), "float32")
    return int(learner.model.count_params())


def epochs_of(trial: Trial, study: Study) -> int:
    """The number of epochs of a trial; where it is trained in full, its spec may have others than the base."""
    if trial.spec is None or trial.epochs < study.epochs:
        return trial.epochs
    fit = plain(trial.spec["fit"])
    return sum(part["epochs"] for part in (fit, *fit["stages"]))


# --- during a search -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watching() -> Iterator[Callable[[Search, Any], None] | None]:
    """A table that follows a search, on a terminal; elsewhere its lines are enough."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    started = time.monotonic()
    with Live(console=Console(stderr=True), refresh_per_second=2) as live:

        def show(search: Search, loop: Any) -> None:
            live.update(table(search, loop, time.monotonic() - started))

        yield show


def table(search: Search, loop: TrialLoop, seconds: float) -> Any:
    """A table of the trials under way with what they reported last, and of the best so far, below what is left."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text  # as it is: in a string, rich takes the label of a path for a style

    study, names = search.study, search.study.aim.objective_names
    grid = Table(box=None, pad_edge=False)
    for column in ("trial", "state", "point", *names):
        grid.add_column(column, justify="right" if column in names else "left", no_wrap=column != "point")

    def add(trial: Trial, state: str, numbers: dict[str, float]) -> None:
        values = [f"{numbers[name]:.5g}" if name in numbers else "" for name in names]
        grid.add_row(str(trial.number), state, Text(point_in_words(trial.point, study.space)), *values)

    for running in loop.under_way.values():
        counted = loop.counted.get(running.trial.number, {})
        add(running.trial, state_of(running, study), counted | (running.rows or [{}])[-1])
    for place, trial in enumerate(study.ranked()[:BEST_SHOWN]):
        add(trial, "best" if place == 0 else trial.status, trial.numbers)
    return Group(Text(left(search, loop, seconds)), grid)


def state_of(running: Running, study: Study) -> str:
    """The epoch that a training is in, and which of a point's trainings it is where there are several."""
    most = epochs_of(running.trial, study)
    done = running.epoch or len(running.rows)  # those of before a promotion or a resume
    which = f"training {running.repeat + 1}/{study.repeats}, " if study.repeats > 1 else ""
    return f"{which}epoch {min(done + 1, most)}/{most}"


def left(search: Search, loop: TrialLoop, seconds: float) -> str:
    """A line that says how many trials ended and, while some are under way, in which time the others may."""
    ended = sum(not trial.is_under_way for trial in search.trials)
    most = search.study.max_trials
    line = f"{ended} of {most} trials" if most else f"{ended} trials"
    if most and loop.ended_here and loop.under_way:
        others = most - ended if loop.is_asking else len(loop.under_way)
        each, limit = seconds / loop.ended_here, loop.section["timeout"]
        more = each * others if limit is None else min(each * others, max(0.0, limit - seconds) + each)
        line += f"; about {in_time(more)} left"
    return line


def in_time(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


# --- after a search --------------------------------------------------------------------------------------------------


def answer(search: Search, as_json: bool) -> None:
    """Print what was found.

    Raises:
        SearchStopped: no trial finished.
    """
    tell(search, as_json)
    if search.best is None:
        why = next((f": {trial.reason.splitlines()[0]}" for trial in search.trials if trial.reason), "")
        raise SearchStopped(f"{search.path}: no trial finished{why}")


def tell(search: Search, as_json: bool) -> None:
    """Print how the trials ended, the front of several objectives, and the best."""
    study = search.study
    counts = collections.Counter(trial.status for trial in study.trials)
    best = study.best
    several = len(study.aim.objectives) > 1
    if as_json:
        front = [trial.number for trial in study.front()] if several else None
        found: dict[str, Any] = {"search": str(search.path), "trials": counts, "best": best and best.number}
        found |= {"point": best.point, "numbers": best.numbers} if best else {}
        print(in_json(found | ({"front": front} if several else {}), indent=2))
        return
    print(f"search: {search.path}")
    print("trials: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    if best is None:
        return
    if several:
        print("no other trial is as good as one of these in every objective, and better in one:")
        for trial in study.front():
            values = "  ".join(f"{one.name} {trial.numbers[one.name]:.5g}" for one in study.aim.objectives)
            print(f"  trial {trial.number}  {values}  {point_in_words(trial.point, study.space)}")
    print(f"best: trial {best.number}  {in_words(best.point)}")  # with whole paths, as the spec writes them
    for one in study.aim.objectives:
        spread = f" ± {best.spread[one.name]:.2g}" if one.name in best.spread else ""
        print(f"{one.name}: {best.numbers[one.name]:.5g}{spread}")
    print(f"train it: kplug train {search.path / 'best.yaml'}")
