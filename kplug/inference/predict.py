"""Predictions of a run's kept weights for files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kplug.errors import Problem, SpecError, did_you_mean
from kplug.inference.endpoints import live_predictions
from kplug.model.learner import restored_learner

if TYPE_CHECKING:
    from kplug.inference.run import Run


def predict_files(run: Run, files: list[Path], top: int) -> list[dict[str, Any]]:
    """Return a mapping for each file: `file`, `valid`, then the answer: `class`, `score` and `top`, or others."""
    contents = [_read(file) for file in files]
    answers = live_predictions(restored_learner(run), run.info, contents)
    found = []
    for number, file in enumerate(files):
        outputs = {name: values[number] for name, values in answers.items()}
        valid = bool(outputs.pop("valid"))
        found.append({"file": str(file), "valid": valid} | (_answer(outputs, run.info.classes, top) if valid else {}))
    return found


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
