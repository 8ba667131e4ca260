"""The class names that weights speak of, compared with those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kplug.errors import Problem, SpecError, did_you_mean, listed


def refuse_unknown_classes(parameter: str, weights: Any, classes: tuple[str, ...] | None) -> None:
    """What rules on weights of classes are made of.

    Args:
        parameter: of the component, that holds the weights.
        weights: what a spec says of them; by name where it is a mapping.
        classes: that there are; None: they are not known yet.

    Raises:
        SpecError: a name is none of them.
    """
    if problems := [Problem(message, (parameter, name)) for name, message in unknown_classes(weights, classes)]:
        raise SpecError(problems)


def unknown_classes(weights: Any, classes: tuple[str, ...] | None) -> list[tuple[str, str]]:
    """Names in weights that are no class, and what there is to say of them."""
    if not isinstance(weights, Mapping) or classes is None:
        return []
    return [
        (name, f"no class named '{name}'{did_you_mean(name, classes)} (classes: {listed(classes)})")
        for name in weights
        if name not in classes
    ]
