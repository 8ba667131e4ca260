"""Plugins are discovered here, one at a time; a broken one is set aside by name and everything else runs."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

import kplug.hookspecs as hookspecs
from kplug.console import harmless
from kplug.errors import INPUT_IS_WRONG, PluginFailed, Terminated, did_you_mean, in_one_line
from kplug.spec.component import KPLUG, BadComponent
from kplug.spec.distributions import Installed, normalized, with_plugins
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
    """Keep a plugin's own code light inside: it imports nothing heavy, what it prints goes to stderr, it stays here."""
    finder: Any = NoHeavyImports()
    sys.meta_path.insert(0, finder)
    try:
        with harmless():
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
            self._refuse_wrappers(plugin)
            declared = _given(self.manager.hook.kinds, plugin)
            self.registry.declare(declared)
            functions = _given(self.manager.hook.components, plugin)
            self.registry.add(functions, described.distribution, described.version)
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.loaded.append(replace(described, components=len(functions)))

    def _refuse_wrappers(self, plugin: Any) -> None:
        for caller in self.manager.get_hookcallers(plugin) or ():
            if any(one.plugin is plugin and (one.wrapper or one.hookwrapper) for one in caller.get_hookimpls()):
                raise _Refused(f"it wraps the hook '{caller.name}'; each plugin answers a hook by itself")

    def quarantine(self, plugin: Plugin, error: BaseException) -> None:
        """Set a plugin aside: one line on stderr, its traceback kept for a spec that needs it."""
        try:
            trace = "".join(traceback.format_exception(error)).rstrip()
        except Exception:  # its `__str__` raises
            trace = "".join(traceback.format_tb(error.__traceback__)).rstrip()
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
            except KeyboardInterrupt:
                raise
            except BaseException as error:
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
    return " ".join(str(error).split()) if isinstance(error, _Refused | BadComponent) else in_one_line(error)


def discover() -> Host:
    """Make a host with the built-in plugins and every installed one that the environment allows.

    Environment: `KPLUG_PLUGINS` (comma-separated distributions; set but empty: built-ins alone),
    `KPLUG_DISABLE_PLUGINS` (those left out), `KPLUG_STRICT_PLUGINS=1` (a broken one is fatal).
    """
    host = _with_built_ins()
    for one in _allowed():
        for entry in one.entries or (EntryPoint("?", "", "kplug"),):
            plugin = Plugin(entry.name, _owner(one), one.version)
            try:
                if one.problem:
                    raise _Refused(one.problem)
                with light():
                    host.add(_load(entry), plugin)
            except KeyboardInterrupt as error:
                error.add_note(f"plugin {plugin} was being loaded")
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


def _allowed() -> list[Installed]:
    """The distributions with plugins that may be loaded, those among them that cannot be read."""
    allowed = os.environ.get("KPLUG_PLUGINS")
    if allowed is not None and not allowed.strip():
        return []
    found = sorted(with_plugins(), key=_owner)
    if allowed is not None:
        only = _names(allowed)
        known = {_owner(one) for one in found}
        for name in sorted(only - known):
            hint = did_you_mean(name, known)
            print(f"kplug: KPLUG_PLUGINS names '{name}', which is not installed{hint}", file=sys.stderr)
        found = [one for one in found if _owner(one) in only]
    without = _names(os.environ.get("KPLUG_DISABLE_PLUGINS"))
    return [one for one in found if _owner(one) not in without]


def _names(value: str | None) -> set[str]:
    return {normalized(name.strip()) for name in (value or "").split(",") if name.strip()}


def _owner(one: Installed) -> str:
    """The name by which a distribution's plugins are called: its folder's, where it says none."""
    return normalized(one.name) or one.folder


def _load(entry: EntryPoint) -> Any:
    before = set(sys.modules)
    try:
        return entry.load()
    except BaseException:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == entry.module.partition(".")[0]:
                del sys.modules[name]
        raise


# --- hooks -----------------------------------------------------------------------------------------------------------


def call_hook(name: str, /, **arguments: Any) -> list[tuple[Plugin, Any]]:
    """Call a hook of all plugins that implement it; each plugin with what it gave.

    Raises:
        PluginFailed: a plugin would end the process there.
        Exception: of a plugin, the first, with a note that names hook and plugin; the others were called all the same.
    """
    given, error = ask_hook(name, arguments)
    if error is not None:
        raise error
    return given


def ask_hook(name: str, arguments: Mapping[str, Any]) -> tuple[list[tuple[Plugin, Any]], BaseException | None]:
    """Call a hook of all plugins: what each gave, and the error of the first that failed."""
    described = {f"{plugin.distribution}:{plugin.name}": plugin for plugin in host().loaded}
    given: list[tuple[Plugin, Any]] = []
    errors: list[BaseException] = []
    for one in reversed(getattr(host().manager.hook, name).get_hookimpls()):  # in the order in which pluggy calls them
        plugin = described.get(one.plugin_name) or Plugin(one.plugin_name, KPLUG, "")  # what kplug registers itself
        try:
            answer = one.function(**{argument: arguments[argument] for argument in one.argnames})
            given += [] if answer is None else [(plugin, answer)]
        except (KeyboardInterrupt, Terminated):
            raise
        except SystemExit as error:
            left = PluginFailed(f"the hook '{name}' of plugin {plugin} called sys.exit({error.code!r}); it may not")
            errors.append(left.with_traceback(error.__traceback__))
        except BaseException as error:
            error.add_note(f"in the hook '{name}' of plugin {plugin}")
            errors.append(error)
    return given, errors[0] if errors else None


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
