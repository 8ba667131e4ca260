"""The metrics of a finished run on a split of its source, or of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.splits import open_data
from kplug.errors import SpecError, listed
from kplug.inference.endpoints import predictor
from kplug.inference.views import Predictions
from kplug.model.learner import restored_learner
from kplug.model.memory import out_of_memory
from kplug.records import Learner
from kplug.spec.plugins import host
from kplug.storage.metrics import in_order

if TYPE_CHECKING:
    from kplug.inference.run import Run

# what an evaluation may change of the run's spec: which pictures it sees, not what the run is
CHANGEABLE = ("data.source", "data.validation", "data.evaluate_with", "data.augment")


def evaluate_run(
    run: Run, split: str, name: str | None = None, views: int = 1, changes: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Evaluate a run on a split; its `evaluation-SPLIT.json`, or `evaluation-SPLIT-NAME.json`, keeps the metrics.

    Args:
        run: that finished.
        split: of its source.
        name: of this evaluation; needed where it is not that of the run's own data.
        views: test-time augmentation: how many views of a picture, itself and others under `data.augment`, are asked
            about; predictions are their mean, and metrics those of the plugins that report on predictions.
        changes: path to value, below `data`.
    """
    changes = changes or {}
    _refuse_evaluation(name, views, changes)
    learner = restored_learner(run)
    data = open_data(run.spec.at(changes) if changes else run.spec)
    if data.info.classes != run.info.classes:
        now, then = listed(data.info.classes), listed(run.info.classes)
        message = f"the source's classes are not those of the run; now {now}; then {then}"
        raise SpecError(message, ("data", "source"), str(run.path))
    data = Data(data.spec, data.splits, run.info)
    examples = data.split(split)
    full_name = f"{split}-{name}" if name else split
    over = f", {views} views of each" if views > 1 else ""
    log(f"evaluating {run.path} on {len(examples):,} examples of {split}{over}")
    with explained(data, split, out_of_memory):
        metrics: dict[str, float] = {}
        if views == 1:
            metrics = in_order(learner.model.evaluate(data.evaluation(learner, split), verbose=0, return_dict=True))
        metrics |= _further_metrics(run, learner, data, split, full_name, views)
    facts = {"run": str(run.path), "split": split, "views": views, "changes": dict(changes), "metrics": metrics}
    run.write_json(f"evaluation-{full_name}.json", facts)
    return metrics


def _refuse_evaluation(name: str | None, views: int, changes: Mapping[str, Any]) -> None:
    if views < 1:
        raise SpecError(f"there is at least 1 view, the picture itself; received {views}")
    other = [path for path in changes if not any(f"{path}.".startswith(f"{head}.") for head in CHANGEABLE)]
    if other:
        raise SpecError(f"an evaluation cannot change {listed(other)}; it may change {listed(CHANGEABLE)}")
    if name is None and (changes or views > 1):
        own = "that of the run's own data"
        raise SpecError(f"give this evaluation a name, so that it does not replace {own}: --name NAME")
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SpecError(f"a name is letters, digits, '.', '_' and '-'; received {name!r}")


def _further_metrics(run: Run, learner: Learner, data: Data, split: str, name: str, views: int) -> dict[str, float]:
    """The metrics that plugins make of the predictions, which are computed once one of them is looked at."""
    found: list[Mapping[str, float] | None] = []
    if "images" in learner.serve:
        ask, names = predictor(learner, run.info), learner.serve["images"].outputs
        predictions, columns = Predictions(ask, names, data, split, views), data.split(split).columns
        hook = host().manager.hook.evaluated
        found = hook(run=run, split=split, name=name, predictions=predictions, columns=columns)
    if views > 1 and not any(found):
        raise SpecError("no plugin reports on the predictions of this task, so that views have no metrics")
    return {key: float(value) for metrics in found if metrics for key, value in metrics.items()}
