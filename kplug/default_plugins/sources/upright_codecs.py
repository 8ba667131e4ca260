"""Fields in the frame of their own upright picture, moved there and given in the form in which a source gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from kplug.data.codecs import pixels
from kplug.data.codecs.boxes import BoxesCodec
from kplug.data.codecs.decoding import decode
from kplug.data.codecs.image import ImageCodec
from kplug.data.codecs.instances import NOBODY, InstancesCodec
from kplug.data.codecs.mask_files import decode_ids
from kplug.data.codecs.masks import UNKNOWN_ID, MaskCodec
from kplug.data.codecs.points import PointsCodec
from kplug.data.geometry import warp
from kplug.records import Codec, Field, Geometry


def upright(codec: Codec, channels: int | None = None) -> Codec | None:
    """The codec that leaves a field in its own picture; None where there is none for it.

    Args:
        codec: of the field's feature.
        channels: that pictures are decoded to.
    """
    if isinstance(codec, ImageCodec):
        return UprightPicture(channels or 3, codec.orientation, codec.window, codec.linked)
    if isinstance(codec, MaskCodec):
        return UprightIds(UNKNOWN_ID, codec.frame)
    if isinstance(codec, InstancesCodec):
        return UprightIds(NOBODY, codec.frame)
    if isinstance(codec, BoxesCodec):
        return UprightBoxes(replace(codec, smallest=0.0), codec.frame)
    return UprightPoints(codec.frame) if isinstance(codec, PointsCodec) else None


@dataclass(frozen=True)
class UprightPicture(Codec):
    """The codec of pictures that keep their own sizes.

    Args:
        channels: 1, 3 or 4, which files are given.
        orientation: of a file is applied.
        window: that a file's values are brought from.
        linked: the field of a picture that shows the same.
    """

    channels: int
    orientation: bool = True
    window: tuple[float, float] | None = None
    linked: str | None = None

    mends = is_frame = moves = True

    @property
    def field(self) -> Field:
        return Field((None, None, self.channels), "uint8")

    def read(self, value: Any) -> Any:
        if value.dtype == tf.string:
            return decode(value, self.channels, self.orientation, self.window)
        return value

    def read_placed(self, value: Any) -> tuple[Any, Any]:
        picture = self.read(value)
        size = tf.cast(tf.shape(picture)[:2], tf.float32)
        return picture, tf.concat([[1.0, 1.0, 0.0, 0.0], size], axis=0)

    def mend(self, value: Any) -> Any:
        return pixels.to_uint8(value)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        return {"": warp(arrays[""], geometry, geometry.interpolation, geometry.value)}


@dataclass(frozen=True)
class UprightIds(Codec):
    """The codec of masks, as their files have them, and of ids of objects.

    Args:
        blank: what is shown of places outside.
        frame: the field of the picture.
    """

    blank: int
    frame: str | None = None

    in_frame = moves = True

    @property
    def field(self) -> Field:
        return Field((None, None, None), "int32")

    @property
    def arrays(self) -> dict[str, Field]:
        return {"": self.field, "class": Field((None,), "int32")}

    def read_in(self, value: Any, placement: Any) -> Any:
        given = value if isinstance(value, dict) else {"": value}
        ids = decode_ids(given[""]) if given[""].dtype == tf.string else tf.cast(given[""], tf.int32)
        ids = ids if ids.shape.rank == 3 else ids[..., tf.newaxis]
        return {**given, "": MaskCodec().of_its_pictures_size(ids, placement)}

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        return {**arrays, "": warp(arrays[""], geometry, "nearest", self.blank)}


@dataclass(frozen=True)
class UprightBoxes(Codec):
    """The codec of boxes, as many as a picture has.

    Args:
        codec: of the feature; how small a box may be is asked when it has its size.
        frame: the field of the picture.
    """

    codec: BoxesCodec
    frame: str | None = None

    in_frame = moves = shown_once = True

    @property
    def field(self) -> Field:
        return Field((None, 4), "float32")

    @property
    def arrays(self) -> dict[str, Field]:
        return {"": self.field, "class": Field((None,), "int32")}

    def read_in(self, value: Any, placement: Any) -> Any:
        boxes, classes = self.codec.inside(value, placement)
        return {"": boxes, "class": classes}

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        """Boxes without an area stay as they are, for the feature to refuse or to leave out."""
        boxes, classes = arrays[""], arrays["class"]
        moved = self.codec.warp(arrays, geometry)
        has_area = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        return {
            "": tf.where(has_area[..., tf.newaxis], moved[""], boxes),
            "class": tf.where(has_area, moved["class"], classes),
        }


@dataclass(frozen=True)
class UprightPoints(Codec):
    """The codec of points: x, y, and 1 where they are seen."""

    frame: str | None = None

    in_frame = moves = shown_once = True

    @property
    def field(self) -> Field:
        return Field((None, 3), "float32")

    def read_in(self, value: Any, placement: Any) -> Any:
        value = tf.cast(value, tf.float32)
        return value if value.shape[-1] == 3 else tf.concat([value, tf.ones_like(value[..., :1])], axis=-1)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        return PointsCodec().warp(arrays, geometry)
