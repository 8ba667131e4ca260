"""Names and rows of metrics: in which order they stand, and which row is best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kplug.errors import SpecError, did_you_mean
from kplug.kinds import NamesMetric
from kplug.records import Monitor
from kplug.spec import Spec
from kplug.spec.data_rules import marks_of
from kplug.spec.tree import nodes


def in_order(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras's logs as numbers: training before validation, the loss first."""
    return {name: float(logs[name]) for name in sorted(logs, key=place)}


def place(name: str) -> tuple[bool, bool]:
    """The sort key of a metric's name: training before validation, losses first."""
    return name.startswith("val_"), "loss" not in name


LOWEST_LOSS = {"minimize": "val_loss"}  # what is best where neither the spec nor the task says it
Best = str | Mapping[str, str] | None


def what_is_best(written: Any, of_task: Best = None) -> Any:
    """`fit.best` with `auto` resolved: "last", or {minimize: NAME} or {maximize: NAME}."""
    return (of_task or LOWEST_LOSS) if written == "auto" else written


_LOW = re.compile(r"(^|_)(loss|error|mae|mse|rmse|divergence|perplexity|fid|distance)$")
_HIGH = re.compile(
    r"(^|_)(accuracy|precision|recall|auc|f1|f\d?_?score|iou|dice|kappa|score|ap\d*|map\d*|psnr|ssim|r2)(_score)?$"
)


def direction_of(name: str, told: Mapping[str, str]) -> str | None:
    """Minimize or maximize, as a metric says itself, or as the last word of its name does; None where neither does.

    Args:
        name: as an epoch reports it.
        told: direction by the name of a metric, as far as they say it.
    """
    plain = name.removeprefix("val_")
    if plain in told:
        return told[plain]
    if _LOW.search(plain):
        return "minimize"
    return "maximize" if _HIGH.search(plain) else None


def best_row(rows: Sequence[dict[str, float]], spec: Any, of_task: Best = None) -> dict[str, float]:
    """The metrics of the epoch whose weights the training keeps, as `fit.best` and the task say."""
    written = what_is_best(spec["fit.best"], of_task)
    if written == "last":
        return rows[-1]
    monitor = Monitor.read(written).among(rows[0])
    return monitor.best(rows) if any(monitor.name in row for row in rows) else rows[-1]


def refuse_unwatched(spec: Spec, names: Sequence[str], told: Mapping[str, str], is_new: bool) -> None:
    """Refuse a callback that watches a number that no epoch reports, or one of which nobody knows what is better.

    Args:
        spec: the experiment.
        names: of the metrics that an epoch reports.
        told: direction by the name of a metric, as far as they say it.
        is_new: a training begins; in one that goes on, the direction stays what it was.
    """
    problems = []
    for node in nodes(spec["fit.callbacks"]):
        for parameter, value in node.arguments.items():
            if value is None or not marks_of(node.component.parameters[parameter].form, NamesMetric):
                continue
            path = (*node.path, parameter)
            if value not in names:
                hint = did_you_mean(value, names) or f"; this run reports {', '.join(names)}"
                problems.append(spec.problem(path, f"'{value}' is not reported{hint}"))
            elif is_new and node.arguments.get("mode") == "auto" and direction_of(value, told) is None:
                what = f"nothing says whether '{value}' should fall or rise; write mode: min, or mode: max"
                problems.append(spec.problem((*node.path, "mode"), what))
    if problems:
        raise SpecError(problems)


def best_metric(spec: Spec, names: Sequence[str], of_task: Best = None) -> Monitor | None:
    """The metric of `fit.best`, among those that will be reported; None where the last epoch is kept.

    Args:
        spec: the experiment.
        names: of the metrics that an epoch reports.
        of_task: the task's own answer, for `auto`.

    Raises:
        SpecError: it is not among them.
    """
    written = what_is_best(spec["fit.best"], of_task)
    if written == "last":
        return None
    monitor = Monitor.read(written).among(names)
    if monitor.name in names:
        return monitor
    hint = did_you_mean(monitor.name, names) or f"; this run reports {', '.join(names)}"
    if spec["fit.best"] == "auto":
        whose = "the task keeps the epoch that is best by" if of_task else "nothing says which epoch is best:"
        raise spec.error("fit.best", f"{whose} '{monitor.name}', which is not reported{hint}; or write last")
    raise spec.error(("fit", "best", monitor.direction), f"'{monitor.name}' is not reported{hint}")
