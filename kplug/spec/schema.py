"""The JSON Schema (draft 7) of a spec with everything installed, from the forms that the checker reads."""

from __future__ import annotations

from typing import Any

from kplug.kinds import Call
from kplug.spec.component import KPLUG, Component, section
from kplug.spec.forms import Form, MapOf, OfKind, OneOf, Section, holds_nodes, item_of
from kplug.spec.registry import Registry
from kplug.spec.sections import SpecSection
from kplug.spec.tree import plain
from kplug.spec.values import adapter


def schema(registry: Registry) -> dict[str, Any]:
    """A spec's schema: what an editor completes and underlines."""
    definitions: dict[str, Any] = {}
    for kind in registry.kinds:
        components = dict(registry.of_kind(kind))
        definitions |= {f"{kind}.{name}": _component(c, name) for name, c in components.items()}
        bare = [written for name, c in components.items() if not c.required for written in _names(c, name)]
        calls = [{"$ref": f"#/definitions/{kind}.{name.replace('/', '~1')}"} for name in components]
        definitions[kind] = {"anyOf": [*([{"enum": bare}] if bare else []), *calls]} if components else {"not": {}}
    whole = _component(section(SpecSection))
    whole["properties"]["data"]["properties"]["features"]["additionalProperties"] = _feature_of_a_field(registry)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A kplug spec",
        **whole,
        "definitions": definitions,
    }


def _feature_of_a_field(registry: Registry) -> dict[str, Any]:
    """A feature; or parameters of one alone, which change those of the feature that the source names."""
    without_type = [_component(component) | {"required": []} for _, component in registry.of_kind("feature")]
    return {"anyOf": [{"$ref": "#/definitions/feature"}, *without_type]}


def _names(component: Component, name: str) -> list[str]:
    """The names by which YAML may call a component: a stranger's with its owner too."""
    full = f"{component.distribution}/{component.name}"
    return [name] if component.distribution == KPLUG or name == full else [name, full]


def _component(component: Component, name: str | None = None) -> dict[str, Any]:
    documented = component.documentation[1]
    properties: dict[str, Any] = {"type": {"enum": _names(component, name)}} if name else {}
    for p in component.parameters.values():
        properties[p.name] = _described(_form(p.form), documented.get(p.name), p)
    return {
        "description": component.summary,
        "type": "object",
        "properties": properties,
        "required": [*(["type"] if name else []), *component.required],
        "additionalProperties": False,
    }


def _described(schema: dict[str, Any], text: str | None, p: Any) -> dict[str, Any]:
    if "$ref" in schema:  # draft 7 reads nothing beside a reference
        schema = {"allOf": [schema]}
    described = {**schema, "description": text} if text else schema
    if p.required or isinstance(p.default, Call):
        return described
    return {**described, "default": plain(p.default)}


def _form(form: Form) -> dict[str, Any]:
    if not holds_nodes(form):
        return _draft_7(adapter(form.annotation).json_schema())
    match form:
        case OfKind(kind=kind):
            return {"$ref": f"#/definitions/{kind.name}"}
        case Section(component=component):
            return _component(component)
        case OneOf(members=members):
            return {"anyOf": [_form(member) for member in members]}
        case MapOf(item=item):
            return {"type": "object", "additionalProperties": _form(item)}
    return {"type": "array", "items": _form(item_of(form))}


def _draft_7(schema: Any) -> Any:
    """A schema as draft 7 has it: pydantic writes draft 2020-12, where tuples differ."""
    if isinstance(schema, list):
        return [_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _draft_7(value) for key, value in schema.items() if key != "default"}
    if "prefixItems" in changed:
        changed["items"] = changed.pop("prefixItems")
        changed["additionalItems"] = False
    return changed
