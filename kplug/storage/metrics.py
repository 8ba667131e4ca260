"""Names and rows of metrics: in which order they stand, and which is best."""

from __future__ import annotations

import math
from typing import Any

from kplug.errors import did_you_mean
from kplug.spec import Spec


def in_order(logs: dict[str, Any]) -> dict[str, float]:
    """Keras's logs as numbers: training before validation, the loss first."""
    return {name: float(logs[name]) for name in sorted(logs, key=place)}


def place(name: str) -> tuple[bool, bool]:
    """By which the names of metrics are put in order."""
    return name.startswith("val_"), "loss" not in name


def best_row(rows: list[dict[str, float]], spec: Any) -> dict[str, float]:
    """The metrics of the epoch whose weights the training keeps, as `fit.best` says."""
    monitor = spec["fit.best"]
    if monitor == "last":
        return rows[-1]
    ((direction, name),) = monitor.items()
    if name not in rows[0] and name == "val_loss":
        name = "loss"
    sign = 1 if direction == "minimize" else -1
    return min(rows, key=lambda row: math.inf if math.isnan(row[name]) else row[name] * sign)


def best_metric(spec: Spec, names: list[str]) -> tuple[str, str] | None:
    """(metric, minimize or maximize) of `fit.best`, checked against what will be reported; none for the last epoch."""
    if spec["fit.best"] == "last":
        return None
    ((direction, name),) = spec["fit.best"].items()
    if name in names:
        return name, direction
    if name == "val_loss" and not any(n.startswith("val_") for n in names):
        return "loss", direction  # the default, where nothing validates
    hint = did_you_mean(name, names) or f"; this run reports {', '.join(names)}"
    raise spec.error(("fit", "best", direction), f"'{name}' is not reported{hint}")
