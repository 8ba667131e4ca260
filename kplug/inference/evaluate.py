"""The metrics of a finished run on a split of its source, or of another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.splits import open_data
from kplug.errors import PluginFailed, SpecError, listed
from kplug.inference.endpoints import signature_name
from kplug.inference.evaluators import Showing, evaluation_of, evaluators_of, usable
from kplug.inference.views import Asked, Predictions, Views
from kplug.model.from_run import rebuild_of
from kplug.model.learner import restored_learner
from kplug.model.memory import out_of_memory, refuse_large_evaluation
from kplug.records import Learner
from kplug.spec.plugins import ask_hook, host
from kplug.storage.files import refuse_links
from kplug.storage.metrics import in_order

if TYPE_CHECKING:
    from kplug.inference.run import Run

# what an evaluation may change of the run's spec: which examples it sees and who looks at them, not what the run is
CHANGEABLE = ("data.source", "data.validation", "data.evaluate_with", "data.augment", "evaluators")

FEW = 12  # names that are told one by one


def evaluate_run(
    run: Run, split: str, name: str | None = None, views: int = 1, changes: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Evaluate a run on a split; its `evaluation-SPLIT.json`, or `evaluation-SPLIT-NAME.json`, keeps the metrics.

    Args:
        run: that finished.
        split: of its source.
        name: of this evaluation; needed where it is not that of the run's own data.
        views: test-time augmentation: how many views of an example, itself and others under `data.augment`, are asked
            about; answers are their mean, and metrics those of evaluators and plugins.
        changes: path to value, below `data` or `evaluators`.
    """
    changes = changes or {}
    _refuse_evaluation(name, views, changes)
    refuse_links(run.path)
    learner = restored_learner(run)
    data = open_data(run.spec.at(changes) if changes else run.spec)
    _refuse_other_facts(run, data)
    data = Data(data.spec, data.splits, run.info)
    full_name = f"{split}-{name}" if name else split
    over = f", {views} views of each" if views > 1 else ""
    log(f"evaluating {run.path} on {len(data.order(split).rows):,} examples of {split}{over}")
    refuse_large_evaluation(data, learner, split)
    with explained(data, split, out_of_memory):
        data.read_ahead(split)  # what follows reads it more than once
        metrics: dict[str, float] = {}
        if views == 1:
            metrics = in_order(learner.model.evaluate(data.evaluation(learner, split), verbose=0, return_dict=True))
        further, error = _further_metrics(run, learner, data, split, full_name, views)
    metrics |= further
    facts = {"run": str(run.path), "split": split, "views": views, "changes": dict(changes), "metrics": metrics}
    lost = _write_down(run, f"evaluation-{full_name}.json", facts)
    error = error or lost
    if error is not None:  # of a plugin or the disk, which must not take the figures of all others with it
        said = ", ".join(f"{key} {value:.5g}" for key, value in metrics.items()) or "none"
        kept = "not kept" if lost else f"kept in evaluation-{full_name}.json"
        log(f"not all of the evaluation could be made; the metrics that could, {kept}: {said}")
        with explained(data, split, out_of_memory):  # it may have met a file that cannot be read
            raise error
    return metrics


def _refuse_evaluation(name: str | None, views: int, changes: Mapping[str, Any]) -> None:
    if views < 1:
        raise SpecError(f"there is at least 1 view, the example itself; received {views}")
    other = [path for path in changes if not any(f"{path}.".startswith(f"{head}.") for head in CHANGEABLE)]
    if other:
        raise SpecError(f"an evaluation cannot change {listed(other)}; it may change {listed(CHANGEABLE)}")
    if name is None and (changes or views > 1):
        own = "that of the run's own data"
        raise SpecError(f"give this evaluation a name, so that it does not replace {own}: --name NAME")
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
        raise SpecError(f"a name is letters, digits, '.', '_' and '-', 200 at most; received {name!r}")


def _refuse_other_facts(run: Run, data: Data) -> None:
    """Refuse data whose fields have other classes or another vocabulary than those that the run was trained on."""
    for name, codec in run.info.codecs.items():
        if name not in data.info.codecs:
            raise SpecError(f"the source has no field '{name}'", ("data", "source"), str(run.path))
        now, then = data.info.facts[name], run.info.facts.get(name, {})
        for fact in codec.must_match:
            if tuple(now.get(fact, ())) != tuple(then.get(fact, ())):
                message = f"the {fact} of '{name}' are not those of the run"
                said = f"{message}; {_difference(now.get(fact, ()), then.get(fact, ()))}"
                raise SpecError(said, ("data", "source"), str(run.path))


def _difference(now: Sequence[Any], then: Sequence[Any]) -> str:
    """The difference between two lists of names, in words; long ones are told by what one alone has."""
    if max(len(now), len(then)) <= FEW:
        return f"now {listed(now)}; then {listed(then)}"
    new, gone = [name for name in now if name not in {*then}], [name for name in then if name not in {*now}]
    return f"now alone {listed(new)}; then alone {listed(gone)}" if new or gone else "they are in another order"


def _further_metrics(
    run: Run, learner: Learner, data: Data, split: str, name: str, views: int
) -> tuple[dict[str, float], BaseException | None]:
    """The figures of evaluators, then those that plugins make of the answers; and the error of a plugin that failed."""
    found: dict[str, float] = {}
    failed: BaseException | None = None
    evaluators = usable(evaluators_of(data, learner, rebuild_of(run)), learner, data, views)
    Showing(learner, evaluators).show(data, evaluation_of(learner, data, split, name), views)
    for evaluator in evaluators:
        try:
            figures, files = evaluator.end(run)
        except Exception as raised:
            failed = failed or raised
            continue
        found |= figures
        for file, content in files.items():
            failed = failed or _write_down(run, file, content)
    reported, error = _plugins_metrics(run, learner, data, split, name, views)
    if views > 1 and not found and not reported and error is None and failed is None:
        raise SpecError("nobody reports on answers of this task that may be averaged, so that views have no metrics")
    return {key: float(value) for key, value in (found | reported).items()}, failed or error


def _write_down(run: Run, name: str, content: Any) -> SpecError | None:
    """Write a file of an evaluation; the error where the system refuses, which costs no figures."""
    try:
        run.write(name, content) if isinstance(content, str | bytes) else run.write_json(name, content)
    except SpecError as error:
        return error
    return None


def _plugins_metrics(
    run: Run, learner: Learner, data: Data, split: str, name: str, views: int
) -> tuple[dict[str, float], BaseException | None]:
    """The figures of the hook `evaluated`; where the main endpoint cannot be asked about the data, it is not called."""
    if not learner.serve or not host().manager.hook.evaluated.get_hookimpls():
        return {}, None
    asked = Asked(learner, signature_name(learner, None))
    if lacking := asked.lacking(data.arrays):
        log(f"plugins are not asked: no field of the data fills {listed(lacking)} of endpoint '{asked.endpoint}'")
        return {}, None
    predictions = Predictions(asked, Views(data, split, asked.inputs, views))
    asked_about = {"run": run, "split": split, "name": name, "predictions": predictions, "columns": data.columns(split)}
    given, error = ask_hook("evaluated", asked_about)
    found: dict[str, float] = {}
    for plugin, metrics in given:
        try:
            found |= {str(key): float(value) for key, value in metrics.items()}
        except (AttributeError, TypeError, ValueError):
            what = f"gave a {type(metrics).__name__}; it gives numbers by name, or None"
            error = error or PluginFailed(f"the hook 'evaluated' of plugin {plugin} {what}")
    return found, error
