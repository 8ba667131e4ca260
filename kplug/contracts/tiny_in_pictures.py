"""Tiny sources of what lives in pictures: masks, objects with their boxes, and clips, drawn from a seed."""

from __future__ import annotations

from typing import Any

from kplug.kinds import Count, Known, Seed, Size, Source, known
from kplug.records import Columns, Split

CLASSES = ("ground", "disc", "square")
MASKS = {"image": "image", "mask": "mask"}
OBJECTS = {"image": "image", "objects": "instances", "boxes": "boxes"}
CLIPS = {"clip": "clip", "label": "label"}
DIRECTIONS = ("left", "right")


def _told(features: dict[str, str], facts: dict[str, dict[str, Any]]) -> Any:
    return known(lambda: Known(features=features, facts=facts))


@_told(MASKS, {"image": {"channels": 3}, "mask": {"classes": CLASSES}})
def tiny_masks(examples: Count = 32, test: Count = 8, size: Size | None = None, seed: Seed = 0) -> Source:
    """A disc and a square on grey ground with the class of each pixel; of mixed sizes, as PNG files, or of one.

    Args:
        examples: pictures in train.
        test: pictures in test.
        size: [height, width] in pixels, which makes them arrays; null: 24 to 47 pixels a side, as files.
        seed: of sizes and positions.
    """

    def drawn(count: int, rng: Any) -> Split:
        scenes = [_scene(size, rng) for _ in range(count)]
        values = {"image": [scene[0] for scene in scenes], "mask": [_classes_of(scene[1]) for scene in scenes]}
        facts: dict[str, dict[str, Any]] = {"image": {"channels": 3}, "mask": {"classes": CLASSES}}
        return _split(values, {}, MASKS, facts, size)

    return _splits(drawn, examples, test, seed)


@_told(OBJECTS, {"image": {"channels": 3}, "boxes": {"classes": CLASSES[1:]}, "objects": {"classes": CLASSES[1:]}})
def tiny_objects(examples: Count = 32, test: Count = 8, size: Size | None = None, seed: Seed = 0) -> Source:
    """The pictures of `tiny_masks` with a map of objects, and boxes around them.

    Args:
        examples: pictures in train.
        test: pictures in test.
        size: [height, width] in pixels, which makes them arrays; null: 24 to 47 pixels a side, as files.
        seed: of sizes and positions.
    """

    def drawn(count: int, rng: Any) -> Split:
        import numpy

        scenes = [_scene(size, rng) for _ in range(count)]
        values = {"image": [scene[0] for scene in scenes], "objects": [scene[1] for scene in scenes]}
        boxes = numpy.stack([_boxes_around(scene[1]) for scene in scenes])
        numbers = numpy.tile(numpy.arange(2, dtype="int32"), (count, 1))
        columns = {"boxes": boxes, "boxes_class": numbers, "objects_class": numbers}
        named = {"classes": CLASSES[1:]}
        return _split(values, columns, OBJECTS, {"image": {"channels": 3}, "boxes": named, "objects": named}, size)

    return _splits(drawn, examples, test, seed)


@_told(CLIPS, {"clip": {"frames": 6, "size": (16, 24), "channels": 1}, "label": {"classes": DIRECTIONS}})
def tiny_clips(examples: Count = 32, test: Count = 8, seed: Seed = 0) -> Source:
    """Clips of 6 pictures of 16 by 24 pixels, in which a square moves to the left or to the right.

    Args:
        examples: clips in train.
        test: clips in test.
        seed: of places and speeds.
    """

    def drawn(count: int, rng: Any) -> Split:
        import numpy
        import tensorflow as tf

        labels = (rng.permutation(count) % 2).astype("int32")
        clips = numpy.full((count, 6, 16, 24, 1), 40, "uint8")
        for clip, label in zip(clips, labels, strict=True):
            y, speed = rng.integers(0, 11), rng.integers(2, 4)
            for number, picture in enumerate(clip):
                x = speed * (number if label else 5 - number)
                picture[y : y + 5, x : x + 5] = 220
        pixels = tf.constant(clips)
        facts: dict[str, dict[str, Any]] = {"label": {"classes": DIRECTIONS}}
        columns = Columns(count, {"label": labels})
        return Split(columns, lambda row: {"clip": tf.gather(pixels, row)}, CLIPS, facts)

    return _splits(drawn, examples, test, seed)


def _splits(drawn: Any, examples: int, test: int, seed: int) -> dict[str, Split]:
    import numpy

    counts = {"train": examples, "test": test}
    return {
        name: drawn(count, numpy.random.default_rng((seed, place)))
        for place, (name, count) in enumerate(counts.items())
    }


def _split(values: dict[str, list[Any]], columns: Any, features: Any, facts: Any, size: Size | None) -> Split:
    """A split of pictures and maps: arrays where they have one size, PNG files where not."""
    import numpy
    import tensorflow as tf

    def png(array: Any) -> bytes:
        return tf.io.encode_png(array if array.ndim == 3 else array[..., None].astype("uint8")).numpy()

    count = len(values["image"])
    if size is None:
        tensors = {name: tf.constant([png(array) for array in arrays]) for name, arrays in values.items()}
    else:
        tensors = {name: tf.constant(numpy.stack(arrays)) for name, arrays in values.items()}
        facts = facts | {"image": {**facts["image"], "size": size}}

    def load(row: Any) -> dict[str, Any]:
        return {name: tf.gather(tensor, row) for name, tensor in tensors.items()}

    return Split(Columns(count, columns), load, features, facts)


def _scene(size: Size | None, rng: Any) -> tuple[Any, Any]:
    """A picture, uint8 `[h, w, 3]`, and its map of objects, int32 `[h, w]`: 1 is a disc, 2 a square beside it."""
    import numpy

    height, width = size or rng.integers(24, 48, 2)
    picture = rng.integers(80, 100, (height, width, 3)).astype("uint8")
    ids = numpy.zeros((height, width), "int32")
    rows, columns = numpy.mgrid[:height, :width]
    for number, colour in ((1, (220, 60, 60)), (2, (60, 90, 220))):
        radius = int(rng.integers(2, max(3, min(height, width // 2) // 3)))
        y = int(rng.integers(radius, height - radius))
        x = int(rng.integers(radius, width // 2 - radius)) + (number - 1) * (width // 2)
        far = numpy.stack([abs(rows - y), abs(columns - x)])
        inside = (far**2).sum(0) <= radius**2 if number == 1 else far.max(0) <= radius
        picture[inside], ids[inside] = colour, number
    return picture, ids


def _classes_of(ids: Any) -> Any:
    return ids.astype("uint8")  # an object of each class


def _boxes_around(ids: Any) -> Any:
    import numpy

    found = []
    for number in (1, 2):
        ys, xs = numpy.nonzero(ids == number)
        found.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    return numpy.array(found, "float32")
