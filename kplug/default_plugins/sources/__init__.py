"""The built-in sources: where the pictures of an experiment come from."""

from collections.abc import Callable
from typing import Any, Literal

from kplug import AskedFeatures, Augmentation, DataInfo, Source, hookimpl, known, rule
from kplug.default_plugins.sources import known_data
from kplug.errors import Problem, SpecError
from kplug.kinds import FieldName, FilePath, Fraction, Natural, Seed, Size, Text, Unit


@hookimpl
def components():
    return [digits, folder, table, arrays, tfds, augmented, tiles]


@known(known_data.digits)
def digits() -> Source:
    """Read the 1,797 scanned digits, 8 by 8 pixels, that scikit-learn ships: no download, trains in seconds."""
    from kplug.default_plugins.sources.npz_arrays import open_digits

    return open_digits()


@known(known_data.folder)
def folder(path: FilePath, test: Fraction = 0.2, classes: FilePath | None = None, cache_mb: Natural = 1024) -> Source:
    """Read pictures (jpg, png, bmp, gif) from class folders: `path/cat/1.jpg`, or `path/train/cat/1.jpg`.

    Args:
        path: the folder; a `train` folder in it that holds class folders makes it one folder per split (train,
            validation or val or valid, test).
        test: share of the pictures that becomes the test split where there are no folders per split, 0 for none; it is
            chosen by the pictures' paths, so that adding some moves hardly any other.
        classes: text file with one class name a line, which fixes the classes and their order; without it they are the
            names of the class folders (of train), sorted.
        cache_mb: memory for pictures that were decoded and resized, MiB for all splits together; a split that does not
            fit is read at each step. 0 reads all so.
    """
    from kplug.default_plugins.sources.class_folders import open_folder
    from kplug.default_plugins.sources.picture_splits import cached

    return cached(open_folder(path, test, classes), cache_mb)


@known(known_data.table)
def table(
    path: FilePath,
    image: Text | None = "image",
    label: Text | None = "label",
    split: Text | None = "split",
    root: FilePath | None = None,
    separator: Text | None = None,
    classes: FilePath | None = None,
    test: Fraction = 0.2,
    group: FieldName | None = None,
    cache_mb: Natural = 1024,
) -> Source:
    """Read examples that a CSV file lists, one a row: picture files, labels and any further columns.

    A column of numbers joins every batch under its name; a column of text does where `data.features` gives it a
    feature: {question: text}.

    Args:
        path: the CSV file, UTF-8, its first line the column names.
        image: column of picture files, relative to `root`; null where the examples have no pictures.
        label: column of class names; null where there are no labels.
        split: column that says train, validation (or val, valid) or test; null for a split by share, as also where the
            table has no column `split`.
        root: folder of the pictures; without it the CSV file's own.
        separator: text between the class names of one cell, such as "|", for pictures with any number of labels.
        classes: text file with one class name a line, which fixes the classes and their order; label cells may then be
            line numbers from 0 instead; without it they are the names in the label column, sorted.
        test: share of the rows that becomes the test split where no column says it, 0 for none; it is chosen by the
            pictures' paths, or by group, so that adding some moves hardly any other.
        group: column, `path` or `label`, that says which rows belong together (a patient, a recording): neither test
            nor validation cuts a group; null where each row stands by itself.
        cache_mb: memory for examples that were decoded and resized, MiB for all splits together; a split that does not
            fit is read at each step. 0 reads all so.
    """
    from kplug.default_plugins.sources.csv_tables import open_table
    from kplug.default_plugins.sources.picture_splits import cached

    return cached(open_table(path, image, label, split, root, separator, classes, test, group), cache_mb)


def arrays(path: FilePath, test: Fraction = 0.2, group: Text | None = None) -> Source:
    """Read pictures from arrays in an .npz file: `x_train`, `y_train`, ... as Keras's datasets, or `images`, `labels`.

    Args:
        path: the file; pictures are uint8 `[n, height, width]` or `[n, height, width, channels]`; labels are integers
            `[n]`, or zeros and ones `[n, classes]`: single labels where each row of the file has one 1, else any number
            of labels. An array `classes` names the classes; `<name>_train`, ... are further columns.
        test: share of `images` that becomes the test split, 0 for none; `x_train` and the like say it themselves.
        group: column, or `label`, that says which examples belong together (a patient, a recording): neither test nor
            validation cuts a group; null where each stands by itself.
    """
    from kplug.default_plugins.sources.npz_arrays import open_arrays

    return open_arrays(path, test, group)


@known(known_data.tfds)
def tfds(
    name: Text,
    data_dir: FilePath | None = None,
    train: Text = "train",
    validation: Text | None = None,
    test: Text | None = "test",
    image: Text = "image",
    label: Text | None = "label",
    cache_mb: Natural = 1024,
    download: bool = True,
) -> Source:
    """Read any image dataset of TensorFlow Datasets, in TFRecord or array_record files.

    Args:
        name: the dataset, with config and version where wanted: `cifar10`, `cifar10_corrupted/fog_1:1.0.0`.
        data_dir: folder of the datasets; without it TensorFlow Datasets' own, `~/tensorflow_datasets`.
        train: split expression of the training examples, such as `train[:90%]` or `train+test`.
        validation: split expression; null for none, the host then sets a share of train apart.
        test: split expression; null for none.
        image: feature that holds the picture.
        label: feature that holds the class, a ClassLabel or an integer; null for none.
        cache_mb: memory for decoded pictures, MiB for all splits together; a split that does not fit is read and
            decoded by random access at each step. 0 reads all so.
        download: fetch and prepare the dataset where it is not on disk.
    """
    from kplug.default_plugins.sources.tfds_records import open_tfds

    expressions = {"train": train, "validation": validation, "test": test}
    return open_tfds(name, data_dir, expressions, image, label, cache_mb, download)


def _goes_by_others(component: Any) -> bool:
    """True for an augmentation that mixes examples, or may: it asks for the data and says nothing of what it does."""
    if component.effect is None:
        return DataInfo in component.injected.values()
    return component.effect.does == "mixes"


def _go_by_one_row(augment: list[dict[str, Any]]) -> None:
    from kplug.spec.plugins import host

    message = "goes by the classes of the whole data, as what mixes examples or labels does; a row is changed by itself"
    made = [host().registry.find("augmentation", node["type"]) for node in augment]
    if mixing := [position for position, component in enumerate(made) if _goes_by_others(component)]:
        raise SpecError([Problem(f"'{augment[at]['type']}' {message}", ("augment", at)) for at in mixing])


@known(known_data.augmented)
@rule(_go_by_one_row)
def augmented(
    of: Source,
    asked: AskedFeatures,
    augment: list[Callable[[DataInfo], Augmentation]],
    splits: list[Literal["train", "validation", "test"]] = ("test",),  # type: ignore[assignment]
    seed: Seed = 0,
) -> Source:
    """Change pictures once and for all, each by what its row and the seed say: how robust is a network?

    Masks, objects, boxes and points go where their picture goes.

    Args:
        of: the source whose pictures are changed.
        augment: what changes a picture, in this order; none that mixes examples or changes labels. One that gives
            another size gives it to the pictures of these splits.
        splits: those whose pictures are changed; a validation set that the host sets apart from train counts as train.
        seed: another seed changes them otherwise.
    """
    from kplug.default_plugins.sources.augmented_splits import distort

    return distort(of, asked, augment, splits, seed)


def _overlap_is_less(size: tuple[int, int], overlap: tuple[int, int]) -> None:
    problems = [
        Problem(f"tiles of {side} pixels cannot share {shared} of them", ("overlap", axis))
        for axis, (side, shared) in enumerate(zip(size, overlap, strict=True))
        if shared >= side
    ]
    if problems:
        raise SpecError(problems)


@known(known_data.tiles)
@rule(_overlap_is_less)
def tiles(
    of: Source,
    asked: AskedFeatures,
    size: Size,
    overlap: tuple[Natural, Natural] = (0, 0),
    splits: list[Literal["train", "validation", "test"]] | None = None,
    visible: Unit = 0.3,
) -> Source:
    """Cut pictures in tiles of one size, each an example of its own, with the masks, objects, boxes and points in it.

    Columns tell where a tile is from: `picture`, the number of the whole picture, counted over all splits, and the
    pixels of the tile's corner, `tile_y` and `tile_x`. No share and no fold cuts a picture, nor a group of the source.
    Pictures are decoded here, as their feature in `data.features` says; its size is that of tiles.

    Args:
        of: the source of whole pictures, one an example, none smaller than a tile.
        size: [height, width] of a tile in pixels.
        overlap: [height, width] in pixels that neighbours share at least; the last tiles end with the picture.
        splits: those that are cut, in others a whole picture is an example; null: all.
        visible: share of a box, 0 to 1, that must be in a tile, else it counts nowhere there.
    """
    from kplug.default_plugins.sources.tiled_splits import cut_in_tiles

    return cut_in_tiles(of, asked, (size[0], size[1]), (overlap[0], overlap[1]), splits, visible)
