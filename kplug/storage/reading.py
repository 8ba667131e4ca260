"""The one reader of what runs and searches keep: regular files of a limited size, JSON in UTF-8, of the right shape.

A run may come from elsewhere: what it holds is looked at before anything goes by it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kplug.errors import Problem, SpecError, dotted
from kplug.spec import Spec, loads_kept
from kplug.spec.values import problems_of
from kplug.storage.files import opened
from kplug.storage.shapes import shape_of

# Bytes of a file that is parsed as a whole, and is refused when it is written where it is larger. A vocabulary of a
# million words takes 20 MiB; empty lists take 20 times as much memory as on the disk.
LARGEST = 64 * 2**20
LONGEST = 2**30  # bytes of a file of rows: a thousand metrics in each of 20,000 epochs take half of it
ANEW = "put it back as it was, or begin anew in another directory"


def content_of(path: Path, most: int = LARGEST, advice: str = ANEW) -> bytes:
    """The content of a file, which is no link, device or pipe, and not larger than anybody needs.

    Raises:
        FileNotFoundError: it is missing.
        SpecError: it is not such a file.
    """
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size  # Python takes all the memory that it is asked to read into
            content = b"" if size > most else file.read(size)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(path, error.strerror or str(error), advice) from None
    if size > most:
        raise damaged(path, f"it has more than {most:,} bytes", advice)
    return content


def damaged(path: Path, what: str, advice: str = ANEW) -> SpecError:
    """The error for a file of a run that cannot be read."""
    return SpecError(
        [Problem("; ".join(filter(None, [f"{path.name} is damaged: {what}", advice])), where=str(path.parent))]
    )


def refuse_other_shape(path: Path, content: Any, shape: Any, advice: str = ANEW, inside: str = "") -> None:
    """Refuse the content of a file that has not the shape which kplug gives it.

    Args:
        path: the file.
        content: what it holds, parsed.
        shape: an annotation of `kplug.storage.shapes`.
        advice: what to do.
        inside: the part of the file that the content is: "line 3".
    """
    if found := problems_of(shape, content):
        said = [": ".join(filter(None, [inside, dotted(place), message])) for message, place in found[:3]]
        what = "; ".join(filter(None, [f"{path.name} does not hold what kplug writes: {', '.join(said)}", advice]))
        raise SpecError([Problem(what, where=str(path.parent))])


def read_json(path: Path, advice: str = ANEW) -> Any:
    """The content of a file of JSON, in the shape that a file of this name has.

    Raises:
        FileNotFoundError: it is missing.
        SpecError: it is damaged; `advice` says what to do.
    """
    found = _parsed(content_of(path, advice=advice), path, advice)
    refuse_other_shape(path, found, shape_of(path.name), advice)
    return found


def read_rows(path: Path, advice: str = ANEW) -> list[Any]:
    """The rows of a file with JSON in each line; none where it is missing, and none for a last line that is torn.

    Raises:
        SpecError: it is damaged; `advice` says what to do.
    """
    return list(_rows(path, advice))


def _rows(path: Path, advice: str) -> Iterator[Any]:
    shape = shape_of(path.name)
    for number, line in enumerate(whole_lines(path, advice), 1):
        row = _parsed(line, path, advice, f"line {number}: ")
        refuse_other_shape(path, row, shape, advice, f"line {number}")
        yield row


def whole_lines(path: Path, advice: str = ANEW) -> list[bytes]:
    """The lines of a file that were written to their end, which a kill may have kept from the last."""
    try:
        content = content_of(path, LONGEST, advice)
    except FileNotFoundError:
        return []
    return content[: content.rfind(b"\n") + 1].splitlines()


def _parsed(content: bytes, path: Path, advice: str, inside: str = "") -> Any:
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        what = "it is no text in UTF-8"
    except RecursionError:
        what = "it is nested too deeply"
    except ValueError as error:
        what = f"it is no JSON: {error}"
    raise damaged(path, f"{inside}{what}", advice)


def kept_spec_in(folder: Path) -> Spec:
    """The spec that a run or a search keeps: its source may be another by now, or gone."""
    path = folder / "spec.yaml"
    try:
        return loads_kept(content_of(path), str(path))
    except FileNotFoundError:
        raise SpecError([Problem("spec.yaml is missing", where=str(folder))]) from None
