"""The codec of points, which live in a picture; free of TensorFlow until it reads some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kplug.errors import SpecError
from kplug.records import Codec, Field, Geometry, Split


@dataclass(frozen=True)
class PointsCodec(Codec):
    """The codec of the feature `points`; `shape`, that of what the source gives, and `size` are learnt.

    A point is x, y and whether it is seen: 1, or 0 where it is not there or not in the picture any more.
    """

    frame: str | None = None
    shape: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = moves = shown_once = True

    @property
    def field(self) -> Field:
        return Field((*(self.shape or (None,)), 3), "float32", "x y in pixels of the picture, and 1 where it is seen")

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        from kplug.data.values import value_of

        shape = tuple(value_of(splits["train"], name, 0).shape)
        if not shape or shape[-1] not in (2, 3):
            raise SpecError(
                f"points are [..., 2], x and y, or [..., 3] with 1 where they are seen; received {list(shape)}"
            )
        return {"shape": list(shape[:-1])}

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.data.geometry import place

        value = tf.cast(value, tf.float32)
        seen = value[..., 2] > 0 if value.shape[-1] == 3 else tf.ones(tf.shape(value)[:-1], tf.bool)
        return tf.ensure_shape(self._settled(place(value[..., :2], placement), seen), self.field.shape)

    def _settled(self, places: Any, seen: Any, size: tuple[Any, Any] | None = None) -> Any:
        """Points with zeros in the place of those that are not in the picture."""
        import tensorflow as tf

        from kplug.data.codecs.warping import sides_of

        size = size or self.size
        assert size
        seen &= tf.reduce_all((places >= 0) & (places <= sides_of(size)), axis=-1)  # NaN is nowhere
        there = tf.concat([places, tf.ones_like(places[..., :1])], axis=-1)
        return tf.where(seen[..., tf.newaxis], there, 0.0)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.data.geometry import move_points

        points = arrays[""]
        return {"": self._settled(move_points(points[..., :2], geometry), points[..., 2] > 0, geometry.after)}

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        from kplug.data.codecs.drawing import colour_of

        for number, (x, y, seen) in enumerate(arrays[""].reshape(-1, 3).tolist()):
            if seen:
                x, y = x * factor, y * factor
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), outline=colour_of(number), width=2)

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        import tensorflow as tf

        from kplug.data.geometry import place_back

        points = arrays[""]
        back = tf.concat([place_back(points[..., :2], placement), points[..., 2:]], axis=-1)
        return {"": tf.where(points[..., 2:] > 0, back, 0.0)}
