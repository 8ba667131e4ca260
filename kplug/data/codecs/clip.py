"""The codec of clips, several pictures that are placed and moved alike; free of TensorFlow until it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from kplug.data.codecs.image import ImageCodec
from kplug.errors import SpecError
from kplug.records import Codec, Field, Geometry, Split

CLIP_FILES = Field((None,), "string", "the picture files of a clip, in their order: JPEG, PNG, BMP or GIF")


@dataclass(frozen=True)
class ClipCodec(Codec):
    """The codec of the feature `clip`; what is None of its frames, size and channels is learnt."""

    frames: int | None = None
    size: tuple[int, int] | None = None
    resize: Literal["pad", "crop", "stretch"] = "pad"
    channels: int | None = None
    short: Literal["refuse", "repeat"] = "refuse"
    linked: str | None = None
    is_served: bool = False  # the clips are those that strangers send

    is_frame = moves = mixes = mends = True
    raw_suffix = "bytes"
    raw = CLIP_FILES
    ending = ".npz"

    @property
    def field(self) -> Field:
        about = "pixels of each picture, 0 to 255"
        return Field((self.frames, *(self.size or (None, None)), self.channels), "uint8", about, below=256)

    @property
    def _picture(self) -> ImageCodec:
        return ImageCodec(self.size, self.resize, self.channels, is_served=self.is_served)

    @property
    def served(self) -> Self:
        return replace(self, is_served=True)

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        from kplug.data.values import value_of

        train = splits["train"]
        told = train.facts.get(name, {})
        first = self._decoded(value_of(train, name, 0), self.channels or told.get("channels") or 3)
        frames = self.frames or told.get("frames") or int(first.shape[0])
        size = self.size or told.get("size") or (int(first.shape[1]), int(first.shape[2]))
        if first.shape[0] == 0:
            raise SpecError(f"the first clip of '{name}' has no picture")
        return {"frames": frames, "size": list(size), "channels": self.channels or told.get("channels") or 3}

    def _decoded(self, value: Any, channels: int) -> Any:
        """All pictures of a clip, uint8 `[frames, h, w, c]`, from pixels or from a file for each."""
        import tensorflow as tf

        if value.dtype != tf.string:
            return value
        picture = tf.TensorSpec([None, None, channels], tf.uint8)
        return tf.map_fn(lambda file: self._picture.decoded(file, channels), value, fn_output_signature=picture)

    def _chosen(self, pictures: Any) -> Any:
        """The pictures that a batch has of a clip, spread evenly over it."""
        import tensorflow as tf

        from kplug.data.codecs.file_bytes import require

        assert self.frames
        there = tf.shape(pictures)[0]
        least = self.frames if self.short == "refuse" else 1
        message = tf.strings.format("a clip that ends early: it has {} pictures", there)
        there = require(there >= least, there, message)
        numbers = tf.range(self.frames)
        spread = ((2 * numbers + 1) * there) // (2 * self.frames)
        return tf.gather(pictures, tf.where(there < self.frames, tf.minimum(numbers, there - 1), spread))

    def read(self, value: Any) -> Any:
        return self._picture.resized(self._decoded(self._chosen(value), self.channels or 3))

    def read_placed(self, value: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        from kplug.data.geometry import placement_of

        assert self.size
        pictures = self._decoded(self._chosen(value), self.channels or 3)
        return self._picture.resized(pictures), placement_of(tf.shape(pictures)[-3:-1], self.size, self.resize)

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        """All pictures of a clip, moved as one."""
        from kplug.data.geometry import warp

        return {**arrays, "": warp(arrays[""], geometry, geometry.interpolation, geometry.value)}

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        import tensorflow as tf

        part = tf.reshape(share, [-1, 1, 1, 1, 1])
        one, other = (tf.cast(found[""], tf.float32) for found in (arrays, others))
        return {**arrays, "": part * one + (1 - part) * other}

    def mend(self, value: Any) -> Any:
        from kplug.data.codecs.pixels import to_uint8

        return to_uint8(value)

    def reason(self, error: Exception) -> str:
        from kplug.data.codecs.decoding import reason

        return reason(error)

    def keep(self, value: Any) -> bytes:
        import io

        import numpy as np

        file = io.BytesIO()
        np.savez_compressed(file, clip=value)
        return file.getvalue()

    def open(self, content: bytes) -> Any:
        import io

        import numpy as np

        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return found["clip"]

    def raws(self, value: Any) -> list[Any]:
        """The pictures of the clip as PNG; and twice as many, each twice."""
        import tensorflow as tf

        files = [tf.io.encode_png(one).numpy() for one in value]
        return [files, [file for file in files for _ in range(2)]]

    def summary(self, value: Any) -> str:
        frames, height, width, _ = value.shape
        return f"a clip of {frames} pictures of {width} x {height} pixels"
