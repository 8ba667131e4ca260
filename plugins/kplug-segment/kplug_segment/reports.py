"""The evaluators of segmentation: figures of classes, of objects, of regions between thin borders."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from kplug import Evaluation, Needs, SplitEvaluator
from kplug.authoring import drawn, pictures
from kplug_segment.learner import insides
from kplug_segment.regions import iou_of_objects, matched, mean_precision, rand_scores, thinned_regions, watershed

NOT_KNOWN = 255
WORST, GAP = 6, 4  # pictures that a report shows, pixels between them
INSIDE, FOREGROUND = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8), (0.3, 0.4, 0.5, 0.6, 0.7)
CHOICES = tuple((inside, foreground) for inside in INSIDE for foreground in FOREGROUND)  # tried on validation


# --- classes ---------------------------------------------------------------------------------------------------------


class SegmentationReport(SplitEvaluator):
    """Overlap of each class over all pixels of a split, and over each picture.

    It writes `report-NAME.json`, and the pictures with the least overlap to `plots/worst-NAME.png`: as they are, and as
    they are said to be.

    Args:
        mask: the field of masks, `[b, h, w]`, or `[b, h, w, classes]` where a pixel may have several.
        image: the field of pictures.
        classes: their names.
        several: a pixel may have several.
        every: epochs between which it looks at validation while training; None: not then.
    """

    def __init__(self, mask: str, image: str, classes: Sequence[str], several: bool, every: int | None) -> None:
        self.mask, self.image, self.classes, self.several, self.every = mask, image, tuple(classes), several, every
        self.needs = Needs(outputs=("mask",), fields=(image, mask))
        self.figures = ("mean_iou", "mean_dice", "pixel_accuracy", "pixel_error", "dice_per_picture")

    def begin(self, evaluation: Evaluation) -> None:
        super().begin(evaluation)
        self.counts = np.zeros((len(self.classes), 3), np.int64)  # of each class: right, said, both
        self.pixels = np.zeros(2, np.int64)  # known, and right
        self.of_pictures: list[np.ndarray] = []
        self.worst: list[tuple[float, int, Any]] = []  # overlap, row, and (picture, right, said); the worst first

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        for row, image, right, said in zip(rows, truths[self.image], truths[self.mask], answers["mask"], strict=True):
            counts, pixels = counted(right, said, len(self.classes), self.several)
            self.counts += counts
            self.pixels += pixels
            self.of_pictures.append(dice(counts))
            overlap = _mean(self._foreground(self.of_pictures[-1]))
            self.worst.append((overlap, int(row), (image, right, said)))
            self.worst = sorted(self.worst, key=lambda one: one[:2])[:WORST]

    def _foreground(self, of_classes: np.ndarray) -> np.ndarray:
        """Without the first class, which is the background, but where pixels may have several, or there is no other."""
        return of_classes if self.several or len(self.classes) == 1 else of_classes[..., 1:]

    def state(self) -> Mapping[str, Any]:
        return {
            "counts": self.counts,
            "pixels": self.pixels,
            "pictures": np.array(self.of_pictures).reshape(-1, len(self.classes)),
        }

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        self.counts = np.sum([state["counts"] for state in states], axis=0)
        self.pixels = np.sum([state["pixels"] for state in states], axis=0)
        self.of_pictures = [row for state in states for row in state["pictures"]]
        self.worst = []  # which is for files alone

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        of_class, overlap = dice(self.counts), iou(self.counts)
        of_picture = np.array(self.of_pictures).reshape(-1, len(self.classes))
        known, right = self.pixels.tolist()
        summary = {
            "mean_iou": _mean(overlap),
            "mean_dice": _mean(of_class),
            "pixel_accuracy": right / max(known, 1),
            "pixel_error": 1 - right / max(known, 1),
            "dice_per_picture": _mean(self._foreground(of_picture)),
        }
        if run is None:
            return summary, {}
        each = {
            name: {
                "iou": _number(overlap[number]),
                "dice": _number(of_class[number]),
                "pixels": int(self.counts[number, 0]),
                "said": int(self.counts[number, 1]),
                "pictures_without_it": int(np.isnan(of_picture[:, number]).sum()),
            }
            for number, name in enumerate(self.classes)
        }
        absent = [name for number, name in enumerate(self.classes) if np.isnan(of_class[number])]
        found = {"examples": len(of_picture), **summary, "classes": each, "absent": absent}
        found["worst"] = [{"row": row, "dice": round(overlap, 4)} for overlap, row, _ in self.worst]
        drawings = pictures({f"plots/worst-{self.evaluation.name}.png": self._draw_worst})
        return summary, {f"report-{self.evaluation.name}.json": found} | drawings

    def _draw_worst(self) -> bytes | None:
        """The worst pictures in rows: with what is right, and with what is said."""
        info = self.evaluation.info
        tiles = [
            [drawn(info, {self.image: image, self.mask: mask}, self.image) for mask in (right, said)]
            for _, _, (image, right, said) in self.worst
        ]
        return in_rows(tiles)


def in_rows(tiles: Sequence[Sequence[Any]]) -> bytes | None:
    """A PNG of pictures in rows; None of none."""
    if not tiles:
        return None
    width, height = (max(tile.size[axis] for row in tiles for tile in row) + GAP for axis in (0, 1))
    whole = Image.new("RGB", (width * max(map(len, tiles)) - GAP, height * len(tiles) - GAP), "white")
    for y, row in enumerate(tiles):
        for x, tile in enumerate(row):
            whole.paste(tile, (x * width, y * height))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def counted(right: np.ndarray, said: np.ndarray, classes: int, several: bool) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of one picture: of each class `[classes, 3]` right, said and both; and all that are known."""
    if several:
        known = (right != NOT_KNOWN).all(-1)
        there, found = (right == 1) & known[..., None], (said == 1) & known[..., None]
        counts = np.stack([there.sum((0, 1)), found.sum((0, 1)), (there & found).sum((0, 1))], axis=-1)
        return counts, np.array([known.sum() * classes, ((there == found) & known[..., None]).sum()])
    known = right != NOT_KNOWN
    joint = np.bincount(
        right[known].astype(np.int64) * classes + said[known].astype(np.int64), minlength=classes * classes
    ).reshape(classes, classes)
    counts = np.stack([joint.sum(1), joint.sum(0), np.diag(joint)], axis=-1)
    return counts, np.array([joint.sum(), np.trace(joint)])


def dice(counts: np.ndarray) -> np.ndarray:
    """Twice what both have by what each has, NaN where neither has any, of `[..., 3]`: right, said, both."""
    total = counts[..., 0] + counts[..., 1]
    return np.divide(2.0 * counts[..., 2], total, out=np.full(total.shape, np.nan), where=total > 0)


def iou(counts: np.ndarray) -> np.ndarray:
    """The intersection by the union, NaN where there is none, of `[..., 3]`: right, said, both."""
    total = counts[..., 0] + counts[..., 1] - counts[..., 2]
    return np.divide(1.0 * counts[..., 2], total, out=np.full(total.shape, np.nan), where=total > 0)


def _mean(values: np.ndarray) -> float:
    """The mean of what is there; 1 of nothing, where there was nothing to find and nothing was found."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else 1.0


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# --- regions between borders -----------------------------------------------------------------------------------------


class RegionReport(SplitEvaluator):
    """Rand and information-theoretic scores of the regions between thin borders (Arganda-Carreras et al. 2015).

    Args:
        mask: the field of masks.
        region: number of the class whose connected pixels are the regions.
        thresholds: of its probability; where there are several, the one that is best on validation counts.
        every: epochs between which it looks at validation while training; None: not then.
        has_validation: there is a split to choose the threshold on.
    """

    def __init__(
        self, mask: str, region: int, thresholds: Sequence[float], every: int | None, has_validation: bool
    ) -> None:
        self.mask, self.region, self.thresholds, self.every = mask, region, tuple(thresholds), every
        self.chosen_on = ("validation",) if len(self.thresholds) > 1 and has_validation else ()
        self.needs = Needs(outputs=("probabilities",), fields=(mask,), splits=self.chosen_on)
        self.figures = ("v_rand", "v_info")

    def begin(self, evaluation: Evaluation) -> None:
        super().begin(evaluation)
        self.scores: dict[str, list[list[tuple[float, float]]]] = {}
        self.split = evaluation.split
        further = () if self.split in self.chosen_on else self.chosen_on  # what is looked at anyway is shown once
        self.needs = replace(self.needs, splits=further)

    def begin_split(self, name: str) -> None:
        self.split = name
        self.scores[name] = []

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        for right, said in zip(truths[self.mask], answers["probabilities"], strict=True):
            truth = thinned_truth(right, self.region)
            probability = said[..., self.region]
            self.scores.setdefault(self.split, []).append(
                [rand_scores(truth, thinned_regions(probability > threshold)) for threshold in self.thresholds]
            )

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        means = {split: np.mean(scores, axis=0) for split, scores in self.scores.items() if scores}
        own = means[self.evaluation.split]
        best = int(np.argmax(means.get("validation", own)[:, 0]))
        figures = {"v_rand": float(own[best, 0]), "v_info": float(own[best, 1])}
        if run is None:
            return figures, {}
        each = {
            f"{threshold:g}": {"v_rand": float(rand), "v_info": float(info)}
            for threshold, (rand, info) in zip(self.thresholds, own, strict=True)
        }
        chosen_on = "validation" if "validation" in means else self.evaluation.split
        found = {**figures, "threshold": self.thresholds[best], "chosen_on": chosen_on, "thresholds": each}
        return figures, {f"regions-{self.evaluation.name}.json": found}


def thinned_truth(mask: np.ndarray, region: int) -> np.ndarray:
    """Ids of the true regions, 0 on borders and where nothing is known."""
    regions = thinned_regions(mask == region)
    return np.where(mask == region, regions, 0)


# --- objects ---------------------------------------------------------------------------------------------------------


class ObjectReport(SplitEvaluator):
    """Precision of objects that a watershed finds in insides and borders (Data Science Bowl 2018).

    Args:
        mask: the field of insides and borders.
        objects: the field of true objects.
        every: epochs between which it looks at validation while training; None: not then.
    """

    def __init__(self, mask: str, objects: str, every: int | None) -> None:
        self.mask, self.objects, self.choices, self.every = mask, objects, CHOICES, every
        self.needs = Needs(outputs=("probabilities", "mask"), fields=(objects,))
        self.figures = ("mean_precision", "ap50")
        self.choose: Any = None  # what a task does with the thresholds that are best on validation

    def begin(self, evaluation: Evaluation) -> None:
        super().begin(evaluation)
        self.found: list[list[np.ndarray]] = []
        self.rows: list[int] = []

    def add(self, rows: Any, truths: Any, answers: Any, columns: Any) -> None:
        given = zip(rows, truths[self.objects], answers["probabilities"], answers["mask"], strict=True)
        for row, ids, probabilities, mask in given:
            tried = [insides(probabilities, *choice) for choice in self.choices] if self.is_choosing else []
            truth = ids.max(-1)
            self.found.append([iou_of_objects(truth, watershed(np.asarray(one))) for one in (mask, *tried)])
            self.rows.append(int(row))

    @property
    def is_choosing(self) -> bool:
        """True where thresholds may be chosen: on validation, for a task that keeps them."""
        return self.choose is not None and self.evaluation.split == "validation"

    def end(self, run: Any) -> tuple[dict[str, float], dict[str, Any]]:
        precisions = np.array([[mean_precision(iou) for iou in picture] for picture in self.found])
        best = 0  # as the network answers
        if self.is_choosing and run is None:
            best = 1 + int(np.argmax(precisions[:, 1:].mean(0)))
            self.choose(*self.choices[best - 1])
        chosen = [picture[best] for picture in self.found]
        hits = sum(matched(iou, 0.5) for iou in chosen)
        objects, answers = (sum(iou.shape[axis] for iou in chosen) for axis in (0, 1))
        ap50 = float(np.mean([_precision(matched(iou, 0.5), *iou.shape) for iou in chosen]))
        figures = {"mean_precision": float(precisions[:, best].mean()), "ap50": ap50}
        if run is None:
            return figures, {}
        order = np.argsort(precisions[:, best], kind="stable")[:WORST]
        found = {
            "examples": len(chosen),
            **figures,
            "objects": objects,
            "answers": answers,
            "hits_at_50": hits,
            "worst": [{"row": self.rows[at], "mean_precision": round(float(precisions[at, best]), 4)} for at in order],
        }
        return figures, {f"objects-{self.evaluation.name}.json": found}


def _precision(hits: int, objects: int, answers: int) -> float:
    total = objects + answers - hits
    return hits / total if total else 1.0
