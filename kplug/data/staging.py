"""Errors that components raise while TensorFlow makes a graph of them: as they were raised, with their places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kplug.errors import Path, SpecError


@contextlib.contextmanager
def as_raised() -> Iterator[None]:
    """Inside, a SpecError that is raised while a graph is made comes out as it is: TensorFlow wraps it."""
    try:
        yield
    except Exception as error:
        found: BaseException | None = error
        while found is not None and not isinstance(found, SpecError):
            found = found.__context__
        if found is None or found is error:
            raise
        raise found from None


def placed(function: Callable[..., Any], path: Path, where: str = "") -> Callable[..., Any]:
    """The same function, whose SpecErrors tell that they come from a place in the spec.

    Args:
        function: of a component.
        path: where the component stands in the spec.
        where: in which line that is.
    """

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except SpecError as error:
            raise error.located(path, where) from error.__cause__

    return call


def mapped(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """A dataset of what a function makes of elements, some at a time, in their order."""
    with as_raised():
        return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)
