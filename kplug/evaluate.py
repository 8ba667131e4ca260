"""What a finished run answers: metrics on a split, predictions for files, an export. The run alone is needed."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.build import build_learner
from kplug.callbacks import in_order
from kplug.data import Data, open_data, unreadable
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.export import export_saved_model, live_predictions, predictor
from kplug.following import values_follow
from kplug.kinds import FitInfo, Learner
from kplug.parts import load_kept_weights, parts_of, refuse_without_weights
from kplug.plugins import host
from kplug.run import Run
from kplug.views import Predictions


def log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def explained(data: Data, split: str | Callable[[], str], learner: Learner | None = None) -> Iterator[None]:
    """Errors of an input pipeline, with the pictures that cause them named; of memory, with a batch that should fit.

    Args:
        data: that is read.
        split: which of its splits is, or a function that says which is now.
        learner: what is trained, where it is.
    """

    def now() -> str:
        return split if isinstance(split, str) else split()

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        from kplug.memory import out_of_memory

        raise out_of_memory(data, now(), error, learner) from None
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError) as error:
        found = unreadable(data.split(now()), range(len(data.split(now()))), error)
        raise found from (error if found is not error else None)


def restored(run: Run) -> Learner:
    """The run's learner in its export's precision, with the weights it kept; nothing of its source is touched."""
    refuse_without_weights(run)
    spec = run.kept_spec
    with parts_of(run), values_follow():
        learner = build_learner(spec, run.info, FitInfo(steps=1, epochs=1), spec["export.precision"])
    load_kept_weights(run, learner.model)
    return learner


# what an evaluation may change of the run's spec: which pictures it sees, not what the run is
CHANGEABLE = ("data.source", "data.validation", "data.evaluate_with", "data.augment")


def evaluate_run(
    run: Run, split: str, name: str | None = None, views: int = 1, changes: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Metrics on a split, kept as `evaluation-SPLIT.json` in the run, or `evaluation-SPLIT-NAME.json`.

    Args:
        run: that finished.
        split: of its source.
        name: of this evaluation; needed where it is not that of the run's own data.
        views: test-time augmentation: how many views of a picture, itself and others under `data.augment`, are asked
            about; predictions are their mean, and metrics those of the plugins that report on predictions.
        changes: path to value, below `data`.
    """
    _refuse_evaluation(name, views, changes or {})
    learner = restored(run)
    data = open_data(run.spec.at(changes) if changes else run.spec)
    if data.info.classes != run.info.classes:
        now, then = listed(data.info.classes), listed(run.info.classes)
        message = f"the source's classes are not those of the run; now {now}; then {then}"
        raise SpecError([Problem(message, ("data", "source"), str(run.path))])
    data = Data(data.spec, data.splits, run.info)
    examples = data.split(split)
    over = f", {views} views of each" if views > 1 else ""
    log(f"evaluating {run.path} on {len(examples):,} examples of {split}{over}")
    with explained(data, split):
        metrics = {} if views > 1 else in_order(_values(learner, data, split))
        metrics |= _further_metrics(run, learner, data, split, f"{split}-{name}" if name else split, views)
    facts = {"run": str(run.path), "split": split, "views": views, "changes": dict(changes or {}), "metrics": metrics}
    run.write_json(f"evaluation-{split}{f'-{name}' if name else ''}.json", facts)
    return metrics


def _values(learner: Learner, data: Data, split: str) -> dict[str, float]:
    found: dict[str, float] = learner.model.evaluate(data.evaluation(learner, split), verbose=0, return_dict=True)
    return found


def _refuse_evaluation(name: str | None, views: int, changes: Mapping[str, Any]) -> None:
    if views < 1:
        raise SpecError(f"there is at least 1 view, the picture itself; received {views}")
    other = [path for path in changes if not any(f"{path}.".startswith(f"{head}.") for head in CHANGEABLE)]
    if other:
        raise SpecError(f"an evaluation cannot change {listed(other)}; it may change {listed(CHANGEABLE)}")
    if name is None and (changes or views > 1):
        raise SpecError(
            "give this evaluation a name, so that it does not replace that of the run's own data: --name NAME"
        )
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SpecError(f"a name is letters, digits, '.', '_' and '-'; received {name!r}")


def _further_metrics(run: Run, learner: Learner, data: Data, split: str, name: str, views: int) -> dict[str, float]:
    """What plugins make of the predictions, which are computed where one looks at them."""
    found: list[Mapping[str, float] | None] = []
    if "images" in learner.serve:
        ask, names = predictor(learner, run.info), learner.serve["images"].outputs
        predictions, columns = Predictions(ask, names, data, split, views), data.split(split).columns
        hook = host().manager.hook.evaluated
        found = hook(run=run, split=split, name=name, predictions=predictions, columns=columns)
    if views > 1 and not any(found):
        raise SpecError("no plugin reports on the predictions of this task, so that views have no metrics")
    return {key: float(value) for metrics in found if metrics for key, value in metrics.items()}


def predict_files(run: Run, files: list[Path], top: int) -> list[dict[str, Any]]:
    """One mapping a file: `file`, `valid`, then `class`, `score` and `top`, or whatever else the task serves."""
    contents = [_read(file) for file in files]
    learner = restored(run)
    answers = live_predictions(learner, run.info, contents)
    valid = answers.pop("valid")
    return [
        {"file": str(file), "valid": bool(valid[i])}
        | (_answer({name: values[i] for name, values in answers.items()}, run.info.classes, top) if valid[i] else {})
        for i, file in enumerate(files)
    ]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        near = did_you_mean(file.name, [p.name for p in file.parent.iterdir()]) if file.parent.is_dir() else ""
        raise SpecError([Problem(f"{(error.strerror or str(error)).lower()}{near}", where=str(file))]) from None


def _answer(outputs: dict[str, Any], classes: tuple[str, ...], top: int) -> dict[str, Any]:
    if "probabilities" not in outputs:
        return {name: np.asarray(value).tolist() for name, value in outputs.items()}
    scores = outputs["probabilities"]
    order = np.argsort(-scores, kind="stable")[:top]
    ranked = [[classes[i], float(scores[i])] for i in order]
    return {"class": ranked[0][0], "score": ranked[0][1], "top": ranked}


def export_run(run: Run, directory: Path) -> Path:
    """A new version below `directory`, verified on the run's sample pictures."""
    learner = restored(run)
    wanted = run.spec["export.signatures"]
    if wanted != "all":
        unknown = [name for name in wanted if name not in learner.serve]
        if unknown:
            message = f"'{unknown[0]}' is not a signature of the task; it has {listed(learner.serve)}"
            raise SpecError([Problem(message, ("export", "signatures"), run.spec.where(("export", "signatures")))])
        serve = {name: learner.serve[name] for name in wanted}
        learner = Learner(learner.model, learner.prepare, serve, learner.parts)
    samples = np.stack([tf.io.decode_png(p.read_bytes()).numpy() for p in sorted((run.path / "samples").glob("*.png"))])

    def before_rename(path: Path) -> None:
        host().manager.hook.exported(run=run, path=path)

    return export_saved_model(learner, run.info, directory, samples, name=str(run.path), before_rename=before_rename)
