"""Names and rows of metrics: in which order they stand, and which row is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kplug.errors import did_you_mean
from kplug.records import Monitor
from kplug.spec import Spec


def in_order(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras's logs as numbers: training before validation, the loss first."""
    return {name: float(logs[name]) for name in sorted(logs, key=place)}


def place(name: str) -> tuple[bool, bool]:
    """The sort key of a metric's name: training before validation, losses first."""
    return name.startswith("val_"), "loss" not in name


def best_row(rows: Sequence[dict[str, float]], spec: Any) -> dict[str, float]:
    """The metrics of the epoch whose weights the training keeps, as `fit.best` says."""
    written = spec["fit.best"]
    return rows[-1] if written == "last" else Monitor.read(written).among(rows[0]).best(rows)


def best_metric(spec: Spec, names: Sequence[str]) -> Monitor | None:
    """The metric of `fit.best`, among those that will be reported; None where the last epoch is kept.

    Raises:
        SpecError: it is not among them.
    """
    written = spec["fit.best"]
    if written == "last":
        return None
    monitor = Monitor.read(written).among(names)
    if monitor.name in names:
        return monitor
    hint = did_you_mean(monitor.name, names) or f"; this run reports {', '.join(names)}"
    raise spec.error(("fit", "best", monitor.direction), f"'{monitor.name}' is not reported{hint}")
