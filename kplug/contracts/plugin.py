"""The contract of plugins: light to import, hooks of known names, components and commands that are documented."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click

from kplug import hookspecs
from kplug.contracts.plugged import plugged
from kplug.contracts.subject import check_documentation, demand
from kplug.errors import did_you_mean, listed
from kplug.spec.plugins import Host

IMPLEMENTED = "kplug_impl"  # the mark of `hookimpl`
HOOKS = {name: function for name, function in vars(hookspecs).items() if hasattr(function, "kplug_spec")}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def check_plugin_of(plugin: Any, run_light: Run) -> None:
    """Check a plugin.

    Args:
        plugin: a module, a class or an object with hooks.
        run_light: runs Python in a process that can import nothing heavy, `kplug.testing.no_tensorflow`.
    """
    _check_hooks(plugin)
    if isinstance(plugin, ModuleType):
        _check_import(plugin, run_light)
    with plugged(plugin) as host:
        (described,) = host.loaded[-1:]
        components = [one for one in host.registry.components if one.distribution == described.distribution]
        for component in components:
            check_documentation(component)
        _check_commands(plugin, host, _commands_in(run_light("--help", KPLUG_PLUGINS="").stdout))


def _check_hooks(plugin: Any) -> None:
    """Demand that what is marked is a hook, with arguments of the hook, and that what is called as one is marked."""
    for name, found in inspect.getmembers(plugin, callable):
        if hasattr(found, IMPLEMENTED):
            named = getattr(found, IMPLEMENTED).get("specname") or name
            known = f"{did_you_mean(named, HOOKS)} (hooks: {listed(HOOKS)})"
            demand(named in HOOKS, f"a plugin implements hooks of kplug; there is no hook '{named}'{known}")
            taken = list(inspect.signature(HOOKS[named]).parameters)
            for argument in inspect.signature(found).parameters:
                fits = argument in taken or argument == "self"
                demand(fits, f"the hook '{named}' has the arguments {listed(taken) or 'none'}; received '{argument}'")
        elif name in HOOKS and getattr(found, "__module__", "") == getattr(plugin, "__name__", None):
            raise AssertionError(f"'{name}' is called as a hook and is not marked: put @hookimpl above it")


def _check_import(plugin: ModuleType, run_light: Run) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = run_light(code=f"import {plugin.__name__}", PYTHONPATH=paths)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    demand(done.returncode == 0, f"a plugin imports nothing heavy before a component is built; {last}")


def _check_commands(plugin: Any, host: Host, own: list[str]) -> None:
    """Demand that each command has a name of its own, and help for itself and its options.

    Args:
        plugin: as the host has registered it, or its class.
        host: with the plugin.
        own: names of kplug's commands.
    """
    there = {name: click.Command(name) for name in own}
    cli = click.Group("kplug", commands=dict(there))
    for hook in host.manager.hook.commands.get_hookimpls():
        if hook.plugin is plugin or (isinstance(plugin, type) and isinstance(hook.plugin, plugin)):
            hook.function(cli)
    taken = [name for name in there if cli.commands.get(name) is not there[name]]
    demand(not taken, f"a plugin leaves the commands of kplug alone; '{listed(taken)}' is taken")
    for name in sorted(cli.commands.keys() - there.keys()):
        command = cli.commands[name]
        demand(not command.hidden, f"`kplug --help` lists every command; '{name}' is hidden")
        demand(command.get_short_help_str(), f"every command says in a line what it does; '{name}' has no docstring")
        for option in command.params:
            has_help = not isinstance(option, click.Option) or option.help
            demand(has_help, f"every option says what it does; '{option.name}' of '{name}' has no help")


def _commands_in(listing: str) -> list[str]:
    """The names of the commands that `kplug --help` lists."""
    lines = listing.partition("Commands:\n")[2].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and line[2:3] != " "]
