"""Plain values are checked here by pydantic in strict mode, and its errors put into our words."""

from __future__ import annotations

import functools
import json
import os
import re
from typing import Any

from kplug.errors import Path, did_you_mean, shown_value
from kplug.spec.forms import Form, ListOf, MapOf, among, members_of, wanted


@functools.cache
def adapter(annotation: Any) -> Any:
    """The pydantic validator of an annotation. It is fed JSON, since only there strict mode lets a list be a tuple."""
    # it would read the entry points of all distributions, and fail for one that is broken
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def read_leaf(form: Form, value: Any) -> tuple[Any, list[tuple[str, Path]]]:
    """A value as its annotation has it (a tuple where YAML has a list), and what is wrong with it.

    Returns:
        The value, as it was where something is wrong, and (message, path below the value) of every problem.
    """
    from pydantic import ValidationError

    try:
        result = adapter(form.annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        members = [m for m in members_of(form) if m.annotation is not type(None)]
        if len(members) > 1 and not form.marks:
            return value, _union_problems(form, members, value)
        return value, _in_our_words(form, error.errors(include_url=False), value)
    except (TypeError, ValueError):
        return value, [(f"{shown_value(value)} is not a value that YAML can hold", ())]
    if isinstance(value, bool | float) and type(result) is int:  # pydantic takes 1.0 and true for Literal[1]
        return value, [(f"{shown_value(value)} is not {wanted(form)}", ())]
    return result, []


@functools.cache
def _record(annotation: Any) -> Any:
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)


def problems_of(annotation: Any, value: Any) -> list[tuple[str, Path]]:
    """(message, path below the value) of every problem of plain data that is to have the form of an annotation.

    Further keys of a `TypedDict` are let be, and a number may be NaN.
    """
    if annotation is Any:
        return []
    from pydantic import ValidationError

    try:
        _record(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        missing = [("is missing", (*_walk(value, e["loc"][:-1])[0], str(e["loc"][-1]))) for e in errors if _lacks(e)]
        return missing + _in_our_words(None, [e for e in errors if not _lacks(e)], value)
    return []


def _lacks(error: Any) -> bool:
    """True where a key of a mapping is missing."""
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)


def _union_problems(form: Form, members: list[Form], value: Any) -> list[tuple[str, Path]]:
    """The problems inside the member that the value is nearest to or, where none is near, that it is none of them."""
    found = [(member, read_leaf(member, value)[1]) for member in members]
    shape = MapOf if isinstance(value, dict) else ListOf if isinstance(value, list) else ()
    alike = [problems for member, problems in found if isinstance(member, shape)]
    if len(alike) == 1:  # the only mapping, where one was written, or the only list
        return alike[0]
    inside = [problems for _, problems in found if all(path for _, path in problems)]
    return min(inside, key=len) if inside else [(f"{shown_value(value)} is not {wanted(form)}", ())]


_SHAPES = {  # the value is of another type; where all that is allowed is known, that is said instead
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "literal_error": "{choices}",
    "predicate_failed": "allowed",
}
_LIMITS = {
    "string_type": "is not text",
    "int_parsing_size": "is too large",
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than": "is not less than {lt}",
    "less_than_equal": "is more than {le}",
    "missing": "has fewer than {needed} items",
    "too_short": "has fewer than {min_length} items",
    "too_long": "has more than {max_length} items",
    "string_too_short": "is empty",
    "finite_number": "is not a finite number",
}


_BOOLS = {"yes": "true", "on": "true", "no": "false", "off": "false"}  # as YAML 1.1 reads them


def _in_our_words(form: Form | None, errors: list[Any], value: Any) -> list[tuple[str, Path]]:
    found: dict[Path, dict[str, str]] = {}
    for error in errors:
        path, item = _walk(value, error["loc"])
        if "[key]" in error["loc"]:
            item = error["input"]
        words = _words(error, wanted(form) if form and path == () else None) + (_hint(error, item) if form else "")
        found.setdefault(path, {})[error["type"]] = f"{shown_value(item)} {words}"
    if () in found:  # a problem of the whole makes those inside it noise
        found = {(): found[()]}
    return [(", and ".join(dict.fromkeys(words.values())), path) for path, words in found.items()]


def _words(error: Any, noun: str | None) -> str:
    context = error.get("ctx") or {}
    known = {key: int(n) if isinstance(n, float) and n.is_integer() else n for key, n in context.items()}
    if error["type"] in _SHAPES:
        return f"is not {noun or _SHAPES[error['type']].format(choices=among(_choices(error)))}"
    if error["type"] == "missing":
        known["needed"] = error["loc"][-1] + 1
    words = _LIMITS.get(error["type"], f"is refused: {error['msg']}").format(**known)
    return words.replace("has fewer than 1 items", "is empty").replace("than 1 items", "than one item")


def _choices(error: Any) -> list[str]:
    """The choices of a Literal, which pydantic writes as `'pad', 'crop' or 'stretch'`."""
    found = re.findall(r"'([^']*)'|([^\s,]+)", error.get("ctx", {}).get("expected", ""))
    return [text or word for text, word in found if word != "or"] or [""]


def _hint(error: Any, value: Any) -> str:
    """A hint at what to write instead; empty where that is not clear."""
    if error["type"] == "literal_error":
        return did_you_mean(value, _choices(error))
    if error["type"] == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    if error["type"] == "bool_type" and isinstance(value, str) and value in _BOOLS:
        return f"; write {_BOOLS[value]}"
    if error["type"] in ("int_type", "int_from_float") and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if error["type"] in ("list_type", "tuple_type") and isinstance(value, str):
        return f"; write {[value]}"
    return ""


def _walk(value: Any, location: tuple[Any, ...]) -> tuple[Path, Any]:
    """The part of a pydantic location that is in the value; the rest names members of unions."""
    path: list[Any] = []
    for step in location:
        is_item = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if is_item or (isinstance(value, dict) and step in value):
            value = value[step]
            path.append(step)
    return tuple(path), value
