"""The codec of masks, a class for each pixel of a picture; free of TensorFlow until it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kplug.errors import Problem, SpecError
from kplug.records import Codec, Field, Geometry, Split

NOT_KNOWN = 255  # the class of a pixel that counts nowhere
UNKNOWN_ID = -1  # what an array of a source has there, whatever values its files have
MASK_FILE = Field((), "string", "a mask file: PNG whose values, or palette indices, are class numbers")


@dataclass(frozen=True)
class MaskCodec(Codec):
    """The codec of the feature `mask`, whose parameters the first ones are; the others are learnt.

    Args:
        values: what the file has for class 0, 1, ...; None where the values are class numbers themselves.
        classes: names; the source's, or numbers.
        size: height and width of the picture in a batch.
    """

    frame: str | None = None
    values: tuple[int, ...] | None = None
    unlisted: str = "refuse"
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = moves = pastes = True
    must_match = ("classes",)
    ending = ".png"

    @property
    def field(self) -> Field:
        count = len(self.classes) if self.classes else NOT_KNOWN
        about = f"number of each pixel's class, 0 to {count - 1}; {NOT_KNOWN} where it is not known"
        return Field(self.size or (None, None), "uint8", about)

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        classes = splits["train"].facts.get(name, {}).get("classes")
        if classes is None and self.values is not None:
            classes = [str(value) for value in self.values]
        if classes is None:
            what = "the source names no classes; say the values of its files, class after class"
            raise SpecError([Problem(f"{what}: values: [0, 255]", ("values",))])
        if self.values is not None and len(self.values) != len(classes):
            what = f"there are {len(self.values)} values, and the source has {len(classes)} classes"
            raise SpecError([Problem(f"{what}: {', '.join(classes)}", ("values",))])
        return {"classes": list(classes)}

    # --- reading -----------------------------------------------------------------------------------------------------

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.data.codecs.mask_files import decode_ids
        from kplug.data.geometry import place_pixels

        assert self.size
        ids = decode_ids(value) if value.dtype == tf.string else tf.cast(value, tf.int32)
        ids = ids[..., 0] if ids.shape.rank == 3 else ids
        ids = self.of_its_pictures_size(ids, placement)
        found = place_pixels(self._classes_of(ids), placement, self.size, NOT_KNOWN)
        return tf.ensure_shape(tf.cast(found, tf.uint8), self.size)

    def of_its_pictures_size(self, ids: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.data.codecs.file_bytes import require

        size, wanted = tf.shape(ids)[:2], tf.cast(placement[4:6], tf.int32)
        what = "a mask of another height and width than its picture: {} instead of {}"
        return require(tf.reduce_all(wanted == size), ids, tf.strings.format(what, [size, wanted]))

    def _classes_of(self, ids: Any) -> Any:
        """Class numbers in the place of the file's values."""
        import tensorflow as tf

        from kplug.data.codecs.file_bytes import require

        if self.values is None:
            is_class = (ids >= 0) & (ids < len(self.classes or ())) | (ids == NOT_KNOWN)
            found = ids
        else:
            matches = ids[..., tf.newaxis] == tf.constant(self.values)
            is_class = tf.reduce_any(matches, axis=-1)
            found = tf.argmax(matches, axis=-1, output_type=tf.int32)
        is_known = ids != UNKNOWN_ID
        if self.unlisted == "refuse":
            strange = tf.boolean_mask(ids, is_known & ~is_class)
            message = tf.strings.format("a mask with the value {}, which is no class", tf.concat([strange, [0]], 0)[0])
            found = require(tf.reduce_all(is_class | ~is_known), found, message)
        return tf.where(is_class, found, NOT_KNOWN)

    # --- moving ------------------------------------------------------------------------------------------------------

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.data.geometry import warp

        return {"": warp(arrays[""][..., None], geometry, "nearest", NOT_KNOWN)[..., 0]}

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        """Parts of the other mask where parts of the other picture are."""
        import tensorflow as tf

        return {"": tf.where(share > 0.5, arrays[""], others[""])}

    # --- the file's frame --------------------------------------------------------------------------------------------

    def restored(self) -> dict[str, Field]:
        return {"bytes": Field((), "string", "PNG of class numbers in the size of the upright file")}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        from kplug.data.codecs.mask_files import encode_ids
        from kplug.data.geometry import place_pixels_back

        return {"bytes": encode_ids(place_pixels_back(arrays[""], placement, NOT_KNOWN), wide=False)}

    def reason(self, error: Exception) -> str:
        from kplug.data.codecs.decoding import reason

        return reason(error)

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        from kplug.data.codecs.drawing import draw_outlines

        draw_outlines(arrays[""], draw, factor, skipped=(0,))

    def keep(self, value: Any) -> bytes:
        import tensorflow as tf

        return tf.io.encode_png(value[..., None]).numpy()

    def open(self, content: bytes) -> Any:
        import tensorflow as tf

        return tf.io.decode_png(content, channels=1).numpy()[..., 0]

    def summary(self, value: Any) -> str:
        """The share of each class; of a mask, or of a file that `restore` has made."""
        import numpy as np

        value = self.open(value) if isinstance(value, bytes) else value

        values, counts = np.unique(value, return_counts=True)
        names = {NOT_KNOWN: "not known"} | dict(enumerate(self.classes or ()))
        parts = (
            f"{names.get(int(v), int(v))} {count / value.size:.0%}" for v, count in zip(values, counts, strict=True)
        )
        return ", ".join(parts)
