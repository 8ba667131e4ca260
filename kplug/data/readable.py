"""Errors of an input pipeline, with the examples that cause them named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kplug.data.codecs import decoding as images
from kplug.errors import SpecError
from kplug.records import Split

if TYPE_CHECKING:
    from kplug.data.pipeline import Data

Advice = Callable[["Data", str, Exception], Exception]


def unreadable(split: Split, rows: Any, error: Exception) -> Exception:
    """The error of a pipeline, with the examples named that cause it; the same error where none does."""
    problems = []
    for row in rows:
        try:
            images.size_of(split.load(tf.constant(row, tf.int64))["image"])  # which decodes the picture of a file
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as bad:
            path = split.columns.arrays.get("path")
            name = f"row {row}" if path is None else str(path[row])
            problems.append(f"{name}: {images.reason(bad)}")
        if len(problems) == 5:
            break
    if not problems:
        return error
    return SpecError("these pictures cannot be read; mend or remove them:\n  " + "\n  ".join(problems))


@contextlib.contextmanager
def explained(
    data: Data, split: str | Callable[[], str], advice: Advice = lambda data, split, error: error
) -> Iterator[None]:
    """Inside, errors of an input pipeline name the pictures that cause them; those of memory come with advice.

    Args:
        data: that is read.
        split: which of its splits is, or a function that says which is now.
        advice: (data, split, TensorFlow's error) to the error that is raised where memory was not enough.
    """

    def now() -> str:
        return split if isinstance(split, str) else split()

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise advice(data, now(), error) from None
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError) as error:
        found = unreadable(data.split(now()), range(len(data.split(now()))), error)
        raise found from (error if found is not error else None)
