"""The oracle of augmentations: after a move, boxes are those of the moved objects, and masks show what pictures do."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from kplug.contracts.subject import Subject, demand
from kplug.contracts.tiny import tiny_info
from kplug.data.augment import augment
from kplug.data.codecs.boxes import PADDING, BoxesCodec
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.instances import NOBODY, InstancesCodec
from kplug.data.codecs.masks import NOT_KNOWN, MaskCodec
from kplug.records import Codec, DataInfo
from kplug.spec.effects import fill_of, refused

PICTURES, SEEDS = 16, 3
OBJECTS, ROWS = 2, 3  # of a picture, and rows for them: one stays padding
CLASSES = ("ground", "left", "right")
LEVELS = (40, 130, 220)  # of the ground and the two objects
SEEN = 6  # pixels from which on an object has a box: a tip of less is between the pixels
MEAN, LEAST = 0.97, 0.9  # intersection over union of a box with that of the object's pixels
# The share of a picture's variance that its mask explains: nearly 1 where both show the same, 0.1 where one was
# mirrored. Noise, and parts that are erased, lower it to half; a quarter of the pictures may be lower still.
EXPLAINED, QUARTER = 0.3, 25


def check_effect(subject: Subject, size: tuple[int, int], channels: int) -> None:
    """Check what an augmentation's mark says on pictures with two rectangles each, their masks, ids and boxes."""
    node = subject.checked()[1]
    effect = node.component.effect
    if effect is None:
        return
    codecs = _codecs(size, channels)
    left_out = {name for name, codec in codecs.items() if list(refused(node, {name: codec}))}
    demand("image" not in left_out, "an augmentation can stand beside pictures")
    known = {name: codec for name, codec in codecs.items() if name not in left_out}
    whole = tiny_info((*size, channels), CLASSES)
    info = DataInfo(whole.fields, whole.features, whole.facts, whole.splits, {**known, "label": whole.codecs["label"]})
    scene = _scene(size, channels)
    batch = {name: values for name, values in scene.items() if not any(name.startswith(one) for one in left_out)}
    change = subject.make({DataInfo: info})
    run = tf.function(lambda given, seed: augment(given, [change], seed, info.codecs), autograph=False)
    overlaps: list[float] = []
    for seed in range(SEEDS):
        tensors = {name: tf.constant(values) for name, values in batch.items()}
        found = {name: value.numpy() for name, value in run(tensors, tf.constant([seed, 5])).items()}
        if "mask" in found:
            _check_mask(found, effect.does)
        if "boxes" in found and "objects" in found:
            overlaps += _check_boxes(found)
        if effect.does == "recolours":
            _check_unmoved(batch, found)
    if overlaps:
        demand(
            np.mean(overlaps) >= MEAN and min(overlaps) >= LEAST,
            "a box is the smallest around what the picture shows of its object; intersection over union is "
            f"{np.mean(overlaps):.3f} on average and {min(overlaps):.3f} at least (fill {fill_of(node)})",
        )


def _codecs(size: tuple[int, int], channels: int) -> dict[str, Codec]:
    image = ImageCodec(size, channels=channels)
    objects = InstancesCodec("image", ROWS, 1, CLASSES, size)
    return {
        "image": image,
        "mask": MaskCodec("image", classes=CLASSES, size=size),
        "objects": objects,
        "boxes": BoxesCodec("image", None, ROWS, 0.0, 0.0, classes=CLASSES, size=size),
    }


def _scene(size: tuple[int, int], channels: int) -> dict[str, np.ndarray]:
    """Pictures with a rectangle in each half, none at an edge, and all that lives in them."""
    rng = np.random.default_rng(0)
    height, width = size
    classes = np.zeros((PICTURES, height, width), np.uint8)
    boxes = np.zeros((PICTURES, ROWS, 4), np.float32)
    for picture in range(PICTURES):
        for number in range(OBJECTS):
            first, last = number * width // 2 + 1, (number + 1) * width // 2 - 1
            wide, tall = (max(2, round(rng.uniform(0.5, 0.8) * room)) for room in (last - first, height - 2))
            x, y = int(rng.integers(first, last - wide + 1)), int(rng.integers(1, height - 1 - tall + 1))
            classes[picture, y : y + tall, x : x + wide] = number + 1
            boxes[picture, number] = x, y, x + wide, y + tall
    numbers = np.tile(np.array([1, 2, PADDING], np.int32), (PICTURES, 1))
    image = np.array(LEVELS, np.uint8)[classes][..., np.newaxis].repeat(channels, -1)
    return {
        "image": image, "mask": classes, "boxes": boxes, "boxes_class": numbers, "label": numbers[:, 0],
        "objects": classes[..., np.newaxis].astype(np.int32), "objects_class": numbers,
    }  # fmt: skip


# --- what must hold --------------------------------------------------------------------------------------------------


def _check_mask(found: dict[str, np.ndarray], does: str) -> None:
    mask, image = found["mask"], found["image"]
    invented = set(np.unique(mask).tolist()) - {*range(len(CLASSES)), NOT_KNOWN}
    demand(not invented, f"a mask has the classes that it had, and {NOT_KNOWN}; received {sorted(invented)}")
    demand(mask.shape == image.shape[:3], f"a mask has its picture's size; received {mask.shape[1:]}")
    explained = [_explained(pixels.mean(-1), one) for pixels, one in zip(image.astype(np.float64), mask, strict=True)]
    low = float(np.percentile(explained, QUARTER))
    demand(
        low >= EXPLAINED,
        f"a picture and what lives in it go the same way; this one {does}, and masks say too little of the pictures "
        f"({low:.2f} of their variance in the lowest quarter, where {EXPLAINED} is the least)",
    )


def _explained(values: np.ndarray, classes: np.ndarray) -> float:
    """The share of the variance of pixels that lies between the classes of a mask."""
    known = classes != NOT_KNOWN
    values, classes = values[known], classes[known]
    if not values.size or values.var() < 1:
        return 1.0
    within = sum(values[classes == number].var() * (classes == number).sum() for number in np.unique(classes))
    return 1.0 - float(within / (values.var() * values.size))


def _check_boxes(found: dict[str, np.ndarray]) -> list[float]:
    """Intersection over union of each box with that of the pixels of its object."""
    overlaps = []
    for ids, boxes, classes in zip(found["objects"][..., 0], found["boxes"], found["boxes_class"], strict=True):
        demand((classes[OBJECTS:] == PADDING).all(), f"rows without an object stay so; received {classes.tolist()}")
        for number in range(OBJECTS):
            ys, xs = np.nonzero(ids == number + 1)
            demand(
                len(ys) or classes[number] != number + 1 or _area(boxes[number]) < SEEN, "an object that left is gone"
            )
            if len(ys) < SEEN:
                continue
            demand(classes[number] != PADDING, "an object that is seen has a box")
            overlaps.append(_overlap(boxes[number], (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
    demand(set(np.unique(found["objects"])) <= {NOBODY, 1, 2}, "a map of objects has the ids that it had, and 0")
    return overlaps


def _area(box: Any) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union, of pixels that are cut to whole ones: a box may reach into its last pixel by a part."""
    one = (np.floor(one[0] + 0.5), np.floor(one[1] + 0.5), np.ceil(one[2] - 0.5), np.ceil(one[3] - 0.5))
    both = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    shared = _area(both)
    return shared / (_area(one) + _area(other) - shared)


def _check_unmoved(batch: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    for name, values in batch.items():
        same = name == "image" or np.array_equal(values, found[name])
        demand(same, f"an augmentation that recolours changes pixels alone; it changed '{name}'")
