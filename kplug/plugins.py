"""Discovery: every installed plugin, one at a time; a broken one is set aside by name and everything else runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from kplug import hookspecs
from kplug.component import KPLUG, BadComponent, Registry

API = 1
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "keras_tuner", "keras_hub", "torch", "jax")
BUILT_IN = "kplug.default_plugins"


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its distribution, and why it was set aside, if it was."""

    name: str
    distribution: str
    version: str
    problem: str = ""
    trace: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.name})"


class PluginError(Exception):
    """A plugin could not be loaded, and `KPLUG_STRICT_PLUGINS=1` makes that fatal."""


class _Refused(Exception):
    """Why a plugin is set aside."""


class NoHeavyImports(importlib.abc.MetaPathFinder):
    """Refuses the imports that make a command line slow; components import them in their bodies."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in HEAVY:
            raise ImportError(f"its entry module imports {fullname}; components import it in their bodies")
        return None


@dataclass
class Host:
    """The plugins that were found, their hooks and their components."""

    manager: pluggy.PluginManager
    registry: Registry = field(default_factory=Registry)
    loaded: list[Plugin] = field(default_factory=list)
    quarantined: list[Plugin] = field(default_factory=list)

    def add(self, plugin: Any, described: Plugin) -> None:
        """Register a plugin's hooks and components: all of them or, where anything fails, none."""
        if getattr(plugin, "kplug_api", API) != API:
            raise _Refused(f"it asks for host API {plugin.kplug_api}; this kplug has {API}")
        self.manager.register(plugin, name=f"{described.distribution}:{described.name}")
        try:
            self.manager.check_pending()
            for hook in self.manager.hook.components.get_hookimpls():
                if hook.plugin is plugin:
                    self.registry.add(hook.function() or [], described.distribution, described.version)
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.loaded.append(described)

    def quarantine(self, plugin: Plugin, error: BaseException) -> None:
        if isinstance(error, _Refused | BadComponent):
            problem = str(error)
        else:
            problem = " ".join(f"{type(error).__name__}: {error}".split())
        trace = "".join(traceback.format_exception(error))
        self.quarantined.append(Plugin(plugin.name, plugin.distribution, plugin.version, problem, trace))
        if os.environ.get("KPLUG_STRICT_PLUGINS") == "1":
            raise PluginError(f"plugin {plugin} cannot be loaded: {problem}") from error
        print(f"kplug: plugin {plugin} is set aside: {problem}", file=sys.stderr)


def discover() -> Host:
    """A host with the built-in plugins and every installed one that the environment allows.

    Environment: `KPLUG_PLUGINS` (comma-separated distributions; set but empty: built-ins alone),
    `KPLUG_DISABLE_PLUGINS` (those left out), `KPLUG_STRICT_PLUGINS=1` (a broken one is fatal).
    """
    host = Host(_manager())
    _add_built_ins(host)
    for entry in _allowed_entry_points():
        distribution = entry.dist.name if entry.dist else "unknown"
        plugin = Plugin(entry.name, distribution, entry.dist.version if entry.dist else "")
        try:
            host.add(_load(entry), plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            host.quarantine(plugin, error)
    return host


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("kplug")
    manager.add_hookspecs(hookspecs)
    return manager


def _add_built_ins(host: Host) -> None:
    package = importlib.import_module(BUILT_IN)
    for name in package.PLUGINS:
        host.add(importlib.import_module(f"{BUILT_IN}.{name}"), Plugin(name, KPLUG, ""))


def _allowed_entry_points() -> list[EntryPoint]:
    allowed = os.environ.get("KPLUG_PLUGINS")
    if allowed is not None and not allowed.strip():
        return []
    only = _names(allowed)
    without = _names(os.environ.get("KPLUG_DISABLE_PLUGINS"))
    found = [e for e in entry_points(group="kplug") if not _is(e, without) and (not only or _is(e, only))]
    return sorted(found, key=lambda e: (e.dist.name if e.dist else "", e.name))


def _names(value: str | None) -> set[str]:
    return {name.strip().replace("_", "-").lower() for name in (value or "").split(",") if name.strip()}


def _is(entry: EntryPoint, names: set[str]) -> bool:
    return bool(entry.dist) and entry.dist.name.replace("_", "-").lower() in names


def _load(entry: EntryPoint) -> Any:
    before = set(sys.modules)
    finder = NoHeavyImports()
    sys.meta_path.insert(0, finder)
    try:
        return entry.load()
    except BaseException:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == entry.module.partition(".")[0]:
                del sys.modules[name]
        raise
    finally:
        sys.meta_path.remove(finder)


_host: Host | None = None


def host() -> Host:
    """The host of this process, discovered on first use."""
    global _host
    if _host is None:
        _host = discover()
    return _host


@contextlib.contextmanager
def using(plugins: Sequence[Any]) -> Iterator[Host]:
    """For tests: a host with the built-ins and these plugin objects, in place of the process's own."""
    global _host
    outer, _host = _host, Host(_manager())
    try:
        _add_built_ins(_host)
        for plugin in plugins:
            name = getattr(plugin, "__name__", type(plugin).__name__)
            _host.add(plugin, Plugin(name, getattr(plugin, "distribution", name), "0"))
        yield _host
    finally:
        _host = outer
