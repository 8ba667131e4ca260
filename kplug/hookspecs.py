"""The hooks that a plugin can implement: the table of contents of kplug.

A plugin is a module that an entry point of the group `kplug` names. It implements any of these with `@hookimpl`
and imports neither TensorFlow nor Keras at its top; its components import them in their bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    import click

    from kplug.inference.run import Run
    from kplug.kinds import Kind
    from kplug.tuning.search import Search


hookspec = HookspecMarker("kplug")
hookimpl = HookimplMarker("kplug")


@hookspec
def components() -> list[Callable[..., Any]]:  # type: ignore[empty-body]
    """The typed functions that this plugin contributes; each one's return annotation says its kind."""


@hookspec
def kinds() -> list[Kind]:  # type: ignore[empty-body]
    """The kinds of component that this plugin declares, beside kplug's own: `Kind(name, promise, contract)`."""


@hookspec
def commands(cli: click.Group) -> None:
    """Add commands to the command line `kplug`."""


@hookspec
def callbacks(run: Run) -> list[Any]:  # type: ignore[empty-body]
    """Keras callbacks for a training that starts; `run` is its directory, spec and data."""


@hookspec
def evaluated(run: Run, split: str, name: str, predictions: Any, columns: Any) -> dict[str, float] | None:
    """After an evaluation: write files into the run, return further metrics by name.

    Args:
        run: the evaluated run.
        split: the split's name.
        name: of this evaluation, by which files are told apart: the split's, or one with what `--name` adds.
        predictions: outputs of the task's serving signature, name to array with a row for each example; a mapping that
            computes them when the first is looked at.
        columns: `Columns` of the rows in the same order: those of the split, and those that the sampler gives.
    """


@hookspec
def exported(run: Run, path: Path) -> None:
    """After an export was verified, before it gets its final name: add files (assets) below `path`."""


@hookspec
def searched(search: Search) -> None:
    """After a search ended, or was stopped: write files (pictures, tables) into its directory, `search.path`."""
