"""Networks of keras.applications as architectures."""

from __future__ import annotations

import re
import warnings
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug import DataInfo, Known, Rebuild, SpecError
from kplug.authoring import Network, layers_of, names_as_if_alone, own_variables
from kplug_pretrained import WITH_WIDTHS, imagenet_has_1000_classes
from kplug_pretrained.preprocessing import RGB_DEVIATION, preprocess, with_three_channels
from kplug_pretrained.pyramid import features_and_levels, pyramid_levels
from kplug_pretrained.weight_files import assign_weights, load_weight_file

POOLING = {"mean": "avg", "max": "max"}


def make_application(
    data: DataInfo,
    rebuild: Rebuild,
    name: str,
    weights: str | None,
    include_top: bool,
    pooling: str | None,
    width_multiplier: float,
) -> Network:
    """An application as a layer; `kplug_pretrained.pretrained` says the parameters."""
    if include_top and not data.classes:
        raise SpecError("include_top: true gives a score for each class; the source gives no labels")
    imagenet_has_1000_classes(name, weights, include_top, Known(facts={"label": {"classes": data.classes}}))
    options: dict[str, Any] = {"include_top": include_top}
    if pooling:
        options["pooling"] = POOLING[pooling]
    if name in WITH_WIDTHS:
        options["alpha"] = width_multiplier
    if include_top:
        options |= {"classes": len(data.classes), "classifier_activation": None}
    make = partial(getattr(keras.applications, name), **options)

    def network(images: Any) -> Any:
        if images.shape[-1] not in (1, 3):
            raise SpecError(f"{name} takes pictures of 3 channels, or of 1; received {images.shape[-1]}")
        model = _made(name, make, images.shape[1:3])
        if weights is not None and not rebuild.weights_follow(model.weights):
            with tf.init_scope():
                if weights == "imagenet":
                    _fetch_imagenet(name, make, model)
                else:
                    load_weight_file(weights, model, name, include_top, len(data.classes), partial(_whole, make))
                _divide_by_variance(name, model)
        pictures = preprocess(name, with_three_channels(images))
        if include_top or pooling:
            return model(pictures)
        return features_and_levels(model, pyramid_levels(model), pictures)

    return Network(network, name="pretrained")


def _whole(make: Any, classes: int) -> keras.Model:
    """The same network with a classifier, as it stands in a file that was written with one."""
    with names_as_if_alone():
        return make(weights=None, include_top=True, classes=classes, pooling=None)


def _made(name: str, make: Any, size: tuple[int | None, int | None]) -> keras.Model:
    """The network with random weights; what Keras refuses is said in our words."""
    try:
        return make(weights=None, input_shape=(*size, 3))
    except ValueError as error:
        reason = str(error)
        least = re.search(r"at least (\d+)\s?x\s?(\d+)", reason)
        if least is None and "negative dimension" not in reason.lower():
            raise
        shown = "x".join(str(n) for n in size)
        takes = f"which takes {least[1]}x{least[2]} at least" if least else "whose strides leave nothing of them"
        remedy = f"[{least[1]}, {least[2]}] or larger" if least else "[224, 224], for which it was made"
        raise SpecError(
            f"pictures of {shown} are too small for {name}, {takes}; set data.features.image.size: {remedy}"
        ) from error


# --- weights of ImageNet -------------------------------------------------------------------------------------------


def _fetch_imagenet(name: str, make: Any, model: keras.Model) -> None:
    """Give a model the weights that Keras fetches, by way of a second one.

    With them Keras's functions refuse sizes and give some networks other layers, and a run that is rebuilt for its own
    weights must need no network.
    """
    try:
        with names_as_if_alone(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the size of pictures, which convolutions do not mind
            source = make(weights="imagenet")
    except Exception as error:
        raise SpecError(
            f"the ImageNet weights of {name} could not be fetched: {error}; where there is no network, fetch that file "
            "elsewhere, and give its path as weights"
        ) from error
    pairs = list(zip(model.weights, source.weights, strict=True))
    if any(mine.shape != theirs.shape for mine, theirs in pairs):
        size = "x".join(str(n) for n in source.input_shape[1:3])
        raise SpecError(
            f"the ImageNet weights of {name} with include_top: true are for pictures of {size}; set "
            f"data.features.image.size: {list(source.input_shape[1:3])}"
        )
    assign_weights(model, [(mine, keras.ops.convert_to_numpy(theirs)) for mine, theirs in pairs])


def _divide_by_variance(name: str, model: keras.Model) -> None:
    """Have EfficientNet's first layer divide by what Google's trained weights were trained with.

    These hold the standard deviation where the layer reads a variance. Keras adds a layer where it fetches them itself
    (tensorflow/tensorflow#49930), and none where it gets the same as a file; their square does the same in both.
    """
    if not name.startswith("EfficientNetB"):
        return
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization):
            variance = own_variables(layer)[1]
            if np.allclose(keras.ops.convert_to_numpy(variance).ravel(), RGB_DEVIATION, atol=1e-4):
                variance.assign(keras.ops.square(variance))
                layer.finalize_state()
