"""What the weights that a run kept say of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kplug.errors import Problem, SpecError, did_you_mean
from kplug.inference.endpoints import live_predictions
from kplug.inference.run import Run
from kplug.model.from_run import rebuild_of
from kplug.model.learner import build_learner
from kplug.model.weights import load_kept_weights, refuse_without_weights
from kplug.records import FitInfo, Learner


def restored(run: Run) -> Learner:
    """The run's learner in its export's precision, with the weights it kept; nothing of its source is touched."""
    refuse_without_weights(run)
    spec = run.kept_spec
    fit = FitInfo(steps=1, epochs=1)
    learner = build_learner(spec, run.info, fit, spec["export.precision"], rebuild=rebuild_of(run))
    load_kept_weights(run, learner.model)
    return learner


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
