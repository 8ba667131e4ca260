"""Masks keep their values whatever kind of file they are in, and a file that would change them is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kplug.data.codecs import decoding, mask_files
from kplug.data.codecs.mask_files import decode_ids, encode_ids

HEIGHT, WIDTH = 11, 21  # no multiple of the pixels in a byte, nor of an interlaced block
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS = {GREY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGB: (8, 16), RGBA: (8, 16)}
KINDS = [(colour_type, depth) for colour_type, depths in DEPTHS.items() for depth in depths]
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

GRAPH = tf.function(decode_ids, input_signature=[tf.TensorSpec([], tf.string)])


def values(depth, shape=(HEIGHT, WIDTH), seed=3):
    """Random values of `depth` bits; the least and the greatest are among them."""
    drawn = np.random.default_rng(seed).integers(0, 2**depth, shape)
    drawn.flat[:2] = 0, 2**depth - 1
    return drawn


# --- files -----------------------------------------------------------------------------------------------------------


def saved(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_palette(ids, depth, **options):
    """A PNG as Pillow writes it, whose palette has random colours."""
    picture = Image.frombytes("P", ids.shape[::-1], ids.astype(np.uint8).tobytes())
    picture.putpalette(np.random.default_rng(1).integers(0, 256, 3 * 2**depth).tolist())
    return saved(picture, bits=depth, **options)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rows(samples, depth):
    """The lines of a pass of a PNG, unfiltered, of samples `[height, width, channels]`."""
    if not samples.size:
        return b""
    bits = (samples.reshape(len(samples), -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    lines = np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + line.tobytes() for line in lines)


def png(samples, colour_type, depth, interlaced=False, before=()):
    """A PNG written by hand, whose `before` are chunks between the header and the pixels."""
    height, width = samples.shape[:2]
    passes = [samples[y::down, x::right] for x, y, right, down in ADAM7] if interlaced else [samples]
    packed = zlib.compress(b"".join(rows(part, depth) for part in passes))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    halves = packed[: len(packed) // 2], packed[len(packed) // 2 :]
    chunks = [(b"IHDR", header), *before, *((b"IDAT", half) for half in halves), (b"IEND", b"")]
    return decoding.PNG + b"".join(chunk(*each) for each in chunks)


def of_kind(colour_type, depth, **options):
    """(a file, its values) of one of KINDS; the alpha of those that have one is random."""
    ids = values(depth)
    colours = np.repeat(ids[..., None], 3 if colour_type in (RGB, RGBA) else 1, axis=2)
    if colour_type in (GREY_ALPHA, RGBA):
        colours = np.concatenate([colours, values(depth, (HEIGHT, WIDTH, 1), seed=4)], axis=2)
    before = [(b"PLTE", bytes(3 * 2**depth))] if colour_type == PALETTE else []
    return png(colours, colour_type, depth, before=before, **options), ids


def changed(data, at, content):
    return data[:at] + content + data[at + len(content) :]


def assert_decoded(data, wanted):
    for seen in (GRAPH(data), decode_ids(data)):
        assert seen.dtype == tf.int32
        np.testing.assert_array_equal(seen, wanted)


def refusal(data):
    """The reason why a file is refused, the same in a graph and outside."""
    said = []
    for decode in (GRAPH, decode_ids):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            decode(data)
        said.append(decoding.reason(caught.value))
    assert said[0] == said[1]
    return said[0]


# --- values are kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
def test_every_kind_of_png_keeps_its_values(colour_type, depth, interlaced):
    data, wanted = of_kind(colour_type, depth, interlaced=interlaced)
    Image.open(io.BytesIO(data)).load()  # the file is one that others read
    assert_decoded(data, wanted)


@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "tRNS"])
@pytest.mark.parametrize("depth", DEPTHS[PALETTE])
def test_the_indices_of_a_palette_are_the_values(depth, transparent):
    ids = values(depth)
    options = {"transparency": bytes(values(8, 2**depth, seed=5).tolist())} if transparent else {}
    data = with_palette(ids, depth, **options)
    assert (data[24], data[25], b"tRNS" in data) == (depth, PALETTE, transparent)
    assert_decoded(data, ids)


def test_the_greys_that_pillow_writes():
    one_bit = values(1)
    assert_decoded(saved(Image.fromarray(one_bit.astype(bool))), one_bit)
    assert_decoded(saved(Image.fromarray(values(8).astype(np.uint8))), values(8))
    assert_decoded(saved(Image.fromarray(values(16).astype(np.uint16))), values(16))
    both = np.stack([values(8), values(8, seed=9)], axis=-1).astype(np.uint8)
    assert_decoded(saved(Image.fromarray(both)), values(8))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_a_bmp_keeps_its_values(mode):
    ids = values(8)
    picture = Image.fromarray(ids.astype(np.uint8))
    if mode == "P":
        picture = Image.open(io.BytesIO(with_palette(ids, 8)))
    assert_decoded(saved(picture if mode == "P" else picture.convert(mode), "BMP"), ids)


def test_a_value_that_is_named_transparent_is_a_value_like_others():
    for depth in (1, 4, 8, 16):
        before = [(b"tRNS", struct.pack(">H", 1))]
        assert_decoded(png(values(depth)[..., None], GREY, depth, before=before), values(depth))


def test_chunks_between_the_header_and_the_pixels_are_passed_over():
    before = [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"PLTE", bytes(range(48))),
        (b"tRNS", b"\0\1"),
        (b"bKGD", b"\1"),
        (b"tEXt", b"Comment\0IDAT IDAT"),
    ]
    data = png(values(4)[..., None], PALETTE, 4, before=before)
    assert_decoded(data, values(4))


def test_an_index_that_the_palette_lacks_is_still_the_value():
    assert_decoded(png(values(8)[..., None], PALETTE, 8, before=[(b"PLTE", bytes(3))]), values(8))


def test_a_single_pixel():
    assert_decoded(png(np.array([[[7]]]), PALETTE, 4, before=[(b"PLTE", bytes(48))]), [[7]])


def test_the_crc_of_a_header_changes_by_a_constant():
    drawn = np.random.default_rng(0)
    for _ in range(200):
        start, end = b"IHDR" + drawn.bytes(9), drawn.bytes(3)
        coloured, grey = (zlib.crc32(start + bytes([kind]) + end) for kind in (PALETTE, GREY))
        assert (coloured ^ grey).to_bytes(4, "big") == mask_files.CRC_CHANGE


def test_the_colours_of_a_palette_are_not_given_to_libpng():
    """It would write a warning for each file, and refuse one whose palette has a wrong CRC."""
    data = with_palette(values(4), 4)
    torn = changed(data, data.index(b"PLTE") + 4, b"torn")
    assert_decoded(torn, values(4))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(torn)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_jpeg_is_refused():
    picture = Image.fromarray(values(8).astype(np.uint8))
    assert refusal(saved(picture, "JPEG")) == "a JPEG changes the values of a mask; save it as PNG"


@pytest.mark.parametrize("colour_type", [RGB, RGBA])
@pytest.mark.parametrize("channel", range(3))
def test_colours_are_refused_where_a_single_pixel_has_one(colour_type, channel):
    samples = np.full((HEIGHT, WIDTH, 3 if colour_type == RGB else 4), 7)
    samples[3, 4, channel] = 8
    wanted = "colours are not class numbers; save a mask as the indices of a palette or as grey"
    assert refusal(png(samples, colour_type, 8)) == wanted
    assert refusal(saved(Image.fromarray(samples[..., :3].astype(np.uint8)), "BMP")) == wanted


def test_colours_that_differ_in_the_lower_half_of_sixteen_bits_are_refused():
    samples = np.full((HEIGHT, WIDTH, 3), 300)
    samples[3, 4, 1] = 301
    assert refusal(png(samples, RGB, 16)).startswith("colours are not class numbers")


def test_what_is_no_mask_says_so():
    picture = Image.fromarray(values(1).astype(bool))
    files = {"junk": b"a text", "empty": b"", "short": b"BM", "gif": saved(picture, "GIF")}
    assert {name: refusal(data) for name, data in files.items()} == {
        "junk": "a mask that is not a PNG or BMP file",
        "empty": "a mask that is not a PNG or BMP file",
        "short": "the file is cut off",
        "gif": "a mask that is not a PNG or BMP file",
    }
    assert refusal(saved(picture, "BMP")) == "a BMP that is compressed or has not 8, 24 or 32 bits a pixel"


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (2**31, 5), (60_000, 60_000)])
def test_a_size_that_cannot_be_is_refused(width, height):
    data = of_kind(PALETTE, 8)[0]
    said = refusal(data[:16] + struct.pack(">II", width, height) + data[24:])
    assert said.startswith("a picture of ") and "at least 1 and at most" in said


@pytest.mark.parametrize("kind", ["grey", "palette", "16 bits", "bmp"])
def test_a_file_that_is_cut_off_is_refused_wherever_it_was_cut(kind):
    data = {
        "grey": of_kind(GREY, 4)[0],
        "palette": with_palette(values(4), 4, transparency=bytes(16)),
        "16 bits": of_kind(GREY, 16)[0],
        "bmp": saved(Image.fromarray(values(8).astype(np.uint8)), "BMP"),
    }[kind]
    last = 1 if kind == "bmp" else 13  # a decoder does without the length, the kind and the CRC of an empty chunk
    for length in (*range(0, 120, 3), *range(120, len(data) - last, len(data) // 9), len(data) - last):
        with pytest.raises(tf.errors.InvalidArgumentError):
            GRAPH(data[:length])


def test_a_header_that_lies_is_refused():
    data = of_kind(PALETTE, 8)[0]
    for depth in (0, 3, 16, 32, 255):
        assert refusal(changed(data, 24, bytes([depth]))) == "a PNG whose header is broken"
    for at, content in ((25, b"\5"), (26, b"\1"), (28, b"\7"), (29, b"\0"), (32, b"\0"), (12, b"IDAT"), (8, b"\1")):
        with pytest.raises(tf.errors.InvalidArgumentError):
            GRAPH(changed(data, at, content))


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**31, 2**32 - 12, 2**32 - 1])
def test_a_chunk_that_claims_a_wrong_size_ends_the_search(size):
    with pytest.raises(tf.errors.InvalidArgumentError):
        GRAPH(changed(with_palette(values(8), 8), 33, struct.pack(">I", size)))


@pytest.mark.parametrize(("number", "found"), [(mask_files.MOST_CHUNKS, True), (mask_files.MOST_CHUNKS + 1, False)])
def test_the_search_for_the_pixels_ends(number, found):
    data = png(values(8)[..., None], PALETTE, 8, before=[(b"teSt", b"")] * number)
    if found:
        np.testing.assert_array_equal(GRAPH(data), values(8))
    else:
        assert refusal(data) == "the file is cut off"


def test_bytes_that_are_changed_at_random_give_a_mask_or_a_refusal():
    drawn = np.random.default_rng(0)
    files = [of_kind(PALETTE, 4)[0], of_kind(GREY, 16)[0], saved(Image.fromarray(values(8).astype(np.uint8)), "BMP")]
    for trial in range(300):
        data = files[trial % 3]
        for _ in range(drawn.integers(1, 4)):
            data = changed(data, int(drawn.integers(2, min(len(data), 110))), drawn.bytes(1))
        try:
            seen = GRAPH(data)
        except tf.errors.InvalidArgumentError:
            continue
        assert seen.dtype == tf.int32 and seen.shape.rank == 2


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_parallel_maps_of_a_dataset_decode_every_kind():
    files = [of_kind(*kind) for kind in KINDS]
    data = tf.data.Dataset.from_tensor_slices([data for data, _ in files] * 3).map(decode_ids, num_parallel_calls=4)
    assert data.element_spec == tf.TensorSpec([None, None], tf.int32)
    np.testing.assert_array_equal(list(data.as_numpy_iterator()), [ids for _, ids in files] * 3)


class Masks(tf.Module):
    """A module that decodes a mask, and encodes it again."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(self, data):
        return decode_ids(data)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def encode(self, ids):
        return encode_ids(ids, wide=True)


def test_a_saved_model_decodes_and_encodes(tmp_path):
    tf.saved_model.save(Masks(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for kind in KINDS:
        data, ids = of_kind(*kind)
        np.testing.assert_array_equal(loaded.decode(data), ids)
        np.testing.assert_array_equal(loaded.decode(loaded.encode(tf.constant(ids, tf.int32))), ids)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a JPEG changes the values"):
        loaded.decode(saved(Image.fromarray(values(8).astype(np.uint8)), "JPEG"))


# --- encoding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64"])
@pytest.mark.parametrize("wide", [False, True])
def test_what_is_encoded_is_decoded_the_same(wide, dtype):
    depth = 16 if wide and dtype != "uint8" else 8
    ids = values(depth).astype(dtype)
    data = encode_ids(ids, wide=wide)
    assert data.numpy()[24:26] == bytes([16 if wide else 8, GREY])
    assert_decoded(data, ids)
    np.testing.assert_array_equal(Image.open(io.BytesIO(data.numpy())), ids)
    assert tf.function(encode_ids)(ids, wide=wide) == data


@pytest.mark.parametrize(("wide", "value"), [(False, 256), (False, -1), (True, 65536), (True, -1)])
def test_a_value_that_does_not_fit_is_refused(wide, value):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        encode_ids([[0, value]], wide=wide)
    assert decoding.reason(caught.value) == f"values of a mask that are not from 0 to {65535 if wide else 255}"


def test_a_mask_without_pixels_and_one_of_floats_are_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="a picture of 0 x 4 pixels"):
        encode_ids(np.zeros((4, 0), np.int32))
    with pytest.raises(ValueError, match=r"ids are integers\. Received: dtype=float32"):
        encode_ids(np.zeros((4, 4), np.float32))
