"""What a finished run answers: metrics on a split, predictions for files, an export. The run alone is needed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.build import build_learner
from kplug.callbacks import in_order
from kplug.data import Data, open_data, unreadable
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.export import export_saved_model, live_predictions, predictor
from kplug.kinds import FitInfo, Learner, Split
from kplug.parts import load_kept_weights, parts_of, refuse_without_weights
from kplug.plugins import host
from kplug.run import Run


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
    with parts_of(run):
        learner = build_learner(spec, run.info, FitInfo(steps=1, epochs=1), spec["export.precision"])
    load_kept_weights(run, learner.model)
    return learner


def evaluate_run(run: Run, split: str) -> dict[str, float]:
    """Metrics on a split, kept as `evaluation-SPLIT.json` in the run."""
    learner = restored(run)
    data = open_data(run.spec)
    if data.info.classes != run.info.classes:
        now, then = listed(data.info.classes), listed(run.info.classes)
        message = f"the source's classes are not those of the run; now {now}; then {then}"
        raise SpecError([Problem(message, ("data", "source"), str(run.path))])
    data = Data(data.spec, data.splits, run.info)
    examples = data.split(split)
    log(f"evaluating {run.path} on {len(examples):,} examples of {split}")
    with explained(data, split):
        values = learner.model.evaluate(data.evaluation(learner, split), verbose=0, return_dict=True)
        metrics = in_order(values)
        metrics |= _further_metrics(run, learner, data, split, examples)
    run.write_json(f"evaluation-{split}.json", {"run": str(run.path), "split": split, "metrics": metrics})
    return metrics


def _further_metrics(run: Run, learner: Learner, data: Data, split: str, examples: Split) -> dict[str, float]:
    """What plugins make of the predictions; they are computed only where one asks."""
    if not host().manager.hook.evaluated.get_hookimpls() or "images" not in learner.serve:
        return {}
    ask = predictor(learner, run.info)
    parts = [ask(images=batch["image"].numpy()) for batch in data.examples(split)]
    predictions = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = host().manager.hook.evaluated(run=run, split=split, predictions=predictions, columns=examples.columns)
    return {name: float(value) for metrics in found if metrics for name, value in metrics.items()}


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
