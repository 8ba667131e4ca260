"""Answers of a run's kept weights: to files, to values by name, to the rows of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kplug.data.features import arrays_of
from kplug.data.raw import fields_of
from kplug.data.values import by_owner, owner
from kplug.errors import SpecError, listed
from kplug.inference.endpoints import AT_ONCE, predictor, signature_name, valid_name
from kplug.inference.questions import Question, Questions, Row, read_rows_of
from kplug.model.learner import restored_learner
from kplug.records import AsItIs, Codec, Field, Learner, Signature
from kplug.storage.run_directory import RunDirectory

SMALL = 16  # values of an output in one row that are told one by one


class Asking:
    """A run's endpoint that is asked about rows which a person has written.

    Args:
        run: whose kept weights answer.
        endpoint: one of the task's; None is the main one.
    """

    def __init__(self, run: RunDirectory, endpoint: str | None = None) -> None:
        self.learner: Learner = restored_learner(run)
        self.name = signature_name(self.learner, endpoint)
        self.signature: Signature = self.learner.serve[self.name]
        self.questions = Questions(self.name, self.signature)
        axes = self.questions.endpoint.axes
        self.valid = valid_name(self.questions.rows)  # the output that says whether a row could be read
        self.axes = {valid_name(axis): axis for axis in axes.values()} | dict(axes)
        for name, codec in self.codecs.items():  # of a file's picture, what lives in it has other arrays
            self.axes |= dict.fromkeys(arrays_of(name, codec.restored()), axes[next(iter(fields_of(name, codec)))])

    @property
    def unreadable(self) -> str:
        """The reason why a row is not valid, in words: what its raw inputs should have been."""
        raws = {codec.raw.about for _, codec in self.questions.raws.values() if codec.raw is not None}
        return f"it cannot be read as {' or '.join(sorted(raws))}"

    def answers(self, questions: Sequence[Question]) -> list[Row]:
        """The outputs for each question, rows by name; questions that can be are asked together."""
        ask = predictor(self.learner, self.name)
        found: list[Row] = [{}] * len(questions)
        groups: dict[Any, list[int]] = {}
        for number, question in enumerate(questions):
            groups.setdefault(self._together(question), []).append(number)
        for numbers in groups.values():
            for start in range(0, len(numbers), AT_ONCE):
                part = numbers[start : start + AT_ONCE]
                for number, row in zip(part, self._answered(ask, [questions[n] for n in part]), strict=True):
                    found[number] = row
        return found

    def _is_of_rows(self, name: str) -> bool:
        """True where an input has a value for each question, False where questions share it."""
        rows = self.questions.rows
        return rows is not None and self.questions.axis(name) == rows

    def _together(self, question: Question) -> Any:
        """The part of a question that is equal for those that can be asked together."""
        return tuple(
            (name, np.shape(value) if self._is_of_rows(name) else id(value))
            for name, value in sorted(question.inputs.items())
        )

    def _answered(self, ask: Any, questions: Sequence[Question]) -> list[Row]:
        first = questions[0].inputs
        given = {
            name: stacked([one.inputs[name] for one in questions]) if self._is_of_rows(name) else first[name]
            for name in first
        }
        outputs = ask(**given)
        self._refuse_unread(first, outputs)
        rows = self.questions.rows
        return [
            {
                name: values[place] if rows is not None and self.axes[name] == rows else values
                for name, values in outputs.items()
                if name == self.valid or owner(name, self.codecs) in self.codecs
            }
            for place in range(len(questions))
        ]

    def _refuse_unread(self, inputs: Mapping[str, Any], outputs: Row) -> None:
        """Refuse what questions share and cannot be read: what is answered would be of zeros."""
        for raw in (name for name in inputs if name in self.questions.raws and not self._is_of_rows(name)):
            bad = np.flatnonzero(~np.atleast_1d(outputs[valid_name(self.questions.axis(raw))]))
            if len(bad):
                which = f"{raw}, number {listed(map(str, bad))} counted from 0" if np.ndim(inputs[raw]) else raw
                raise SpecError(f"endpoint '{self.name}' cannot read what it was given as {which}")

    # --- outputs ---

    @property
    def codecs(self) -> dict[str, Codec]:
        """The codecs of outputs; one that is a bare array is kept as it is."""
        outputs = self.signature.outputs.items()
        return {name: AsItIs(one.shape, one.dtype) if isinstance(one, Field) else one for name, one in outputs}

    def in_words(self, row: Row, top: int) -> Row:
        """One row of outputs as a person reads it: the task's own words, or small values; large ones summed up."""
        outputs = {name: value for name, value in row.items() if name != self.valid}
        if self.signature.answer is not None:
            return dict(self.signature.answer(outputs, top))
        return {name: shown(value, self.codecs.get(owner(name, self.codecs))) for name, value in outputs.items()}

    def write(self, row: Row, to: Path, stem: str) -> list[str]:
        """Write each output of a row into a folder, in the form of its codec; return the paths."""
        to.mkdir(parents=True, exist_ok=True)
        paths = []
        outputs = {name: value for name, value in row.items() if name != self.valid}
        for name, suffixed in by_owner(outputs, self.codecs).items():
            content, ending = content_of(suffixed, self.codecs[name])
            path = to / f"{stem}-{name}{ending}"
            path.write_bytes(content)
            paths.append(str(path))
        return paths


def stacked(values: Sequence[Any]) -> Any:
    """Rows as one array; bytes and texts, which NumPy would pad, as a list."""
    return list(values) if isinstance(values[0], str | bytes) else np.stack(values)


def is_text(value: Any) -> bool:
    """True for texts and bytes, and arrays of them."""
    return isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "USO"


def text_of(value: Any) -> Any:
    """Texts as JSON has them; bytes that are no UTF-8 with the numbers of those that are none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return str(value)
    return [text_of(one) for one in value] if np.ndim(value) else text_of(value.item())


def shown(value: Any, codec: Codec | None = None) -> Any:
    """A value as JSON, or what it is in a few words where it is large."""
    if isinstance(value, bytes) and codec is not None and codec.in_frame:
        return codec.summary(value)
    if is_text(value):
        return text_of(value) if np.size(value) <= SMALL else f"{np.size(value)} texts"
    array = np.asarray(value)
    return array.tolist() if array.ndim < 2 and array.size <= SMALL else (codec or AsItIs()).summary(array)


def content_of(suffixed: Mapping[str, Any], codec: Codec) -> tuple[bytes, str]:
    """The content of a file for an output, and how its name ends: bytes as they are, texts as JSON."""
    value = suffixed[""] if set(suffixed) == {""} else dict(suffixed)
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return value["bytes"], codec.restored_ending
    if isinstance(value, dict) or not is_text(value):
        return codec.keep(np.asarray(value) if not isinstance(value, dict) else value), codec.ending
    if isinstance(value, bytes):
        return value, ".bin"
    return f"{json.dumps(text_of(value), ensure_ascii=False)}\n".encode(), ".json"


def predict_files(
    run: RunDirectory,
    files: Sequence[Path],
    top: int,
    endpoint: str | None = None,
    values: Mapping[str, Any] | None = None,
    rows: Path | None = None,
    to: Path | None = None,
) -> list[Row]:
    """Return a mapping for each file or row: what was asked, `valid` where something was read, then the answer.

    Args:
        run: whose kept weights answer.
        files: fill the first input that takes files.
        top: how many classes and the like an answer names.
        endpoint: that is asked; None is the main one.
        values: inputs of every row by name; text that begins with @ names an .npy file.
        rows: a JSONL file, a row of inputs by name in each line.
        to: a folder into which every output is written as a file.
    """
    written = read_rows_of(rows) if rows else []  # before TensorFlow works on anything
    asking = Asking(run, endpoint)
    questions = asking.questions.read(files, values or {}, written)
    found = []
    for number, (question, row) in enumerate(zip(questions, asking.answers(questions), strict=True)):
        valid = bool(row.get(asking.valid, True))
        answer: Row = {name: shown(value) for name, value in question.said.items()} | {"valid": valid}
        if not valid:
            answer["reason"] = asking.unreadable
        else:
            answer |= asking.in_words(row, top)
            answer |= {"files": asking.write(row, to, stem_of(number, question))} if to else {}
        found.append(answer)
    return found


def stem_of(number: int, question: Question) -> str:
    """The beginning of the names of the files that an answer is written to."""
    return f"{number:03}" + (f"-{Path(question.said['file']).stem}" if "file" in question.said else "")
