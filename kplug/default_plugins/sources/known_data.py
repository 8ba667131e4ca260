"""Facts that sources know of their data before it is opened, from names of folders and small files: free of TensorFlow.

What is missing, damaged or otherwise than thought is left unknown here: the source says so when it is opened.
"""

import contextlib
import os
from pathlib import Path

from kplug import Known


def digits() -> Known:
    return Known((8, 8, 1), tuple(str(digit) for digit in range(10)))


def folder(path: str, classes: str | None) -> Known:
    root = Path(os.path.expanduser(path))
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if classes is not None:
            return Known(classes=_lines(Path(os.path.expanduser(classes))))
        train = root / "train"
        nested = train.is_dir() and any(entry.is_dir() for entry in train.iterdir())
        found = sorted(entry.name for entry in (train if nested else root).iterdir() if entry.is_dir())
        return Known(classes=tuple(found))
    return Known()


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
        return Known((height, width, channels), _lines(names) if named else None)
    return Known()


def wrapped(of: Known) -> Known:
    """The facts of a source that leaves sizes and classes as they are."""
    return of


def _lines(file: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
