"""The codec of texts, whose words are numbers by a vocabulary; free of TensorFlow until it reads one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kplug.errors import SpecError, listed
from kplug.records import Codec, Field, Split

MARKS = ("[PAD]", "[UNK]", "[START]", "[END]")  # the ids before the first word
PADDING, UNKNOWN, START, END = range(4)
AT_ONCE = 4096  # texts that are split into words at a time
SHOWN = 5  # rows that an error names


@dataclass(frozen=True)
class TextCodec(Codec):
    """The parameters are those of the feature `text`; the vocabulary, words from id 4 on, is learnt."""

    length: int = 32
    least: int = 1
    size: int | None = None
    several: int | None = None
    lower_case: bool = True
    punctuation: Literal["drop", "words"] = "drop"
    start: bool = False
    end: bool = False
    missing: Literal["refuse", "empty"] = "refuse"
    vocabulary: tuple[str, ...] | None = None

    takes_batches = True
    never_fails = True
    must_match = ("vocabulary",)
    raw_suffix = "text"
    ending = ".txt"

    @property
    def field(self) -> Field:
        shape = (self.length,) if self.several is None else (self.several, self.length)
        words = None if self.vocabulary is None else len(MARKS) + len(self.vocabulary)
        return Field(shape, "int32", "ids of words: 0 padding, 1 unknown, 2 start, 3 end, words from 4", below=words)

    @property
    def raw(self) -> Field:  # type: ignore[override]
        return Field(() if self.several is None else (self.several,), "string", "text in UTF-8")

    @property
    def room(self) -> int:
        """The words of a text that an example keeps, beside its marks."""
        return self.length - self.start - self.end

    # --- from data -------------------------------------------------------------------------------------------------

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        told = splits["train"].facts.get(name, {}).get("vocabulary")
        counts: Counter[bytes] = Counter()
        cut = {}
        for split_name, split in splits.items():
            is_counted = split_name == "train" and not told
            cut[split_name] = self._look_through(name, split_name, split, counts if is_counted else None)
        vocabulary = _checked(name, told) if told else self._most_frequent(name, counts)
        return {"vocabulary": vocabulary, "cut": cut}

    def _look_through(self, name: str, split_name: str, split: Split, counts: Counter[bytes] | None) -> int:
        """Count the words of a split, and return in how many rows some are cut; a row without a text is refused."""
        from kplug.data.codecs.words import split_words
        from kplug.data.values import texts_of

        cut, without = 0, []
        for begin, texts in _parts(texts_of(split, name)):
            if texts.ndim != (1 if self.several is None else 2):
                wanted = "one text a row" if self.several is None else f"up to {self.several} texts a row"
                message = f"'{name}' gives texts of the shape {list(texts.shape[1:])} a row, not {wanted}"
                raise SpecError(f"{message} (several: {self.several or 'null'})")
            rows = texts.reshape(len(texts), -1)
            without += [begin + row for row, blank in enumerate(_blank(rows)) if blank]
            words = split_words(rows.reshape(-1), self.lower_case, self.punctuation)
            too_long = (words.row_lengths().numpy() > self.room).reshape(rows.shape)
            too_many = ~_blank(rows[:, self.several or 1 :]) if rows.shape[1] > (self.several or 1) else False
            cut += int((too_long.any(1) | too_many).sum())
            if counts is not None:
                counts.update(words.flat_values.numpy().tolist())
        if without and self.missing == "refuse":
            raise SpecError(_missing(name, split_name, split, without))
        return cut

    def _most_frequent(self, name: str, counts: Mapping[bytes, int]) -> list[str]:
        """The words of the vocabulary: by how often they are there, then by alphabet."""
        often = sorted((-count, word) for word, count in counts.items() if count >= self.least)
        if not often:
            what = f"no word of '{name}' stands {self.least} times in train" if counts else f"'{name}' has no word"
            raise SpecError(f"{what}, so that there is no vocabulary")
        return [word.decode() for _, word in often[: self.size]]

    def remarks(self, name: str, facts: Mapping[str, Any]) -> list[str]:
        cut = {split: count for split, count in facts.get("cut", {}).items() if count}
        if not cut:
            return []
        where = ", ".join(f"{count:,} of {split}" for split, count in cut.items())
        return [f"'{name}' is cut to length: {self.length} in these rows: {where}"]

    # --- to ids ----------------------------------------------------------------------------------------------------

    def read(self, value: Any) -> Any:
        import tensorflow as tf

        from kplug.data.codecs.words import ids_of, split_words

        assert self.vocabulary is not None  # learnt before anything is read
        if value.shape.rank is None:  # of one example, as Python gives it
            value = tf.ensure_shape(value, [] if self.several is None else [None])
        if self.several is not None:
            value = value[..., : self.several]
        words = split_words(tf.reshape(value, [-1]), self.lower_case, self.punctuation)
        ids = ids_of(words, self.vocabulary, self.length, self.start, self.end)
        ids = tf.reshape(ids, tf.concat([tf.shape(value), [self.length]], axis=0))
        if self.several is not None:
            lacking = self.several - tf.shape(ids)[-2]
            ids = tf.pad(ids, [*[[0, 0]] * (value.shape.rank - 1), [0, lacking], [0, 0]])
        outer = value.shape.rank - len(self.field.shape) + 1
        return tf.ensure_shape(ids, [*value.shape[:outer], *self.field.shape])

    # --- and back --------------------------------------------------------------------------------------------------

    def words(self, ids: Any) -> Any:
        """The text of ids `[..., length]`, up to the first end and without marks: a text, or lists of texts."""
        import numpy as np

        rows = np.asarray(ids)
        if rows.ndim > 1:
            return [self.words(row) for row in rows]
        end = np.flatnonzero(rows == END)
        kept = rows[: end[0]] if len(end) else rows
        return " ".join(self._word(number) for number in kept.tolist() if number not in (PADDING, START))

    def _word(self, number: int) -> str:
        names = (*MARKS, *(self.vocabulary or ()))
        return names[number] if 0 <= number < len(names) else f"[{number}]"

    def keep(self, value: Any) -> bytes:
        """The words of each text in a line of its own, marks among them; padding at the end is left out."""
        import numpy as np

        lines = []
        for row in np.asarray(value).reshape(-1, self.length).tolist():
            while row and row[-1] == PADDING:
                row.pop()
            lines.append(" ".join(map(self._word, row)))
        return "".join(f"{line}\n" for line in lines).encode()

    def open(self, content: bytes) -> Any:
        import numpy as np

        ids = {word: number for number, word in enumerate((*MARKS, *(self.vocabulary or ())))}
        found = np.zeros([self.several or 1, self.length], np.int32)
        for row, line in enumerate(content.decode().removesuffix("\n").split("\n")):
            for place, word in enumerate(line.split(" ") if line else ()):
                found[row, place] = ids[word] if word in ids else int(word.strip("[]"))
        return found if self.several is not None else found[0]

    def raws(self, value: Any) -> list[Any]:
        """The words themselves, an unknown one in the place of such; then too many of them, large letters, no UTF-8."""
        unknown = "unknown"
        while unknown in (self.vocabulary or ()):
            unknown += "x"
        rows = value.reshape(-1, self.length)
        texts = [self.words(row).replace(MARKS[UNKNOWN], unknown) for row in rows]
        longer = [" ".join([text] * (1 + self.length)) for text in texts]
        odd = [b"\xff\x00 " + text.upper().encode() + b" \xe2\x82" for text in texts]
        found = [[text.encode() for text in texts], [text.encode() for text in longer], odd, [b""] * len(texts)]
        return found if self.several is not None else [one[0] for one in found]

    def assets(self, name: str) -> dict[str, str]:
        file = "vocabulary.txt" if name == "text" else f"{name}.vocabulary.txt"
        return {file: "".join(f"{word}\n" for word in (*MARKS, *(self.vocabulary or ())))}

    def summary(self, value: Any) -> str:
        found = self.words(value)
        return found if isinstance(found, str) else " | ".join(text for text in found if text)


def _parts(texts: Any) -> Iterator[tuple[int, Any]]:
    """Texts some at a time, each time with the number of the first row."""
    for begin in range(0, len(texts), AT_ONCE):
        yield begin, texts[begin : begin + AT_ONCE]


def _blank(rows: Any) -> Any:
    """True for rows `[n, k]` of texts, in bytes, without one character that is seen, bool `[n]`."""
    import numpy as np

    return np.array([all(not text.strip() for text in row) for row in rows.tolist()], bool)


def _missing(name: str, split_name: str, split: Split, rows: Sequence[int]) -> str:
    some = listed((split.where(row) for row in rows[:SHOWN]), SHOWN) + (", ..." if len(rows) > SHOWN else "")
    message = f"'{name}' has no text in {len(rows):,} of {len(split):,} rows of {split_name}: {some}"
    return f"{message}; mend or remove them, or say missing: empty"


def _checked(name: str, told: Sequence[Any]) -> list[str]:
    """The vocabulary that a source tells, seen to be words that can be told apart."""
    words = [str(word) for word in told]
    if strange := [word for word in words if not word or re.search(r"\s", word) or re.fullmatch(r"\[.+\]", word)]:
        raise SpecError(f"the source's vocabulary of '{name}' has '{strange[0]}', which is no word")
    if twice := [word for word, count in Counter(words).items() if count > 1]:
        raise SpecError(f"the source's vocabulary of '{name}' has '{twice[0]}' twice")
    return words
