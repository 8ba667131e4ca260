"""Installed distributions, read one by one: one that cannot be read is told by its folder, and all others count."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

GROUP = "kplug"


@dataclass(frozen=True)
class Installed:
    """A distribution as it was found on the path.

    Args:
        folder: that holds its metadata, by name; or the file, such as a zip, that holds all of it.
        name: as it says; "" where it does not.
        version: as it says; "" where it does not.
        entries: its entry points of kplug.
        problem: why it cannot be read, or lacks a name; "" where all is well.
    """

    folder: str
    name: str
    version: str
    entries: tuple[EntryPoint, ...] = ()
    problem: str = ""


def normalized(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> list[Installed]:
    """Every distribution on the path; of several of one name the first counts, as it does for an import."""
    found: dict[str, Installed] = {}
    for place, distribution in _on_the_path():
        one = _read(place, distribution)
        found.setdefault(normalized(one.name) or one.folder, one)
    return list(found.values())


def with_plugins() -> list[Installed]:
    """The distributions that have, or may have, plugins; of the others no metadata is read, at every start."""
    found: dict[str, Installed | None] = {}
    for place, distribution in _on_the_path():
        if place.is_file():  # a zip of any number of distributions
            one = _read(place, distribution)
            found.setdefault(normalized(one.name) or one.folder, one)
        elif (called := normalized(place.stem.partition("-")[0])) not in found:  # NAME-VERSION.dist-info
            found[called] = _read(place, distribution) if _names_the_group(place) else None
    return [one for one in found.values() if one and (one.entries or one.problem)]


def _on_the_path() -> Iterator[tuple[Path, Distribution]]:
    """Yield the place of each distribution's metadata, as far as it has one, and the distribution."""
    for entry in dict.fromkeys(os.path.abspath(entry) for entry in sys.path):
        try:
            names = sorted(os.listdir(entry))
        except NotADirectoryError:  # a zip
            yield from ((Path(entry), found) for found in distributions(path=[entry]))
        except OSError:
            continue
        else:
            for name in names:
                if name.endswith((".dist-info", ".egg-info")):
                    yield Path(entry, name), Distribution.at(Path(entry, name))


def _read(place: Path, distribution: Distribution) -> Installed:
    problems = []
    name = version = ""
    entries: tuple[EntryPoint, ...] = ()
    try:  # an email parser reads the file: what it raises for a damaged one is not said anywhere
        metadata = distribution.metadata
        name, version = metadata["Name"] or "", metadata["Version"] or ""
        is_there = not place.is_dir() or any((place / file).exists() for file in ("METADATA", "PKG-INFO"))
        problems += [] if name else ["its METADATA has no name" if is_there else "it has no METADATA"]
    except Exception as error:
        problems.append(f"its METADATA cannot be read: {error or type(error).__name__}")
    try:
        entries = _entries(distribution)
    except Exception as error:
        if _names_the_group(place):
            problems.append(f"its entry_points.txt cannot be read: {error or type(error).__name__}")
    return Installed(place.name, name, version, entries, "; ".join(problems))


def _entries(distribution: Distribution) -> tuple[EntryPoint, ...]:
    return tuple(sorted(distribution.entry_points.select(group=GROUP), key=lambda entry: entry.name))


def _names_the_group(place: Path) -> bool:
    try:
        return f"[{GROUP}]".encode() in (place / "entry_points.txt").read_bytes()
    except OSError:
        return False
