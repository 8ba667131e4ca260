"""The feature of each field of the data: what the spec writes, else what the source says, else by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kplug.errors import Path, did_you_mean, listed, shown_value
from kplug.kinds import Known, Source
from kplug.spec.check import MOST_PROBLEMS, Checker, Problems
from kplug.spec.component import form_of
from kplug.spec.registry import Registry
from kplug.spec.tree import Node, Said, plain

HERE: Path = ("data", "features")


def known_of_source(source: Node) -> Known:
    """The facts that a source tells of itself without being opened."""
    tell = source.component.known
    if tell is None:
        return Known()
    values = {name: source.arguments[name] for name in tell.parameters}
    told = {name: known_of_source(v) if isinstance(v, Node) else plain(v) for name, v in values.items()}
    return tell.function(**told)


def with_types(data: Any, registry: Registry, problems: Problems, said: Said) -> Any:
    """The plain data of a spec with the feature of every field that the source tells of, unopened.

    Entries without a type get that of the source's feature for the field, else the feature of the field's own name.
    What is wrong elsewhere in the section is left to those who check it.
    """
    section = data.get("data") if isinstance(data, dict) else None
    written = section.get("features", {}) if isinstance(section, dict) else None
    if not isinstance(section, dict) or not isinstance(written, dict) or "source" not in section:
        return data
    unseen = Problems(problems.marks)
    source = Checker(registry, unseen, said).check(form_of(Source), section["source"], ("data", "source"))
    if unseen.found:
        return data | {"data": {key: value for key, value in section.items() if key != "features"}}
    told = known_of_source(source).features
    strange = [
        name
        for name, feature in written.items()
        if told is not None and name not in told and not _is_taken_from_another(feature, registry)
    ]
    for name in strange[:MOST_PROBLEMS]:
        message = f"the source has no field '{name}'{did_you_mean(name, told or {})} (fields: {listed(told or {})})"
        problems.note(message, (*HERE, name), key=True)
    there = {name: feature for name, feature in written.items() if name not in strange}
    return data | {"data": section | {"features": completed(there, told or {}, registry)}}


def _is_taken_from_another(written: Any, registry: Registry) -> bool:
    """True for a feature, as YAML has it, that makes a field of another one: its parameter `of` says which."""
    node = {"type": written} if isinstance(written, str) else written
    name = node.get("type") if isinstance(node, dict) else None
    if not isinstance(name, str) or not registry.has("feature", name):
        return False
    parameter = registry.find("feature", name).parameters.get("of")
    return parameter is not None and node.get("of", parameter.default) is not None


def completed(written: Mapping[str, Any], told: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """The features of all fields that are written or told of, each with its type as far as that can be said.

    Args:
        written: field to what the spec has.
        told: field to what the source says: a name, or a call with parameters.
        registry: knows the features.
    """
    named = [name for name, feature in told.items() if feature is not None]
    names = [*named, *(name for name in written if name not in named)]
    return {name: _completed(name, written.get(name), told.get(name), registry) for name in names}


def _completed(name: str, written: Any, told: Any, registry: Registry) -> Any:
    named = {"type": told} if isinstance(told, str) else plain(told)  # None: a field that joins where it is asked for
    if written is None:
        return named
    if not isinstance(written, dict) or "type" in written:
        return written
    if named is None and registry.has("feature", name):
        named = {"type": name}
    return (named or {}) | written


def without_image_section(data: Any, problems: Problems) -> Any:
    """The same data without `data.image` of format 1, which is refused with the lines that say the same now."""
    section = data.get("data") if isinstance(data, dict) else None
    if not isinstance(section, dict) or "image" not in section:
        return data
    written = section["image"] if isinstance(section["image"], dict) else {}
    said = ", ".join(f"{key}: {_in_yaml(value)}" for key, value in written.items())
    instead = f"write features: {{image: {{{said}}}}} in its place" if said else "leave it out"
    problems.note(f"is of format 1; {instead}", ("data", "image"), key=True)
    return data | {"data": {key: value for key, value in section.items() if key != "image"}}


def _in_yaml(value: Any) -> str:
    return value if isinstance(value, str) and value.isalpha() else shown_value(value)
