"""Lists of the installed components and plugins, for a person or, as JSON, for a program."""

from __future__ import annotations

import json
from typing import Any

from kplug.errors import SpecError, did_you_mean, listed
from kplug.spec.component import KPLUG, Component
from kplug.spec.forms import OfKind, wanted
from kplug.spec.plugins import Host
from kplug.spec.registry import Registry
from kplug.spec.tree import plain


def components_listing(registry: Registry, kind: str | None, as_json: bool, one: str | None = None) -> str:
    """The components of a kind, or of all, or one of a kind, in words or as JSON.

    Raises:
        SpecError: there is no such kind, or no such component of it.
    """
    known = registry.kinds
    if kind is not None and kind not in known:
        raise SpecError(f"no kind named '{kind}'{did_you_mean(kind, known)} (kinds: {listed(known, 20)})")
    if kind is not None and one is not None:
        component = registry.find(kind, one)
        return json.dumps(_as_data(kind, one, component), indent=2) if as_json else _whole(kind, one, component)
    kinds = [kind] if kind else list(known)
    found = [(k, name, component) for k in kinds for name, component in registry.of_kind(k)]
    if as_json:
        return json.dumps([_as_data(k, name, component) for k, name, component in found], indent=2)
    if kind is None:
        names = {k: [name for other, name, _ in found if other == k] for k in kinds}
        lines = [f"{k} ({len(names[k])}): {', '.join(names[k]) or 'none'}" for k in kinds]
        hint = "kplug components KIND shows their parameters, KIND NAME all of one."
        return "\n".join(lines) + f"\n\n{hint}"
    return "\n\n".join(_in_full(name, component) for _, name, component in found) or f"no {kind} is installed"


def _whole(kind: str, name: str, component: Component) -> str:
    """One component whole: its docstring, how YAML calls it, its parameters, what kplug gives it, who owns it."""
    required = "".join(f", {key}: ..." for key in component.required)
    calls = f"{{type: {name}{required}}}" if required else name
    given = f"\n    kplug gives it: {', '.join(t.__name__ for t in component.injected.values())}"
    about = "\n".join(f"    {line}".rstrip() for line in component.documentation[0].splitlines())
    parameters = _in_full(name, component).splitlines()[2:]
    lines = [f"{kind} {name}  [{component.owner}]", about, "", f"    in YAML: {calls}", *parameters]
    return "\n".join(lines) + (given if component.injected else "")


def _in_full(name: str, component: Component) -> str:
    head = f"{name}  [{component.owner}]" if component.distribution != KPLUG else name
    lines = [head, f"    {component.summary}"]
    for p in component.parameters.values():
        said = component.documentation[1].get(p.name, "")
        default = "" if p.required else f" = {json.dumps(plain(p.default))}"
        lines.append(f"      {p.name}{default} ({wanted(p.form)}): {said}")
    return "\n".join(lines)


def _as_data(kind: str, name: str, component: Component) -> dict[str, Any]:
    documented = component.documentation[1]
    parameters = [
        {
            "name": p.name,
            "kind": p.form.kind.name if isinstance(p.form, OfKind) else None,
            "takes": wanted(p.form),
            "documentation": documented.get(p.name),
        }
        | ({} if p.required else {"default": plain(p.default)})
        for p in component.parameters.values()
    ]
    return {
        "kind": kind,
        "name": name,
        "distribution": component.distribution,
        "version": component.version,
        "summary": component.summary,
        "parameters": parameters,
    }


def plugins_listing(host: Host, as_json: bool) -> str:
    """List every plugin that was found, one a line; those set aside with the reason."""
    if as_json:
        keys = ("name", "distribution", "version", "components", "problem")
        rows = [{key: getattr(p, key) for key in keys} for p in host.loaded + host.quarantined]
        return json.dumps([row | {"problem": row["problem"] or None} for row in rows], indent=2)
    own = sum(p.components for p in host.loaded if p.distribution == KPLUG)
    others = [f"{p}: {p.components} components" for p in host.loaded if p.distribution != KPLUG]
    aside = [f"{p}: set aside: {p.problem}" for p in host.quarantined]
    return "\n".join([f"kplug (built in): {own} components", *others, *aside])
