"""The contract of features: a codec reads alike in training and in an export, and what it keeps it opens again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, same
from kplug.contracts.tiny import tiny_pictures
from kplug.data.features import arrays_of
from kplug.data.raw import read_rows
from kplug.records import Codec, Columns, Split

NAME = "field"  # what the tested field is called
HOSTILE = (b"", b"\xff\x00 nothing that anybody would send", b"0" * 1000)


def check_feature(subject: Subject) -> None:
    """Check a feature; `inputs` are values as a source gives them, or a `Split` that gives them as `field`.

    An array `[n, ...]` is of a source that loads many rows at once; a list, of files say, of one that loads row by row.
    """
    codec = subject.make()
    subject.of_class(codec, Codec, "Codec")
    parameters = getattr(codec, "__dataclass_params__", None)
    demand(parameters and parameters.frozen, f"a codec is a frozen dataclass; {type(codec).__name__} is none")
    split = _split(subject)
    whole = _learnt(codec, split)
    read = _read(whole, split)
    _check_arrays(whole, read)
    _check_batches(whole, split, read)
    _check_kept(whole, read)
    _check_raw(whole, read)
    if whole.mends:
        _check_mended(whole, read)


def _split(subject: Subject) -> Split:
    """The values as a split of a source."""
    inputs = subject.inputs
    if isinstance(inputs, Split):
        return inputs
    if inputs is None:
        inputs = _known(subject.component.name)
    demand(inputs is not None and len(inputs) > 1, "give `inputs`, values as a source gives them: two at least")
    values = tf.constant(inputs)
    is_batched = isinstance(inputs, np.ndarray)
    return Split(Columns(len(inputs)), lambda row: {NAME: tf.gather(values, row)}, batched=is_batched)


def _known(name: str) -> Any:
    """Values for the built-in features; a stranger's needs `inputs`."""
    if name == "image":
        return tiny_pictures(6, (10, 12))["train"].load(tf.range(6))["image"].numpy()
    known = {
        "label": np.array([0, 2, 1, -1, 0], np.int32),
        "tensor": np.arange(24, dtype=np.float32).reshape(4, 6),
        "text": ["a red square", "How many discs, please?", "none", "a cross"],
    }
    return known.get(name)


# --- what is learnt --------------------------------------------------------------------------------------------------


def _learnt(codec: Codec, split: Split) -> Codec:
    """The codec that knows the facts, which are plain JSON."""
    splits = {"train": split, "test": split}
    facts = codec.learn(NAME, splits)
    try:
        kept = json.loads(json.dumps(facts))
    except TypeError as error:
        raise AssertionError(f"learn gives what JSON can hold; received {facts!r}: {error}") from error
    demand(kept == facts, f"learn gives plain JSON, which is the same when it is read again; {facts!r} became {kept!r}")
    demand(codec.learn(NAME, splits) == facts, "learn is a function of the splits; asked twice it gave other facts")
    whole = codec.with_facts(kept)
    demand(type(whole) is type(codec), f"with_facts gives a codec of the same class; received {type(whole).__name__}")
    demand(whole.with_facts(kept) == whole, "with_facts of a codec that knows the facts changes nothing")
    lost = [fact for fact in whole.must_match if fact not in facts]
    demand(not lost, f"must_match names facts that learn gives; it lacks {', '.join(lost)}")
    return whole


# --- what is read ----------------------------------------------------------------------------------------------------


def _read(codec: Codec, split: Split) -> list[dict[str, Any]]:
    """The arrays that the codec reads, an example after the other, arrays by suffix; in parallel it is the same."""
    rows = tf.data.Dataset.range(len(split))

    def read(row: Any) -> Any:
        found = codec.read(split.load(row)[NAME])
        return found if isinstance(found, dict) else {"": found}

    try:
        tf.random.set_seed(1)  # two global seeds: what draws without being asked to comes out otherwise
        first = list(rows.map(read).as_numpy_iterator())
        tf.random.set_seed(2)
        again = list(rows.map(read, num_parallel_calls=4).as_numpy_iterator())
    except Exception as error:
        raise AssertionError(
            f"read is graph-safe and takes the value of one example; in Dataset.map: {error}"
        ) from error
    demand(same(first, again), "read is a function of the value; asked again, in parallel, it gave other arrays")
    return first


def _check_arrays(codec: Codec, read: list[dict[str, Any]]) -> None:
    promised = codec.arrays
    demand("" in promised, f"`arrays` has the field itself, by the suffix ''; received {sorted(promised)}")
    for arrays in read:
        demand(arrays.keys() == promised.keys(), f"read gives {sorted(promised)} by suffix; received {sorted(arrays)}")
        for suffix, array in arrays.items():
            field = promised[suffix]
            said = f"`arrays` promises {field.dtype} {field.shape} for '{suffix}'"
            array = np.asarray(array)
            dtype = "string" if array.dtype.kind in "SUO" else array.dtype.name
            demand(None not in field.shape, f"{said}: with the facts every size is known")
            demand((dtype, array.shape) == (field.dtype, field.shape), f"{said}; read gave {dtype} {array.shape}")
            within = field.below is None or not array.size or array.max() < field.below
            demand(within, f"{said}, below {field.below}; read gave {array.max()}")


def _check_batches(codec: Codec, split: Split, read: list[dict[str, Any]]) -> None:
    """Demand that many examples at once are read as one by one, where codec and source do so."""
    if not (codec.takes_batches and split.batched):
        return
    values = split.load(tf.range(len(split), dtype=tf.int64))[NAME]
    for size in (len(split), 1):
        together = codec.read(values[:size])
        together = together if isinstance(together, dict) else {"": together}
        stacked = {suffix: np.stack([arrays[suffix] for arrays in read[:size]]) for suffix in read[0]}
        found = {suffix: np.asarray(array) for suffix, array in together.items()}
        demand(same(found, stacked), f"takes_batches: {size} examples read at once differ from those read one by one")


def _check_mended(codec: Codec, read: list[dict[str, Any]]) -> None:
    batch = np.stack([arrays[""] for arrays in read])
    for given in (batch, batch.astype(np.float32)):
        mended = np.asarray(codec.mend(tf.constant(given)))
        demand(same(mended, batch), "mend brings a batch back into its form, and leaves alone what nobody changed")


# --- what is kept ----------------------------------------------------------------------------------------------------


def _one(arrays: Mapping[str, Any]) -> Any:
    """The value that `keep` is given of an example: the array, or several by suffix."""
    return arrays[""] if set(arrays) == {""} else dict(arrays)


def _check_kept(codec: Codec, read: list[dict[str, Any]]) -> None:
    for arrays in read:
        content = codec.keep(_one(arrays))
        demand(
            isinstance(content, bytes), f"keep gives bytes, the content of a file; received {type(content).__name__}"
        )
        opened = codec.open(content)
        demand(same(opened, _one(arrays)), "open gives what keep was given, to the bit; it gave another")
        said = codec.summary(arrays[""])
        demand(isinstance(said, str) and said and "\n" not in said, f"summary is one line of text; received {said!r}")
    for name, text in codec.assets(NAME).items():
        demand(isinstance(text, str), f"assets are texts by file name; '{name}' is {type(text).__name__}")


def _check_raw(codec: Codec, read: list[dict[str, Any]]) -> None:
    """Demand that raw values are read as those of the source, and that one that cannot be read has a reason."""
    if codec.raw is None:
        return
    demand(codec.raw_suffix, "a codec with a raw form says how an endpoint calls it: raw_suffix")
    raws = [codec.raws(_one(arrays))[0] for arrays in read]
    hostile = list(dict.fromkeys([*codec.hostile, *HOSTILE]))
    ask = tf.function(lambda values: read_rows(NAME, codec, values), autograph=False)
    arrays, valid = ask(tf.constant([*raws, *hostile]))
    found = {name: array.numpy() for name, array in arrays.items()}
    demand(valid.numpy()[: len(raws)].all(), "the raw form of a value can be read; `valid` is false for one")
    named = [arrays_of(NAME, one if set(one) != {""} else one[""]) for one in read]
    wanted = {name: np.stack([one[name] for one in named]) for name in found}
    read_again = {name: array[: len(raws)] for name, array in found.items()}
    demand(same(read_again, wanted), "raws gives first what is read as the same value again; it was read as another")
    for place, value in enumerate(hostile, len(raws)):
        try:
            codec.read(tf.constant(value))
        except Exception as error:
            said = codec.reason(error)
            is_line = isinstance(said, str) and said.strip() and "\n" not in said
            demand(is_line, f"reason says in one line why {value[:20]!r} cannot be read; received {said!r}")
            blank = not any(np.any(array[place]) for array in found.values())
            demand(blank and not valid.numpy()[place], f"what cannot be read gives zeros; {value[:20]!r} gave more")
