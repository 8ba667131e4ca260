"""Decoding and resizing pictures of every kind that a camera, a scanner or an attacker makes."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kplug.data.codecs import decoding as images
from kplug.data.codecs import pixels

HEIGHT, WIDTH = 24, 37
GIANT = 60_000
MODES = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA"), "JPEG": ("L", "RGB", "CMYK"), "BMP": ("L", "P", "RGB", "RGBA")}
PICTURES = [(kind, mode) for kind, modes in (MODES | {"GIF": ("L", "P")}).items() for mode in modes]


def encoded(kind, mode="RGB", size=(WIDTH, HEIGHT), **options):
    rough = np.random.default_rng(7).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    picture = Image.fromarray(rough).resize(size)
    file = io.BytesIO()
    (picture.convert("RGB").quantize(40) if mode == "P" else picture.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        images.PNG
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + b"IDAT"
    )


def patched(data, at, values):
    return data[:at] + values + data[at + len(values) :]


def giants():
    jpeg, gif = encoded("JPEG"), encoded("GIF", "P")
    frame = gif.index(b"\x2c\0\0\0\0")
    return {
        "JPEG": patched(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", GIANT, GIANT)),
        "PNG": png_header(GIANT, GIANT),
        "BMP": patched(encoded("BMP"), 18, struct.pack("<ii", GIANT, -GIANT)),
        "GIF canvas": patched(gif, 6, struct.pack("<HH", GIANT, GIANT)),
        "GIF frame": patched(gif, frame + 5, struct.pack("<HH", GIANT, GIANT)),
    }


def graph(channels):
    return tf.function(lambda data: images.decode(data, channels), input_signature=[tf.TensorSpec([], tf.string)])


GRAPHS = {channels: graph(channels) for channels in images.CHANNELS}


@pytest.mark.parametrize(("kind", "mode"), PICTURES)
def test_a_picture_has_the_pixels_that_pillow_sees(kind, mode):
    data = encoded(kind, mode)
    for channels, name in ((1, "L"), (3, "RGB"), (4, "RGBA")):
        seen = GRAPHS[channels](data).numpy()
        wanted = np.asarray(Image.open(io.BytesIO(data)).convert(name)).reshape(HEIGHT, WIDTH, channels)
        assert seen.dtype == np.uint8
        # Pillow truncates luma, and both decoders of CMYK round by themselves
        assert np.abs(seen.astype(int) - wanted).max() <= (1 if channels == 1 or mode == "CMYK" else 0)
        np.testing.assert_array_equal(images.decode(data, channels), seen)


def test_sixteen_bits_become_eight_and_grey_stays_exact():
    levels = np.arange(256, dtype=np.uint16)[np.newaxis]
    file = io.BytesIO()
    Image.fromarray(levels * 257).save(file, "PNG")
    np.testing.assert_array_equal(images.decode(file.getvalue(), 1)[0, :, 0], levels[0])


def test_the_first_frame_of_an_animation_is_taken_and_no_other_is_decoded():
    frames = [Image.new("P", (WIDTH, HEIGHT), n) for n in range(5)]
    for n, frame in enumerate(frames):
        frame.putpalette([40 * n] * 768)
    file = io.BytesIO()
    frames[1].save(file, "GIF", save_all=True, append_images=frames[2:], comment=b"x" * 600)
    animation = file.getvalue()
    first = images.decode(animation, 3)
    assert np.unique(first) == [40]
    start, end = images._first_frame(tf.constant(animation))
    assert animation[int(start)] == images.GIF_IMAGE
    assert int(end) < len(animation) - 20
    np.testing.assert_array_equal(images.decode(animation[: int(end)] + b"broken frames", 3), first)


def test_a_gif_with_a_palette_of_its_frame():
    gif = encoded("GIF", "P")
    table = 3 * 2 ** (gif[10] % 8 + 1)
    frame = gif.index(b"\x2c\0\0\0\0")
    local = bytes([gif[frame + 9] | 0x80 | gif[10] % 8])
    moved = (
        patched(gif[:13], 10, b"\0") + gif[13 + table : frame + 9] + local + gif[13 : 13 + table] + gif[frame + 10 :]
    )
    np.testing.assert_array_equal(images.decode(moved, 3), images.decode(gif, 3))


@pytest.mark.parametrize("kind", giants())
def test_a_giant_is_refused_by_its_header(kind):
    data = giants()[kind]
    for decode in (GRAPHS[3], lambda data: images.decode(data, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            decode(data)
        assert images.reason(caught.value).startswith(f"a picture of {GIANT} x {GIANT} pixels; at least 1 and at most ")


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (2**31, 5), (images.MAX_SIDE + 1, 1), (65_535, 2049)])
def test_a_size_that_cannot_be_is_refused(width, height):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"a picture of .*pixels"):
        images.decode(png_header(width, height), 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_a_file_that_is_cut_off_is_refused_wherever_it_was_cut(kind):
    data = encoded(kind, "P" if kind == "GIF" else "RGB")
    last = 2 if kind in ("GIF", "JPEG") else 13 if kind == "PNG" else 1  # marks of an end that decoders do without
    for length in (*range(12, 60, 9), len(data) // 2, len(data) - last):
        with pytest.raises(tf.errors.InvalidArgumentError):
            GRAPHS[3](data[:length])


def test_the_reason_of_a_refusal_is_readable():
    said = {}
    for name, data in {"junk": b"hello", "empty": b"", "short": b"BM", "one bit": encoded("BMP", "1")}.items():
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            GRAPHS[3](data)
        said[name] = images.reason(caught.value)
    assert said == {
        "junk": "not a JPEG, PNG, BMP or GIF file",
        "empty": "not a JPEG, PNG, BMP or GIF file",
        "short": "the file is cut off",
        "one bit": "a BMP that is compressed or has not 8, 24 or 32 bits a pixel",
    }
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        images.decode(encoded("JPEG")[:-40], 3)
    assert images.reason(caught.value) == "jpeg::Uncompress failed. Invalid JPEG data or crop window."


@pytest.mark.parametrize("how", pixels.RESIZE_RULES)
def test_a_picture_of_the_right_size_is_not_touched(how):
    picture = tf.constant(np.random.default_rng(0).integers(0, 256, (9, 7, 3)), tf.uint8)
    dynamic = tf.function(
        lambda picture: pixels.resize(picture, (9, 7), how), input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)]
    )
    np.testing.assert_array_equal(pixels.resize(picture, (9, 7), how), picture)
    np.testing.assert_array_equal(dynamic(picture), picture)
    assert dynamic.get_concrete_function().output_shapes == (9, 7, 3)


@pytest.mark.parametrize("how", pixels.RESIZE_RULES)
@pytest.mark.parametrize("shape", [(9, 7), (40, 31), (5, 64), (1, 2000), (2000, 1), (1, 1)])
def test_a_batch_is_resized_as_its_pictures_are(how, shape):
    batch = tf.constant(np.random.default_rng(0).integers(0, 256, (3, *shape, 3)), tf.uint8)
    dynamic = tf.function(
        lambda picture: pixels.resize(picture, (12, 10), how),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
    )
    together = pixels.resize(batch, (12, 10), how)
    assert together.dtype == tf.uint8
    assert together.shape == (3, 12, 10, 3)
    np.testing.assert_array_equal(together, [dynamic(picture) for picture in batch])
    assert pixels.resize(batch[:0], (12, 10), how).shape == (0, 12, 10, 3)


def test_stretch_is_the_antialiased_bilinear_of_tensorflow_rounded():
    picture = tf.constant(np.random.default_rng(0).integers(0, 256, (40, 31, 3)), tf.uint8)
    wanted = tf.round(tf.image.resize(picture, (12, 50), antialias=True))
    np.testing.assert_array_equal(pixels.resize(picture, (12, 50), "stretch"), wanted)


def test_pad_keeps_the_aspect_ratio_and_fills_with_zeros_on_both_sides():
    picture = tf.fill((20, 10, 1), tf.constant(200, tf.uint8))
    padded = pixels.resize(picture, (8, 8), "pad").numpy()[..., 0]
    np.testing.assert_array_equal(padded, [[0, 0, 200, 200, 200, 200, 0, 0]] * 8)
    exact = pixels.resize(tf.constant([[[1], [2]], [[3], [4]]], tf.uint8), (2, 4), "pad").numpy()[..., 0]
    np.testing.assert_array_equal(exact, [[0, 1, 2, 0], [0, 3, 4, 0]])


def test_crop_takes_the_middle_and_covers():
    columns = np.repeat(np.repeat(np.arange(16, dtype=np.uint8)[None, :, None] * 10, 8, axis=0), 1, axis=2)
    cropped = pixels.resize(tf.constant(columns), (8, 8), "crop").numpy()[..., 0]
    np.testing.assert_array_equal(cropped, [np.arange(4, 12) * 10] * 8)


def test_a_wrong_word_is_refused():
    with pytest.raises(ValueError, match=r"pad, crop, stretch\. Received: how=fit"):
        pixels.resize(tf.zeros((2, 2, 3), tf.uint8), (4, 4), "fit")
    with pytest.raises(ValueError, match=r"1, 3, 4\. Received: channels=2"):
        images.decode(b"", 2)


def test_bad_files_are_blank_and_leave_their_neighbours_alone():
    good = [encoded("JPEG"), encoded("PNG", "RGBA"), encoded("GIF", "P"), encoded("BMP", "P")]
    bad = [b"", b"a text", encoded("PNG")[:200], *giants().values()]
    files = [file for pair in zip(good * 2, bad, strict=True) for file in pair]
    decode = tf.function(
        lambda files: images.decode_files(files, (16, 12, 3), "pad"), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    pictures, valid = decode(tf.constant(files))
    np.testing.assert_array_equal(valid, [True, False] * 8)
    assert not pictures.numpy()[1::2].any()
    np.testing.assert_array_equal(
        pictures[::2], [pixels.resize(images.decode(file, 3), (16, 12), "pad") for file in good * 2]
    )
    none, nothing = decode(tf.zeros([0], tf.string))
    assert none.shape == (0, 16, 12, 3)
    assert nothing.shape == (0,)


def test_parallel_maps_of_a_dataset_give_the_same_each_time():
    files = [encoded(kind, "RGB", size=(20 + n, 30)) for n in range(10) for kind in ("PNG", "JPEG", "BMP")]

    def load(file):
        return pixels.resize(images.decode(file, 3), (16, 16), "crop")

    dataset = tf.data.Dataset.from_tensor_slices(files)
    parallel = [list(dataset.map(load, num_parallel_calls=8).as_numpy_iterator()) for _ in range(2)]
    np.testing.assert_array_equal(parallel[0], parallel[1])
    np.testing.assert_array_equal(parallel[0], [load(file) for file in files])
