"""Format 1, which 0.1.0 wrote, in the form of this version: specs, data and samples of runs, points of searches.

Format 1 knew one kind of example, a picture with a label: `data.image` said what the feature `image` says now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PICTURE = "image"  # the field whose form `data.image` said
OLD, NEW = "data.image", f"data.features.{PICTURE}"
# 0.1.0 read pictures as they are stored, whatever their EXIF orientation, and 16 bits by their upper 8
AS_STORED = {"type": "image", "orientation": False, "window": None}


def of_format_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data of a spec of format 1 as one of format 2 that trains and answers alike."""
    found = {**data, "kplug": 2}
    if isinstance(section := data.get("data"), dict):
        found["data"] = _section_of_format_1(section)
    if isinstance(search := data.get("search"), dict):
        space = {path: _range_of_format_1(path, said) for path, said in (search.get("space") or {}).items()}
        found["search"] = {**search, "space": point_of_format_1(space)}
        if "first" in search:
            found["search"]["first"] = [point_of_format_1(point) for point in search["first"]]
    return found


def _section_of_format_1(section: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in section.items() if key != "image"}
    features = {PICTURE: AS_STORED | dict(section.get("image") or {})}
    chosen = {"validation": validation_of_format_1(rest.get("validation", 0.1))}
    return {key: value for key, value in rest.items() if key == "source"} | {"features": features} | rest | chosen


def validation_of_format_1(written: Any) -> Any:
    """The share or fold that validates, chosen by whole paths as 0.1.0 did."""
    share = written if isinstance(written, dict) else {"share": written}
    return written if share.get("share") == 0 else share | {"key": "path"}


def _range_of_format_1(path: str, said: Any) -> Any:
    """A range of a search's space; the sub-trees of a choice say what was left out in them."""
    trees = said.get("choice") if isinstance(said, Mapping) else None
    if not isinstance(trees, Mapping) or path not in ("data", OLD):
        return said
    whole = _section_of_format_1 if path == "data" else lambda tree: AS_STORED | dict(tree or {})
    return {**said, "choice": {label: whole(tree) for label, tree in trees.items()}}


def point_of_format_1(point: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping by paths of a spec, such as a point of a search, by the paths of format 2."""
    return {path_of_format_1(path): value for path, value in point.items()}


def path_of_format_1(path: str) -> str:
    """A path of a spec of format 1 as it is called in format 2."""
    is_of_it = path == OLD or path.startswith((f"{OLD}.", f"{OLD}["))
    return NEW + path.removeprefix(OLD) if is_of_it else path


def info_of_format_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `data.json` of format 1 as one of format 2; counts were of train alone."""
    height, width, channels = data["fields"]["image"]["shape"]
    node = {**AS_STORED, "size": [height, width], "resize": data["resize"], "channels": channels}
    features, facts = {PICTURE: node}, {PICTURE: {"size": [height, width], "channels": channels}}
    if "label" in data["fields"] and data["classes"]:
        features["label"] = {"type": "label"}
        several = len(data["fields"]["label"]["shape"]) == 1
        counts = {"train": data["counts"]}
        facts["label"] = {"classes": data["classes"], "several": several, "counts": counts}
    return {"format": 1, "fields": data["fields"], "features": features, "facts": facts, "splits": data["splits"]}


def as_known_to(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the facts about data that a run knew of it, so that the two can be compared; format 1 knew less.

    Args:
        then: the run's, as `data.json` has it or `info_of_format_1` gives it.
        now: of the data that was opened, in format 2.
    """
    if then.get("format") == 2:
        return dict(now)
    facts = {name: _parts(told, now["facts"].get(name, {})) for name, told in then["facts"].items()}
    now = {key: value for key, value in now.items() if key != "rows"}
    return {**now, "format": 1, "features": then["features"], "facts": facts}


def _parts(then: Any, now: Any) -> Any:
    if not isinstance(then, Mapping) or not isinstance(now, Mapping):
        return now
    return {key: _parts(value, now.get(key)) for key, value in then.items()}


def samples_of_format_1(folder: Path) -> dict[str, list[Path]]:
    """The files of a run's samples by field, where it kept pictures alone: `samples/00.png`, ..."""
    files = sorted(folder.glob("*.png"))
    return {PICTURE: files} if files else {}
