"""The contract of features: a codec reads alike in training and in an export, and what it keeps it opens again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand, same
from kplug.contracts.tiny import tiny_pictures
from kplug.data.codecs.image import ImageCodec
from kplug.data.features import arrays_of
from kplug.data.raw import read_rows
from kplug.records import Codec, Columns, Geometry, Split

NAME = "field"  # what the tested field is called
SIZE = (10, 12)  # pixels of the picture that a field lives in
HOSTILE = (b"", b"\xff\x00 nothing that anybody would send", b"0" * 1000)


def check_feature(subject: Subject) -> None:
    """Check a feature; `inputs` are values as a source gives them, or a `Split` that gives them as `field`.

    One that lives in a picture needs a `Split` that gives it with its `picture`.

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
    if whole.moves:
        _check_moved(whole, read)
    if whole.in_frame:
        _check_restored(whole, read)


def _split(subject: Subject) -> Split:
    """The values as a split of a source."""
    inputs = subject.inputs
    if isinstance(inputs, Split):
        return inputs
    if inputs is None:
        inputs = _known(subject.component.name)
        if isinstance(inputs, Split):
            return inputs
    demand(inputs is not None and len(inputs) > 1, "give `inputs`, values as a source gives them: two at least")
    values = tf.constant(inputs)
    is_batched = isinstance(inputs, np.ndarray)
    return Split(Columns(len(inputs)), lambda row: {NAME: tf.gather(values, row)}, batched=is_batched)


def _known(name: str) -> Any:
    """Values for the built-in features; a stranger's needs `inputs`."""
    if name in TINY_IN_PICTURES:
        return _in_pictures(TINY_IN_PICTURES[name])
    if name == "clip":
        return np.random.default_rng(0).integers(0, 256, (4, 3, 8, 10, 3), np.uint8)
    if name == "image":
        return tiny_pictures(6, (10, 12))["train"].load(tf.range(6))["image"].numpy()
    known = {
        "label": np.array([0, 2, 1, -1, 0], np.int32),
        "tensor": np.arange(24, dtype=np.float32).reshape(4, 6),
        "text": ["a red square", "How many discs, please?", "none", "a cross"],
    }
    return known.get(name)


def _in_pictures(values: Mapping[str, np.ndarray]) -> Split:
    """A split of values, by suffix, with the picture that they live in."""
    count = len(values[""])
    tensors = {f"{NAME}_{suffix}" if suffix else NAME: tf.constant(array) for suffix, array in values.items()}
    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), np.uint8))

    def load(row: Any) -> dict[str, Any]:
        found = {name: tf.gather(array, row) for name, array in tensors.items()}
        return found | {"picture": tf.gather(pictures, row)}

    facts = {NAME: {"classes": ("ground", "disc", "square")}}
    return Split(Columns(count), load, facts=facts)


def _areas() -> np.ndarray:
    areas = np.zeros((4, *SIZE), np.int32)
    for number in range(4):
        areas[number, 1 + number : 5 + number, 2:6], areas[number, 3:7, 7:11] = 1, 2
    return areas


TINY_IN_PICTURES: dict[str, dict[str, np.ndarray]] = {
    "mask": {"": _areas()},
    "instances": {"": _areas(), "class": np.tile(np.array([1, 2], np.int32), (4, 1))},
    "boxes": {
        "": np.tile(np.array([[1, 1, 5, 6], [4, 2, 12, 10]], np.float32), (3, 1, 1)),
        "class": np.array([[0, 2], [1, -1], [2, -2]], np.int32),
    },
    "points": {"": np.array([[[1, 2, 1], [11.5, 9, 1]], [[0, 0, 0], [6, 5, 1]]], np.float32)},
}


# --- what is learnt --------------------------------------------------------------------------------------------------


def _learnt(codec: Codec, split: Split) -> Codec:
    """The codec that knows the facts, which are plain JSON."""
    splits = {"train": split, "test": split}
    facts = codec.learn(NAME, splits)
    if codec.in_frame:
        has_picture = "picture" in split.load(tf.constant(0, tf.int64))
        demand(has_picture, "give `inputs`, a Split with the field and its `picture`")
        facts |= {"frame": "picture", "size": list(SIZE)}
    try:
        kept = json.loads(json.dumps(facts))
    except TypeError as error:
        raise AssertionError(f"learn gives what JSON can hold; received {facts!r}: {error}") from error
    demand(kept == facts, f"learn gives plain JSON, which is the same when it is read again; {facts!r} became {kept!r}")
    again = codec.learn(NAME, splits)
    demand(
        again == {name: facts[name] for name in again},
        "learn is a function of the splits; asked twice it gave other facts",
    )
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

    picture = ImageCodec(SIZE, channels=3)

    def read(row: Any) -> Any:
        values = split.load(row) | {name: tf.gather(array, row) for name, array in split.columns.arrays.items()}
        if codec.in_frame:
            own = {name[len(NAME) + 1 :]: value for name, value in values.items() if name.startswith(NAME)}
            placement = picture.read_placed(values["picture"])[1]
            found = codec.read_in(own[""] if set(own) == {""} else own, placement)
        else:
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


# --- what is moved -----------------------------------------------------------------------------------------------


def _check_moved(codec: Codec, read: list[dict[str, Any]]) -> None:
    """Demand that a picture which is mirrored twice is what it was, and that the arrays keep their form."""
    batch = {suffix: np.stack([arrays[suffix] for arrays in read]) for suffix in read[0]}
    size = SIZE if codec.in_frame else batch[""].shape[-3:-1]
    mirror = np.array([[-1, 0, size[1]], [0, 1, 0], [0, 0, 1]], np.float32)
    geometry = Geometry(size, size, tf.constant(np.tile(mirror, (len(read), 1, 1))), interpolation="nearest")
    once = codec.warp({suffix: tf.constant(values) for suffix, values in batch.items()}, geometry)
    demand(once.keys() == batch.keys(), f"warp gives the arrays that it was given; received {sorted(once)}")
    twice = {suffix: np.asarray(values) for suffix, values in codec.warp(once, geometry).items()}
    for suffix, values in batch.items():
        is_close = values.shape == twice[suffix].shape and np.allclose(values, twice[suffix], atol=1e-3)
        demand(is_close, f"what is mirrored twice is where it was; '{suffix}' is not")


def _check_restored(codec: Codec, read: list[dict[str, Any]]) -> None:
    """Demand that `restore` gives what `restored` promises, for a file of another size."""
    placement = tf.constant([0.5, 0.5, 0.0, 0.0, 2.0 * SIZE[0], 2.0 * SIZE[1]])
    for arrays in read:
        given = {suffix: tf.constant(values) for suffix, values in arrays.items()}
        found, promised = codec.restore(given, placement), codec.restored()
        demand(found.keys() == promised.keys(), f"restore gives {sorted(promised)}; received {sorted(found)}")
        for suffix, field in promised.items():
            wanted = tf.TensorSpec(field.shape, field.dtype)
            demand(wanted.is_compatible_with(found[suffix]), f"restored promises {wanted} for '{suffix}'")


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
    hostile: list[Any] = list(dict.fromkeys([*codec.hostile, *HOSTILE]))
    if codec.raw.shape:  # several in a row
        hostile = [[one] * len(raws[0]) for one in hostile]
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
