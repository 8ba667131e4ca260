"""Errors of an input pipeline, with the examples that cause them named."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from kplug.data.staging import as_raised
from kplug.data.values import owner, value_of
from kplug.errors import SpecError
from kplug.records import Codec, Split

if TYPE_CHECKING:
    from kplug.data.pipeline import Data

Advice = Callable[["Data", str, Exception], Exception]
OF_DATA = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError)
SHOWN = 5  # examples that an error names
# Scopes of a pipeline's operations: an error tells the names of the operations around the one that failed. Those of a
# function that TensorFlow has put in the place of its call are without a scope.
READING, PREPARING = "reading_rows", "preparing_batches"


def may_be_of_reading(error: Exception) -> bool:
    """True unless an error tells that it comes from a model, or from what is done to batches that were read."""
    told = str(getattr(error, "message", error))
    scopes = {scope: re.search(rf"(?:node |\[\[){scope}[/_]", told) for scope in (READING, PREPARING)}
    return bool(scopes[READING]) or ("IteratorGetNext" in told and not scopes[PREPARING])


def unreadable(split: Split, codecs: Mapping[str, Codec], rows: Iterable[int], error: Exception) -> Exception:
    """The error of a pipeline, with the examples named that cause it; the same error where none does.

    Args:
        split: that was read.
        codecs: by field.
        rows: those that are tried.
        error: the pipeline's.
    """
    problems: list[str] = []
    for row in rows:
        for name, codec in codecs.items():
            if codec.never_fails and name in split.columns:
                continue
            try:
                _read_alone(split, codecs, name, int(row))
            except OF_DATA as bad:
                problems.append(f"{split.where(int(row))}: {name}: {codec.reason(bad)}")
        if len(problems) >= SHOWN:
            break
    if not problems:
        return error
    return SpecError("these examples cannot be read; mend or remove them:\n  " + "\n  ".join(problems[:SHOWN]))


def _read_alone(split: Split, codecs: Mapping[str, Codec], name: str, row: int) -> None:
    """Read one field of a row; one that lives in a picture is placed as that is."""
    codec = codecs[name]
    if codec.of is not None:
        return
    if not codec.in_frame:
        codec.read(value_of(split, name, row))
        return
    assert codec.frame is not None
    given = {*split.columns.arrays, *split.load(tf.constant(row, tf.int64))}
    own = {array[len(name) + 1 :]: value_of(split, array, row) for array in given if owner(array, codecs) == name}
    placement = codecs[codec.frame].read_placed(value_of(split, codec.frame, row))[1]
    codec.read_in(own[""] if set(own) == {""} else own, placement)


@contextlib.contextmanager
def refuse_unreadable(split: Split, codecs: Mapping[str, Codec], rows: Iterable[int]) -> Iterator[None]:
    """Inside, an error of what is read from these rows names those that cannot be read."""
    try:
        yield
    except OF_DATA as error:
        raise unreadable(split, codecs, rows, error) from None


@contextlib.contextmanager
def explained(
    data: Data, split: str | Callable[[], str], advice: Advice = lambda data, split, error: error
) -> Iterator[None]:
    """Inside, errors of an input pipeline name the examples that cause them; those of memory come with advice.

    Args:
        data: that is read.
        split: which of its splits is, or a function that says which is now.
        advice: (data, split, TensorFlow's error) to the error that is raised where memory was not enough.
    """

    def now() -> str:
        return split if isinstance(split, str) else split()

    try:
        with as_raised():
            yield
    except tf.errors.ResourceExhaustedError as error:
        raise advice(data, now(), error) from None
    except OF_DATA as error:
        if not may_be_of_reading(error):
            raise
        read = data.split(now())
        found: Exception = error
        tried: list[Iterable[int]] = [*list(data.asked.get(now(), ()))[::-1], range(len(read))]
        for rows in tried:
            if (found := unreadable(read, data.info.codecs, rows, error)) is not error:
                break
        raise found from (error if found is not error else None)
