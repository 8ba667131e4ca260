"""The input that each family of keras.applications takes, made from pictures in 0 to 1."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

BGR_MEAN = (103.939, 116.779, 123.68)  # of ImageNet in 0 to 255, blue first, as Caffe's networks were trained
RGB_MEAN, RGB_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in 0 to 1
RANGES = {  # beginnings of names, of which the longest counts
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3", "MobileNet", "NASNet", "Xception"), "signed"),
    **dict.fromkeys(("ResNet50V2", "ResNet101V2", "ResNet152V2"), "signed"),
    **dict.fromkeys(("ResNet", "VGG"), "bgr"),
    "DenseNet": "standardized",
    **dict.fromkeys(("ConvNeXt", "EfficientNet", "MobileNetV3"), "bytes"),  # the rest is among their own layers
}


def range_of(name: str) -> str:
    """Signed, bgr, standardized or bytes: what an application takes."""
    return RANGES[max((family for family in RANGES if name.startswith(family)), key=len)]


def preprocess(name: str, images: Any) -> Any:
    """Pictures `[b, h, w, 3]` in 0 to 1 as an application takes them."""
    match range_of(name):
        case "signed":
            return layers.Rescaling(2.0, -1.0, name="to_signed")(images)
        case "bgr":
            return layers.Rescaling(255.0, [-mean for mean in BGR_MEAN], name="to_bgr")(ops.flip(images, axis=-1))
        case "standardized":
            scale = [1 / deviation for deviation in RGB_DEVIATION]
            offset = [-mean / deviation for mean, deviation in zip(RGB_MEAN, RGB_DEVIATION, strict=True)]
            return layers.Rescaling(scale, offset, name="to_standardized")(images)
        case _:
            return layers.Rescaling(255.0, name="to_bytes")(images)


def with_three_channels(images: Any) -> Any:
    """Gray pictures repeated to three channels; others as they are."""
    return ops.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
