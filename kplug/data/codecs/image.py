"""The codec of pictures; free of TensorFlow until it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from kplug.errors import Problem, SpecError
from kplug.records import Codec, Field, Geometry, Split

LOOKED_AT = 100  # pictures that are opened to find out whether all have one size
PICTURE_FILE = Field((), "string", "a picture file: JPEG, PNG, BMP or GIF, of at most 12.5 megapixels")


@dataclass(frozen=True)
class ImageCodec(Codec):
    """The parameters are those of the feature `image`; size and channels are learnt where they are None."""

    size: tuple[int, int] | None = None
    resize: Literal["pad", "crop", "stretch"] = "pad"
    channels: int | None = None
    orientation: bool = True
    window: tuple[float, float] | None = None
    linked: str | None = None
    is_served: bool = False  # the pictures are those that strangers send

    mends = True
    takes_batches = True  # of decoded pictures; encoded ones come one by one
    raw_suffix = "bytes"
    raw = PICTURE_FILE
    ending = ".png"
    hostile = (b"not a picture", b"")
    is_frame = moves = mixes = pastes = True

    @property
    def field(self) -> Field:
        return Field((*(self.size or (None, None)), self.channels), "uint8", "pixels, 0 to 255", below=256)

    @property
    def served(self) -> Self:
        return replace(self, is_served=True)

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        train = splits["train"]
        told = train.facts.get(name, {})
        size = self.size or told.get("size") or self._common_size(name, train)
        return {"size": list(size), "channels": self.channels or told.get("channels") or 3}

    def _common_size(self, name: str, split: Split) -> tuple[int, int]:
        """Height and width as a sample of the pictures has them."""
        import numpy as np

        from kplug.data.readable import refuse_unreadable
        from kplug.data.values import value_of

        rows = np.unique(np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(np.int64))
        reading = replace(self, size=(1, 1), channels=self.channels or 3)  # tells which cannot be read
        with refuse_unreadable(split, {name: reading}, rows):
            found = {self._size_of(value_of(split, name, row)) for row in rows.tolist()}
        if len(found) == 1:
            return found.pop()
        few = ", ".join(f"{h}x{w}" for h, w in sorted(found)[:3])
        message = f"the pictures differ in size ({few}, ...); say to which size they are brought, such as [224, 224]"
        raise SpecError([Problem(message, ("size",))])

    def _size_of(self, image: Any) -> tuple[int, int]:
        decoded = self.decoded(image, self.channels or 3)
        return int(decoded.shape[0]), int(decoded.shape[1])

    def decoded(self, image: Any, channels: int) -> Any:
        """The pixels of a picture in its own size, from a file where it comes as one."""
        import tensorflow as tf

        from kplug.data.codecs.decoding import decode
        from kplug.data.codecs.file_bytes import SERVED, TRAINED

        limit = SERVED if self.is_served else TRAINED
        return decode(image, channels, self.orientation, self.window, limit) if image.dtype == tf.string else image

    def read(self, value: Any) -> Any:
        return self.resized(self.decoded(value, self.channels or 3))

    def read_placed(self, value: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        from kplug.data.geometry import placement_of

        assert self.size
        image = self.decoded(value, self.channels or 3)
        placement = placement_of(tf.shape(image)[-3:-1], self.size, self.resize)
        return self.resized(image), tf.broadcast_to(placement, [*tf.unstack(tf.shape(image)[:-3]), 6])

    def resized(self, image: Any) -> Any:
        """Pixels in the size and with the channels of a batch."""
        import tensorflow as tf

        from kplug.data.codecs import pixels

        size, channels = self.size, self.channels
        assert size and channels  # learnt before anything is read
        image = pixels.resize(pixels.to_channels(image, channels), size, self.resize)
        return tf.ensure_shape(image, [*image.shape[:-3], *size, channels])

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.data.geometry import warp

        return {**arrays, "": warp(arrays[""], geometry, geometry.interpolation, geometry.value)}

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        import tensorflow as tf

        part = tf.reshape(share, tf.concat([tf.shape(share), tf.ones([4 - share.shape.rank], tf.int32)], axis=0))
        one, other = (tf.cast(found[""], tf.float32) for found in (arrays, others))
        return {**arrays, "": part * one + (1 - part) * other}

    def mend(self, value: Any) -> Any:
        from kplug.data.codecs.pixels import to_uint8

        return to_uint8(value)

    def reason(self, error: Exception) -> str:
        from kplug.data.codecs.decoding import reason

        return reason(error)

    def keep(self, value: Any) -> bytes:
        import tensorflow as tf

        return tf.io.encode_png(value).numpy()

    def raws(self, value: Any) -> list[bytes]:
        """The picture as PNG; and one three times as wide and twice as high, as JPEG where it has no alpha."""
        import tensorflow as tf

        larger = value.repeat(2, axis=0).repeat(3, axis=1)
        encode = tf.io.encode_png if larger.shape[-1] == 4 else tf.io.encode_jpeg
        return [tf.io.encode_png(value).numpy(), encode(larger).numpy()]

    def open(self, content: bytes) -> Any:
        import tensorflow as tf

        return tf.io.decode_png(content).numpy()

    def summary(self, value: Any) -> str:
        height, width, channels = value.shape
        return f"a picture of {width} x {height} pixels, {channels} channel{'s' * (channels > 1)}"
