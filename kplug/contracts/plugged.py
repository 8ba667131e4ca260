"""Plugins for one test, in place of those that are installed."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from kplug.contracts import tiny
from kplug.hookspecs import hookimpl
from kplug.spec.component import BadComponent, Component, read_component
from kplug.spec.plugins import Host, Plugin, host, using

TINY, TESTED = "kplug-testing", "tested"  # the distributions of the tiny sources and of a function that no plugin has

# --- plugins -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def plugged(*plugins: Any) -> Iterator[Host]:
    """Give kplug the built-ins and these plugins inside, whatever is installed.

        class Mine:
            @staticmethod
            @hookimpl
            def components():
                return [focal]

        with plugged(Mine) as host: ...

    Args:
        plugins: modules, classes or objects with hooks, or bare components; `distribution = "name"` on one names its
            owner.
    """
    with using([_as_plugin(plugin) for plugin in plugins]) as found:
        yield found


class Functions:
    """A plugin of these components and nothing else."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self.functions = functions

    @hookimpl
    def components(self) -> list[Callable[..., Any]]:
        return list(self.functions)


def _as_plugin(plugin: Any) -> Any:
    """Make what the host can register: an object of a class whose hooks take self, a plugin of a bare component."""
    if inspect.isfunction(plugin):
        made = Functions(plugin)
        made.__dict__["__name__"] = plugin.__name__
        return made
    methods = filter(inspect.isfunction, vars(plugin).values()) if inspect.isclass(plugin) else ()
    takes_self = any(hasattr(f, "kplug_impl") and "self" in inspect.signature(f).parameters for f in methods)
    return plugin() if takes_self else plugin


@contextlib.contextmanager
def knowing(function: Callable[..., Any]) -> Iterator[Component]:
    """Give the component of a function, inside a host with all present components and the tiny sources."""
    others = [c for c in host().registry.components if c.distribution not in ("kplug", TINY)]
    kinds = host().registry.kinds.values()
    with using([]) as extended:
        extended.registry.declare(kinds)
        extended.registry.components.extend(others)
        extended.add(tiny, Plugin("tiny", TINY, ""))
        found = [c for c in extended.registry.components if c.function is function]
        if not found:
            try:
                read_component(function)
            except BadComponent as error:
                raise AssertionError(f"this is no component: {error}") from error
            extended.registry.add([function], TESTED)
            found = extended.registry.components[-1:]
        yield found[0]
