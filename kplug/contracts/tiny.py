"""Tiny data for tests: coloured shapes drawn from a seed, and records to inject where there is no data.

The sources are components and work in a spec, once a test has plugged them in: `plugged(kplug.testing.tiny)`.
"""

from __future__ import annotations

from typing import Any, Literal

from kplug.contracts.tiny_in_pictures import tiny_clips, tiny_masks, tiny_objects
from kplug.hookspecs import hookimpl
from kplug.kinds import Count, Seed, Size, Source
from kplug.records import AskedFeatures, Columns, DataInfo, Field, FitInfo, Rebuild, SearchInfo, Split
from kplug.spec.search.space import read_space

TINY_SEARCH = """
name: tiny
task: {type: classification, model: flatten}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 2, threads: 1, checkpoint: {steps: 1}}
"""

SHAPES = ("red square", "green disc", "blue cross")
PICTURES = {"image": "image", "label": "label"}


@hookimpl
def components() -> list[Any]:
    return [tiny_pictures, tiny_labels, tiny_files, tiny_masks, tiny_objects, tiny_clips]


# --- sources -------------------------------------------------------------------------------------------------------


def tiny_pictures(
    examples: Count = 64, size: Size = (32, 32), channels: Literal[1, 3] = 3, test: Count = 13, seed: Seed = 0
) -> Source:
    """Pictures of a red square, a green disc or a blue cross, each class equally often: learnt in seconds.

    Args:
        examples: pictures in train.
        size: [height, width] in pixels.
        channels: 1 (grey: the shapes differ in form and brightness) or 3.
        test: pictures in test.
        seed: of positions, sizes and noise.
    """

    def drawn(count: int, rng: Any) -> Split:
        labels = rng.permutation(count).astype("int32") % len(SHAPES)
        return _in_memory([_draw([label], size, channels, rng) for label in labels], labels)

    return _splits(drawn, examples, test, seed)


def tiny_labels(
    examples: Count = 64, size: Size = (32, 32), channels: Literal[1, 3] = 3, test: Count = 13, seed: Seed = 0
) -> Source:
    """Pictures of any of the three shapes at once, with several labels each.

    Args:
        examples: pictures in train.
        size: [height, width] in pixels.
        channels: 1 (grey) or 3.
        test: pictures in test.
        seed: of the choice of shapes, positions, sizes and noise.
    """

    def drawn(count: int, rng: Any) -> Split:
        labels = rng.integers(0, 2, (count, len(SHAPES))).astype("float32")
        return _in_memory([_draw(row.nonzero()[0], size, channels, rng) for row in labels], labels)

    return _splits(drawn, examples, test, seed)


def tiny_files(examples: Count = 64, test: Count = 13, seed: Seed = 0) -> Source:
    """The pictures of `tiny_pictures` as PNG files of mixed sizes, with a text column `path`.

    Args:
        examples: pictures in train.
        test: pictures in test.
        seed: of sizes, positions and noise.
    """

    def drawn(count: int, rng: Any) -> Split:
        import tensorflow as tf

        labels = rng.permutation(count).astype("int32") % len(SHAPES)
        sizes = [tuple(int(n) for n in rng.integers(24, 48, 2)) for _ in labels]
        pictures = [_draw([label], size, 3, rng) for label, size in zip(labels, sizes, strict=True)]
        files = tf.constant([tf.io.encode_png(picture).numpy() for picture in pictures])
        columns = Columns(count, {"label": labels, "path": _paths(count)})
        facts: dict[str, dict[str, Any]] = {"image": {"channels": 3}, "label": {"classes": SHAPES}}
        return Split(columns, lambda row: {"image": tf.gather(files, row)}, PICTURES, facts)

    return _splits(drawn, examples, test, seed)


def _splits(drawn: Any, examples: int, test: int, seed: int) -> dict[str, Split]:
    import numpy

    return {
        name: drawn(count, numpy.random.default_rng((seed, place)))
        for place, (name, count) in enumerate({"train": examples, "test": test}.items())
    }


def _in_memory(pictures: list[Any], labels: Any) -> Split:
    import numpy
    import tensorflow as tf

    pixels = tf.constant(numpy.stack(pictures))
    height, width, channels = pictures[0].shape
    facts = {"image": {"size": (height, width), "channels": channels}, "label": {"classes": SHAPES}}
    columns = Columns(len(labels), {"label": labels})
    return Split(columns, lambda row: {"image": tf.gather(pixels, row)}, PICTURES, facts, batched=True)


def _paths(count: int) -> Any:
    """The column of the names of files."""
    import numpy

    return numpy.array([f"{row}.png" for row in range(count)], object)


def _draw(shapes: Any, size: Any, channels: int, rng: Any) -> Any:
    """Shapes on a dark, noisy ground, uint8 `[height, width, channels]`."""
    import numpy

    picture = rng.integers(0, 60, (*size, channels))
    radius_limit = max(2, min(size) // 4)
    rows, columns = numpy.mgrid[: size[0], : size[1]]
    for shape in shapes:
        radius = rng.integers(max(1, radius_limit // 2), radius_limit + 1)
        middle = [rng.integers(radius, max(side - radius, radius + 1)) for side in size]
        y, x = abs(rows - middle[0]), abs(columns - middle[1])
        arm = max(1, radius // 3)
        inside = (
            (y <= radius) & (x <= radius),
            y**2 + x**2 <= radius**2,
            (y <= radius) & (x <= radius) & ((y < arm) | (x < arm)),
        )[shape]
        if channels == 1:
            picture[inside] = (120, 180, 240)[shape]
        else:
            picture[inside, shape] = rng.integers(200, 256)
    return picture.astype("uint8")


# --- what is injected ----------------------------------------------------------------------------------------------


def tiny_info(
    image: tuple[int, int, int] = (32, 32, 3),
    classes: tuple[str, ...] = SHAPES,
    multi_label: bool = False,
    counts: tuple[int, ...] | None = None,
) -> DataInfo:
    """A `DataInfo` as of the tiny sources.

    Args:
        image: height, width, channels.
        classes: class names.
        multi_label: several labels an example.
        counts: training examples of each class; None: 20.
    """
    from kplug.data.codecs.image import ImageCodec
    from kplug.data.codecs.label import LabelCodec

    codecs = {
        "image": ImageCodec((image[0], image[1]), channels=image[2]),
        "label": LabelCodec(tuple(classes), multi_label),
    }
    fields = {name: Field(codec.field.shape, codec.field.dtype) for name, codec in codecs.items()}
    train = [20] * len(classes) if counts is None else list(counts)
    facts = {
        "image": {"size": list(image[:2]), "channels": image[2]},
        "label": {"classes": list(classes), "several": multi_label, "counts": {"train": train}},
    }
    features = {name: {"type": name} for name in codecs}
    return DataInfo(fields, features, facts, {"train": 64, "test": 13}, codecs)


def tiny_columns(size: int = 300, classes: int = len(SHAPES)) -> Columns:
    """A `Columns`: `label`, each class half as frequent as the one before, `weight` in 0 to 1, and the text `path`.

    Args:
        size: rows; the default fills a batch of the usual sizes.
        classes: labels are smaller.
    """
    import numpy

    rng = numpy.random.default_rng(0)
    shares = 0.5 ** numpy.arange(classes)
    ends, rows = numpy.cumsum(shares) / shares.sum() * size, numpy.arange(size)
    labels = rng.permutation(rows % classes if size < classes else numpy.searchsorted(ends, rows, side="right"))
    return Columns(size, {"label": labels.astype("int32"), "weight": rng.random(size), "path": _paths(size)})


def tiny_given(
    image: tuple[int, int, int] = (32, 32, 3), multi_label: bool = False, steps: int = 20, epochs: int = 2
) -> dict[type, Any]:
    """The records that any component may be injected with, as `kplug.spec.build.build` takes them.

    Args:
        image: height, width, channels.
        multi_label: several labels an example.
        steps: optimizer steps of the whole training.
        epochs: of the training.
    """
    info = tiny_info(image, multi_label=multi_label)
    fit = FitInfo(steps=steps, epochs=epochs)
    return {DataInfo: info, FitInfo: fit, Columns: tiny_columns(), Rebuild: Rebuild(), AskedFeatures: AskedFeatures()}


def tiny_search() -> SearchInfo:
    """A `SearchInfo` of three paths, one of them below a label; what is best is the highest val_accuracy."""
    from kplug.tuning.oracle_space import search_info

    kinds = {"kind": {"choice": {"wide": 1, "deep": 2}}, "kind[deep].depth": {"int": [1, 9]}}
    space = read_space(kinds | {"rate": {"log": [1e-4, 1e-1]}})
    return search_info(space, "val_accuracy", "maximize", seed=0, epochs=9)
