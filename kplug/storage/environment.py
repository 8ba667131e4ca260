"""The software that is installed while a run is trained: distributions, and plugins with digests of their source."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from kplug.spec.distributions import installed
from kplug.spec.plugins import host

BUILT_IN = Path(__file__).parents[1] / "default_plugins"


def packages() -> dict[str, str]:
    """The version of every installed distribution, by name; one that cannot be read goes by its folder's."""
    return {one.name or one.folder: one.version or one.problem or "unknown" for one in installed()}


def plugins() -> list[dict[str, str]]:
    """The plugins that are loaded, each with a digest of its source."""
    version = importlib.metadata.version("kplug")
    return [
        {"name": p.name, "distribution": p.distribution, "version": p.version or version}
        | {"sha256": digest_of_source(_entry_file(host().manager.get_plugin(f"{p.distribution}:{p.name}")))}
        for p in host().loaded
    ]


def digest_of_source(entry: Path, built_in: Path = BUILT_IN) -> str:
    """A digest of a plugin's Python files, with their paths relative to its folder.

    The folder of a built-in plugin is the one directly below default_plugins, whichever module in it the plugin is:
    the Keras code of a component stands beside it. That of another is the package whose `__init__.py` it is; a plugin
    that is a module is this file alone.

    Args:
        entry: the file of the module that is the plugin.
        built_in: the folder of the built-in plugins.
    """
    import hashlib  # loads OpenSSL, for which `kplug check` and `--help` have no use

    if entry.is_relative_to(built_in):
        folder = built_in / entry.relative_to(built_in).parts[0]
    else:
        folder = entry.parent if entry.name == "__init__.py" else entry
    digest = hashlib.sha256()
    if not folder.exists():  # in a zip, say
        folder = entry = next(path for path in folder.parents if path.exists())
    for source in _sources_in(folder) if folder.is_dir() and folder != entry else [entry]:
        digest.update(f"{source.relative_to(folder.parent).as_posix()}\0".encode())
        try:
            content = source.read_bytes()
        except OSError as error:
            content = f"cannot be read: {error.strerror}".encode()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _sources_in(folder: Path) -> list[Path]:
    """The Python files below a folder; what an editor leaves hidden is no module."""
    return sorted(path for path in folder.rglob("*.py") if not path.name.startswith("."))


def _entry_file(plugin: Any) -> Path:
    """The file of a plugin, which is a module, or an object whose class stands in one."""
    return Path(getattr(plugin, "__file__", None) or sys.modules[plugin.__module__].__file__ or __file__)
