"""Values that hold no node, checked by pydantic in strict mode, with its errors in our words."""

from __future__ import annotations

import functools
import json
import re
import typing
from typing import Annotated, Any, Literal

from kplug.errors import Path, did_you_mean, shown_value
from kplug.kinds import NOUNS
from kplug.spec.component import UNIONS


@functools.cache
def adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def as_json(value: Any) -> str:
    """Through JSON, since only there strict mode lets a list be a tuple."""
    return json.dumps(value)


def leaf_problems(annotation: Any, value: Any) -> list[tuple[str, Path]]:
    """What is wrong with a value: (message, path below the value)."""
    from pydantic import ValidationError

    try:
        result = adapter(annotation).validate_json(as_json(value), strict=True)
    except ValidationError as error:
        members = [m for m in typing.get_args(annotation) if m is not type(None)]
        if typing.get_origin(annotation) in UNIONS and len(members) > 1:
            return _union_problems(annotation, members, value)
        return _in_our_words(annotation, error.errors(include_url=False), value)
    except (TypeError, ValueError):
        return [(f"{shown_value(value)} is not a value that YAML can hold", ())]
    if isinstance(value, bool | float) and type(result) is int:  # pydantic takes 1.0 and true for Literal[1]
        return [(f"{shown_value(value)} is not {noun(annotation)}", ())]
    return []


def _union_problems(annotation: Any, members: list[Any], value: Any) -> list[tuple[str, Path]]:
    """What is wrong inside the member that the value is nearest to, or that it is none of them."""
    found = [leaf_problems(member, value) for member in members]
    alike = [problems for member, problems in zip(members, found, strict=True) if _origin(member) is type(value)]
    if len(alike) == 1:  # the only mapping, where one was written, or the only list
        return alike[0]
    inside = [problems for problems in found if all(path for _, path in problems)]
    return min(inside, key=len) if inside else [(f"{shown_value(value)} is not {noun(annotation)}", ())]


def _origin(annotation: Any) -> Any:
    """`dict` or `list` of an annotation that asks for one."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    found = typing.get_origin(annotation)
    return list if found is tuple else found


_NOUNS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def noun(annotation: Any) -> str:
    """What an annotation asks for, in words: `a whole number >= 1 or null`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in NOUNS:
        return NOUNS[annotation]
    if origin is Annotated:
        limits = [(sign, getattr(mark, key, None)) for mark in arguments[1:] for key, sign in _SIGNS.items()]
        said = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
        return f"{noun(arguments[0])} {said}".rstrip()
    if origin in UNIONS:
        return either([noun(member) for member in arguments])
    if origin is Literal:
        return _one_of(arguments)
    if origin is dict:
        keys = typing.get_args(arguments[0]) if typing.get_origin(arguments[0]) is Literal else ()
        return f"a mapping with {' or '.join(keys)}" if keys else "a mapping"
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}"
    return "a list" if origin in (list, tuple) else _NOUNS.get(annotation, str(annotation))


def either(nouns: typing.Sequence[str]) -> str:
    return " or ".join((", ".join(nouns[:-1]), nouns[-1]) if nouns[1:] else nouns)


def _one_of(choices: typing.Sequence[Any]) -> str:
    return str(choices[0]) if len(choices) == 1 else f"one of {', '.join(str(choice) for choice in choices)}"


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


def _in_our_words(annotation: Any, errors: list[Any], value: Any) -> list[tuple[str, Path]]:
    found: dict[Path, dict[str, str]] = {}
    for error in errors:
        path, item = _walk(value, error["loc"])
        if "[key]" in error["loc"]:
            item = error["input"]
        wanted = noun(annotation) if path == () else None
        words = _words(error, wanted) + _hint(error, item)
        found.setdefault(path, {})[error["type"]] = f"{shown_value(item)} {words}"
    if () in found:  # a problem of the whole makes those inside it noise
        found = {(): found[()]}
    return [(", and ".join(dict.fromkeys(words.values())), path) for path, words in found.items()]


def _words(error: Any, wanted: str | None) -> str:
    context = error.get("ctx") or {}
    known = {key: int(n) if isinstance(n, float) and n.is_integer() else n for key, n in context.items()}
    if error["type"] in _SHAPES:
        return f"is not {wanted or _SHAPES[error['type']].format(choices=_one_of(_choices(error)))}"
    if error["type"] == "missing":
        known["needed"] = error["loc"][-1] + 1
    words = _LIMITS.get(error["type"], f"is refused: {error['msg']}").format(**known)
    return words.replace("has fewer than 1 items", "is empty").replace("than 1 items", "than one item")


def _choices(error: Any) -> list[str]:
    """What pydantic writes as `'pad', 'crop' or 'stretch'`."""
    found = re.findall(r"'([^']*)'|([^\s,]+)", error.get("ctx", {}).get("expected", ""))
    return [text or word for text, word in found if word != "or"] or [""]


def _hint(error: Any, value: Any) -> str:
    """What to do, where that is clear."""
    if error["type"] == "literal_error":
        return did_you_mean(value, _choices(error))
    if error["type"] == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    if error["type"] == "bool_type" and value in _BOOLS:
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
        if (isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)) or (
            isinstance(value, dict) and step in value
        ):
            value = value[step]
        else:
            continue
        path.append(step)
    return tuple(path), value
