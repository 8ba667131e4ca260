"""What a rule may know of the data before it is opened: what the spec says of it, and its source of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from kplug.kinds import Architecture

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class SeesImages:
    """Marks a parameter whose node gets the data's images themselves, so that their size is known to its rules."""


ImageArchitecture = Annotated[Architecture, SeesImages()]


@dataclass(frozen=True)
class Known:
    """What a spec says of its data, and its source of itself, before anything is opened: `kplug check` goes by it.

    Args:
        image: height, width and channels of the images that a network gets, None where one is not known; for a node
            that does not get the data's images, all None.
        classes: class names by label; None where they are not known.
    """

    image: tuple[int | None, int | None, int | None] = (None, None, None)
    classes: tuple[str, ...] | None = None


def known(tell: Callable[..., Known]) -> Callable[[F], F]:
    """Let a source say what it knows of its data without being opened.

    Args:
        tell: takes parameters of the source by name, a source among them as its `Known`; free of TensorFlow, quick, and
            without errors: what it cannot find out it leaves None.
    """

    def add(function: F) -> F:
        function.kplug_known = tell  # type: ignore[attr-defined]
        return function

    return add


def canonical(form: Callable[..., Any]) -> Callable[[F], F]:
    """Say which calls of a component come to the same, so that a search trains one of them.

    Args:
        form: takes parameters of the component by name, as plain values (a node is a mapping with its `type`), is free
            of TensorFlow, and returns what equal calls share: plain data, compared in place of those parameters.
    """

    def add(function: F) -> F:
        function.kplug_canonical = form  # type: ignore[attr-defined]
        return function

    return add


def by_epochs(function: F) -> F:
    """Say of an oracle that it compares trials after so many epochs, and so needs as many of all."""
    function.kplug_by_epochs = True  # type: ignore[attr-defined]
    return function
