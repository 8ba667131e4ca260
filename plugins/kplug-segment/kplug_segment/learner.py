"""The Keras side of the task `segmentation`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage

from kplug import DataInfo, Field, Learner, Signature, SpecError
from kplug.authoring import pyramid_of, refuse_unknown_classes, tiled
from kplug.errors import Problem, listed
from kplug_segment.codecs import InsidesCodec
from kplug_segment.convolutions import resized_like
from kplug_segment.pixel_losses import of_pixels
from kplug_segment.regions import watershed

NOT_KNOWN = 255  # in a mask: a pixel that counts nowhere


class OfPixels(keras.losses.Loss):
    """A loss over pixels as Keras calls it: the last channel of the targets is the weight of each pixel.

    Args:
        loss: that it stands for.
        share: of each output in what is learned: 1 of the network's own, then those of its auxiliary scores.
    """

    def __init__(self, loss: Any, share: Sequence[float] = (1.0,)) -> None:
        super().__init__(name=loss.name)
        self.loss, self.share = loss, share

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets, weights = y_true[..., :-1], y_true[..., -1]
        scores = keras.ops.split(y_pred, len(self.share), axis=-1)
        pairs = zip(self.share, scores, strict=True)
        return sum(share * of_pixels(self.loss, targets, each, weights) for share, each in pairs)


class Segmenter(keras.Model):
    """A model that gives scores of each pixel; its metrics see probabilities, of the network's own scores alone."""

    activation: Any = staticmethod(keras.ops.softmax)
    count = 0

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        known = keras.ops.cast(y[..., -1] > 0, "int32")  # as the metrics of overlap count
        probabilities = self.activation(y_pred[..., : self.count])
        return super().compute_metrics(x, y[..., :-1], probabilities, known)


def make_learner(
    data: DataInfo,
    model: Any,
    loss: Any,
    optimizer: Any,
    metrics: list[Any],
    class_weights: Mapping[str, float],
    weights: str | None,
    auxiliary: Mapping[str, float],
    tile: tuple[int, int] | None,
    overlap: tuple[int, int],
    image: str,
    mask: str,
    report: Any,
    objects: Any,
) -> Learner:
    """Make the learner of a network of pixels; the parameters are those of the component `segmentation`."""
    codec, target, classes = data.codecs[image], data.codecs[mask], data.facts[mask]["classes"]
    several = len(target.field.shape) == 3
    _refuse_unfit(target, mask, classes, class_weights, objects)
    pixels = keras.Input(input_shape(data, image, tile), dtype="uint8", name="images")
    scores = scores_of_levels(model, pixels, len(classes), auxiliary)
    thresholds = Thresholds(name="thresholds") if isinstance(target, InsidesCodec) else None
    if thresholds is not None:
        scores[0] = thresholds(scores[0])
    whole = Segmenter(pixels, keras.layers.Concatenate(dtype="float32", name="joined")(scores), name="segmenter")
    whole.activation, whole.count = keras.ops.sigmoid if several else keras.ops.softmax, len(classes)
    whole.compile(optimizer=optimizer, loss=OfPixels(loss, [1.0, *auxiliary.values()]), weighted_metrics=metrics)
    answer = keras.Model(pixels, scores[0], name="scores")
    targets = Targets(mask, len(classes), several, weights, [class_weights.get(name, 1.0) for name in classes])

    def prepare(batch: dict[str, Any], seed: Any, training: bool) -> tuple[Any, ...]:
        return batch[image], targets.of(batch, training)

    def probabilities(images: Any) -> Any:
        return whole.activation(answer(images, training=False))

    def segment(**inputs: Any) -> dict[str, Any]:
        images = inputs[image]
        found = tiled(probabilities, images, tile, overlap) if tile else probabilities(images)
        classes = thresholds.classes(found) if thresholds is not None else best_classes(found, several)
        return {"probabilities": found, "mask": classes}

    outputs = outputs_of_pixels(codec, target, image, len(classes))
    serve = {"segment": Signature(segment, {image: codec}, outputs, answer=shares_in_words(classes, target))}
    if objects is not None and thresholds is not None:
        objects.choose = thresholds.choose
    evaluators = [one for one in (report, objects) if one is not None]
    return Learner(whole, prepare, serve, {"model": model}, evaluators=evaluators)


def _refuse_unfit(
    target: Any, mask: str, classes: Sequence[str], class_weights: Mapping[str, float], objects: Any
) -> None:
    refuse_unknown_classes("class_weights", class_weights, tuple(classes))
    if objects is not None and not isinstance(target, InsidesCodec):
        what = f"objects are found in insides and borders, and '{mask}' has the classes {listed(classes)}"
        raise SpecError([Problem(f"{what}: set data.features.{mask}: {{type: interior_and_border}}", ("objects",))])


def scores_of_levels(model: Any, pixels: Any, count: int, auxiliary: Iterable[str]) -> list[Any]:
    """The scores of each pixel that a network gives, and those of levels of its pyramid."""
    pictures = keras.layers.Rescaling(1 / 255)(pixels)
    features, levels = pyramid_of(model, pictures) if auxiliary else (model(pictures), {})
    found = {"scores": features} | {f"scores_{name}": _level(levels, name) for name in auxiliary}
    return [scores_of(one, pictures, count, name) for name, one in found.items()]


def outputs_of_pixels(codec: Any, target: Any, image: str, count: int) -> dict[str, Any]:
    """The description of what an endpoint answers of each pixel.

    Args:
        codec: of the picture.
        target: the codec of the mask.
        image: the field of the picture.
        count: of classes.
    """
    about = "probability of each class, of each pixel"
    probabilities = Field((*codec.field.shape[:2], count), "float32", about, averaged=True, frame=image)
    return {"probabilities": probabilities, "mask": target}


def input_shape(data: DataInfo, image: str, tile: Any = None) -> tuple[int | None, ...]:
    """The shape of pictures that the network takes: any height and width where training has others than evaluation."""
    shape, trained = data.codecs[image].field.shape, data.trained[image].shape
    return shape if shape == trained and not tile else (None, None, shape[2])


def _level(levels: Mapping[str, Any], name: str) -> Any:
    if name not in levels:
        raise SpecError(f"auxiliary: the model has no level {name} (levels: {', '.join(sorted(levels))})")
    return levels[name]


def scores_of(features: Any, pictures: Any, count: int, name: str) -> Any:
    """Scores of each pixel of the pictures, float32 `[b, h, w, count]`, of features of any size."""
    if len(features.shape) != 4:
        what = f"segmentation needs features [b, h, w, c] of its model, which gives the shape {list(features.shape)}"
        raise SpecError(f"{what}; take unet, deeplab_v3_plus, fpn, or another network with a height and a width")
    scores = keras.layers.Conv2D(count, 1, dtype="float32", name=name)(features)
    if tuple(scores.shape[1:3]) != tuple(pictures.shape[1:3]) or None in pictures.shape[1:3]:
        scores = resized_like(scores, pictures, f"{name}_resized")
    return scores


def best_classes(probabilities: Any, several: bool) -> Any:
    """The most probable class of each pixel, uint8 `[b, h, w]`; of several, 1 for each more probable than not."""
    return tf.cast(probabilities > 0.5 if several else tf.argmax(probabilities, axis=-1), tf.uint8)


def insides(probabilities: Any, inside: Any, foreground: Any) -> Any:
    """Background 0, inside 1 and border 2 of each pixel, uint8 `[..., h, w]`.

    Args:
        probabilities: of the three, `[..., h, w, 3]`.
        inside: the probability above which a pixel is inside of an object.
        foreground: that above which it is not background.
    """
    found = keras.ops.where(1 - probabilities[..., 0] > foreground, 2, 0)
    return keras.ops.cast(keras.ops.where(probabilities[..., 1] > inside, 1, found), "uint8")


class Thresholds(keras.layers.Layer):
    """The probabilities above which a pixel is inside of an object, and not background; scores pass through.

    They are weights that no step trains: a checkpoint, a kept network and an export have them.
    """

    def build(self, input_shape: Any) -> None:
        half = keras.initializers.Constant(0.5)
        self.limits = self.add_weight((2,), half, "float32", trainable=False, name="limits")
        self.built = True

    def call(self, scores: Any) -> Any:
        return scores

    def classes(self, probabilities: Any) -> Any:
        """Background, inside and border, uint8 `[b, h, w]`, of their probabilities `[b, h, w, 3]`."""
        return insides(probabilities, *tf.unstack(tf.convert_to_tensor(self.limits)))

    def choose(self, inside: float, foreground: float) -> None:
        """Take other thresholds."""
        self.limits.assign([inside, foreground])


class Targets:
    """The targets of a batch: 0 and 1 of each class, and behind them the weight of each pixel, 0 where not known.

    Args:
        mask: the field of masks.
        count: of classes.
        several: a pixel may have several, `[h, w, classes]`.
        weights: the field of weights of pixels in training; None: there is none.
        of_class: the weight of each class in training.
    """

    def __init__(self, mask: str, count: int, several: bool, weights: str | None, of_class: list[float]) -> None:
        self.mask, self.count, self.several, self.weights = mask, count, several, weights
        self.of_class = None if set(of_class) == {1.0} else np.array(of_class, np.float32)

    def of(self, batch: Mapping[str, Any], training: bool) -> Any:
        """Return float32 `[b, h, w, classes + 1]`."""
        ids = tf.cast(batch[self.mask], tf.int32)
        if self.several:
            targets = tf.cast(ids == 1, tf.float32)
            weight = tf.cast(tf.reduce_all(ids != NOT_KNOWN, axis=-1), tf.float32)
        else:
            targets, weight = tf.one_hot(ids, self.count), tf.cast(ids != NOT_KNOWN, tf.float32)
        if training and self.of_class is not None:
            weighed = tf.reduce_max(targets * self.of_class, axis=-1)
            weight *= tf.where(weighed > 0, weighed, 1.0)
        if training and self.weights is not None:
            weight *= tf.cast(batch[self.weights], tf.float32)
        return tf.concat([targets, weight[..., tf.newaxis]], axis=-1)


def shares_in_words(classes: Sequence[str], target: Any) -> Callable[[Mapping[str, Any], int], dict[str, Any]]:
    """A `Signature.answer` that says how much of a picture each class is."""

    def answer(outputs: Mapping[str, Any], top: int) -> dict[str, Any]:
        found = outputs.get("mask_bytes", outputs.get("mask"))
        ids = target.open(found) if isinstance(found, bytes) else np.asarray(found)
        several = ids.ndim == 3
        shares = {name: float((ids[..., n] == 1 if several else ids == n).mean()) for n, name in enumerate(classes)}
        said = {"shares": {name: round(share, 4) for name, share in shares.items()}}
        return said | objects_in_words(ids) if isinstance(target, InsidesCodec) else said

    return answer


def objects_in_words(mask: Any) -> dict[str, Any]:
    """The objects that a watershed finds in insides and borders: box (x1 y1 x2 y2) and area of each, in pixels."""
    ids = watershed(mask)
    areas = np.bincount(ids.ravel())
    found = [
        {"box": [place[1].start, place[0].start, place[1].stop, place[0].stop], "area": int(areas[number])}
        for number, place in enumerate(ndimage.find_objects(ids), 1)
        if place is not None
    ]
    return {"count": len(found), "objects": found}
