"""The codec of boxes, which live in a picture; free of TensorFlow until it reads some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kplug.errors import SpecError, listed
from kplug.records import Codec, Field, Geometry, Split

PADDING, IGNORED = -1, -2  # classes of a row without an object, and of an object that counts nowhere
SHOWN = 5  # boxes that an error lists
BEYOND = 0.01  # the share of a picture's side by which rounded boxes may reach out of it


@dataclass(frozen=True)
class BoxesCodec(Codec):
    """The codec of the feature `boxes`, whose parameters the first ones are; the others are learnt."""

    frame: str | None = None
    of: str | None = None
    most: int | None = None
    visible: float = 0.3
    smallest: float = 2.0
    bad: Literal["refuse", "drop"] = "refuse"
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None

    in_frame = moves = shown_once = True
    must_match = ("classes",)
    ending = ".json"

    @property
    def field(self) -> Field:
        return Field((self.most, 4), "float32", "x1 y1 x2 y2 of objects, edges in pixels of the picture")

    @property
    def arrays(self) -> dict[str, Field]:
        about = f"number of the class; {PADDING} where there is no object, {IGNORED} where it counts nowhere"
        return {"": self.field, "class": Field((self.most,), "int32", about)}

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        most, largest, found = 0, -1, []
        for split_name, split in splits.items():
            for row, (boxes, classes) in enumerate(objects_of(name, split)):
                bad = (boxes[:, 2:] <= boxes[:, :2]).any(1) & (classes != PADDING)
                found += [(split_name, f"{split.where(row)}: {boxes[at].tolist()}") for at in bad.nonzero()[0]]
                most, largest = max(most, len(boxes)), max(largest, int(classes.max(initial=-1)))
        self._refuse_bad(name, [said for _, said in found])
        if self.most is not None and self.most < most:
            raise SpecError(
                f"'{name}' has up to {most} objects in a picture, of which most: {self.most} leaves some out"
            )
        classes = splits["train"].facts.get(name, {}).get("classes") or [str(n) for n in range(largest + 1)]
        if largest >= len(classes):
            raise SpecError(f"'{name}' has objects of class {largest}, and the source names {len(classes)} classes")
        dropped = {split: sum(one == split for one, _ in found) for split in splits}
        facts = {"most": max(1, self.most or most), "classes": list(classes)}
        return facts | ({"dropped": dropped} if found else {})

    def _refuse_bad(self, name: str, bad: list[str]) -> None:
        if bad and self.bad == "refuse":
            shown = "".join(f"\n  {line}" for line in bad[:SHOWN])
            more = f"\n  ... ({len(bad)} in all)" if len(bad) > SHOWN else ""
            instead = f"mend them, or leave them out with data.features.{name}.bad: drop"
            raise SpecError(f"boxes of '{name}' that have no area (x1 y1 x2 y2); {instead}:{shown}{more}")

    def remarks(self, name: str, facts: Mapping[str, Any]) -> list[str]:
        dropped = {split: count for split, count in facts.get("dropped", {}).items() if count}
        said = listed(f"{count} of {split}" for split, count in dropped.items())
        return [f"{name}: boxes without an area are left out: {said}"] if dropped else []

    # --- reading -----------------------------------------------------------------------------------------------------

    def read_in(self, value: Any, placement: Any) -> Any:
        import tensorflow as tf

        from kplug.data.geometry import place

        assert self.size
        boxes, classes = self.inside(value, placement)
        has_area = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=-1)
        classes = tf.where(has_area, classes, PADDING)
        placed = tf.reshape(place(tf.reshape(boxes, [-1, 2]), placement), [-1, 4])
        inside = tf.clip_by_value(placed, 0.0, tf.constant([*self.size[::-1]] * 2, tf.float32))
        area, whole = (tf.reduce_prod(one[:, 2:] - one[:, :2], axis=-1) for one in (inside, placed))
        return self._padded(*self._settled(inside, classes, tf.math.divide_no_nan(area, whole), self.visible))

    def inside(self, value: Any, placement: Any) -> tuple[Any, Any]:
        """Boxes `[n, 4]` in the upright file, cut where they reach out of it or refused, and their classes `[n]`."""
        import tensorflow as tf

        from kplug.data.codecs.file_bytes import require

        given = value if isinstance(value, dict) else {"": value}
        boxes = tf.cast(given[""], tf.float32)
        classes = tf.cast(given["class"], tf.int32) if "class" in given else tf.zeros([tf.shape(boxes)[0]], tf.int32)
        there = classes != PADDING
        sides = tf.tile(placement[5:3:-1], [2])  # width and height, twice
        beyond = tf.reduce_any((boxes < -BEYOND * sides) | (boxes > (1 + BEYOND) * sides), axis=-1) & there
        if self.bad == "refuse":
            first = tf.boolean_mask(boxes, beyond)[:1]
            message = tf.strings.format(
                "a box, {}, reaches out of its picture of width and height {}", [first, sides[:2]]
            )
            boxes = require(~tf.reduce_any(beyond), boxes, message)
        return tf.clip_by_value(boxes, 0.0, sides), classes

    def _padded(self, boxes: Any, classes: Any) -> dict[str, Any]:
        """The rows of one picture, those with an object first, as many as every picture has."""
        import tensorflow as tf

        assert self.most
        there = classes != PADDING
        boxes, classes = tf.boolean_mask(boxes, there)[: self.most], tf.boolean_mask(classes, there)[: self.most]
        room = [0, self.most - tf.shape(classes)[0]]
        boxes, classes = tf.pad(boxes, [room, [0, 0]]), tf.pad(classes, [room], constant_values=PADDING)
        return {"": tf.ensure_shape(boxes, [self.most, 4]), "class": tf.ensure_shape(classes, [self.most])}

    def _settled(self, boxes: Any, classes: Any, seen: Any, visible: float) -> tuple[Any, Any]:
        """Boxes and classes after a part of each is seen: ignored where that is little, padding where it is none."""
        import tensorflow as tf

        small = tf.reduce_any(boxes[..., 2:] - boxes[..., :2] < self.smallest, axis=-1)
        left = tf.where((classes >= 0) & (small | (seen < visible)), IGNORED, classes)
        left = tf.where(seen > 0, left, PADDING)
        return tf.where((left == PADDING)[..., tf.newaxis], 0.0, boxes), left

    def derive(self, arrays: Mapping[str, Any]) -> Any:
        """The smallest box around each object of an id map, of which `[b, h, w, layers]` and `class` `[b, n]` come."""
        import tensorflow as tf

        from kplug.data.codecs.instances import boxes_around

        boxes, is_seen = boxes_around(arrays[""], arrays["class"].shape[1])
        seen = tf.cast(is_seen, tf.float32)
        boxes, classes = self._settled(boxes, arrays["class"], seen, 0.0)
        return {"": boxes, "class": classes}

    # --- moving ------------------------------------------------------------------------------------------------------

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        from kplug.data.geometry import move_boxes

        boxes, seen = move_boxes(arrays[""], geometry)
        visible = self.visible if geometry.visible is None else geometry.visible
        boxes, classes = self._settled(boxes, arrays["class"], seen, visible)
        return {"": boxes, "class": classes}

    def restored(self) -> dict[str, Field]:
        return self.arrays | {"": Field((self.most, 4), "float32", "x1 y1 x2 y2 in pixels of the upright file")}

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        import tensorflow as tf

        from kplug.data.geometry import place_back

        boxes = arrays[""]
        back = tf.reshape(place_back(tf.reshape(boxes, [-1, 2]), placement), tf.shape(boxes))
        back = tf.clip_by_value(back, 0.0, tf.tile(placement[5:3:-1], [2]))
        is_box = tf.reduce_any(boxes != 0, axis=-1, keepdims=True)  # four zeros stand for none
        return {**arrays, "": tf.where(is_box, back, 0.0)}

    # --- keeping -----------------------------------------------------------------------------------------------------

    def reason(self, error: Exception) -> str:
        from kplug.data.codecs.decoding import reason

        return reason(error)

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        """Rectangles with the names of their classes; grey where an object counts nowhere."""
        from kplug.data.codecs.drawing import colour_of

        for box, number in zip(arrays[""].tolist(), arrays["class"].tolist(), strict=True):
            if number == PADDING:
                continue
            x1, y1, x2, y2 = (round(edge * factor) for edge in box)
            colour = (160, 160, 160) if number == IGNORED else colour_of(number)
            draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
            if number >= 0 and self.classes:
                draw.text((x1 + 3, y1 + 1), self.classes[number], fill=colour, stroke_width=1, stroke_fill="black")

    def keep(self, value: Any) -> bytes:
        import json

        return json.dumps({key or "boxes": array.tolist() for key, array in value.items()}).encode()

    def open(self, content: bytes) -> Any:
        import json

        import numpy as np

        found = json.loads(content)
        boxes = np.asarray(found["boxes"], np.float32).reshape(-1, 4)
        return {"": boxes, "class": np.asarray(found["class"], np.int32)}

    def summary(self, value: Any) -> str:
        import numpy as np

        array = np.asarray(value)
        if array.ndim == 1:
            return f"{(array >= 0).sum()} objects"
        return f"{np.abs(array).sum(-1).astype(bool).sum()} boxes"


def objects_of(name: str, split: Split) -> Iterator[tuple[Any, Any]]:
    """Yield boxes `[n, 4]` and classes `[n]` of every row of a split, as the source gives them."""
    import numpy as np
    import tensorflow as tf

    from kplug.data.values import value_of

    def values(row: Any) -> tuple[Any, Any]:
        loaded = split.load(row)
        return loaded[name], loaded.get(f"{name}_class", ())

    if name in split.columns:
        boxes, classes = split.columns[name], split.columns.arrays.get(f"{name}_class")
        for row in range(len(split)):
            yield np.asarray(boxes[row]), np.zeros(len(boxes[row]), np.int32) if classes is None else classes[row]
        return
    is_loaded = f"{name}_class" not in split.columns
    rows = tf.data.Dataset.range(len(split)).map(values, num_parallel_calls=tf.data.AUTOTUNE)
    for row, (found, classes) in enumerate(rows.as_numpy_iterator()):
        if not is_loaded:
            classes = value_of(split, f"{name}_class", row).numpy()
        yield found, classes if np.size(classes) or not len(found) else np.zeros(len(found), np.int32)
