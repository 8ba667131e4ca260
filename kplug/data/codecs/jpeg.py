"""JPEG files: decoded with work and memory that their size bounds."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kplug.data.codecs.exif import jpeg_orientation
from kplug.data.codecs.file_bytes import Limit, check_size, in_words, require, require_lazily
from kplug.data.codecs.pixels import noinline

JPEG = b"\xff\xd8\xff"
START_OF_IMAGE, END_OF_IMAGE, SCAN, TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
COARSE_AT_FIRST = (0xC2, 0xC9, 0xCA, 0xCB)  # progressive; and those with arithmetic codes, whose end tells nothing
FIRST_RESTART, LAST_RESTART = 0xD0, 0xD7

# Each block of 8 x 8 pixels of the luma has a code of at least one bit, in a progressive file in its first scan.
PIXELS_A_BYTE = 512
# A further scan of a progressive file costs a nanosecond a pixel however few bytes it has, in a thin picture as much as
# in one of whole blocks. Programs write ten, and eighteen of CMYK.
SCANS, BYTES_A_SCAN = 24, 10  # of a picture as large as the limit; a smaller one may have more. The fewest bytes of one
SCANS_IN_ALL, BLOCK = 2**14, 32  # pixels of a block's sides, where colours are kept at half or a quarter of them
SEGMENTS_IN_ALL = 2000  # Extended XMP and depth maps of cameras take up to a hundred
# Where the codes end before the picture does, libjpeg leaves all blocks that follow at the middle of what a value can
# be: 128 in grey and colour, 64 or 63 in CMYK. The bytes that are put there to see whether they are read as codes.
MIDDLES = (128, 64, 63)
FILL = bytes(17 * n % 251 for n in range(64))

# --- decoding ------------------------------------------------------------------------------------------------------


def decode_jpeg(data: Any, limit: Limit) -> Any:
    """Decode a JPEG to RGB as it is stored, once its size and its work are seen to be allowed."""
    sides = tf.cast(tf.io.extract_jpeg_shape(data)[:2], tf.int64)
    pixels, length = sides[0] * sides[1], tf.cast(tf.strings.length(data), tf.int64)
    is_ordinary = tf.reduce_all((sides > 0) & (sides <= limit.side)) & (pixels <= limit.pixels)
    is_ordinary &= (pixels <= PIXELS_A_BYTE * length) & (length <= BYTES_A_SCAN * _most_scans(sides, limit))
    data = tf.cond(is_ordinary, lambda: data, lambda: _check(data, sides, limit))
    image = _colours(data)
    return tf.cond(pixels <= 8 * length, lambda: image, lambda: _refuse_cut(image, data))


def jpeg_size(data: Any, is_upright: bool) -> Any:
    """Height and width of a JPEG as its header says them; of the upright picture where `is_upright`."""
    size = tf.io.extract_jpeg_shape(data)[:2]
    is_turned = jpeg_orientation(data) >= 5 if is_upright else tf.constant(False)
    return tf.where(is_turned, size[::-1], size)


def _colours(data: Any) -> Any:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


# --- checks --------------------------------------------------------------------------------------------------------


@noinline
def _check(data: Any, sides: Any, limit: Limit) -> Any:
    """Return a JPEG once it is seen to be allowed; `sides` are int64."""
    data = check_size(data, sides[0], sides[1], limit)
    pixels, length = sides[0] * sides[1], tf.cast(tf.strings.length(data), tf.int64)
    few = " pixels in so few bytes: most of it is missing"
    data = require_lazily(pixels <= PIXELS_A_BYTE * length, data, lambda: tf.strings.join([in_words(sides), few]))
    most = _most_scans(sides, limit)
    # No other bytes of a file begin a scan. Where more look like it, previews and films behind a picture among them,
    # its own are counted.
    looks_like = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep=bytes([0xFF, SCAN])).values
    is_allowed = tf.size(looks_like, tf.int64) - 1 <= most
    return tf.cond(is_allowed, lambda: data, lambda: _check_scans(data, sides, most))


def _most_scans(sides: Any, limit: Limit) -> Any:
    """The most scans that a picture of a size may have, int64."""
    blocks = tf.reduce_prod((sides + BLOCK - 1) // BLOCK)
    return tf.minimum(SCANS * limit.pixels // (BLOCK**2 * tf.maximum(blocks, 1)), SCANS_IN_ALL)


def _check_scans(data: Any, sides: Any, most: Any) -> Any:
    scans, *_ = _walk(data, most)
    said = [in_words(sides), " pixels in more than ", tf.strings.as_string(most), " scans"]
    return require_lazily(tf.cast(scans, tf.int64) <= most, data, lambda: tf.strings.join(said))


@noinline
def _refuse_cut(image: Any, data: Any) -> Any:
    """Return the picture of a JPEG once its codes are seen to reach to its end.

    libjpeg fills up a picture whose codes end too early, with no error where the mark of an end follows. Those of a
    progressive file cannot be told from a coarse picture, which it then is.
    """
    last = image[-1, -1]
    is_filled_up = tf.reduce_any([tf.reduce_all(last == middle) for middle in MIDDLES])

    def has_all() -> Any:
        _, is_coarse, end = _walk(data, tf.constant(SEGMENTS_IN_ALL, tf.int64))
        codes, rest = tf.strings.substr(data, 0, end), tf.strings.substr(data, end, tf.strings.length(data))
        again = tf.cond(is_coarse, lambda: image, lambda: _colours(tf.strings.join([codes, FILL, rest])))
        return tf.reduce_all(again == image)

    is_whole = tf.cond(is_filled_up, has_all, lambda: tf.constant(True))
    return tf.ensure_shape(require(is_whole, image, "the file is cut off"), [None, None, 3])


def _walk(data: Any, most: Any) -> tuple[Any, Any, Any]:
    """Go through the segments of a JPEG as libjpeg does, to its end or to one scan more than `most`.

    Returns:
        How many scans there are, whether the picture may be coarse at first, and where the segment begins that ended
        the walk.
    """
    values = tf.io.decode_raw(data, tf.uint8)
    kinds = values[1:]
    is_code = (kinds == 0) | (kinds == 0xFF) | ((kinds >= FIRST_RESTART) & (kinds <= LAST_RESTART))
    # between segments whatever is no marker is passed over, in scans it is codes
    places = tf.cast(tf.where((values[:-1] == 0xFF) & ~is_code)[:, 0], tf.int32)
    count, length = tf.size(places), tf.size(values)

    def at(place: Any) -> Any:
        return tf.cast(values[tf.minimum(place, length - 1)], tf.int32)

    def goes_on(number: Any, scans: Any, is_coarse: Any, steps: Any) -> Any:
        is_within = (number < count - 1) & (steps < SEGMENTS_IN_ALL) & (tf.cast(scans, tf.int64) <= most)
        return is_within & (at(places[tf.minimum(number, count - 1)] + 1) != END_OF_IMAGE)

    def step(number: Any, scans: Any, is_coarse: Any, steps: Any) -> tuple[Any, Any, Any, Any]:
        place = places[number]
        kind = at(place + 1)
        is_alone = tf.reduce_any(kind == (START_OF_IMAGE, TEMPORARY))
        after = place + 2 + tf.where(is_alone, 0, tf.maximum(at(place + 2) * 256 + at(place + 3), 2))
        found = tf.raw_ops.LowerBound(sorted_inputs=places[tf.newaxis], values=after[tf.newaxis, tf.newaxis])[0, 0]
        is_coarse |= tf.reduce_any(kind == COARSE_AT_FIRST)
        return found, scans + tf.cast(kind == SCAN, tf.int32), is_coarse, steps + 1

    loop = (tf.constant(0), tf.constant(0), tf.constant(False), tf.constant(0))
    number, scans, is_coarse, steps = tf.while_loop(goes_on, step, loop)
    scans = require(steps < SEGMENTS_IN_ALL, scans, "a JPEG of more segments than a picture has")
    return scans, is_coarse, places[tf.minimum(number, count - 1)]
