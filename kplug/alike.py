"""What a cluster's workers must have in common, and what several replicas cannot do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kplug.checking import nodes, plain
from kplug.errors import Path, Problem, SpecError, dotted
from kplug.run import packages, plugins
from kplug.spec import Spec

if TYPE_CHECKING:
    from kplug.cluster import Cluster


def refuse_differences(cluster: Cluster, spec: Spec) -> None:
    """SpecError where a worker's spec, plugins or packages are not the chief's."""
    every = [json.loads(text) for text in cluster.gather(json.dumps(facts(spec)))]
    for number, other in enumerate(every):
        for name in sorted({*every[0], *other}):
            if every[0].get(name) != other.get(name):
                what = f"{name} is {every[0].get(name)!r} on worker 0 and {other.get(name)!r} on worker {number}"
                raise SpecError([Problem(f"the workers of a cluster must be alike; {what}", ("fit", "strategy"))])


def facts(spec: Spec) -> dict[str, Any]:
    """What must be the same on all workers: the spec but for its file paths, plugins, what computes."""
    values: dict[str, Any] = {}
    _flatten(plain(spec.root), (), values, spec)
    versions = packages()
    values |= {f"plugin {p['distribution']}:{p['name']}": f"{p['version']} ({p['sha256'][:12]})" for p in plugins()}
    return values | {f"package {name}": versions.get(name) for name in ("tensorflow", "keras", "numpy")}


def _flatten(value: Any, path: tuple[Any, ...], into: dict[str, Any], spec: Spec) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items:
        for key, item in items:
            _flatten(item, (*path, key), into, spec)
    elif not spec.is_file_path(path):
        into[dotted(path)] = value


def refuse_uneven(cluster: Cluster, spec: Spec, batch_size: int) -> None:
    """SpecError where a batch cannot be cut into equal slices."""
    count = cluster.replicas
    if batch_size % count:
        lower, path = batch_size // count * count, ("data", "sampler")
        several = " or ".join(str(n) for n in (lower, lower + count) if n)
        message = f"a batch of {batch_size} cannot be shared evenly by {count} replicas; {several} can"
        raise SpecError(message).located(path, spec.where(path))


def refuse_untried(cluster: Cluster, spec: Spec) -> None:
    """SpecError where Keras cannot do on several replicas what the spec asks for."""
    if cluster.replicas == 1:
        return
    reasons: list[tuple[Path, str]] = []
    if spec["fit.jit"] is True:
        reasons.append((("fit", "jit"), "Keras compiles for one replica only"))
    if spec["fit.steps_per_execution"] not in ("auto", 1):
        reasons.append((("fit", "steps_per_execution"), "Keras makes several steps at once on one replica only"))
    for node in nodes(spec["task"]):
        if node.arguments.get("gradient_accumulation_steps"):
            path = (*node.path, "gradient_accumulation_steps")
            reasons.append((path, "Keras accumulates gradients on one replica only; leave it out: each holds less"))
    if reasons:
        there = f"(there are {cluster.replicas})"
        raise SpecError([Problem(f"{reason} {there}", path, spec.where(path)) for path, reason in reasons])
