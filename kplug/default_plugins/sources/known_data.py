"""Facts that sources know of their data before it is opened, from names of folders and small files: free of TensorFlow.

What is missing, damaged or otherwise than thought is left unknown here: the source says so when it is opened.
"""

import contextlib
import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kplug import Known
from kplug.kinds import Call

PICTURES = {"image": "image", "label": "label"}  # the features of a source of pictures with their classes
FILES = PICTURES | {"path": None}  # and the column that says where each is from
READ_AT_CHECK = 4_000_000  # bytes of a table that are read in 0.1 s, of the quarter that `kplug check` may take
TILE_COLUMNS = ("picture", "tile_y", "tile_x")  # of a source of tiles


def digits() -> Known:
    classes = tuple(str(digit) for digit in range(10))
    return Known(features=PICTURES, facts={"image": {"size": (8, 8), "channels": 1}, "label": {"classes": classes}})


def folder(path: str, classes: str | None) -> Known:
    root = Path(os.path.expanduser(path))
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if classes is not None:
            return _of_classes(_lines(Path(os.path.expanduser(classes))))
        train = root / "train"
        nested = train.is_dir() and any(entry.is_dir() for entry in train.iterdir())
        found = sorted(entry.name for entry in (train if nested else root).iterdir() if entry.is_dir())
        return _of_classes(tuple(found))
    return Known(features=FILES)


def _of_classes(classes: tuple[str, ...]) -> Known:
    return Known(features=FILES, facts={"label": {"classes": classes}})


def table(
    path: str, image: str | None, label: str | None, split: str | None, separator: str | None, group: str | None
) -> Known:
    """The fields of a table: its pictures and labels, and the columns that its first line names beside."""
    places = {key: column for key, column in {"label": label, "path": image}.items() if column is not None}
    named = {key: key for key, column in {"image": image, "label": label}.items() if column is not None}
    files = {} if image is None else {"path": None}
    with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error):
        with open(os.path.expanduser(path), encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file, skipinitialspace=True), [])]
        others = [name for name in header if name and name not in (image, label, split)]
        return Known(
            features=named | files | dict.fromkeys(others),
            facts={"label": {"several": separator is not None}},
            group=group,
            cells=lambda name: _cells(path, places.get(name, name), split),
        )
    return Known()


def _cells(path: str, column: str, split: str | None) -> list[str] | None:
    """The cells of a column in the rows that no column gives to another split, numbers in one form."""
    file = Path(os.path.expanduser(path))
    with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error):
        if file.stat().st_size > READ_AT_CHECK:
            return None
        text = file.read_text(encoding="utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), skipinitialspace=True) if row]
        header = [name.strip() for name in rows.pop(0)] if rows else []
        if column not in header or any(len(row) != len(header) for row in rows):
            return None
        at, of = header.index(column), header.index(split) if split in header else None
        return _in_one_form([row[at].strip() for row in rows if of is None or row[of].strip().lower() == "train"])
    return None


def _in_one_form(cells: list[str]) -> list[str]:
    try:
        return [repr(float(cell)) for cell in cells]
    except ValueError:
        return cells


def tfds(name: str, data_dir: str | None, image: str, label: str | None) -> Known:
    """Size and classes of a dataset that is on disk in one version, from `features.json` and the file of its labels."""
    import json

    place = Path(os.path.expanduser(data_dir or "~/tensorflow_datasets")) / name.replace(":", "/")
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError, KeyError, TypeError):
        (file,) = [place / "features.json"] if (place / "features.json").exists() else place.glob("*/features.json")
        features = json.loads(file.read_text(encoding="utf-8"))["featuresDict"]["features"]
        shape = features[image]["image"]["shape"]["dimensions"]
        height, width, channels = (int(side) if int(side) > 0 else None for side in shape)
        names = file.parent / f"{label}.labels.txt"
        named = "classLabel" in features.get(label, {}) and names.exists()
        size = (height, width) if height and width else None
        facts: dict[str, Any] = {"image": {"size": size, "channels": channels}}
        if named:
            facts["label"] = {"classes": _lines(names)}
        others = dict.fromkeys(key for key in features if key not in (image, label, "image", "label"))
        return Known(features={"image": "image"} | ({"label": "label"} if label else {}) | others, facts=facts)
    return Known()


def augmented(of: Known, augment: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> Known:
    """The facts of a source whose pictures are changed: they have another size where an augmentation gives them one."""
    from kplug.spec.plugins import host

    effects = [(node, host().registry.find("augmentation", node["type"]).effect) for node in augment]
    sizes = [node.get(effect.size.strip("{}")) for node, effect in effects if effect is not None and effect.size]
    sizes = [tuple(size) for size in sizes if size is not None]
    if not sizes or "train" not in splits:
        return of
    named = {"image": "image"} if of.features is None else of.features
    pictures = [name for name, feature in named.items() if _name_of(feature) == "image"]
    return replace(of, facts={**of.facts, **{name: {**of.facts.get(name, {}), "size": sizes[-1]} for name in pictures}})


def tiles(of: Known, size: Sequence[int], splits: Sequence[str] | None) -> Known:
    """The facts of a source whose pictures are cut: their size is another, and columns say where each is from."""
    named = {"image": "image"} if of.features is None else of.features
    pictures = [name for name, feature in named.items() if _name_of(feature) == "image"]
    features = None if of.features is None else {**of.features, **dict.fromkeys(TILE_COLUMNS)}
    is_cut = splits is None or "train" in splits
    facts = {name: {**of.facts.get(name, {}), "size": tuple(size)} for name in pictures if is_cut}
    return Known(features=features, facts={**of.facts, **facts})


def _name_of(feature: Any) -> str | None:
    """The name of a feature, of which a source gives that, a call of it, or None."""
    return feature.type if isinstance(feature, Call) else feature


def _lines(file: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
