"""The built-in features that are no pictures: classes, arrays of numbers, and texts."""

from typing import Literal

from kplug import Feature, hookimpl, rule
from kplug.errors import Problem, SpecError
from kplug.kinds import Count


@hookimpl
def components():
    return [label, tensor, text]


def label() -> Feature:
    """The class of an example, int32, or a row of 0 and 1 where it may have several.

    Class names are the source's, the same in all splits; -1 is a class that is not known: it is counted nowhere, and
    the example has no weight in losses and metrics.
    """
    from kplug.data.codecs.label import LabelCodec

    return LabelCodec()


def tensor() -> Feature:
    """An array of numbers, of one shape and dtype, that is left as it is."""
    from kplug.records import AsItIs

    return AsItIs()


def _has_room_for_words(length: int, start: bool, end: bool) -> None:
    if length <= start + end:
        raise SpecError([Problem(f"{length} leaves no room for words beside the marks", ("length",))])


@rule(_has_room_for_words)
def text(
    length: Count = 32,
    least: Count = 1,
    size: Count | None = None,
    several: Count | None = None,
    lower_case: bool = True,
    punctuation: Literal["drop", "words"] = "drop",
    start: bool = False,
    end: bool = False,
    missing: Literal["refuse", "empty"] = "refuse",
) -> Feature:
    """Words of a text as numbers (ids), int32 [length], by a vocabulary that is learnt from train.

    Ids are 0 for padding, 1 for an unknown word, 2 and 3 for start and end, and from 4 on words: the most frequent
    first, equally frequent ones by alphabet, or as the source's fact `vocabulary` has them. Words are divided by
    whatever is no letter, digit or apostrophe; each character of Chinese and Japanese is one. Text is not normalized:
    an é of one character is not an é of two.

    Args:
        length: ids of a text in a batch; longer texts are cut, shorter ones padded.
        least: how often a word must stand in train to get an id.
        size: words of the vocabulary at most, the four ids before them left out; null for all.
        several: texts of an example, [several, length]: fewer are filled up with padding, of more the first are taken;
            null for one.
        lower_case: read large letters as small ones.
        punctuation: drop it, or take each mark for a word.
        start: begin each text with the id 2.
        end: end each text with the id 3, also one that is cut.
        missing: refuse examples without a text, or read it as empty: padding alone.
    """
    from kplug.data.codecs.text import TextCodec

    return TextCodec(length, least, size, several, lower_case, punctuation, start, end, missing)
