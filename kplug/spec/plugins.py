"""Plugins are discovered here, one at a time; a broken one is set aside by name and everything else runs."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

import kplug.hookspecs as hookspecs
from kplug.errors import INPUT_IS_WRONG, did_you_mean
from kplug.spec.component import KPLUG, BadComponent
from kplug.spec.registry import Registry

API = 2
CHANGES = "docs/plugin-api.md"  # the page that tells what a plugin of an earlier API changes
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "keras_tuner", "keras_hub", "torch", "jax")
BUILT_IN = "kplug.default_plugins"


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its distribution, and why it was set aside, if it was."""

    name: str
    distribution: str
    version: str
    components: int = 0
    problem: str = ""
    trace: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.name})"


class PluginError(Exception):
    """A plugin could not be loaded, and `KPLUG_STRICT_PLUGINS=1` makes that fatal."""

    exit_code = INPUT_IS_WRONG


class _Refused(Exception):
    """A plugin is set aside, with the reason as the message."""


class NoHeavyImports:
    """Refuses the imports that make a command line slow; components import them in their bodies."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in HEAVY:
            raise ImportError(f"it imports {fullname} before a component is built; import it in the components' bodies")
        return None


@contextlib.contextmanager
def light() -> Iterator[None]:
    """Keep a plugin's own code light inside: it imports nothing heavy, and what it prints goes to stderr."""
    finder: Any = NoHeavyImports()
    sys.meta_path.insert(0, finder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.meta_path.remove(finder)


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
            raise _Refused(f"it asks for host API {plugin.kplug_api}; this kplug has {API}; see {CHANGES}")
        name = f"{described.distribution}:{described.name}"
        if self.manager.has_plugin(name):
            raise _Refused("another entry point of its distribution has the same name")
        self.manager.register(plugin, name=name)
        try:
            self.manager.check_pending()
            declared = _given(self.manager.hook.kinds, plugin)
            self.registry.declare(declared)
            functions = _given(self.manager.hook.components, plugin)
            self.registry.add(functions, described.distribution, described.version)
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.loaded.append(replace(described, components=len(functions)))

    def quarantine(self, plugin: Plugin, error: BaseException) -> None:
        """Set a plugin aside: one line on stderr, its traceback kept for a spec that needs it."""
        trace = "".join(traceback.format_exception(error)).rstrip()
        self.quarantined.append(replace(plugin, problem=_in_one_line(error), trace=trace))
        _report(plugin, "is set aside", error)

    def add_commands(self, cli: Any) -> None:
        """Let every plugin add to the command line; one that fails there adds nothing to it."""
        described = {f"{p.distribution}:{p.name}": p for p in self.loaded}
        for hook in self.manager.hook.commands.get_hookimpls():
            before = dict(cli.commands)
            try:
                with light():
                    hook.function(**{name: cli for name in hook.argnames})
                if taken := [name for name in before if cli.commands.get(name) is not before[name]]:
                    raise _Refused(f"the command '{taken[0]}' is taken")
            except (Exception, SystemExit) as error:
                cli.commands = before
                _report(described[hook.plugin_name], "adds no commands", error)


def _given(hook: Any, plugin: Any) -> list[Any]:
    """The things that one plugin gives by a hook that takes nothing and returns a list."""
    own = [one for one in hook.get_hookimpls() if one.plugin is plugin]
    return [thing for one in own for thing in one.function() or ()]


def _report(plugin: Plugin, what: str, error: BaseException) -> None:
    if os.environ.get("KPLUG_STRICT_PLUGINS") == "1":
        raise PluginError(f"plugin {plugin} cannot be loaded: {_in_one_line(error)}") from error
    print(f"kplug: plugin {plugin} {what}: {_in_one_line(error)}", file=sys.stderr)


def _in_one_line(error: BaseException) -> str:
    named = "" if isinstance(error, _Refused | BadComponent) else f"{type(error).__name__}: "
    return " ".join(f"{named}{error}".split())


def discover() -> Host:
    """Make a host with the built-in plugins and every installed one that the environment allows.

    Environment: `KPLUG_PLUGINS` (comma-separated distributions; set but empty: built-ins alone),
    `KPLUG_DISABLE_PLUGINS` (those left out), `KPLUG_STRICT_PLUGINS=1` (a broken one is fatal).
    """
    host = _with_built_ins()
    for entry in _allowed_entry_points():
        plugin = Plugin(entry.name, _owner(entry), entry.dist.version if entry.dist else "")
        try:
            with light():
                host.add(_load(entry), plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            host.quarantine(plugin, error)
    return host


def _with_built_ins() -> Host:
    manager = pluggy.PluginManager("kplug")
    manager.add_hookspecs(hookspecs)
    host = Host(manager)
    for name in importlib.import_module(BUILT_IN).PLUGINS:
        host.add(importlib.import_module(f"{BUILT_IN}.{name}"), Plugin(name, KPLUG, ""))
    return host


def _allowed_entry_points() -> list[EntryPoint]:
    allowed = os.environ.get("KPLUG_PLUGINS")
    if allowed is not None and not allowed.strip():
        return []
    found = sorted(entry_points(group="kplug"), key=lambda entry: (_owner(entry), entry.name))
    if allowed is not None:
        only = _names(allowed)
        installed = {_owner(entry) for entry in found}
        for name in sorted(only - installed):
            hint = did_you_mean(name, installed)
            print(f"kplug: KPLUG_PLUGINS names '{name}', which is not installed{hint}", file=sys.stderr)
        found = [entry for entry in found if _owner(entry) in only]
    without = _names(os.environ.get("KPLUG_DISABLE_PLUGINS"))
    return [entry for entry in found if _owner(entry) not in without]


def _names(value: str | None) -> set[str]:
    return {_normalized(name.strip()) for name in (value or "").split(",") if name.strip()}


def _owner(entry: EntryPoint) -> str:
    return _normalized(entry.dist.name) if entry.dist else "unknown"


def _normalized(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _load(entry: EntryPoint) -> Any:
    before = set(sys.modules)
    try:
        return entry.load()
    except BaseException:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == entry.module.partition(".")[0]:
                del sys.modules[name]
        raise


_host: Host | None = None


def host() -> Host:
    """The host of this process, discovered on first use."""
    global _host
    if _host is None:
        _host = discover()
    return _host


@contextlib.contextmanager
def using(plugins: Sequence[Any]) -> Iterator[Host]:
    """Put a host with the built-ins and these plugin objects in place of the process's own, for a test."""
    global _host
    outer, _host = _host, _with_built_ins()
    try:
        for plugin in plugins:
            name = getattr(plugin, "__name__", type(plugin).__name__)
            _host.add(plugin, Plugin(name, getattr(plugin, "distribution", name), "0"))
        yield _host
    finally:
        _host = outer
