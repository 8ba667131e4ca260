"""Image backbones of KerasHub as architectures."""

from __future__ import annotations

import json
from typing import Any, cast

import keras
import keras_hub
import tensorflow as tf

from kplug import Rebuild, SpecError
from kplug.authoring import Network, names_as_if_alone
from kplug_pretrained.preprocessing import with_three_channels
from kplug_pretrained.pyramid import features_and_levels
from kplug_pretrained.weight_files import assign_weights


def make_backbone(rebuild: Rebuild, preset: str, weights: bool, pooling: str | None) -> Network:
    """A backbone as a layer; `kplug_pretrained.hub` says the parameters."""

    def network(images: Any) -> Any:
        known = rebuild.found_once(f"preset {preset}", lambda: _described(preset))
        model = _backbone(preset, known["class"], known["config"])
        _refuse_unfit(preset, model, images)
        if weights and not rebuild.weights_follow(model.weights):
            with tf.init_scope(), names_as_if_alone():
                source = _read(preset)
                values = [keras.ops.convert_to_numpy(weight) for weight in source.weights]
                assign_weights(model, list(zip(model.weights, values, strict=True)))
        pictures = with_three_channels(images)
        if known["rescaling"] is not None:
            pictures = keras.layers.Rescaling(*known["rescaling"], name="to_preset")(pictures)
        levels = dict(getattr(model, "pyramid_outputs", None) or {})
        features, pyramid = features_and_levels(model, levels, pictures)
        if pooling:
            reduce = keras.ops.mean if pooling == "mean" else keras.ops.max
            features = reduce(features, axis=list(range(1, len(features.shape) - 1)))
        return features, pyramid

    return Network(network, name="hub")


def _read(preset: str, **options: Any) -> Any:
    try:
        return keras_hub.models.Backbone.from_preset(preset, **options)
    except Exception as error:  # KerasHub asks several servers, each with errors of its own
        reason = str(error).partition("\n")[0].strip()
        raise SpecError(f"the preset '{preset}' cannot be read: {reason}") from error


def _refuse_unfit(preset: str, model: Any, images: Any) -> None:
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or len(model.outputs) != 1:
        raise SpecError(f"the preset '{preset}' is of {type(model).__name__}, which is no backbone of pictures alone")
    size, channels = shapes[0][1:3], images.shape[-1]
    if any(mine not in (None, its) for mine, its in zip(size, images.shape[1:3], strict=True)):
        shown = "x".join(str(n) for n in images.shape[1:3])
        raise SpecError(
            f"the preset '{preset}' takes pictures of {size[0]}x{size[1]}, received {shown}; "
            f"set data.features.image.size: {list(size)}"
        )
    if channels not in (1, 3):
        raise SpecError(f"the preset '{preset}' takes pictures of 3 channels, or of 1; received {channels}")


def _described(preset: str) -> dict[str, Any]:
    """All of a preset but its weights, as JSON."""
    model = _read(preset, load_weights=False)
    described = {"class": type(model).__name__, "config": model.get_config(), "rescaling": _rescaling(preset)}
    return json.loads(json.dumps(described))


def _backbone(preset: str, name: str, config: dict[str, Any]) -> Any:
    """KerasHub's class of that name, and no other: what a preset says is never looked up beyond its backbones."""
    found = getattr(keras_hub.models, name, None)
    if not (isinstance(found, type) and issubclass(found, keras_hub.models.Backbone)):
        raise SpecError(f"the preset '{preset}' is of '{name}', which is no backbone of KerasHub")
    return cast(Any, found).from_config(dict(config))


def _rescaling(preset: str) -> list[Any] | None:
    """Scale and offset that bring 0 to 1 to the range that the preset's converter makes of bytes."""
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError):  # it says so for a preset of a backbone alone
        return None
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return [[255.0 * s for s in scale] if isinstance(scale, list | tuple) else 255.0 * scale, offset]
