"""The codecs of this plugin's features; free of TensorFlow until they read something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kplug import Codec, Field, Geometry, SpecError, Split

NOT_KNOWN = 255
INSIDES = ("background", "inside", "border")


@dataclass(frozen=True)
class InsidesCodec(Codec):
    """Insides and borders of objects, made of their ids once these were moved; the feature says the parameters."""

    of: str | None = None
    width: int = 1
    frame: str | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = True
    moves = True
    must_match = ("classes",)
    ending = ".png"

    @property
    def field(self) -> Field:
        return Field(self.size or (None, None), "uint8", "0 background, 1 inside of an object, 2 its border")

    def learn_from(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"classes": list(INSIDES)}

    def derive(self, arrays: Mapping[str, Any]) -> Any:
        import tensorflow as tf

        ids = tf.reduce_max(arrays[""], axis=-1)
        around = 2 * self.width + 1
        values = tf.cast(ids, tf.float32)[..., tf.newaxis]  # ids are below 2**24, so that floats are exact
        most = tf.nn.max_pool2d(values, around, 1, "SAME")[..., 0]
        least = -tf.nn.max_pool2d(-values, around, 1, "SAME")[..., 0]
        found = tf.where(most == least, 1, 2)
        return {"": tf.cast(tf.where(ids > 0, found, 0), tf.uint8)}

    def restored(self) -> dict[str, Field]:
        return {"bytes": Field((), "string", "PNG of 0, 1 and 2 in the size of the upright file")}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        return {"bytes": png_in_file(arrays[""], placement)}

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        from kplug.authoring import draw_outlines

        draw_outlines(arrays[""], draw, factor, skipped=(0,))

    def keep(self, value: Any) -> bytes:
        import tensorflow as tf

        return tf.io.encode_png(value[..., None]).numpy()

    def open(self, content: bytes) -> Any:
        import tensorflow as tf

        return tf.io.decode_png(content, channels=1).numpy()[..., 0]

    def summary(self, value: Any) -> str:
        """The number of objects that a watershed finds."""
        import numpy as np

        from kplug_segment.regions import watershed

        mask = self.open(value) if isinstance(value, bytes) else np.asarray(value)
        return f"{watershed(mask).max()} objects"


@dataclass(frozen=True)
class WeightsCodec(Codec):
    """A weight for each pixel, 1 and more; the feature says the parameters."""

    strength: float = 10.0
    frame: str | None = None
    size: tuple[int, int] | None = None

    in_frame = True
    moves = True

    @property
    def field(self) -> Field:
        return Field(self.size or (None, None), "float32", "the weight of each pixel in the loss")

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.authoring import place_pixels

        assert self.size
        placed = place_pixels(value, placement, self.size, 0)
        return tf.ensure_shape(1 + self.strength / 255 * tf.cast(placed, tf.float32), self.size)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.authoring import warp

        return {"": warp(arrays[""][..., None], geometry, "bilinear", 1.0)[..., 0]}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        from kplug.authoring import place_pixels_back

        return {"": place_pixels_back(arrays[""], placement, 1)}


@dataclass(frozen=True)
class LayersCodec(Codec):
    """Classes of which a pixel may have several: 0 and 1 for each, 255 where nothing is known."""

    frame: str | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = True
    moves = True
    pastes = True
    must_match = ("classes",)

    @property
    def field(self) -> Field:
        about = "1 where a pixel is of a class, 0 where it is not, 255 where it is not known"
        return Field((*(self.size or (None, None)), len(self.classes or ()) or None), "uint8", about)

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        classes = splits["train"].facts.get(name, {}).get("classes")
        if not classes:
            raise SpecError(f"the source names no classes of '{name}'")
        if len(classes) > 16:
            raise SpecError(f"'{name}' has {len(classes)} classes; of several a pixel there are 16 at most")
        return {"classes": list(classes)}

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.authoring import decode_ids, place_pixels

        assert self.size and self.classes
        if value.dtype == tf.string:
            files = tf.unstack(tf.ensure_shape(value, [len(self.classes)]))
            value = tf.stack([tf.cast(decode_ids(one) > 0, tf.uint8) for one in files], axis=-1)
        is_of_its_size = tf.reduce_all(tf.shape(value)[:2] == tf.cast(placement[4:6], tf.int32))
        with tf.control_dependencies([tf.debugging.Assert(is_of_its_size, [WRONG_SIZE])]):
            placed = place_pixels(tf.cast(value, tf.uint8), placement, self.size, NOT_KNOWN)
        return tf.ensure_shape(placed, self.field.shape)

    def reason(self, error: Exception) -> str:
        from kplug.authoring import reason

        return reason(error)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.authoring import warp

        return {"": warp(arrays[""], geometry, "nearest", NOT_KNOWN)}

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        import tensorflow as tf

        return {"": tf.where(share[..., None] > 0.5, arrays[""], others[""])}

    def restored(self) -> dict[str, Field]:
        return {"bytes": Field((), "string", "PNG of 16 bits in the size of the upright file; bit n is class n")}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        import tensorflow as tf

        from kplug.authoring import place_pixels_back

        bits = tf.constant([2**n for n in range(len(self.classes or ()))])
        packed = tf.reduce_sum(tf.cast(arrays[""] == 1, tf.int32) * bits, axis=-1)
        back = tf.cast(place_pixels_back(packed, placement, 0), tf.uint16)
        return {"bytes": tf.io.encode_png(back[..., None])}

    def open(self, content: bytes) -> Any:
        if content[:6] == b"\x93NUMPY":
            return super().open(content)
        import numpy as np
        import tensorflow as tf

        packed = tf.io.decode_png(content, 1, tf.uint16).numpy()
        return (packed >> np.arange(len(self.classes or ()), dtype=np.uint16) & 1).astype(np.uint8)

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        from kplug.authoring import draw_outlines

        for number in range(arrays[""].shape[-1]):
            draw_outlines((arrays[""][..., number] == 1) * (number + 1), draw, factor, skipped=(0,))

    def summary(self, value: Any) -> str:
        import numpy as np

        layers = self.open(value) if isinstance(value, bytes) else np.asarray(value)
        parts = (f"{name} {(layers[..., n] == 1).mean():.0%}" for n, name in enumerate(self.classes or ()))
        return ", ".join(parts)


WRONG_SIZE = "a mask of another height and width than its picture"


def png_in_file(classes: Any, placement: Any) -> Any:
    """A PNG of class numbers, uint8 `[h, w]`, in the frame of the upright file; outside nothing is known."""
    import tensorflow as tf

    from kplug.authoring import place_pixels_back

    return tf.io.encode_png(tf.cast(place_pixels_back(classes, placement, NOT_KNOWN), tf.uint8)[..., None])
