"""The source of pictures in class folders."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from kplug.default_plugins.sources.picture_splits import file_split, in_order, share_out
from kplug.default_plugins.sources.text_files import raise_missing, read_classes
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Split

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
OTHER_PICTURES = (".avif", ".heic", ".jp2", ".ppm", ".tif", ".tiff", ".webp")  # worth a word when they are passed over
SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
LIKE_SPLIT = re.compile(r"(train|test|val|valid|validation)(ing)?", re.IGNORECASE)

Labelled = list[tuple[str, str]]  # (path of a picture relative to the root, class name)

# --- the source ----------------------------------------------------------------------------------------------------


def open_folder(path: str, test: float, classes: str | None) -> dict[str, Split]:
    """The splits of a folder of class folders; `kplug.default_plugins.sources.folder` says the parameters."""
    root = os.path.expanduser(path)
    names = read_classes(classes) if classes else None
    parts = _split_folders(root)
    labelled = {split: _labelled(root, folder) for split, folder in (parts or {"train": ""}).items()}
    names = names or tuple(sorted({name for _, name in labelled["train"]}))
    _refuse_unknown(labelled, names, classes or os.path.join(root, "train"))
    if not parts:
        labelled = share_out(labelled["train"], [file for file, _ in labelled["train"]], test)
    codes = {name: code for code, name in enumerate(names)}
    splits = {}
    for split, pairs in labelled.items():
        labels = np.array([codes[name] for _, name in pairs], np.int32)
        splits[split] = file_split([os.path.join(root, file) for file, _ in pairs], {"label": labels}, names)
    return splits


def _split_folders(root: str) -> dict[str, str]:
    """Folders by split where `root/train` holds class folders, else none."""
    folders = _subfolders(root)
    nested = [folder for folder in folders if _subfolders(os.path.join(root, folder))]
    if "train" not in nested:
        if alike := [folder for folder in nested if LIKE_SPLIT.fullmatch(folder)]:
            what = f"{root} has {listed(alike)} with folders in them, but no train"
            raise SpecError(f"{what}; name the folders {listed(SPLIT_NAMES)}")
        return {}
    parts: dict[str, str] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder)
        if split in parts:
            raise SpecError(f"{root} has the folders '{parts[split]}' and '{folder}'; keep one {split} folder")
        if split:
            parts[split] = folder
        elif folder in nested and (near := did_you_mean(folder, SPLIT_NAMES)):
            what = f"{root}/{folder} stands beside train and is no split{near}"
            raise SpecError(f"{what} (splits: {listed(SPLIT_NAMES)})")
    return in_order(parts)


def _labelled(root: str, part: str) -> Labelled:
    """Every picture below the class folders of `root/part`, sorted."""
    folder = os.path.join(root, part) if part else root
    example = os.path.join(folder, "<class>", "1.jpg")
    found, others, empty = [], Counter[str](), []
    for name in _subfolders(folder):
        pictures, passed_over = _pictures(root, os.path.join(part, name))
        found += [(picture, name) for picture in pictures]
        others += passed_over
        if not pictures:
            empty.append(f"{os.path.join(folder, name)} ({_census(passed_over) or 'empty'})")
    if empty:
        what = f"class folders without a picture: {listed(empty)}"
        raise SpecError(f"{what}; add pictures ({listed(ENDINGS)}) or remove them")
    if not found:
        raise SpecError(f"{folder} holds no class folders; pictures are expected as {example}")
    if unread := {ending: n for ending, n in others.items() if ending in OTHER_PICTURES}:
        logging.getLogger("kplug").warning("%s: passed over %s; %s are read", folder, _census(unread), listed(ENDINGS))
    return found


def _refuse_unknown(labelled: Mapping[str, Labelled], names: Sequence[str], where: str) -> None:
    """Refuse class folders that are none of the classes, whose names come from a file or folder, `where`."""
    for split, pairs in labelled.items():
        if unknown := sorted({name for _, name in pairs} - set(names)):
            what = f"class folders of {split} that {where} lacks: {listed(unknown)}{did_you_mean(unknown[0], names)}"
            raise SpecError(f"{what} (classes: {listed(names)})")


# --- walking folders -----------------------------------------------------------------------------------------------


def _subfolders(folder: str) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _pictures(root: str, top: str) -> tuple[list[str], Counter[str]]:
    """The pictures below `root/top`, relative to root and sorted, and the endings of the other files."""
    pictures, others = [], Counter[str]()
    waiting, seen = [top], set()
    while waiting:
        folder = waiting.pop()
        status = os.stat(os.path.join(root, folder))
        if (status.st_dev, status.st_ino) in seen:  # links that lead back
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(os.path.join(root, folder)):
            ending = os.path.splitext(entry.name)[1].lower()
            if entry.is_dir():
                waiting.append(os.path.join(folder, entry.name))
            elif ending in ENDINGS:
                pictures.append(os.path.join(folder, entry.name))
            else:
                others[ending] += 1
    return sorted(pictures), others


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The entries of a folder, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise_missing("folder", folder)
    except OSError as error:
        raise SpecError(f"cannot list the folder {folder}: {error.strerror}") from None


def _census(endings: Mapping[str, int]) -> str:
    """Numbers of files in words: `3 files .tif, 1 file without ending`."""
    return ", ".join(f"{n} file{'s' * (n > 1)} {ending or 'without ending'}" for ending, n in sorted(endings.items()))
