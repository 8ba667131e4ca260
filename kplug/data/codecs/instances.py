"""The codec of objects with their pixels: a map of ids over a picture; free of TensorFlow until it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kplug.data.codecs.boxes import PADDING
from kplug.data.codecs.masks import MaskCodec
from kplug.errors import SpecError
from kplug.records import Codec, Field, Geometry, Split

NOBODY = 0  # the id of a pixel that belongs to no object


@dataclass(frozen=True)
class InstancesCodec(Codec):
    """The codec of the feature `instances`, whose parameters the first ones are; the others are learnt.

    A pixel has the id of its object, which is the number of the object's row in `class`, plus 1; where objects overlap
    each layer has one of them.
    """

    frame: str | None = None
    most: int | None = None
    layers: int | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = moves = shown_once = True
    must_match = ("classes",)
    ending = ".npz"

    @property
    def field(self) -> Field:
        shape = (*(self.size or (None, None)), self.layers)
        return Field(shape, "int32", "id of the object that a pixel belongs to, its row in `class` plus 1; 0 is none")

    @property
    def arrays(self) -> dict[str, Field]:
        return {
            "": self.field,
            "class": Field((self.most,), "int32", "number of the class; -1 where there is no object"),
        }

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        most, layers, largest = 0, 1, 0
        for split in splits.values():
            for ids, classes in _maps_of(name, split):
                most = max(most, int(ids.max(initial=0)))
                layers = max(layers, 1 if ids.ndim == 2 else ids.shape[-1])
                largest = max(largest, int(classes.max(initial=0)))
        if self.most is not None and self.most < most:
            raise SpecError(
                f"'{name}' has up to {most} objects in a picture, of which most: {self.most} leaves some out"
            )
        classes = splits["train"].facts.get(name, {}).get("classes") or [str(n) for n in range(largest + 1)]
        return {"most": max(1, self.most or most), "layers": layers, "classes": list(classes)}

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.data.codecs.mask_files import decode_ids
        from kplug.data.geometry import place_pixels

        assert self.size and self.most and self.layers
        given = value if isinstance(value, dict) else {"": value}
        ids = decode_ids(given[""]) if given[""].dtype == tf.string else tf.cast(given[""], tf.int32)
        ids = ids if ids.shape.rank == 3 else ids[..., tf.newaxis]
        ids = MaskCodec().of_its_pictures_size(ids, placement)
        ids = tf.pad(ids, [[0, 0], [0, 0], [0, self.layers - tf.shape(ids)[-1]]])
        placed = tf.ensure_shape(place_pixels(ids, placement, self.size, NOBODY), self.field.shape)
        return {"": placed, "class": self._classes(given, ids)}

    def _classes(self, given: Mapping[str, Any], ids: Any) -> Any:
        import tensorflow as tf

        count = tf.reduce_max(ids)
        classes = tf.cast(given["class"], tf.int32) if "class" in given else tf.zeros([count], tf.int32)
        padded = tf.pad(
            classes[: self.most], [[0, self.most - tf.minimum(tf.shape(classes)[0], self.most)]], "CONSTANT", PADDING
        )
        return tf.ensure_shape(padded, [self.most])

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.data.geometry import warp

        return {**arrays, "": warp(arrays[""], geometry, "nearest", NOBODY)}

    def restored(self) -> dict[str, Field]:
        about = "PNG of 16 bits with the id of each pixel's object, in the size of the upright file"
        return {"bytes": Field((), "string", about), "class": self.arrays["class"]}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        """The objects of all layers in one map: where they overlap, the one of the last layer."""
        import tensorflow as tf

        from kplug.data.codecs.mask_files import encode_ids
        from kplug.data.geometry import place_pixels_back

        ids = arrays[""]
        flat = ids[..., 0]
        for layer in tf.unstack(ids, axis=-1)[1:]:
            flat = tf.where(layer > 0, layer, flat)
        back = place_pixels_back(flat, placement, NOBODY)
        return {"bytes": encode_ids(back, wide=True), "class": arrays["class"]}

    def reason(self, error: Exception) -> str:
        from kplug.data.codecs.decoding import reason

        return reason(error)

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        from kplug.data.codecs.drawing import draw_outlines

        for layer in range(arrays[""].shape[-1]):
            draw_outlines(arrays[""][..., layer], draw, factor, skipped=(NOBODY,))

    def keep(self, value: Any) -> bytes:
        import io

        import numpy as np

        file = io.BytesIO()
        np.savez_compressed(file, **{key or "ids": array for key, array in value.items()})
        return file.getvalue()

    def open(self, content: bytes) -> Any:
        import io

        import numpy as np

        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {"": found["ids"], "class": found["class"]}

    def summary(self, value: Any) -> str:
        """The number of objects: of classes, of a map, or of a file that `restore` has made."""
        import numpy as np
        import tensorflow as tf

        if isinstance(value, bytes):
            value = tf.io.decode_png(value, dtype=tf.uint16).numpy()
        array = np.asarray(value)
        count = (array >= 0).sum() if array.ndim == 1 else len(np.setdiff1d(array, [NOBODY]))
        return f"{count} objects"


def boxes_around(ids: Any, count: int) -> tuple[Any, Any]:
    """The smallest box around the pixels of each object.

    Args:
        ids: int32 `[b, h, w, layers]`.
        count: objects of a picture at most.

    Returns:
        x1 y1 x2 y2, float32 `[b, count, 4]`, and which objects have pixels, bool `[b, count]`.
    """
    import tensorflow as tf

    batch, height, width = tf.shape(ids)[0], ids.shape[1], ids.shape[2]
    segments = ids + tf.reshape(tf.range(batch) * (count + 1), [-1, 1, 1, 1])
    ys, xs = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    found = []
    for places, side in ((xs, width), (ys, height)):
        at = tf.reshape(tf.broadcast_to(places[:, :, tf.newaxis], tf.shape(ids)), [-1])
        flat = tf.reshape(segments, [-1])
        low = tf.math.unsorted_segment_min(at, flat, batch * (count + 1))
        high = tf.math.unsorted_segment_max(at, flat, batch * (count + 1)) + 1
        found.append((tf.clip_by_value(low, 0, side), tf.clip_by_value(high, 0, side)))
    (x1, x2), (y1, y2) = found
    boxes = tf.reshape(tf.cast(tf.stack([x1, y1, x2, y2], axis=-1), tf.float32), [batch, count + 1, 4])[:, 1:]
    is_seen = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    boxes = tf.where(is_seen[..., tf.newaxis], boxes, 0.0)
    return tf.ensure_shape(boxes, [None, count, 4]), is_seen


def _maps_of(name: str, split: Split) -> Any:
    """Yield the map of ids and the classes of every row of a split, as the source gives them."""
    import numpy as np
    import tensorflow as tf

    from kplug.data.codecs.mask_files import decode_ids

    columns = split.columns.arrays

    def values(row: Any) -> tuple[Any, Any]:
        loaded = dict(split.load(row)) | {
            key: tf.gather(columns[key], row) for key in (name, f"{name}_class") if key in columns
        }
        ids = loaded[name]
        ids = decode_ids(ids) if ids.dtype == tf.string else ids
        return ids, loaded.get(f"{name}_class", np.zeros(0, np.int32))

    rows = tf.data.Dataset.range(len(split)).map(values, num_parallel_calls=tf.data.AUTOTUNE)
    return rows.as_numpy_iterator()
