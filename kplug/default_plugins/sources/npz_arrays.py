"""The sources of pictures that are arrays: .npz files, and scikit-learn's digits."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kplug.data.source_files import in_order, object_column, share_out
from kplug.data.splits import group_keys, stable_share
from kplug.default_plugins.sources.picture_splits import memory_split
from kplug.default_plugins.sources.text_files import raise_missing
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Columns, Split

CHANNELS = (1, 3, 4)
MOST_UNNAMED = 2**16  # classes that are counted from the labels alone
SPLIT_ENDINGS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
Arrays = dict[str, np.ndarray]


# --- digits --------------------------------------------------------------------------------------------------------


def open_digits() -> dict[str, Split]:
    """Scikit-learn's digits in a fixed order, a fifth of every class as test."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images[..., np.newaxis] * (255 / 16)).astype(np.uint8)
    labels = found.target.astype(np.int32)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        test[rows] = stable_share([str(row) for row in rows], 0.2)
    order = np.random.RandomState(0).permutation(len(labels))  # the legacy generator's stream is frozen
    names = [str(digit) for digit in range(10)]
    parts = {"train": order[~test[order]], "test": order[test[order]]}
    return {split: memory_split(images[rows], {"label": labels[rows]}, names) for split, rows in parts.items()}


# --- arrays --------------------------------------------------------------------------------------------------------


def open_arrays(path: str, test: float, group: str | None = None) -> dict[str, Split]:
    """The splits of an .npz file; `kplug.default_plugins.sources.arrays` says the parameters."""
    path = os.path.expanduser(path)
    found = _read_arrays(path)
    given = found.pop("classes", None)
    parts = _parts_by_ending(path, found) if "x_train" in found else _parts_by_share(path, found, test, group)
    images = {split: _checked_images(path, split, part.pop("x")) for split, part in parts.items()}
    if len(sizes := {array.shape[1:] for array in images.values()}) > 1:
        raise SpecError(f"{path}: the splits' pictures differ in shape: {listed(sorted(sizes))}")
    for split, part in parts.items():
        size = len(images[split])
        for name, array in part.items():
            if name in ("image", "label"):
                raise SpecError(f"{path}: a further column cannot be named {name}; rename it")
            if array.shape[:1] != (size,):
                raise SpecError(f"{path}: {name} of {split} has the shape {array.shape}, for {size} pictures")
    labels, names = _checked_labels(path, {split: part.pop("y") for split, part in parts.items()}, given)
    columns = {split: {"label": labels[split], **_columns(part)} for split, part in parts.items()}
    return {split: replace(memory_split(images[split], columns[split], names), group=group) for split in parts}


def _read_arrays(path: str) -> Arrays:
    if not os.path.exists(path):
        raise_missing("file", path)
    name, found = "?", {}
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise SpecError(f"{path} holds one array; save pictures and labels together with np.savez")
            for name in loaded.files:
                found[name] = loaded[name]
        return found
    except (zipfile.BadZipFile, EOFError) as error:
        raise SpecError(f"{path} is no whole .npz file ({error}); write it with np.savez") from None
    except ValueError as error:
        message = f"{path} is no .npz file; write it with np.savez"
        if "allow_pickle" in str(error) and name != "?":
            message = f"{path}: '{name}' holds Python objects; save strings with dtype str, numbers as numbers"
        raise SpecError(message) from None
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}") from None


def _parts_by_ending(path: str, found: Arrays) -> dict[str, Arrays]:
    """Arrays by split and by name without the ending: x, y and columns."""
    parts: dict[str, Arrays] = {}
    for key, array in found.items():
        name, _, ending = key.rpartition("_")
        split = SPLIT_ENDINGS.get(ending)
        if not name or split is None:
            endings = listed(f"_{known}" for known in SPLIT_ENDINGS)
            raise SpecError(f"{path}: the array '{key}' belongs to no split; end its name in {endings}, or remove it")
        if name in parts.setdefault(split, {}):
            raise SpecError(f"{path} has {name}_val and {name}_validation; keep one")
        parts[split][name] = array
    names = parts["train"].keys() | {"x", "y"}
    for split, part in parts.items():
        if lacking := sorted(names - part.keys()):
            raise SpecError(f"{path} has no array {lacking[0]}_{split} (arrays: {listed(found)})")
        if further := sorted(part.keys() - names):
            near = did_you_mean(further[0], names)
            raise SpecError(f"{path} has {further[0]}_{split} and no {further[0]}_train{near}")
    return in_order(parts)


def _parts_by_share(path: str, found: Arrays, test: float, group: str | None) -> dict[str, Arrays]:
    for key in ("images", "labels"):
        if key not in found:
            what = f"{path} has no array '{key}'{did_you_mean(key, found)} (arrays: {listed(found)})"
            raise SpecError(f"{what}; expected are x_train, y_train and the like, or images, labels")
    size = len(found["images"]) if found["images"].ndim else 0
    if strange := [key for key, array in found.items() if array.shape[:1] != (size,)]:
        raise SpecError(f"{path}: {listed(strange)} should have {size} rows, as images has; mend or remove them")
    if size == 0:
        raise SpecError(f"{path}: images is empty")
    if taken := sorted({"x", "y"} & found.keys()):
        raise SpecError(f"{path}: the arrays {listed(taken)} stand beside images and labels; rename them")
    renamed = {{"images": "x", "labels": "y"}.get(key, key): array for key, array in found.items()}
    named = {"label" if key == "y" else key: array for key, array in renamed.items() if key != "x"}
    groups = None if group is None else group_keys(Columns(size, named), group)
    chosen = share_out(range(size), [str(row) for row in range(size)], test, groups)
    return {split: {key: array[rows] for key, array in renamed.items()} for split, rows in chosen.items()}


def _checked_images(path: str, split: str, images: np.ndarray) -> np.ndarray:
    """The pictures of a split as uint8 [n, height, width, channels]."""
    what = f"{path}: the pictures of {split}"
    if images.dtype != np.uint8:
        scale = "multiply by 255 and round if they are 0 to 1, then " if images.dtype.kind == "f" else ""
        raise SpecError(f"{what} are {images.dtype}, not uint8; {scale}save them with .astype('uint8')")
    given = images.shape
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in CHANNELS or 0 in images.shape[1:]:
        wanted = f"[n, height, width] or [n, height, width, channels] with channels {listed(CHANNELS)}"
        raise SpecError(f"{what} have the shape {given}, not {wanted}")
    if len(images) == 0:
        raise SpecError(f"{path}: the split {split} is empty")
    return images


def _checked_labels(path: str, labels: Arrays, given: np.ndarray | None) -> tuple[Arrays, tuple[str, ...]]:
    """Labels by split, int32 [n] or float32 [n, classes], and the class names."""
    names = None if given is None else tuple(str(name) for name in given.reshape(-1))
    if names is not None and len(set(names)) < len(names):
        raise SpecError(f"{path}: classes names a class twice ({listed(names)})")
    labels = {split: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for split, y in labels.items()}
    if all(y.ndim == 2 for y in labels.values()):
        return _checked_rows(path, labels, names)
    for split, y in labels.items():
        if y.ndim != 1 or y.dtype.kind not in "iu":
            found = f"{path}: the labels of {split} are {y.dtype} {y.shape}"
            raise SpecError(f"{found}, not integers [n] or zeros and ones [n, classes]")
    size = len(names) if names is not None else int(labels["train"].max()) + 1
    if names is None and size > MOST_UNNAMED:
        raise SpecError(f"{path}: label {size - 1}; number the classes from 0, or name them in an array 'classes'")
    for split, y in labels.items():
        if (outside := np.flatnonzero((y < 0) | (y >= size))).size:
            found = f"{path}: label {y[outside[0]]} in row {outside[0]} of {split} ({outside.size} in all)"
            hint = "" if names is not None else " that train has; to have more, name them in an array 'classes'"
            raise SpecError(f"{found} is outside the {size} classes{hint}")
    return {split: y.astype(np.int32) for split, y in labels.items()}, names or tuple(map(str, range(size)))


def _checked_rows(path: str, labels: Arrays, names: Sequence[str] | None) -> tuple[Arrays, tuple[str, ...]]:
    """Labels that are rows of zeros and ones, and the class names; single labels where each row has one 1."""
    size = len(names) if names is not None else labels["train"].shape[1]
    for split, y in labels.items():
        if y.shape[1] != size:
            raise SpecError(f"{path}: the labels of {split} have the shape {y.shape}, for {size} classes")
        if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
            raise SpecError(f"{path}: the labels of {split}, {y.dtype} {y.shape}, are not zeros and ones")
    single = all((y.sum(1) == 1).all() for y in labels.values())
    found = {split: y.argmax(1).astype(np.int32) if single else y.astype(np.float32) for split, y in labels.items()}
    return found, tuple(names or map(str, range(size)))


def _columns(part: Arrays) -> Arrays:
    return {name: object_column(array.tolist()) if array.dtype.kind == "U" else array for name, array in part.items()}
