"""The facts about data as a run keeps them in `data.json`: seen to fit the features that they are of."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError, shown_value
from kplug.kinds import Feature
from kplug.records import Codec, DataInfo
from kplug.spec.build import build_plain
from kplug.spec.format_1 import info_of_format_1
from kplug.spec.values import adapter
from kplug.storage.reading import damaged, refuse_other_shape
from kplug.storage.shapes import Classes, Data, DataOfFormat1


def facts_in(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `data.json` in the form of this version; `format` is 1 where 0.1.0 wrote it.

    Raises:
        SpecError: it has not the shape of its format, or was written between the two.
    """
    if content.get("format") == 2 and "rows" not in content:
        what = "it is of a kplug between 0.1.0 and this one, which chose validation by other names"
        raise SpecError([Problem(f"{path.name} cannot be used: {what}; train again", where=str(path.parent))])
    refuse_other_shape(path, content, Data if "format" in content else DataOfFormat1)
    return dict(content) if "format" in content else info_of_format_1(content)


def info_of(path: Path, facts: Mapping[str, Any], label: str | None) -> DataInfo:
    """The record of the facts about a run's data, with the codecs of its fields.

    Args:
        path: the `data.json`.
        facts: what `facts_in` gave.
        label: the field of classes that the task names, if it names one.

    Raises:
        SpecError: a feature is not installed, or the facts do not fit it.
    """
    if label in facts["facts"]:
        refuse_other_shape(path, facts["facts"][label], Classes, inside=f"facts.{label}")
    for name, node in facts["features"].items():
        try:
            made = build_plain(Feature, node)
        except SpecError as error:
            problems = [Problem(p.message, ("features", name, *p.path), str(path)) for p in error.problems]
            raise SpecError(problems) from error.__cause__
        if problem := _misfit(made, facts["facts"].get(name, {}), name, facts["fields"]):
            raise damaged(path, problem)
    info = DataInfo.from_json(facts, functools.partial(build_plain, Feature))
    return info if label is None else info.naming(label)


def _misfit(made: Codec, told: Mapping[str, Any], name: str, fields: Mapping[str, Any]) -> str:
    """The reason why facts cannot be those of a codec, by its annotations and by the fields in a batch; "" where none.

    A codec of a plugin may do anything with facts that it did not learn, so that every error of it means that.
    """
    try:
        hints = typing.get_type_hints(type(made))
    except Exception:  # an annotation that only a type checker can read
        hints = {}
    for fact, value in told.items():
        if fact in hints and getattr(made, fact, fact) is None and not _is_of(hints[fact], value):
            return f"facts.{name}.{fact}: {shown_value(value)} is nothing that the feature of '{name}' learns"
    try:
        arrays = made.with_facts(told).arrays
    except Exception as error:
        return f"facts.{name} do not fit its feature: {type(error).__name__}: {error}"
    for suffix, field in arrays.items():
        array = f"{name}_{suffix}" if suffix else name
        kept = fields.get(array)
        if kept is None:
            return f"fields.{array} is missing"
        if kept["dtype"] != field.dtype or not _are_alike(kept["shape"], field.shape):
            own = {"shape": list(field.shape), "dtype": field.dtype}
            return f"fields.{array}: {shown_value(kept)} is not what the facts say, {shown_value(own)}"
    return ""


def _is_of(annotation: Any, value: Any) -> bool:
    from pydantic import PydanticUserError, ValidationError

    try:
        adapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    except (PydanticUserError, TypeError):  # of a type that pydantic does not know
        return True
    return True


def _are_alike(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    return len(one) == len(other) and all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))
