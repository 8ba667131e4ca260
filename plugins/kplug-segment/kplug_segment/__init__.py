"""Semantic segmentation: networks, losses, features, sources and figures of what each pixel shows."""

from typing import Annotated, Any

from annotated_types import MinLen

from kplug import AskedFeatures, DataInfo, FitInfo, Known, Source, Task, authoring, call, gives, hookimpl, needs, rule
from kplug.errors import Problem, SpecError
from kplug.kinds import (
    Architecture,
    Count,
    Evaluator,
    Feature,
    FieldName,
    FilePath,
    Fraction,
    LabelName,
    Loss,
    Metric,
    Natural,
    NonNegative,
    Optimizer,
    Positive,
    Sees,
    Size,
    Text,
    Unit,
)
from kplug_segment.architectures import NETWORKS, deeplab_v3_plus, fpn, unet, unet_plus_plus  # noqa: F401
from kplug_segment.losses import LOSSES, soft_dice, soft_tversky  # noqa: F401

kplug_api = 2

THRESHOLDS = tuple(n / 10 for n in range(2, 10))
Value = Natural | tuple[Natural, Natural, Natural]


@hookimpl
def components():
    return [*NETWORKS, *LOSSES, *FEATURES, *SOURCES, segmentation, *EVALUATORS]


# --- features --------------------------------------------------------------------------------------------------------


def interior_and_border(of: FieldName = "instances", width: Count = 1, frame: FieldName | None = None) -> Feature:
    """Three classes, made of objects after all that moves them: background, inside, border; uint8 [height, width].

    A watershed finds objects again that touch: its seeds are the insides.

    Args:
        of: the field of objects (feature instances).
        width: of the border within each object, in pixels.
        frame: the field of the picture; null: the only one.
    """
    from kplug_segment.codecs import InsidesCodec

    return InsidesCodec(of, width, frame)


def pixel_weights(strength: NonNegative = 10.0, frame: FieldName | None = None) -> Feature:
    """A weight for each pixel in the loss, float32 [height, width]: 1, and up to 1 + strength.

    Args:
        strength: what a pixel of 255 counts more.
        frame: the field of the picture; null: the only one.
    """
    from kplug_segment.codecs import WeightsCodec

    return WeightsCodec(strength, frame)


def mask_layers(frame: FieldName | None = None) -> Feature:
    """Classes of which a pixel may have several, uint8 [height, width, classes]: 0, 1, or 255 where it is not known.

    Args:
        frame: the field of the picture; null: the only one.
    """
    from kplug_segment.codecs import LayersCodec

    return LayersCodec(frame)


FEATURES = [interior_and_border, pixel_weights, mask_layers]

# --- sources ---------------------------------------------------------------------------------------------------------


def mask_folder(
    path: FilePath,
    images: Text = "images",
    masks: Text | dict[Text, Text] = "masks",
    suffix: str = "",
    values: dict[Text, Value] | None = None,
    test: Fraction | list[Text] = 0.2,
    validation: list[Text] | None = None,
    cache_mb: Natural = 1024,
) -> Source:
    """Read pictures from a folder, and the masks of the same names from another: a class for each pixel.

    Splits may be said by name: `2[0-9]` are those that a pattern meets, and `3::4` is every fourth of all names in
    their order, from the fourth on (START:STOP:STEP).

    Args:
        path: the folder that has both.
        images: folder of the pictures in it.
        masks: folder of the masks in it, PNG; or class to folder, where a pixel may have several classes: what is not
            black in `{nucleus: nuclei, cell: cells}` is of the class.
        suffix: what masks have behind the name of their picture: "_mask".
        values: class to the value of its pixels, the index in a palette, or [red, green, blue], in the order of the
            classes; null: values are 0 for the first class, 1 for the second, and the feature names them.
        test: share of the pictures that becomes the test split, 0 for none; or names.
        validation: names; null: `data.validation` says.
        cache_mb: memory for examples that were decoded and resized, MiB for all splits together.
    """
    from kplug_segment.folders import open_mask_folder

    return open_mask_folder(path, images, masks, suffix, values, test, validation, cache_mb)


def instance_folders(
    path: FilePath,
    images: Text = "images",
    masks: Text = "masks",
    label: Text = "object",
    test: Fraction | list[Text] = 0.2,
    validation: list[Text] | None = None,
    cache_mb: Natural = 1024,
) -> Source:
    """Read pictures of objects with a mask each: a folder for every picture, as in the Data Science Bowl 2018.

    In `path/NAME/images` is one picture, in `path/NAME/masks` a file for each of its objects, in which what is not
    black is the object. Splits may be said by name, as in `mask_folder`.

    Args:
        path: the folder of folders.
        images: the folder of the picture in each.
        masks: the folder of the objects in each.
        label: the name of their class.
        test: share of the pictures that becomes the test split, 0 for none; or names.
        validation: names; null: `data.validation` says.
        cache_mb: memory for examples that were decoded and resized, MiB for all splits together.
    """
    from kplug_segment.folders import open_instance_folders

    return open_instance_folders(path, images, masks, label, test, validation, cache_mb)


def border_weights(
    of: Source,
    asked: AskedFeatures,
    objects: FieldName = "instances",
    region: Text | None = None,
    width: Positive = 5.0,
    name: Text = "weights",
) -> Source:
    """Give each pixel of the background a weight by how near two objects are to it and to each other.

    It is U-Net's exp(-(d1 + d2)^2 / (2 width^2)) with the distances to the two nearest objects (Ronneberger et al.
    2015), which the feature `pixel_weights` multiplies by its strength; `weights: weights` of a segmentation takes it.

    Args:
        of: the source of pictures and objects, or masks.
        objects: the field of objects, or of masks.
        region: of masks, the class whose connected pixels are objects.
        width: how far from two objects a pixel still counts more, in pixels of the file.
        name: of the field of weights.
    """
    from kplug_segment.folders import weigh_borders

    return weigh_borders(of, asked, objects, region, width, name)


SOURCES = [mask_folder, instance_folders, border_weights]

# --- task ------------------------------------------------------------------------------------------------------------


def _overlap_is_less(tile: tuple[int, int] | None, overlap: tuple[int, int]) -> None:
    problems = [
        Problem(f"tiles of {side} pixels cannot share {shared} of them", ("overlap", axis))
        for axis, (side, shared) in enumerate(zip(tile or (), overlap, strict=False))
        if shared >= side
    ]
    if problems:
        raise SpecError(problems)


def _weights_are_of_classes(class_weights: Any, data: Known) -> None:
    authoring.refuse_unknown_classes("class_weights", class_weights, data.classes)


@gives("probabilities", "mask")
@rule(_weights_are_of_classes)
@rule(_overlap_is_less)
def segmentation(
    data: DataInfo,
    fit: FitInfo,
    model: Annotated[Architecture, Sees("{image}")],
    loss: Loss = call("weighted_sum", losses=["pixel_cross_entropy", "soft_dice"]),
    optimizer: Optimizer = call("adamw", learning_rate=1e-3),
    metrics: list[Metric] = ("mean_iou",),  # type: ignore[assignment]
    class_weights: dict[Text, NonNegative] | None = None,
    weights: FieldName | None = None,
    auxiliary: dict[Text, Positive] | None = None,
    tile: Size | None = None,
    overlap: tuple[Natural, Natural] = (0, 0),
    image: FieldName = "image",
    mask: LabelName = "mask",
    report: Evaluator | None = "segmentation_report",
    objects: Evaluator | None = None,
) -> Task:
    """Tell what each pixel of a picture shows: one class, or several where the feature is `mask_layers`.

    Pixels of 255 are not known and count nowhere.

    Args:
        model: from images in 0 to 1 to features [b, h, w, c]; a convolution of one pixel makes scores of them, in the
            size of the picture.
        loss: compares the scores of pixels with their classes: pixel_cross_entropy, soft_dice and the like, or any
            that gives a value for each pixel.
        optimizer: changes the weights.
        metrics: compare probabilities with classes, pixel by pixel.
        class_weights: how much a pixel of each class counts in the training loss; 1 where none is named.
        weights: the field of weights of pixels (feature pixel_weights) in the training loss; null: all count alike.
        auxiliary: level of the model's pyramid to the share with which the loss of scores from there is added.
        tile: [height, width] of the parts in which pictures are asked about, so that large ones fit into memory; null:
            whole. Parts are stitched where they meet, in the export too.
        overlap: [height, width] in pixels that parts share at least; twice what the model sees around a pixel gives
            what it says of the whole.
        image: the field of pictures.
        mask: the field of masks.
        report: what looks at the answers to a whole split; null: nobody.
        objects: with the feature interior_and_border, what looks at the objects that a watershed finds, such as
            `{type: object_report, every: 5}`: each time that it looks at validation, the thresholds that are best there
            are kept with the network, which then answers by them; null: they stay at 1/2.
    """
    from kplug_segment.learner import make_learner

    return make_learner(
        data, model, loss, optimizer, metrics, class_weights or {}, weights, auxiliary or {}, tile, overlap,
        image, mask, report, objects,
    )  # fmt: skip


# --- evaluators ------------------------------------------------------------------------------------------------------


@needs("mask")
def segmentation_report(
    data: DataInfo, mask: LabelName | None = None, image: FieldName = "image", every: Count | None = None
) -> Evaluator:
    """Overlap (IoU, Dice) of each class over all pixels of a split, and Dice of each picture.

    Both are of one confusion matrix; a class that neither is there nor said is left out of means, and counted.

    Args:
        mask: the field of masks; null is the task's.
        image: the field of pictures, of which the worst are drawn.
        every: it looks at validation too, after so many epochs each; null: not while training.
    """
    from kplug_segment.reports import SegmentationReport

    name = mask or data.label
    return SegmentationReport(name, image, data.facts[name]["classes"], len(data.fields[name].shape) == 3, every)


@needs("probabilities")
def region_report(
    data: DataInfo,
    region: Text,
    thresholds: Annotated[list[Unit], MinLen(1)] = THRESHOLDS,  # type: ignore
    mask: LabelName | None = None,
    every: Count | None = None,
) -> Evaluator:
    """Rand and information scores of regions between thin borders: V_Rand, V_Info (Arganda-Carreras et al. 2015).

    Args:
        region: the class whose connected pixels are regions: the cells between membranes.
        thresholds: of its probability; of several the one with the best V_Rand on validation is taken.
        mask: the field of masks; null is the task's.
        every: it looks at validation too, after so many epochs each; null: not while training.
    """
    from kplug_segment.reports import RegionReport

    name = mask or data.label
    classes = list(data.facts[name]["classes"])
    if region not in classes:
        raise SpecError([Problem(f"'{name}' has no class {region} (classes: {', '.join(classes)})", ("region",))])
    return RegionReport(name, classes.index(region), thresholds, every, "validation" in data.splits)


@needs("probabilities", "mask")
def object_report(
    data: DataInfo, mask: LabelName | None = None, objects: FieldName = "instances", every: Count | None = None
) -> Evaluator:
    """Precision of the objects that a watershed finds, mean over overlaps of 0.50 to 0.95 (Data Science Bowl 2018).

    Args:
        mask: the field of insides and borders (feature interior_and_border); null is the task's.
        objects: the field of true objects.
        every: it looks at validation too, after so many epochs each; null: not while training.
    """
    from kplug_segment.reports import ObjectReport

    return ObjectReport(mask or data.label, objects, every)


EVALUATORS = [segmentation_report, region_report, object_report]
