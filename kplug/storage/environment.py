"""What is installed while a run is trained: distributions, and plugins with digests of their source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from kplug.spec.plugins import host


def packages() -> dict[str, str]:
    """The version of every installed distribution, by name."""
    return {d.name: d.version for d in importlib.metadata.distributions()}


def plugins() -> list[dict[str, str]]:
    """The plugins that are loaded, each with a digest of its source."""
    version = importlib.metadata.version("kplug")
    return [
        {"name": p.name, "distribution": p.distribution, "version": p.version or version}
        | {"sha256": _hash(host().manager.get_plugin(f"{p.distribution}:{p.name}"))}
        for p in host().loaded
    ]


def _hash(plugin: Any) -> str:
    """A digest of a plugin's source: its package's Python files, or its module's."""
    file = Path(getattr(plugin, "__file__", None) or sys.modules[plugin.__module__].__file__ or __file__)
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256()
    for source in files:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
