"""Words of texts in the graph: the same operations in a training and in an export, without a table to be initialized.

A word is looked up by its hash in the sorted hashes of the vocabulary, and is then compared itself, so that no other
word with that hash is taken for it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kplug.data.codecs.text import END, MARKS, PADDING, START, UNKNOWN

HASHES = 2**62

# ICU, which TensorFlow lowers letters with, goes by the locale of the process for these: in Turkish I becomes a dotless
# i, in Lithuanian I with an accent keeps its dot. A server's locale must not change what is read, so that they, and
# ASCII, are lowered before.
BY_LOCALE = {"İ": "i̇", "Ì": "ì", "Í": "í", "Ĩ": "ĩ", "Į": "į"}
INVISIBLE = r"[\x{00AD}\x{200B}-\x{200D}\x{2060}\x{FEFF}]"  # soft hyphens, joiners, a byte order mark
APOSTROPHES = "[\u2019\u02bc\uff07]"
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"  # scripts without spaces: each character is a word
NO_WORD = r"[^\pL\pM\pN']"


def standardized(texts: Any, lower_case: bool, punctuation: str) -> Any:
    """Texts whose words stand between spaces; what is no UTF-8 and control characters are taken for spaces."""
    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", "replace", replacement_char=ord(" "), replace_control_characters=True
    )
    if lower_case:
        texts = tf.strings.lower(texts)  # ASCII alone
        for letter, lowered in BY_LOCALE.items():
            texts = tf.strings.regex_replace(texts, letter, lowered)
        texts = tf.strings.lower(texts, encoding="utf-8")
    texts = tf.strings.regex_replace(texts, INVISIBLE, "")
    texts = tf.strings.regex_replace(texts, APOSTROPHES, "'")
    texts = tf.strings.regex_replace(texts, r"\pZ+", " ")
    texts = tf.strings.regex_replace(texts, NO_WORD, " " if punctuation == "drop" else r" \0 ")
    texts = tf.strings.regex_replace(texts, UNSPACED, r" \0 ")
    # an apostrophe belongs to a word within it, and is a quotation mark around it
    quote = " " if punctuation == "drop" else " ' "
    texts = tf.strings.regex_replace(texts, r"(^| )'+", quote)
    return tf.strings.regex_replace(texts, r"'+( |$)", quote)


def split_words(texts: Any, lower_case: bool, punctuation: str) -> Any:
    """The words of texts `[n]`, a ragged tensor `[n, None]` of strings."""
    return tf.strings.split(standardized(texts, lower_case, punctuation))


@functools.lru_cache(maxsize=32)
def _sorted_by_hash(vocabulary: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Hashes in their order, int64, with the word and the id of each."""
    with tf.init_scope():
        words = tf.constant(vocabulary, tf.string)
        hashes = tf.strings.to_hash_bucket_fast(words, HASHES)
        order = tf.argsort(hashes, stable=True)
        found = [tf.gather(hashes, order), tf.gather(words, order), tf.cast(order, tf.int32) + len(MARKS)]
        hashes, words, ids = (tensor.numpy() for tensor in found)
    if (hashes[1:] == hashes[:-1]).any():
        twice = [words[place].decode() for place in (hashes[1:] == hashes[:-1]).nonzero()[0]]
        raise ValueError(f"two words of the vocabulary have one hash: {twice[0]}")
    return hashes, words, ids


def look_up(words: Any, vocabulary: tuple[str, ...]) -> Any:
    """The ids of words `[n]`, int32; of those that are not in the vocabulary, UNKNOWN."""
    hashes, known, ids = _sorted_by_hash(vocabulary)
    place = tf.searchsorted(tf.constant(hashes), tf.strings.to_hash_bucket_fast(words, HASHES))
    place = tf.minimum(place, len(vocabulary) - 1)
    return tf.where(tf.gather(tf.constant(known), place) == words, tf.gather(tf.constant(ids), place), UNKNOWN)


def ids_of(words: Any, vocabulary: tuple[str, ...], length: int, start: bool, end: bool) -> Any:
    """Ids `[n, length]`, int32, of ragged words `[n, None]`: cut before the marks are set, padded after them.

    A text without a word is padding alone.
    """
    kept = words[:, : length - start - end]
    ids = kept.with_flat_values(look_up(kept.flat_values, vocabulary))
    count = ids.nrows(tf.int32)
    marked = [tf.fill([count, 1], mark) for mark, wanted in ((START, start), (END, end)) if wanted]
    if marked:
        parts: Sequence[Any] = (*marked[: int(start)], ids, *marked[int(start) :])
        ids = tf.concat(parts, axis=1)
    padded = ids.to_tensor(PADDING, shape=[None, length])
    return tf.where((kept.row_lengths() > 0)[:, tf.newaxis], padded, PADDING) if marked else padded
