"""Values that hold no node, checked by pydantic in strict mode, with its errors in our words."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

from kplug.errors import Path
from kplug.kinds import NOUNS


@functools.cache
def adapter(annotation: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)


def as_json(value: Any) -> str:
    """Through JSON, since only there strict mode lets a list be a tuple."""
    return json.dumps(value)


def leaf_problems(annotation: Any, value: Any) -> list[tuple[str, Path]]:
    from pydantic import ValidationError

    if isinstance(value, float) and math.isnan(value):
        return [(".nan is not a number", ())]
    try:
        adapter(annotation).validate_json(as_json(value), strict=True)
    except ValidationError as error:
        return _in_our_words(error.errors(include_url=False), value, NOUNS.get(annotation))
    except (TypeError, ValueError):
        return [(f"{shown_value(value)} is not a value that YAML can hold", ())]
    return []


_WORDS = {
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_parsing_size": "is too large",
    "float_type": "is not a number",
    "bool_type": "is not true or false",
    "string_type": "is not text",
    "none_required": "is not null",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping",
    "literal_error": "is not one of {expected}",
    "greater_than": "is not greater than {gt:g}",
    "greater_than_equal": "is less than {ge:g}",
    "less_than": "is not less than {lt:g}",
    "less_than_equal": "is more than {le:g}",
    "missing": "has too few items",
    "too_short": "has fewer than {min_length} items",
    "too_long": "has more than {max_length} items",
    "string_too_short": "is empty",
    "finite_number": "is not finite",
}


def _in_our_words(errors: list[Any], value: Any, noun: str | None) -> list[tuple[str, Path]]:
    found: dict[Path, list[str]] = {}
    items: dict[Path, Any] = {}
    for error in errors:
        path, item = _walk(value, error["loc"])
        words = _WORDS.get(error["type"], "").format(**_context(error)) or (f"is not {noun}" if noun else error["msg"])
        found.setdefault(path, []).append(words)
        items[path] = item
    if () in found:  # a problem of the whole makes those inside it noise: the other member of a union
        found = {(): found[()]}
    return [(f"{shown_value(items[path])} {' and '.join(dict.fromkeys(words))}", path) for path, words in found.items()]


def _context(error: Any) -> dict[str, Any]:
    context = dict(error.get("ctx") or {})
    if "expected" in context:
        context["expected"] = context["expected"].replace("'", "").replace(" or ", ", ")
    return context


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


def shown_value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value) if isinstance(value, str | int | float) else json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
