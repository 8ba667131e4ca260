"""The page of the search's benchmarks, made of the raw figures alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

BEGIN, END = "<!-- made by tools/bench_search -->", "<!-- end of tools/bench_search -->"
PAGE = f"# Benchmarks of the search\n\n{BEGIN}\n{END}\n"
GOAL_WORKERS, GOAL_OVERHEAD = 0.62, 0.8  # what the search is built to keep to: of one worker's time, seconds
Figures = dict[str, Any]


class NoMarks(Exception):
    """The page has no place for the figures."""


def make_page(found: Figures, old: str = PAGE) -> str:
    """A page with what the figures of `search-benchmarks.json` say between the marks; all else stays.

    Raises:
        NoMarks: they are not both there, in their order.
    """
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarks(f"the page lacks a line {BEGIN} with a line {END} after it")
    return f"{before}{BEGIN}\n\n{_sections(found)}\n\n{END}{after}"


def _sections(found: Figures) -> str:
    opening = """Raw figures: [search-benchmarks.json](search-benchmarks.json); `tools/bench_search --check` sees that
this says what they say. A ratio is the median over the rounds of one side by the other in the same round, in brackets
its quartiles; the sides take turns in who goes first."""
    makers = {"keras_tuner": _keras_tuner, "workers": _workers, "overhead": _overhead}
    return "\n\n".join([opening, *(make(found[part]) for part, make in makers.items() if part in found)])


def _keras_tuner(found: Figures) -> str:
    mine, theirs, at = found["kplug"], found["keras_tuner"], found["marks"]
    rows = [
        _row("wall time, from command to end", mine["seconds"], theirs["seconds"], "s"),
        _row("of that, first trial's begin to last one's end", mine["trial_seconds"], theirs["trial_seconds"], "s"),
        *(
            _row(f"resident memory of the process that searches, in trial {mark}", *_column(found, place), "MiB")
            for place, mark in enumerate(at)
        ),
        _growth(f"growth from trial {at[0]} to trial {at[-1]}", mine["resident"], theirs["resident"]),
        _row("the most that all its processes held together", mine["together"], theirs["together"], "MiB"),
        _row("disk at the end", mine["disk"], theirs["disk"], "MiB"),
    ]
    return f"""## Beside Keras Tuner by hand

`kplug search` of [tiny.yaml](../tools/search_benchmarks/tiny.yaml) beside
[a plain script](../tools/search_benchmarks/keras_tuner_by_hand.py) of `keras_tuner.RandomSearch`, {found["trials"]}
trials of one epoch of scikit-learn's digits: the same network, arrays, batches, precision, and the same points in the
same order, which is checked. Each side is looked at from outside: the process that searches ten times a second, all its
processes together twice a second, with what several share counted once. A trial of kplug is a process of its own, and
what it takes is in the line of all processes.

kplug's time has two starts of TensorFlow in it, of the process that searches and, within its first trial, of the one
that forks trials; the checkpoint and rows of every trial; and the pictures that a search ends with. On the disk Keras
Tuner leaves the weights of every trial, kplug those of the best, and of every trial its spec, log and rows.

{_table(["", "kplug search", "Keras Tuner", "kplug / Keras Tuner"], rows)}

{_made(found)}"""


def _column(found: Figures, place: int) -> list[list[float]]:
    """The memory at one of the marks, of both sides, round by round."""
    return [[values[place] for values in found[side]["resident"]] for side in ("kplug", "keras_tuner")]


def _row(what: str, mine: Sequence[float], theirs: Sequence[float], unit: str) -> list[str]:
    middles = [f"{statistics.median(values):,.{_digits(values)}f} {unit}" for values in (mine, theirs)]
    return [what, *middles, _spread([a / b for a, b in zip(mine, theirs, strict=True)], ".2f")]


def _digits(values: Sequence[float]) -> int:
    return 0 if statistics.median(values) >= 100 else 1


def _growth(what: str, mine: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> list[str]:
    return [what, *(f"{statistics.median(v[-1] / v[0] - 1 for v in values):+.1%}" for values in (mine, theirs)), ""]


def _workers(found: Figures) -> str:
    ratios = [two / one for one, two in zip(found["one"], found["two"], strict=True)]
    rows = [
        [
            f"{statistics.median(found['one']):,.0f} s",
            f"{statistics.median(found['two']):,.0f} s",
            _spread(ratios, ".3f"),
        ]
    ]
    return f"""## Two workers

`kplug search` of [steady.yaml](../tools/search_benchmarks/steady.yaml), {found["trials"]} trials of one thread each,
from command to end, with `--workers 1` and with `--workers 2`; on two cores the goal is at most {GOAL_WORKERS} of one
worker's time.

{_table(["one worker", "two workers", "two / one"], rows)}

{_made(found)}"""


def _overhead(found: Figures) -> str:
    apart, here = found["process"], found["in_process"]
    rows = []
    for what, words in (("begin", "the first step's begin"), ("end", "the first step's end")):
        differences = [a - b for a, b in zip(apart[what], here[what], strict=True)]
        middles = [f"{statistics.median(side[what]):.2f} s" for side in (apart, here)]
        rows.append([words, *middles, f"{_spread(differences, '+.2f')} s"])
    return f"""## The start of a trial

Seconds from the start of a training to its first step: as a trial of a search, in a process of its own, and by
`kplug.train` in a process that has TensorFlow loaded and has trained the same spec before. The two take turns,
{found["trials"]} times each in a round; the overhead is the median of the differences of the pairs. The first step's
end has the tracing of the model in it, on both sides. The goal is at most {GOAL_OVERHEAD} s.

{_table(["from the start to", "in a process of its own", "in process", "overhead"], rows)}

{_made(found)}"""


def _made(found: Figures) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    rounds = f"{found['rounds']} round{'s' * (found['rounds'] != 1)}"
    return (
        f"Made by `{found['command']}` on {found['date']}, seed {found['seed']}, {rounds}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}; {versions}."
    )


def _spread(values: Sequence[float], form: str) -> str:
    """Median, and quartiles where there are several."""
    middle = f"**{statistics.median(values):{form}}**"
    if len(values) == 1:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({low:{form}} to {high:{form}})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
