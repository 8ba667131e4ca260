"""The source of pictures in class folders."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from kplug.data.source_files import found_files, in_order, is_picture, share_out, tell_repeated
from kplug.default_plugins.sources.picture_splits import file_split
from kplug.default_plugins.sources.text_files import raise_missing, read_classes
from kplug.errors import SpecError, did_you_mean, listed
from kplug.records import Split

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
# folders with thumbnails of a NAS, its waste, and copies of what macOS hides: pictures by their content
NOT_OURS = ("@eaDir", "#recycle", "#snapshot", "__MACOSX", "lost+found", "$RECYCLE.BIN")
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
    pairs = [pair for those in labelled.values() for pair in those]
    files = found_files([os.path.join(root, file) for file, _ in pairs], root)
    tell_repeated(files, [name for _, name in pairs])
    split_of = [split for split, those in labelled.items() for _ in those]
    rows = {split: [row for row, own in enumerate(split_of) if own == split] for split in labelled}
    if not parts:
        _tell_split_names(root, names)
        rows = share_out(rows["train"], files.names, test)
    codes = {name: code for code, name in enumerate(names)}
    labels = np.array([codes[name] for _, name in pairs], np.int32)
    return {split: file_split(files.at(own), {"label": labels[own]}, names) for split, own in rows.items()}


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


def _tell_split_names(root: str, names: Sequence[str]) -> None:
    """Say which classes have the name of a split, where a folder has no splits."""
    if alike := [name for name in names if LIKE_SPLIT.fullmatch(name)]:
        what = f"{root}: {listed(alike)} is taken as a class, since it stands beside other class folders"
        logging.getLogger("kplug").warning("%s; splits are folders of class folders, %s/train/CLASS", what, root)


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
    if others:
        logging.getLogger("kplug").warning(
            "%s: passed over %s; JPEG, PNG, BMP and GIF are read", folder, _census(others)
        )
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
            elif _may_be_read(entry) and (ending in ENDINGS or is_picture(entry.path)):
                pictures.append(os.path.join(folder, entry.name))
            else:
                others[ending] += 1
    return sorted(pictures), others


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """True for a file, and for a link that leads nowhere, which is told later; not for a pipe, which never ends."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The entries of a folder, without hidden ones and what systems and devices keep beside a person's files."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NOT_OURS]
    except FileNotFoundError:
        raise_missing("folder", folder)
    except OSError as error:
        raise SpecError(f"cannot list the folder {folder}: {error.strerror}") from None


def _census(endings: Mapping[str, int]) -> str:
    """Numbers of files in words: `3 files .tif, 1 file without ending`."""
    return ", ".join(f"{n} file{'s' * (n > 1)} {ending or 'without ending'}" for ending, n in sorted(endings.items()))
