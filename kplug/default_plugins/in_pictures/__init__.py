"""The built-in features that live in a picture, and go where it goes: masks, objects, boxes, points; and clips."""

from typing import Literal

from kplug import Feature, FieldName, hookimpl
from kplug.kinds import Count, Natural, NonNegative, Size, Unit


@hookimpl
def components():
    return [boxes, clip, instances, mask, points]


def mask(
    frame: FieldName | None = None,
    values: list[Natural] | None = None,
    unlisted: Literal["refuse", "not_known"] = "refuse",
) -> Feature:
    """A class for each pixel of a picture, uint8 [height, width]; 255 is not known, and counts nowhere.

    A file is PNG: grey of 1 to 16 bits, or a palette, whose indices count. It has the size of its upright picture. An
    array of a source has -1 where the class is not known.

    Args:
        frame: the field of the picture; null: the only one.
        values: what a file has for class 0, class 1 and so on; null: the numbers of the classes themselves.
        unlisted: refuse a file that has any other value (255 apart), or take it for not known.
    """
    from kplug.data.codecs.masks import MaskCodec

    return MaskCodec(frame, None if values is None else tuple(values), unlisted)


def instances(frame: FieldName | None = None, most: Count | None = None, layers: Count | None = None) -> Feature:
    """Objects with their pixels: ids, int32 [height, width, layers], and a class for each, [most].

    An id is the object's row in the field's `class`, plus 1; 0 is none. A file is PNG of 16 bits.

    Args:
        frame: the field of the picture; null: the only one.
        most: rows for objects; null: as many as the picture with the most has.
        layers: maps over each other, where objects overlap; null: as the source has it.
    """
    from kplug.data.codecs.instances import InstancesCodec

    return InstancesCodec(frame, most, layers)


def boxes(
    frame: FieldName | None = None,
    of: FieldName | None = None,
    most: Count | None = None,
    visible: Unit = 0.3,
    smallest: NonNegative = 2.0,
    bad: Literal["refuse", "drop"] = "refuse",
) -> Feature:
    """Boxes around objects, float32 [most, 4]: x1 y1 x2 y2, edges in pixels of the batch's picture; and their classes.

    The field's `class`, int32 [most], is -1 in rows without an object and -2 for an object that counts nowhere: a
    crowd, or one of which little is left in the picture.

    Args:
        frame: the field of the picture; null: the only one.
        of: the field of objects (feature instances) that the boxes are drawn around, after all that moves it; null:
            the source gives boxes.
        most: rows of a picture; null: as many as the picture with the most objects has.
        visible: share of an object, 0 to 1, that must be left after a crop or a move, else it counts nowhere.
        smallest: pixels that a box must have in height and in width, else it counts nowhere.
        bad: refuse boxes without an area or outside of their picture, or leave them out and cut the others.
    """
    from kplug.data.codecs.boxes import BoxesCodec

    return BoxesCodec(frame, of, most, visible, smallest, bad)


def points(frame: FieldName | None = None) -> Feature:
    """Points in a picture, float32 [..., 3]: x and y in pixels of the batch's picture, and 1 where they are in it.

    The source gives [..., 2], or [..., 3] whose last is 0 where a point is not there.

    Args:
        frame: the field of the picture; null: the only one.
    """
    from kplug.data.codecs.points import PointsCodec

    return PointsCodec(frame)


def clip(
    frames: Count | None = None,
    size: Size | None = None,
    resize: Literal["pad", "crop", "stretch"] = "pad",
    channels: Literal[1, 3] | None = None,
    short: Literal["refuse", "repeat"] = "refuse",
    linked: FieldName | None = None,
) -> Feature:
    """A short film, uint8 [frames, height, width, channels]: all its pictures are placed and moved alike.

    Args:
        frames: how many there are in a batch, spread evenly over the clip; null: as the source has it.
        size: [height, width] in pixels that pictures are brought to; null: as the source has it.
        resize: pad keeps the whole picture and adds black, crop fills the size and cuts, stretch does neither.
        channels: 1 (grey) or 3 (red, green, blue); null: as the source has it.
        short: refuse a clip that has fewer pictures than `frames`, or repeat its last one.
        linked: the field of a picture or clip that shows the same, with which it moves; null: it moves by itself.
    """
    from kplug.data.codecs.clip import ClipCodec

    return ClipCodec(frames, size, resize, channels, short, linked)
