"""The contracts of augmentations, samplers and sources: each is a function of its arguments alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.contracts.oracle import check_effect
from kplug.contracts.subject import Subject, demand, finite, for_pictures, same
from kplug.contracts.tiny import tiny_columns, tiny_info, tiny_pictures
from kplug.data.augment import Augment, Batch
from kplug.data.codecs import decoding as images
from kplug.data.splits import SPLITS
from kplug.data.tables import whole_table
from kplug.kinds import Known
from kplug.records import Columns, DataInfo, Split, Table
from kplug.spec.features import known_of_source
from kplug.spec.tree import plain

PICTURE = (32, 32, 3)
SCENE = (144, 144)  # pixels, so that the tip of a turned rectangle, which no pixel shows, is little of it
STEPS, BATCH, SINGLE = 3, 5, 1
LOADED = 8  # rows of a split that are loaded
EPOCHS = 4

# --- augmentation --------------------------------------------------------------------------------------------------


def check_augmentation(subject: Subject) -> None:
    """Check an augmentation; `inputs` is the shape of the pictures."""
    shape = tuple(subject.inputs or PICTURE)
    augment = subject.make(for_pictures(shape))
    demand(callable(augment), f"an augmentation is (batch, seed) -> batch; received {type(augment).__name__}")
    batches = _batches(shape)
    tf.random.set_seed(1)  # two global seeds: what draws without the seed that it is given comes out otherwise
    forward = _augmented(augment, batches, range(STEPS), BATCH, known=False)
    for augmented in forward:
        _check_batch(augmented, shape, BATCH)
    tf.random.set_seed(2)
    backward = _augmented(augment, batches, range(STEPS)[::-1], BATCH, parallel=STEPS)
    demand(
        same(forward, backward[::-1]),
        "an augmentation is a function of batch and seed alone; with the same batches and seeds in another order, in "
        "parallel, the result differed. Draw with tf.random.stateless_uniform(..., seed) and the like",
    )
    for augmented in _augmented(augment, batches, range(STEPS), SINGLE):
        _check_batch(augmented, shape, SINGLE)
    check_effect(subject, SCENE, shape[2])


def _batches(shape: tuple[int, ...]) -> Batch:
    """Pictures with two further fields, all of `[steps, batch, ...]`."""
    height, width, channels = shape
    split = tiny_pictures(STEPS * BATCH, (height, width), 1 if channels == 1 else 3)["train"]
    pictures = split.load(tf.range(len(split)))["image"].numpy()
    pictures = np.take(pictures, np.arange(channels) % pictures.shape[-1], axis=-1)  # more than 3: the first again
    fields = {"image": pictures, "label": split.columns["label"], "number": np.arange(STEPS * BATCH)}
    return {name: np.reshape(values, (STEPS, BATCH, *values.shape[1:])) for name, values in fields.items()}


def _augmented(
    augment: Augment, batches: Batch, order: range, size: int, known: bool = True, parallel: int | None = None
) -> list[Batch]:
    """The batches of some steps, in an order, with a seed for each step, as the host would map them."""

    def at_step(step: Any, batch: Batch) -> Batch:
        if not known:  # the number of examples is not always known when the graph is built
            batch = {name: _any_size(values) for name, values in batch.items()}
        return augment(batch, tf.random.experimental.stateless_fold_in(tf.constant([7, 0]), step))

    steps = np.array(order, np.int32)
    data = tf.data.Dataset.from_tensor_slices((steps, {name: values[steps, :size] for name, values in batches.items()}))
    given = f"{size} examples{'' if known else ', a number that the graph does not know'}"
    promise = f"an augmentation is graph-safe and takes any number of examples; in Dataset.map with {given} it failed"
    return _mapped(data, at_step, parallel, promise)


def _mapped(data: tf.data.Dataset, function: Callable[..., Any], parallel: int | None, promise: str) -> list[Any]:
    """The elements of a dataset as a function makes them in a graph; where it fails, the promise is broken."""
    try:
        return list(data.map(function, num_parallel_calls=parallel).as_numpy_iterator())
    except Exception as error:
        raise AssertionError(f"{promise}: {error}") from error


def _any_size(values: Any) -> Any:
    """The same values, in a graph that does not know how many they are."""
    return tf.raw_ops.PlaceholderWithDefault(input=values, shape=[None, *values.shape[1:]])


def _check_batch(batch: Any, shape: tuple[int, ...], size: int) -> None:
    demand(isinstance(batch, dict), f"an augmentation returns the batch, a dict; received {type(batch).__name__}")
    lost = {"image", "label", "number"} - batch.keys()
    demand(not lost, f"an augmentation keeps the other fields of the batch; {', '.join(sorted(lost))} is gone")
    for name, values in batch.items():
        count = len(values)
        demand(count == size, f"an augmentation keeps the number of examples; of {size}, '{name}' has {count}")
    image, wanted = batch["image"], (size, *shape)
    demand(image.shape == wanted, f"an augmentation keeps the shape of the pictures, {wanted}; received {image.shape}")
    is_uint8, is_float = image.dtype == np.uint8, image.dtype.kind == "f" or image.dtype.name == "bfloat16"
    demand(is_uint8 or is_float, f"an augmentation gives uint8 or float pictures; received {image.dtype}")
    demand(finite(image), "an augmentation gives finite pixels; some are not")
    demand(
        is_uint8 or not 0 < image.max() <= 1,
        f"pixels stay in 0 to 255: the host rounds them back to uint8; the largest that came is {image.max():g}",
    )


# --- sampler -------------------------------------------------------------------------------------------------------


def check_sampler(subject: Subject) -> None:
    """Check a sampler; `inputs` is the number of examples, or their `Columns`."""
    columns = subject.inputs
    if not isinstance(columns, Columns):
        columns = tiny_columns(*([subject.inputs] if subject.inputs else []))
    before = {name: values.copy() for name, values in columns.arrays.items()}
    given = {Columns: columns, DataInfo: _info_of(columns)}
    sampler = subject.make(given)
    demand(callable(sampler), f"a sampler is (rng) -> int64 [steps, batch]; received {type(sampler).__name__}")
    tables = [_table(sampler, epoch) for epoch in range(EPOCHS)]
    for table in tables:
        _check_table(table["rows"], columns.size)
        _check_columns_of(table, subject.component.gives or ())
    heights = [len(table["rows"]) for table in tables]
    demand(len(set(heights)) == 1, f"a sampler gives the same number of steps each epoch; received {heights}")
    repeated, again = _table(sampler, 1), _table(subject.make(given), 2)
    demand(
        same(tables[1], repeated),
        "a sampler is a function of rng; the same epoch asked for again came out otherwise. Draw from rng alone",
    )
    demand(same(tables[2], again), "a sampler made anew gives the same table for the same rng; this one did not")
    unchanged = all(np.array_equal(before[name], values) for name, values in columns.arrays.items())
    demand(unchanged, "a sampler leaves the columns as they are; this one changed them")


def _info_of(columns: Columns) -> DataInfo:
    """The facts about data with these columns: as many classes as their labels have."""
    labels: Any = np.asarray(columns["label"]) if "label" in columns else np.zeros(1, np.int32)
    if labels.ndim == 2:
        return tiny_info(classes=tuple(map(str, range(labels.shape[1]))), multi_label=True)
    return tiny_info(classes=tuple(map(str, range(max(int(labels.max(initial=0)) + 1, 3)))))


def _table(sampler: Any, epoch: int) -> dict[str, Any]:
    """The table of an epoch, drawn as the host has it drawn: `rows`, `columns` and `block`."""
    drawn = sampler(np.random.default_rng((0, epoch)))
    table = drawn if isinstance(drawn, Table) else Table(drawn)
    return {"rows": table.rows, "columns": dict(table.columns), "block": table.block}


def _check_columns_of(table: dict[str, Any], gives: Sequence[str]) -> None:
    try:
        whole_table(Table(**table), gives, "a sampler")
    except TypeError as error:
        raise AssertionError(str(error)) from None


def _check_table(table: Any, size: int) -> None:
    demand(
        isinstance(table, np.ndarray) and table.dtype == np.int64 and table.ndim == 2 and table.size,
        "a sampler gives a table of rows, int64 [steps, batch] with at least one step; received "
        + (f"{table.dtype} {table.shape}" if isinstance(table, np.ndarray) else type(table).__name__),
    )
    flat = table.reshape(-1)
    given = flat[flat != -1]
    demand(
        given.size and given.min() >= 0 and given.max() < size,
        f"a sampler gives rows of the split, 0 to {size - 1}, and -1 for none; received {flat.min()} to {flat.max()}",
    )
    at_the_end = given.size > flat.size - table.shape[1] and (flat[: given.size] != -1).all()
    demand(at_the_end, "-1 pads the last row of a table at its end; it stands elsewhere")


# --- source --------------------------------------------------------------------------------------------------------


def check_source(subject: Subject) -> None:
    """Check a source, which is made twice."""
    splits, again = subject.make(), subject.make()
    unopened = known_of_source(subject.checked()[1])
    demand(
        isinstance(splits, dict) and "train" in splits and not set(splits) - set(SPLITS),
        f"a source gives a dict with train, and validation and test where it has them; received {_keys(splits)}",
    )
    were = f"{_keys(splits)}, then {_keys(again)}"
    demand(splits.keys() == again.keys(), f"a source gives the same again; its splits were {were}")
    for name, split in splits.items():
        demand(isinstance(split, Split), f"every split is a kplug.Split; '{name}' is {type(split).__name__}")
        _check_columns(name, split)
        for field, told in splits["train"].facts.items():
            classes = split.facts.get(field, {}).get("classes")
            demand(
                classes == told.get("classes"),
                f"every split has the same classes; those of '{field}' in '{name}' differ",
            )
        _check_labels(name, split)
        _check_same_split(name, split, again[name])
    _check_told(unopened, splits["train"])


def _keys(splits: Any) -> str:
    return ", ".join(map(str, splits)) if isinstance(splits, dict) else type(splits).__name__


def _check_told(told: Known, split: Split) -> None:
    """Demand that a source gives what it told of itself unopened, which `kplug check` believes."""
    demand(isinstance(told, Known), f"known() gives a Known; received {type(told).__name__}")
    given = {*split.columns.arrays, *split.load(tf.constant(0, tf.int64))}
    strange = set(told.features or {}) - given
    demand(not strange, f"known() tells of fields that the source gives; it lacks {', '.join(sorted(strange))}")
    for field, feature in (told.features or {}).items():
        theirs = plain(split.features.get(field))
        demand(
            feature is None or theirs in (None, plain(feature)),
            f"known() tells the features of the splits; that of '{field}' is {plain(feature)!r}, and theirs {theirs!r}",
        )
    for field, facts in told.facts.items():
        theirs = split.facts.get(field, {})
        wrong = {key: value for key, value in facts.items() if value is not None and theirs.get(key, value) != value}
        demand(not wrong, f"known() tells the facts of the splits; of '{field}' it tells {wrong}, and they {theirs}")


def _check_columns(name: str, split: Split) -> None:
    demand(len(split) > 0, f"a split has at least one example; '{name}' is empty")
    lengths = {column: len(values) for column, values in split.columns.arrays.items()}
    demand(
        set(lengths.values()) <= {len(split)},
        f"every column has a value for each of the {len(split)} examples of '{name}'; received {lengths}",
    )


def _check_labels(name: str, split: Split) -> None:
    for field, told in split.facts.items():
        feature = plain(split.features.get(field, "label"))
        is_label = (feature["type"] if isinstance(feature, dict) else feature) == "label"
        if "classes" not in told or field not in split.columns or not is_label:
            continue
        labels, count = np.asarray(split.columns[field]), len(told["classes"])
        are_numbers = labels.ndim == 1 and labels.dtype.kind in "iu" and labels.min() >= -1 and labels.max() < count
        are_rows = labels.shape[1:] == (count,) and np.isin(labels, (-1, 0, 1)).all()
        demand(
            are_numbers or are_rows,
            f"labels are integers from 0 to {count - 1}, -1 where the class is not known, or rows of zeros and "
            f"ones for the {count} classes; '{field}' of '{name}' has {labels.dtype} {labels.shape} from "
            f"{labels.min()} to {labels.max()}",
        )


def _check_same_split(name: str, split: Split, again: Split) -> None:
    arrays, others = split.columns.arrays, again.columns.arrays
    equal = arrays.keys() == others.keys() and all(np.array_equal(arrays[key], others[key]) for key in arrays)
    demand(equal, f"a source gives the same again; the columns of '{name}' differ when it is built a second time")
    tf.random.set_seed(1)  # as in `check_augmentation`
    first = _loaded(name, split, None)
    tf.random.set_seed(2)
    parallel = _loaded(name, split, LOADED)
    demand(same(first, parallel), f"load is a function of the row; in parallel '{name}' gave other features")
    demand(same(first, _loaded(name, again, None)), f"a source gives the same again; what '{name}' loads differs")
    for features in first:
        _check_features(name, split, features)
    if split.batched:
        rows = tf.data.Dataset.from_tensors(tf.range(len(first), dtype=tf.int64))
        together, _ = next(rows.map(lambda rows: (dict(split.load(rows)), rows)).as_numpy_iterator())
        stacked = {key: np.stack([features[key] for features in first]) for key in first[0]}
        demand(same(together, stacked), f"a batched load gives what it gives row by row; that of '{name}' does not")


def _loaded(name: str, split: Split, parallel: int | None) -> list[Batch]:
    rows = tf.data.Dataset.range(min(LOADED, len(split)))
    promise = f"load takes a row, an int64 scalar tensor, and is graph-safe; that of '{name}' failed in Dataset.map"
    # the row beside, since a dataset of nothing cannot be: all fields may be columns
    return [fields for fields, _ in _mapped(rows, lambda row: (dict(split.load(row)), row), parallel, promise)]


def _check_features(name: str, split: Split, features: Batch) -> None:
    given = [*features, *split.columns.arrays]
    twice = [field for field in features if field in split.columns]
    demand(not twice, f"a field is a column or comes from load; '{name}' gives {', '.join(twice)} as both")
    lost = [field for field in split.features if field not in given]
    demand(not lost, f"Split.features names fields that the split gives; '{name}' lacks {', '.join(lost)}")
    image, told = features.get("image"), split.facts.get("image", {})
    if image is None or split.features.get("image") != "image":
        return
    if isinstance(image, bytes):
        image = images.decode(tf.constant(image), told.get("channels") or 3).numpy()
    given_form = f"{image.dtype} {image.shape}"
    demand(
        image.dtype == np.uint8 and image.ndim == 3,
        f"a picture is uint8 [height, width, channels], or the bytes of a file; '{name}' gave {given_form}",
    )
    size = tuple(told.get("size") or image.shape[:2])
    demand(
        size == image.shape[:2] and told.get("channels") in (None, image.shape[2]),
        f"the facts of a split say the size that all pictures have, {told}; one of '{name}' has {image.shape}",
    )
