"""Sources of pictures in a folder with masks in another: of classes, and of objects one file each."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import ndimage

from kplug import AskedFeatures, Columns, SpecError, Split, call
from kplug.authoring import (
    codecs_of,
    decode_ids,
    found_files,
    in_order,
    is_picture,
    object_column,
    reason,
    share_out,
    size_of,
)
from kplug.errors import listed
from kplug_segment.chosen import in_natural_order, shared_out

SHOWN = 5  # names that an error lists
COLOUR = 1000  # [128, 64, 3] is 128064003, so that a person can read it in a message


# --- masks of classes ------------------------------------------------------------------------------------------------


def open_mask_folder(
    path: str,
    images: str,
    masks: str | Mapping[str, str],
    suffix: str,
    values: Mapping[str, Any] | None,
    test: Any,
    validation: Sequence[str] | None,
    cache_mb: int,
) -> dict[str, Split]:
    """The splits of a folder; `kplug_segment.mask_folder` says the parameters."""
    root = os.path.expanduser(path)
    pictures = files_in(root, images)
    folders = {"": masks} if isinstance(masks, str) else dict(masks)
    found = {name: files_in(root, folder) for name, folder in folders.items()}
    names = in_natural_order(pictures)
    for name, folder in folders.items():
        _refuse_unpaired(names, found[name], suffix, f"{images}/", f"{folder}/")
    parts = in_order(shared_out(names, test, validation, share_out))
    layers = [[found[layer][name + suffix] for name in names] for layer in folders]
    return {
        split: replace(_with_masks(root, pictures, names, rows, layers, values, list(folders)), cache_mb=cache_mb)
        for split, rows in parts.items()
    }


def files_in(root: str, folder: str) -> dict[str, str]:
    """The pictures in a folder below the root, by name without ending.

    Raises:
        SpecError: there is no such folder, it has none, or two of one name.
    """
    where = os.path.join(root, folder)
    if not os.path.isdir(where):
        near = sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if os.path.isdir(root) else []
        raise SpecError(f"there is no folder {where}" + (f" (folders: {listed(near)})" if near else ""))
    found: dict[str, str] = {}
    passed = []
    for entry in sorted(os.listdir(where)):
        file = os.path.join(where, entry)
        if entry.startswith(".") or not os.path.isfile(file):
            continue
        if not is_picture(file):
            passed.append(entry)
            continue
        name = os.path.splitext(entry)[0]
        if name in found:
            raise SpecError(f"{where} has two pictures of the name {name}: {os.path.basename(found[name])} and {entry}")
        found[name] = file
    if not found:
        raise SpecError(f"{where} has no pictures (JPEG, PNG, BMP or GIF)")
    if passed:
        logging.getLogger("kplug").warning(
            "%s: %d files are no pictures: %s", where, len(passed), listed(passed, SHOWN)
        )
    return found


def _refuse_unpaired(names: Sequence[str], masks: Mapping[str, str], suffix: str, of: str, to: str) -> None:
    missing = [name for name in names if name + suffix not in masks]
    if missing:
        had = f"{to} has {listed(in_natural_order(masks), SHOWN)}"
        raise SpecError(f"pictures in {of} without a mask of their name: {listed(missing, SHOWN)}; {had}")
    extra = in_natural_order([name for name in masks if name not in {one + suffix for one in names}])
    if extra:
        raise SpecError(f"masks in {to} without a picture of their name in {of}: {listed(extra, SHOWN)}")


def _with_masks(
    root: str,
    pictures: Mapping[str, str],
    names: Sequence[str],
    rows: Sequence[int],
    layers: Sequence[Sequence[str]],
    values: Mapping[str, Any] | None,
    classes: Sequence[str],
) -> Split:
    paths = [pictures[names[row]] for row in rows]
    files = found_files(paths, root)
    masks = [[layer[row] for row in rows] for layer in layers]
    several = classes != [""]
    with tf.device("CPU:0"):
        encoded = tf.constant([os.fsencode(one) for one in paths])
        of_masks = tf.constant([[os.fsencode(one) for one in layer] for layer in masks])
    coloured = values is not None and any(not isinstance(value, int) for value in values.values())

    def load(row: Any) -> dict[str, Any]:
        found = [tf.io.read_file(tf.gather(layer, row)) for layer in tf.unstack(of_masks)]
        mask = tf.stack(found) if several else found[0]
        if coloured:
            mask = _colours(mask)
        return {"image": tf.io.read_file(tf.gather(encoded, row)), "mask": mask}

    if several:
        features: dict[str, Any] = {"image": "image", "mask": "mask_layers"}
        facts: dict[str, Any] = {"mask": {"classes": tuple(classes)}}
    else:
        numbers = [_number(value) for value in values.values()] if values is not None else None
        options = {} if numbers is None else {"values": numbers}
        features = {"image": "image", "mask": call("mask", **options)}
        facts = {"mask": {"classes": tuple(values)}} if values is not None else {}
    columns = Columns(len(rows), {"path": object_column(paths)})
    return Split(columns, load, features, facts, names=files.names, sizes=files.sizes)


def _number(value: Any) -> int:
    """A value of a mask; three colours as one number."""
    if isinstance(value, int):
        return value
    red, green, blue = value
    return (red * COLOUR + green) * COLOUR + blue


def _colours(mask: Any) -> Any:
    """The colours of a mask's file, each as one number, int32 `[h, w]`."""
    pixels = tf.cast(tf.io.decode_png(mask, 3), tf.int32)
    return (pixels[..., 0] * COLOUR + pixels[..., 1]) * COLOUR + pixels[..., 2]


# --- objects, a mask each --------------------------------------------------------------------------------------------


def open_instance_folders(
    path: str, images: str, masks: str, label: str, test: Any, validation: Sequence[str] | None, cache_mb: int
) -> dict[str, Split]:
    """The splits of a folder of folders; `kplug_segment.instance_folders` says the parameters."""
    root = os.path.expanduser(path)
    if not os.path.isdir(root):
        raise SpecError(f"there is no folder {root}")
    names = in_natural_order([one.name for one in os.scandir(root) if one.is_dir() and not one.name.startswith(".")])
    names = [name for name in names if os.path.isdir(os.path.join(root, name, images))]
    if not names:
        raise SpecError(f"{root} has no folders with a folder {images} in them, one for each picture")
    pictures = []
    for name in names:
        found = list(files_in(root, os.path.join(name, images)).values())
        if len(found) != 1:
            raise SpecError(f"{os.path.join(root, name, images)} has {len(found)} pictures; an example has one")
        pictures += found
    objects = [_objects_in(root, name, masks, picture) for name, picture in zip(names, pictures, strict=True)]
    layers = max(ids.shape[-1] for ids in objects)
    parts = in_order(shared_out(names, test, validation, share_out))
    return {
        split: replace(_with_objects(root, pictures, objects, rows, layers, label), cache_mb=cache_mb)
        for split, rows in parts.items()
    }


def _objects_in(root: str, name: str, masks: str, picture: str) -> np.ndarray:
    """The ids of a picture's objects, uint16 `[h, w, layers]`: where two overlap, one is in the next layer."""
    height, width = _read(size_of, picture)
    files = files_in(root, os.path.join(name, masks)) if os.listdir(os.path.join(root, name, masks)) else {}
    layers = [np.zeros((height, width), np.uint16)]
    number = 0
    for one in in_natural_order(files):
        mask = _read(decode_ids, files[one]) > 0
        if mask.shape != (height, width):
            what = f"{files[one]} has {mask.shape[1]} x {mask.shape[0]} pixels, its picture {width} x {height}"
            raise SpecError(f"{what}; a mask has the size of its picture")
        if not mask.any():
            logging.getLogger("kplug").warning("%s is empty, and no object", files[one])
            continue
        number += 1
        free = next((layer for layer in layers if not layer[mask].any()), None)
        if free is None:
            layers.append(free := np.zeros((height, width), np.uint16))
        free[mask] = number
    return np.stack(layers, axis=-1)


def _read(decode: Callable[[Any], Any], file: str) -> np.ndarray:
    """The array that a file holds, which is named where it cannot be read."""
    try:
        return decode(tf.io.read_file(file)).numpy()
    except tf.errors.OpError as error:
        raise SpecError(f"{file}: {reason(error)}") from None


def _with_objects(
    root: str, pictures: Sequence[str], objects: Sequence[np.ndarray], rows: Sequence[int], layers: int, label: str
) -> Split:
    paths = [pictures[row] for row in rows]
    files = found_files(paths, root)
    own = [np.pad(objects[row], [(0, 0), (0, 0), (0, layers - objects[row].shape[-1])]) for row in rows]
    with tf.device("CPU:0"):
        encoded = tf.constant([os.fsencode(one) for one in paths])
        packed = tf.constant(
            [[tf.io.encode_png(ids[..., layer, None]).numpy() for layer in range(layers)] for ids in own]
        )
        counts = tf.constant([int(ids.max()) for ids in own])

    def load(row: Any) -> dict[str, Any]:
        found = [tf.io.decode_png(one, 1, tf.uint16)[..., 0] for one in tf.unstack(tf.gather(packed, row))]
        return {
            "image": tf.io.read_file(tf.gather(encoded, row)),
            "instances": tf.cast(tf.stack(found, axis=-1), tf.int32),
            "instances_class": tf.zeros([tf.gather(counts, row)], tf.int32),
        }

    features = {"image": "image", "instances": "instances"}
    facts = {"instances": {"classes": (label,)}}
    columns = Columns(len(rows), {"path": object_column(paths)})
    return Split(columns, load, features, facts, names=files.names, sizes=files.sizes)


# --- weights of pixels -----------------------------------------------------------------------------------------------


def weigh_borders(
    of: Mapping[str, Split], asked: AskedFeatures, objects: str, region: str | None, width: float, name: str
) -> dict[str, Split]:
    """The splits of a source with a weight for each pixel; `kplug_segment.border_weights` says the parameters."""
    return {split: _weighed(given, asked, objects, region, width, name) for split, given in of.items()}


def _weighed(split: Split, asked: AskedFeatures, objects: str, region: str | None, width: float, name: str) -> Split:
    if objects not in split.features:
        raise SpecError(f"objects: the source has no field '{objects}' (fields: {listed(split.features)})")
    read = _reader_of_regions(split, asked, objects, region)
    maps = []
    for row in range(len(split)):
        value = split.load(tf.constant(row, tf.int64))[objects]
        maps.append(tf.io.encode_png(closeness(read(value), width)[..., None]).numpy())
    with tf.device("CPU:0"):
        packed = tf.constant(maps)

    def load(row: Any) -> dict[str, Any]:
        return {**split.load(row), name: tf.io.decode_png(tf.gather(packed, row), 1)[..., 0]}

    return replace(split, load=load, batched=False, features={**split.features, name: "pixel_weights"})


def _reader_of_regions(
    split: Split, asked: AskedFeatures, field: str, region: str | None
) -> Callable[[Any], np.ndarray]:
    """A function from what the source has of a field to ids: of objects, or of connected pixels of a class."""
    if region is None:

        def ids_of(value: Any) -> np.ndarray:
            ids = decode_ids(value) if value.dtype == tf.string else value
            return ids.numpy().max(-1) if ids.shape.rank == 3 else ids.numpy()

        return ids_of
    classes = split.facts.get(field, {}).get("classes", ())
    if region not in classes:
        raise SpecError(f"region: '{field}' has no class {region} (classes: {listed(classes)})")
    codec = codecs_of(split, asked)[field]

    def connected(value: Any) -> np.ndarray:
        height, width = (size_of(value).numpy() if value.dtype == tf.string else value.shape)[:2]
        placed = codec.with_facts({"classes": classes, "size": (height, width)})
        found = placed.read_in(value, tf.constant([1.0, 1.0, 0.0, 0.0, height, width]))
        return ndimage.label(found.numpy() == classes.index(region))[0]

    return connected


def closeness(ids: np.ndarray, width: float) -> np.ndarray:
    """The nearness of the two nearest objects, as U-Net weighs it: uint8 `[h, w]`, 255 between two that touch.

    It is exp(-(d1 + d2)^2 / (2 width^2)), of the distances in pixels to the two objects that are nearest, and 0 within
    objects (Ronneberger et al. 2015).
    """
    first = np.full(ids.shape, np.inf)
    second = first.copy()
    reach = 4 * width + 1  # beyond which nothing of 255 is left
    for number, place in enumerate(ndimage.find_objects(ids), 1):
        if place is None:
            continue
        around = tuple(slice(max(0, int(side.start - reach)), int(side.stop + reach) + 1) for side in place)
        distance = ndimage.distance_transform_edt(ids[around] != number)
        nearer = np.minimum(first[around], distance)
        second[around] = np.minimum(second[around], np.maximum(first[around], distance))
        first[around] = nearer
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.exp(-((first + second) ** 2) / (2 * width**2))
    return np.where(ids > 0, 0, np.round(255 * found)).astype(np.uint8)
