"""What a person sees of a search: before it, the size of the space and the first trials; during it, a table."""

from __future__ import annotations

import contextlib
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from kplug.build import build, build_learner
from kplug.data import open_data
from kplug.errors import SpecError
from kplug.kinds import FitInfo
from kplug.space import in_words, spec_at
from kplug.spec import Spec
from kplug.study import Trial
from kplug.tune import Search, make_study

SHOWN = 5  # trials of a dry run
DRAWN = 200  # points by which a dry run says how many are refused
BEST = 8  # trials in the table


def first_trials(spec: Spec, as_json: bool) -> None:
    """Print the size of a space, how many of its points fit, and the trials that would be first."""
    study = make_study(spec.absolute(), processes_of(spec))
    rng = random.Random(0)
    refused: list[str] = []
    for _ in range(DRAWN):
        try:
            spec_at(study.base, study.space, study.space.sample(rng))
        except SpecError as error:
            refused.append(str(error))
    asked = [trial for trial in (study.ask() for _ in range(SHOWN)) if isinstance(trial, Trial)]
    trials: list[Any] = [{"point": t.point, "epochs": t.epochs, "parameters": parameters(t.spec)} for t in asked]
    size = study.space.size()
    if as_json:
        points = {"drawn": DRAWN, "refused": len(refused), "reasons": refused[:1]}
        found = {"size": None if math.isinf(size) else int(size), "points": points, "trials": trials}
        print(json.dumps(found, indent=2))
        return
    said = "more points than can be counted (an interval has no step)" if math.isinf(size) else f"{int(size):,} points"
    print(f"the space has {said}, over {len(study.space.ranges)} paths")
    for one in study.space:
        print(f"  {one.path}: {one.in_words}")
    if refused:
        print(f"of {DRAWN} random points {len(refused)} are refused, such as: {refused[0].splitlines()[0]}")
    print("the first trials (a trial's result may change those after it):")
    for number, trial in enumerate(trials):
        count = "does not fit" if trial["parameters"] is None else f"{trial['parameters']:,} parameters"
        print(f"  {number}  {in_words(trial['point'])}  {count}, {trial['epochs']} epochs")


def processes_of(spec: Spec) -> Any:
    """The executor that a spec names, for how many it trains at once."""
    return build(spec, spec["search"].arguments["executor"])


def parameters(spec: Spec | None) -> int | None:
    """The parameters of a spec's model; None where it cannot be built."""
    if spec is None:
        return None
    try:
        learner = build_learner(spec, open_data(spec).info, FitInfo(1, 1), "float32")
        return int(learner.model.count_params())
    except SpecError:
        return None


# --- during a search -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watching(spec: Spec) -> Iterator[Callable[[Search, Any], None] | None]:
    """A table that follows a search, on a terminal; elsewhere its lines are enough."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    started = time.monotonic()
    with Live(console=Console(stderr=True), refresh_per_second=2) as live:

        def show(search: Search, trials: Any) -> None:
            live.update(table(search, trials, time.monotonic() - started))

        yield show


def table(search: Search, trials: Any, seconds: float) -> Any:
    """The trials under way, the best so far, and what is left."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    study = search.study
    names = [one.name for one in study.aim.objectives]
    grid = Table(box=None, pad_edge=False)
    for column in ("trial", "state", "point", *names):
        grid.add_column(column, justify="right" if column in names else "left", no_wrap=column == "trial")
    for running in trials.under_way.values():
        state = f"epoch {running.epoch + 1}/{running.trial.epochs}"
        grid.add_row(str(running.trial.number), state, in_words(running.trial.point), *([""] * len(names)))
    for place, trial in enumerate(study.ranked()[:BEST]):
        values = [f"{trial.numbers[name]:.5g}" for name in names]
        grid.add_row(str(trial.number), "best" if place == 0 else trial.status, in_words(trial.point), *values)
    return Group(grid, Text(left(search, trials, seconds)))


def left(search: Search, trials: Any, seconds: float) -> str:
    """How many trials ended, and in how many seconds the others may."""
    ended = sum(bool(trial.status) for trial in search.trials)
    most = search.study.oracle.max_trials
    here = trials.ended_here
    line = f"{ended} of {most} trials" if most else f"{ended} trials"
    if most and here:
        line += f"; about {seconds / here * (most - ended) / 60:.0f} min left"
    return line


def answer(search: Search, as_json: bool) -> None:
    """Print what was found."""
    study = search.study
    counts: dict[str, int] = {}
    for trial in study.trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    best = study.best
    several = len(study.aim.objectives) > 1
    if as_json:
        front = [trial.number for trial in study.front()] if several else None
        found: dict[str, Any] = {"search": str(search.path), "trials": counts, "best": best and best.number}
        found |= {"point": best.point, "numbers": best.numbers} if best else {}
        print(json.dumps(found | ({"front": front} if several else {}), indent=2))
        return
    print(f"search: {search.path}")
    print("trials: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    if best is None:
        print("best: none; no trial finished")
        return
    if several:
        print("no other trial beats these in every objective:")
        for trial in study.front():
            values = "  ".join(f"{one.name} {trial.numbers[one.name]:.5g}" for one in study.aim.objectives)
            print(f"  trial {trial.number}  {values}  {in_words(trial.point)}")
    print(f"best: trial {best.number}  {in_words(best.point)}")
    for one in study.aim.objectives:
        spread = f" ± {best.spread[one.name]:.2g}" if one.name in best.spread else ""
        print(f"{one.name}: {best.numbers[one.name]:.5g}{spread}")
    print(f"train it: kplug train {search.path / 'best.yaml'}")
