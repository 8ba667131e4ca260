"""`check` of augmentations, samplers and sources: a bad one for each promise."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kplug import Augmentation, Columns, DataInfo, Geometry, Sampler, Source, SpecError, Split, moves, recolours
from kplug.kinds import Known, known
from kplug.testing import (
    check,
    tiny_clips,
    tiny_files,
    tiny_labels,
    tiny_masks,
    tiny_objects,
    tiny_pictures,
)


def noise(flaw: str = "none") -> Augmentation:
    """Add noise to every picture.

    Args:
        flaw: what is wrong with it.
    """
    calls = tf.Variable(0, dtype=tf.int64)

    def augment(batch, seed):
        image = tf.cast(batch["image"], tf.float32)
        if flaw == "unseeded":
            changed = image + tf.random.uniform(tf.shape(image), 0, 9)
        elif flaw == "remembers":
            changed = image + tf.cast(calls.assign_add(1), tf.float32)
        else:
            changed = image + tf.random.stateless_uniform(tf.shape(image), seed, 0, 9)
        if flaw == "crops":
            changed = changed[:, 1:]
        if flaw == "unit":
            changed /= 300
        if flaw == "infinite":
            changed /= 0.0
        if flaw == "integers":
            changed = tf.cast(changed, tf.int32)
        if flaw == "eager":
            changed = tf.constant(changed.numpy())
        if flaw == "drops":
            return {"image": changed}
        return {name: values[1:] for name, values in batch.items()} if flaw == "fewer" else batch | {"image": changed}

    return augment


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("unseeded", "a function of batch and seed alone"),
        ("remembers", "a function of batch and seed alone"),
        ("crops", r"keeps the shape of the pictures, \(5, 32, 32, 3\); received \(5, 31, 32, 3\)"),
        ("unit", "pixels stay in 0 to 255"),
        ("infinite", "finite pixels"),
        ("integers", "uint8 or float pictures; received int32"),
        ("eager", "is graph-safe and takes any number of examples"),
        ("drops", "label, number is gone"),
        ("fewer", "keeps the number of examples; of 5, 'image' has 4"),
    ],
)
def test_augmentation(flaw, message):
    tf.random.set_seed(0)  # as a test before it may have left it
    with pytest.raises(AssertionError, match=message):
        check(noise, flaw=flaw)


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 12, 1), (8, 12, 2), (8, 12, 4), (6, 6, 7)])
def test_a_good_augmentation_of_any_shape(shape):
    check(noise, shape)


def drawing(columns: Columns, flaw: str = "none") -> Sampler:
    """Four examples at a time, drawn with replacement.

    Args:
        flaw: what is wrong with it.
    """
    epochs = []

    def draw(rng):
        epochs.append(1)
        steps = 5 + (len(epochs) if flaw == "heights" else 0)
        if flaw == "mutates":
            columns["label"][:] = 0
        own = np.random.default_rng() if flaw == "own" else rng
        rows = own.integers(0, columns.size + (9 if flaw == "beyond" else 0), (steps, 4))
        if flaw == "holes":
            rows[0, 0] = -1
        return rows.astype(np.int32) if flaw == "int32" else rows.tolist() if flaw == "list" else rows

    return draw


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("own", "Draw from rng alone"),
        ("heights", "the same number of steps each epoch"),
        ("mutates", "leaves the columns as they are"),
        ("beyond", "rows of the split, 0 to 19"),
        ("holes", "-1 pads the last row"),
        ("int32", r"int64 \[steps, batch\] with at least one step; received int32 \(5, 4\)"),
        ("list", "received list"),
    ],
)
def test_sampler(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(drawing, 20, flaw=flaw)


def test_a_good_sampler():
    check(drawing)


def of_cameras(columns: Columns, camera: str = "kept") -> Sampler:
    """Rows of one camera, two at a time.

    Args:
        camera: which.
    """
    rows = np.flatnonzero(columns["camera"] == camera)
    if len(rows) < 2:
        raise SpecError(f"there are {len(rows)} rows of the camera {camera}; two are needed")
    return lambda rng: rng.permutation(rows)[: len(rows) // 2 * 2].reshape(-1, 2)


def test_a_sampler_on_columns_of_its_own():
    cameras = np.array(["left", "right"], object)[np.arange(9) % 2]
    columns = Columns(9, {"label": np.arange(9, dtype=np.int32) % 5, "camera": cameras})
    check(of_cameras, columns, camera="left")
    with pytest.raises(SpecError, match="there are 0 rows of the camera kept"):
        check(of_cameras, columns)
    with pytest.raises(SpecError, match="no column named 'camera'"):
        check(of_cameras, camera="left")


def mirrored(batch, names):
    return batch | {name: tf.reverse(batch[name], [2]) for name in names if name in batch}


@recolours
def silent_mirror() -> Augmentation:
    """Mirror pictures, and say that they are only recoloured."""
    return lambda batch, seed: mirrored(batch, ["image"])


@moves()
def lonely_mirror() -> Augmentation:
    """Mirror pictures and nothing that lives in them."""
    return lambda batch, seed: mirrored(batch, ["image"])


@moves()
def half_mirror() -> Augmentation:
    """Mirror pictures, masks and maps of objects, and leave boxes where they are."""
    return lambda batch, seed: mirrored(batch, ["image", "mask", "objects"])


@moves()
def whole_mirror(data: DataInfo) -> Augmentation:
    """Mirror pictures and all that lives in them."""
    from kplug.authoring import move

    def draw(count, size, seed):
        width = tf.cast(size[1], tf.float32)
        matrix = tf.reshape(tf.stack([-1.0, 0.0, width, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]), [1, 3, 3])
        return Geometry(size, size, tf.tile(matrix, [count, 1, 1]), interpolation="nearest")

    return lambda batch, seed: move(data, batch, seed, draw)


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        (silent_mirror, "go the same way; this one recolours, and masks say too little of the pictures"),
        (lonely_mirror, "go the same way; this one moves, and masks say too little of the pictures"),
        (half_mirror, "a box is the smallest around what the picture shows of its object"),
    ],
)
def test_what_leaves_behind_is_found(augmentation, message):
    with pytest.raises(AssertionError, match=message):
        check(augmentation)


def test_a_whole_move():
    check(whole_mirror)


IN_PICTURES = [tiny_masks, tiny_objects, tiny_clips]


def told(flaw: str):
    if flaw == "known":
        return ((4, 4, 3), ("a", "b"))
    features = {"image": "image", "label": "label"} | ({"text": "text"} if flaw == "known fields" else {})
    features |= {"label": "image"} if flaw == "known features" else {}
    classes = ("b", "a") if flaw == "known facts" else ("a", "b")
    return Known(features=features, facts={"label": {"classes": classes}, "image": {"size": None}})


@known(told)
def pictures(flaw: str = "none") -> Source:
    """Ten noisy pictures of two classes.

    Args:
        flaw: what is wrong with it.
    """
    rng = np.random.default_rng(None if flaw == "changes" else 0)
    size = 0 if flaw == "empty" else 10
    images = tf.constant(rng.integers(0, 256, (10, 4, 4, 3)).astype("float32" if flaw == "floats" else "uint8"))
    labels = np.arange(size, dtype=np.int32) % (3 if flaw == "labels" else 2)
    columns = {"label": labels[1:] if flaw == "ragged" else labels}

    def load(row):
        if flaw == "eager":
            return {"image": images[int(row.numpy())]}
        image = tf.gather(images, row)
        if flaw == "random":
            return {"image": tf.cast(tf.random.uniform([4, 4, 3], 0, 255), tf.uint8)}
        if flaw == "batched":
            return {"image": tf.reduce_max(image, -1, keepdims=True)[..., 0, :, :] if image.shape.rank == 4 else image}
        return {"picture": image} if flaw == "names" else {"image": image}

    height = 5 if flaw == "size" else 4
    features = {"image": "image", "label": "label"}
    facts = {"image": {"size": (height, 4), "channels": 3}, "label": {"classes": ("a", "b")}}
    split = Split(Columns(size, columns), load, features, facts, batched=flaw == "batched")
    other = replace(split, facts=facts | {"label": {"classes": ("b", "a")}})
    return {"training" if flaw == "splits" else "train": split, "test": other if flaw == "classes" else split}


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("changes", "a source gives the same again"),
        ("empty", "'train' is empty"),
        ("floats", "a picture is uint8"),
        ("labels", "integers from 0 to 1"),
        ("ragged", r"a value for each of the 10 examples of 'train'; received \{'label': 9\}"),
        ("eager", "is graph-safe"),
        ("random", "load is a function of the row"),
        ("batched", "a batched load gives what it gives row by row"),
        ("names", "names fields that the split gives; 'train' lacks image"),
        (
            "size",
            r"the size that all pictures have, \{'size': \(5, 4\), 'channels': 3\}; one of 'train' has \(4, 4, 3\)",
        ),
        ("splits", "received training, test"),
        ("classes", "every split has the same classes"),
        ("known", "known.. gives a Known; received tuple"),
        ("known fields", "known.. tells of fields that the source gives; it lacks text"),
        ("known features", r"that of 'label' is 'image', and theirs 'label'"),
        ("known facts", r"of 'label' it tells \{'classes': \('b', 'a'\)\}, and they"),
    ],
)
def test_source(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(pictures, flaw=flaw)


@pytest.mark.parametrize("source", [pictures, tiny_pictures, tiny_labels, tiny_files, *IN_PICTURES])
def test_good_sources(source):
    check(source)
