"""Networks with trained weights, and a source of class names for those that classify by themselves."""

from typing import Any, Literal

from kplug import Architecture, DataInfo, FilePath, Natural, Positive, Rebuild, Size, Source, SpecError, Text, hookimpl
from kplug.kinds import Known, known, rule

kplug_api = 2

# the functions of keras.applications; a test compares
Application = Literal[
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1",
    "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S",
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small",
    "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2",
    "VGG16", "VGG19", "Xception",
]  # fmt: skip
# pixels under which Keras refuses a network; 32 where nothing is said, the stride of all of them
LEAST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
WITH_WIDTHS = ("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small")


@hookimpl
def components():
    return [pretrained, hub, class_names]


def _only_mobilenets_have_widths(name: str, width_multiplier: float) -> None:
    if width_multiplier != 1 and name not in WITH_WIDTHS:
        raise ValueError(f"{name} has one width; a width_multiplier is for {', '.join(WITH_WIDTHS)}")


def _classifiers_pool_by_themselves(include_top: bool, pooling: str | None) -> None:
    if include_top and pooling:
        raise ValueError(f"include_top: true gives scores, which pooling: {pooling} would not change; leave one out")


def imagenet_has_1000_classes(name: str, weights: str | None, include_top: bool, data: Known) -> None:
    """Raise SpecError where scores of ImageNet's classes are asked of a source that has others, as far as is known."""
    if include_top and weights == "imagenet" and data.classes is not None and len(data.classes) != 1000:
        raise SpecError(
            f"{name} with weights: imagenet tells 1000 classes, the source has {len(data.classes)}; include_top: false "
            "gives features, on which a head learns them"
        )


def _a_small_picture_leaves_something(name: str, data: Known) -> None:
    least = LEAST.get(name, 32)
    sides = data.picture[:2]
    if any(side is not None and side < least for side in sides):
        shown = "x".join("?" if side is None else str(side) for side in sides)
        raise ValueError(
            f"pictures of {shown} are too small for {name}; make them larger with data.features.image.size"
        )


@rule(_a_small_picture_leaves_something)
@rule(imagenet_has_1000_classes)
@rule(_only_mobilenets_have_widths)
@rule(_classifiers_pool_by_themselves)
def pretrained(
    data: DataInfo,
    name: Application,
    weights: Literal["imagenet"] | FilePath | None = "imagenet",
    include_top: bool = False,
    pooling: Literal["mean", "max"] | None = None,
    width_multiplier: Positive = 1.0,
    rebuild: Rebuild = Rebuild(),
) -> Architecture:
    """A network of keras.applications, with weights that were trained before.

    Pictures are brought to what the network was trained on: its range, its order of channels, gray repeated to three
    channels. `fit.trainable` freezes its layers, whose paths begin with `pretrained/`, and `fit.stages` thaws them. The
    weights are read when a training begins; afterwards a run has its own.

    Args:
        name: of the function in keras.applications.
        weights: imagenet has Keras fetch those trained on ImageNet; a file has them as Keras saves them, `.weights.h5`
            or the older `.h5`; null begins with random ones.
        include_top: give the network's own scores instead of features, for `head: none`; weights that are not null
            then fix the number of classes.
        pooling: over the picture, features are then [batch, channels].
        width_multiplier: of the MobileNets, filters by the paper's.
    """
    from kplug_pretrained.applications import make_application

    return make_application(data, rebuild, name, weights, include_top, pooling, width_multiplier)


def hub(
    preset: Text, weights: bool = True, pooling: Literal["mean", "max"] | None = None, rebuild: Rebuild = Rebuild()
) -> Architecture:
    """An image backbone of KerasHub, by its preset; it needs the extra: `pip install 'kplug-pretrained[hub]'`.

    Layers have paths that begin with `hub/`. The preset is read when a training begins; afterwards a run has its own
    weights and the preset's configuration.

    Args:
        preset: a preset's name (`resnet_50_imagenet`), an address (`hf://...`, `kaggle://...`) or a local folder.
        weights: load the preset's; false begins with random ones.
        pooling: over the picture, features are then [batch, channels].
    """
    try:
        from kplug_pretrained.backbones import make_backbone
    except ModuleNotFoundError as error:
        raise SpecError(f"{error}; hub needs KerasHub: pip install 'kplug-pretrained[hub]'") from error
    return make_backbone(rebuild, preset, weights, pooling)


def _told_by_the_file(file: str, image_size: list[int], skip: int) -> Known:
    import contextlib
    from pathlib import Path

    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())[skip:]
        facts: dict[str, dict[str, Any]] = {
            "image": {"size": tuple(image_size), "channels": 3},
            "label": {"classes": names},
        }
        return Known(features={"image": "image", "label": "label"}, facts=facts)
    return Known()


@known(_told_by_the_file)
def class_names(file: FilePath, image_size: Size = (224, 224), skip: Natural = 0) -> Source:
    """The names of classes, for a network that knows them already; its pictures are blank, one a class.

    A run takes the names of what it predicts from its source. This one is there for `fit.epochs: 0` and
    `include_top: true`, and trains and measures nothing: every picture of it is black.

    Args:
        file: text, UTF-8, one class a line, in the order of the network's scores; a name may stand there twice.
        image_size: [height, width] in pixels that pictures are brought to before the network sees them.
        skip: lines at the beginning to leave out, such as 1 for a background class that the network has no score for.
    """
    from kplug_pretrained.names import open_names

    return open_names(file, image_size, skip)
