"""The questions of a person: files, values by name and rows of a file, in the form of an endpoint's inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.values import owner
from kplug.errors import Problem, SpecError, did_you_mean, listed
from kplug.inference.endpoints import Endpoint, from_arrays, raw_inputs
from kplug.records import Codec, Field, Signature
from kplug.spec.yaml12 import parse

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One row that an endpoint is asked about.

    Args:
        said: what it is called in the answer: {"file": path}, or what the row says.
        inputs: by name, raw where they have a raw form.
    """

    said: Mapping[str, Any]
    inputs: Mapping[str, Any]


class Questions:
    """The reader of what an endpoint is asked.

    A question is one row of the batch axis that the endpoint's first output has. Inputs without a batch axis are as
    they are; those on another one (examples to compare with) are given whole: a list, or an array `[n, ...]`.

    Args:
        name: of the endpoint.
        signature: of the task, which answers.
    """

    def __init__(self, name: str, signature: Signature) -> None:
        self.name = name
        self.endpoint: Endpoint = from_arrays(name, signature)
        self.inputs = self.endpoint.inputs
        self.raws = raw_inputs(signature)
        self.codecs = {key: one for key, one in signature.inputs.items() if isinstance(one, Codec)}
        axes = (self.endpoint.axes[output] for output in self.endpoint.outputs)
        self.rows = next((axis for axis in axes if axis is not None), None)

    def read(self, files: Sequence[Path], values: Mapping[str, Any], rows: Iterable[tuple[Row, str]]) -> list[Question]:
        """Make rows of files, of values by name that all of them share, and of the rows of a file.

        Raises:
            SpecError: an input is not there, missing, given twice, of another form, or its file cannot be read.
        """
        shared: Row = {}
        for name, value in values.items():
            where = f"--with {name}"
            shared |= self._beside(shared, self._input(name, value, where), where)
        found = []
        for file in files:
            own = self._input(self._of_files(), str(file), str(file))
            found.append(self._question({"file": str(file)}, own, shared, str(file)))
        for row, where in rows:
            own = {}
            for name, value in row.items():
                own |= self._beside(own, self._input(name, value, where), where)
            found.append(self._question(row, own, shared, where))
        return found or [self._question(values, {}, shared, "--with")]

    def axis(self, name: str) -> str | None:
        """The batch axis of an input, or of the raw form of one."""
        return self.endpoint.axes[self.raws[name][0] if name in self.raws else name]

    # --- rows ---

    def _question(self, said: Mapping[str, Any], own: Row, shared: Row, where: str) -> Question:
        given = shared | self._beside(shared, own, where, ": here and with --with")
        there = {self._field(name) for name in given if name in self.raws}
        for name in self.inputs:
            if name not in given and self._field(name) not in there:
                files = "give files, or " if self._field(name) == self._takes_files else ""
                message = f"endpoint '{self.name}' lacks its input {name}: {files}--with {name}=VALUE"
                raise SpecError([Problem(f"{message} (inputs: {listed(self.inputs)})", where=where)])
        return Question(said, given)

    def _beside(self, given: Row, more: Row, where: str, how: str = "") -> Row:
        """Inputs that come to others, none of them given already."""
        for name in more:
            for seen in given:
                is_raw = name in self.raws or seen in self.raws
                if name == seen or (is_raw and self._field(name) == self._field(seen)):
                    raise SpecError([Problem(f"the input {self._field(name)} is given twice{how}", where=where)])
        return more

    def _field(self, name: str) -> str:
        """The field that an input, or the raw form of one, belongs to."""
        return self.raws[name][0] if name in self.raws else owner(name, self.codecs)

    @property
    def _takes_files(self) -> str | None:
        """The field that files fill: the first whose raw form is the content of a file, one for each row."""
        files = (raw for raw, (_, codec) in self.raws.items() if codec.raw_suffix == "bytes")
        return next((self._field(raw) for raw in files if not self._whole(raw)), None)

    def _of_files(self) -> str:
        if self._takes_files is None:
            message = f"endpoint '{self.name}' takes no files; ask with --with NAME=VALUE"
            raise SpecError(f"{message} (inputs: {listed(self.inputs)})")
        return self._takes_files

    # --- values ---

    def _whole(self, name: str) -> bool:
        """True where an input is given as a whole, with all its rows."""
        return self.axis(name) not in (None, self.rows)

    def _input(self, name: str, value: Any, where: str) -> Row:
        """An input as the endpoint takes it: raw, where it has a raw form, else an array."""
        raw = next((raw for raw, (field, _) in self.raws.items() if name in (raw, field)), None)
        if raw is None and name not in self.inputs:
            known = [*self.inputs, *self.raws]
            near = f"{did_you_mean(name, known)} (inputs: {listed(known)})"
            raise SpecError([Problem(f"endpoint '{self.name}' has no input '{name}'{near}", where=where)])
        try:
            whole = self._whole(name)
            codec = None if raw is None else self.raws[raw][1]
            if codec is not None and codec.raw is not None and codec.raw.shape and not whole:
                found = several_of(codec.raw, value)
            else:
                found = None if codec is None else raw_of(codec.raw_suffix, value, whole, name != raw)
            if found is not None:
                return {str(raw): found}
            if name not in self.inputs:
                raise ValueError(f"it is not the raw form of {self._field(name)}, but {type(value).__name__}")
            return {name: array_of(self.inputs[name], value, whole)}
        except (OSError, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, SpecError):
                raise
            said = error.strerror if isinstance(error, OSError) else None
            message = f"{error.filename}: {said.lower()}" if isinstance(error, OSError) and said else str(error)
            raise SpecError([Problem(f"{name}: {message}", where=where)]) from None


def raw_of(suffix: str, value: Any, whole: bool, may_be_array: bool) -> Any:
    """The raw form of an input: the content of a file that a path names, or a text; None where it is an array.

    Args:
        suffix: of the raw form: `bytes` is the content of a file.
        value: a text or bytes; a list of them where the input is given whole.
        whole: it is.
        may_be_array: `@FILE` names a file with an array, no file of the raw form.
    """
    if whole:
        values = parsed(value) if isinstance(value, str) and not value.startswith("@") else value
        if not isinstance(values, list | tuple) or not all(isinstance(one, str | bytes) for one in values):
            return None
        return [raw_of(suffix, one, False, False) for one in values]
    if not isinstance(value, str | bytes):
        return None
    if suffix != "bytes" or isinstance(value, bytes):
        return value
    return None if may_be_array and value.startswith("@") else read_file(Path(value))


def several_of(raw: Field, value: Any) -> Any:
    """The raw form of an input that has several texts in a row, filled up with empty ones; None where it is an array.

    Raises:
        ValueError: there are more than may be.
    """
    texts = list(value) if isinstance(value, list | tuple) else [value]
    if not texts or not all(isinstance(text, str | bytes) for text in texts):
        return None
    most = raw.shape[0] or len(texts)
    if len(texts) > most:
        raise ValueError(f"{len(texts)} texts, of at most {most}")
    return np.array([*texts, *[""] * (most - len(texts))], object)


def array_of(field: Field, value: Any, whole: bool) -> np.ndarray:
    """An input as an array of the form of its field; `@FILE.npy` names a file that holds it.

    Raises:
        ValueError, OSError: it is of another form.
    """
    if isinstance(value, str) and value.startswith("@"):
        value = np.load(value[1:], allow_pickle=False)
    elif isinstance(value, str) and (whole or field.dtype != "string"):
        value = parsed(value)
    array = np.asarray(value)
    if field.dtype != "string":
        array = numbers(array, field)
    elif array.dtype.kind not in "US":
        raise ValueError(f"it is text; received {_short(array)}")
    shape = (None, *field.shape) if whole else field.shape
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        said = ["?" if size is None else size for size in shape]
        raise ValueError(f"it has the shape {list(array.shape)}, not {said}")
    return array


def numbers(array: np.ndarray, field: Field) -> np.ndarray:
    """Numbers in the dtype of a field, none of which is changed by it but to be rounded to a float.

    Raises:
        ValueError: they are none, not whole, or outside.
    """
    if array.dtype.kind not in "biuf":
        raise ValueError(f"these are no numbers: {_short(array)}")
    wanted = np.dtype(tf.as_dtype(field.dtype).as_numpy_dtype)
    if wanted.kind not in "biu":
        return array.astype(wanted)
    if not np.array_equal(array, np.floor(array)):
        raise ValueError(f"whole numbers are asked for; received {_short(array)}")
    limits = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
    least, most = limits if field.below is None else (0, field.below - 1)
    if array.size and not (array.min() >= least and array.max() <= most):
        raise ValueError(f"numbers from {least} to {most} are asked for; received {_short(array)}")
    return array.astype(wanted)


def _short(array: np.ndarray) -> str:
    said = str(array.tolist())
    return said if len(said) <= 60 else f"{said[:57]}..."


def parsed(text: str) -> Any:
    """The value of a text as YAML has it; the text itself where that is none."""
    try:
        return parse(text, "")[0]
    except SpecError:
        return text


# --- files ---------------------------------------------------------------------------------------------------------


def read_file(file: Path) -> bytes:
    """The bytes of a file that a person named."""
    try:
        return file.read_bytes()
    except OSError as error:
        near = did_you_mean(file.name, [p.name for p in file.parent.iterdir()]) if file.parent.is_dir() else ""
        raise SpecError([Problem(f"{(error.strerror or str(error)).lower()}{near}", where=str(file))]) from None


def read_rows_of(file: Path) -> list[tuple[Row, str]]:
    """The rows of a JSONL file, each with its place."""
    try:
        text = read_file(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError([Problem(f"it is not UTF-8: {error}", where=str(file))]) from None
    found, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=_once)
            if not isinstance(row, dict):
                raise ValueError(f"a row is a mapping of inputs by name; received {line.strip()[:40]}")
            found.append((row, where))
        except ValueError as error:
            problems.append(Problem(f"not a row of JSON: {error}", where=where))
    if problems or not found:
        raise SpecError(problems or [Problem("it has no rows", where=str(file))])
    return found


def _once(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' is given twice")
    return found
