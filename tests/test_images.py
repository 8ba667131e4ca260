"""Decoding and resizing pictures of every kind that a camera, a scanner or an attacker makes."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

import kplug
from kplug.data.codecs import decoding as images
from kplug.data.codecs import gif, pixels
from kplug.data.codecs.exif import jpeg_orientation
from kplug.data.codecs.file_bytes import SERVED, TRAINED
from kplug.data.codecs.image import ImageCodec
from kplug.data.raw import read_rows
from kplug.data.splits import open_data

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


SERVE = tf.function(
    lambda files: read_rows("image", ImageCodec((16, 12), "pad", 3).served, files),
    input_signature=[tf.TensorSpec([None], tf.string)],
)


def is_served(file):
    """Whether a picture is valid where it is served."""
    return bool(SERVE(tf.constant([file]))[1][0])


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
    start, end, _ = gif.first_frame(tf.constant(animation))
    assert animation[int(start)] == gif.IMAGE
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


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (2**31, 5), (TRAINED.side + 1, 1), (65_535, 2049)])
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
    codec = ImageCodec((16, 12), "pad", 3)
    decode = tf.function(
        lambda files: read_rows("image", codec, files), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    found, valid = decode(tf.constant(files))
    pictures = found["image"]
    np.testing.assert_array_equal(valid, [True, False] * 8)
    assert not pictures.numpy()[1::2].any()
    np.testing.assert_array_equal(
        pictures[::2], [pixels.resize(images.decode(file, 3), (16, 12), "pad") for file in good * 2]
    )
    none, nothing = decode(tf.zeros([0], tf.string))
    assert none["image"].shape == (0, 16, 12, 3)
    assert nothing.shape == (0,)


def test_parallel_maps_of_a_dataset_give_the_same_each_time():
    files = [encoded(kind, "RGB", size=(20 + n, 30)) for n in range(10) for kind in ("PNG", "JPEG", "BMP")]

    def load(file):
        return pixels.resize(images.decode(file, 3), (16, 16), "crop")

    dataset = tf.data.Dataset.from_tensor_slices(files)
    parallel = [list(dataset.map(load, num_parallel_calls=8).as_numpy_iterator()) for _ in range(2)]
    np.testing.assert_array_equal(parallel[0], parallel[1])
    np.testing.assert_array_equal(parallel[0], [load(file) for file in files])


# --- upright ---------------------------------------------------------------------------------------------------------


def exif(orientation, order, before=0):
    """An EXIF block that says an orientation, little-endian ("<") or big-endian (">"), some entries before it."""
    others = b"".join(struct.pack(f"{order}HHII", 0x0100 + n, 4, 1, 7) for n in range(before))
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, before + 1)
    return b"Exif\0\0" + head + others + entry + struct.pack(f"{order}I", 0)


def as_pillow_turns(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_stands_upright_as_its_exif_orientation_says(orientation, order):
    data = encoded("JPEG", exif=exif(orientation, order, before=orientation % 3))
    wanted = as_pillow_turns(data)
    assert wanted.shape == ((HEIGHT, WIDTH, 3) if orientation < 5 else (WIDTH, HEIGHT, 3))
    np.testing.assert_array_equal(images.decode(data, 3), wanted)
    np.testing.assert_array_equal(GRAPHS[3](data), wanted)
    np.testing.assert_array_equal(images.decode(data, 3, orientation=False), images.decode(encoded("JPEG"), 3))
    assert images.decode(data, 1).shape == (*wanted.shape[:2], 1)


def test_the_exif_of_a_camera_is_read():
    """As Pillow writes it, behind a comment and with further entries."""
    block = Image.Exif()
    block[0x010F], block[0x0112], block[0x0132] = "a camera", 6, "2020:02:02 02:02:02"
    data = encoded("JPEG", exif=block.tobytes(), comment=b"c" * 300)
    np.testing.assert_array_equal(images.decode(data, 3), as_pillow_turns(data))
    assert images.decode(data, 3).shape == (WIDTH, HEIGHT, 3)


def test_a_jpeg_without_exif_is_as_it_is_stored():
    data = encoded("JPEG")
    assert jpeg_orientation(data) == 1
    np.testing.assert_array_equal(images.decode(data, 3), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("orientation", [0, 9, 2**15])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    data = encoded("JPEG", exif=exif(orientation, ">"))
    np.testing.assert_array_equal(images.decode(data, 3), images.decode(encoded("JPEG"), 3))


def test_a_torn_exif_block_harms_nothing():
    whole, stored = exif(6, "<", before=2), images.decode(encoded("JPEG"), 3)
    count_at = 6 + 8
    torn = {f"cut at {length}": whole[:length] for length in range(8, count_at + 2 + 24, 3)}
    torn["far"] = patched(whole, 10, struct.pack("<I", 2**31 - 1))
    torn["negative"] = patched(whole, 10, struct.pack("<I", 2**32 - 8))
    torn["none"] = patched(whole, count_at, struct.pack("<H", 0))
    for name, block in torn.items():
        np.testing.assert_array_equal(images.decode(encoded("JPEG", exif=block), 3), stored, err_msg=name)
    more_than_there_are = patched(whole, count_at, struct.pack("<H", 2**16 - 1))
    assert images.decode(encoded("JPEG", exif=more_than_there_are), 3).shape == (WIDTH, HEIGHT, 3)


def test_the_search_for_an_orientation_ends_whatever_a_file_says():
    data = encoded("JPEG", exif=exif(6, ">"))
    start = data.index(b"Exif")
    for length in range(3, start + 40, 3):
        assert int(jpeg_orientation(data[:length])) in (1, 6)
    first = data.index(b"\xff\xe0") if b"\xff\xe0" in data else data.index(b"\xff\xe1")
    for said in (0, 1, 2, 2**16 - 1):
        assert int(jpeg_orientation(patched(data, first + 2, struct.pack(">H", said)))) in (1, 6)


@pytest.mark.parametrize(("segments", "found"), [(1, True), (3, False)])
def test_an_orientation_behind_long_segments(segments, found):
    """A camera may keep a preview there; what lies far behind is not looked for."""
    data = encoded("JPEG", exif=exif(6, ">"))
    comment = b"\xff\xfe" + struct.pack(">H", 2**16 - 1) + bytes(2**16 - 3)
    seen = images.decode(data[:2] + segments * comment + data[2:], 3)
    assert seen.shape == ((WIDTH, HEIGHT, 3) if found else (HEIGHT, WIDTH, 3))


# --- 16 bits ---------------------------------------------------------------------------------------------------------


def sixteen_bits(levels):
    file = io.BytesIO()
    Image.fromarray(np.asarray(levels, np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("window", [(0, 4095), (1000, 3000), (0, 2**16 - 1)])
def test_a_window_spreads_the_values_of_sixteen_bits(window):
    low, high = window
    levels = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH))
    levels[0, :4] = 0, 1000, 4095, 2**16 - 1
    data = sixteen_bits(levels)
    wanted = np.round(np.clip((levels - low) * 255 / (high - low), 0, 255))[..., None]
    for channels in (1, 3):
        seen = images.decode(data, channels, window=window).numpy().astype(int)
        assert seen.shape == (HEIGHT, WIDTH, channels)
        assert np.abs(seen - wanted).max() <= 1, "float32 may round a half to the other side"
        assert (seen == wanted).mean() > 0.99
    np.testing.assert_array_equal(images.decode(data, 1)[..., 0], levels >> 8)


@pytest.mark.parametrize(("kind", "mode"), [(k, m) for k, m in PICTURES if m in ("P", "RGB", "RGBA")])
def test_a_window_leaves_eight_bits_alone(kind, mode):
    data = encoded(kind, mode)
    np.testing.assert_array_equal(images.decode(data, 3, window=(0, 4095)), images.decode(data, 3))


# --- the same in training and in what is served ----------------------------------------------------------------------

UPRIGHT = """
name: upright
task: {type: classification, model: flatten}
data:
  source: {type: folder, path: PATH, test: 0}
  features: {image: {size: [20, 30], window: [0, 4095]}}
  sampler: {type: shuffled, batch_size: 4}
  validation: 0
fit: {epochs: 0}
"""


@pytest.mark.slow
def test_a_training_batch_and_an_export_see_the_same_picture(tmp_path):
    files = {f"a/{n}.jpg": encoded("JPEG", exif=exif(n, "<>"[n % 2])) for n in range(1, 9)}
    levels = np.random.default_rng(0).integers(0, 5000, (HEIGHT, WIDTH))
    files |= {"b/1.png": sixteen_bits(levels), "b/2.png": sixteen_bits(levels[:, ::-1])}
    for name, content in files.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    spec = kplug.loads(UPRIGHT.replace("PATH", str(tmp_path / "photos")))
    run = kplug.train(spec, tmp_path / "run")
    exported = tf.saved_model.load(run.export())
    data = open_data(spec)
    paths = [str(path) for path in data.splits["train"].columns["path"]]
    (batch,) = data.examples("train")
    sent = tf.constant([Path(path).read_bytes() for path in paths])
    served = exported.signatures["serving_default"](image_bytes=sent)
    ask = exported.signatures["classify"]
    assert served["valid"].numpy().all()
    np.testing.assert_allclose(served["probabilities"], ask(image=batch["image"])["probabilities"], atol=1e-6)
    assert len(np.unique(np.round(served["probabilities"], 6), axis=0)) == 10, "turned otherwise, it is another picture"
    (as_stored,) = open_data(spec.at({"data.features.image.orientation": False})).examples("train")
    other = ask(image=as_stored["image"])["probabilities"]
    turned = np.array([path.endswith(".jpg") and not path.endswith("/1.jpg") for path in paths])
    np.testing.assert_array_equal(np.abs(served["probabilities"] - other).max(1) > 1e-6, turned)


# --- what files say beside their pixels ------------------------------------------------------------------------------


def gif_of(rng, colours, transparent=None, at=(0, 0), screen=None, interlaced=False):
    """A GIF of random pixels; at another place of a larger screen by its bytes, which Pillow writes at 0, 0."""
    numbers = rng.integers(0, colours, (9, 13), dtype=np.uint8)
    picture = Image.fromarray(numbers, "P")
    picture.putpalette(rng.integers(0, 256, 3 * colours, dtype=np.uint8).tobytes())
    file = io.BytesIO()
    options = {} if transparent is None else {"transparency": transparent}
    picture.save(file, "GIF", interlace=int(interlaced), optimize=False, **options)
    content = bytearray(file.getvalue())
    content[6:10] = struct.pack("<HH", *(screen or (13, 9)))
    place = content.index(b"\x2c" + struct.pack("<HHHH", 0, 0, 13, 9))
    content[place + 1 : place + 5] = struct.pack("<HH", *at)
    return bytes(content)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "options",
    [
        {"colours": 2},
        {"colours": 256, "interlaced": True},
        {"colours": 40, "transparent": 7},
        {"colours": 17, "at": (3, 2), "screen": (20, 30)},
        {"colours": 17, "transparent": 3, "at": (3, 2), "screen": (20, 30)},
        {"colours": 130, "at": (5, 1)},
    ],
)
def test_a_gif_is_what_pillow_reads(options, channels):
    for seed in range(5):
        file = gif_of(np.random.default_rng(seed), **options)
        theirs = np.asarray(Image.open(io.BytesIO(file)).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]), int)
        mine = images.decode(file, channels).numpy().astype(int).reshape(theirs.shape)
        if channels == 4:  # what is transparent has no colour
            mine, theirs = (one * (one[..., 3:] > 0) for one in (mine, theirs))
        assert np.abs(mine - theirs).max() <= (1 if channels == 1 else 0)


@pytest.mark.parametrize("order", ["BGRA", "RGBA", "ABGR"])
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_bmp_of_masks_is_what_it_says(order, upside_down):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    stored = np.stack([pixels[..., "RGBA".index(name)] for name in order], -1)
    masks = [0xFF << 8 * order.index(name) for name in "RGBA"]
    rows = stored if upside_down else stored[::-1]
    header = struct.pack("<IiiHHIIiiII4I", 108, 7, -5 if upside_down else 5, 1, 32, 3, 0, 0, 0, 0, 0, *masks)
    header += bytes(108 - len(header))
    file = (
        b"BM" + struct.pack("<IHHI", 14 + len(header) + stored.size, 0, 0, 14 + len(header)) + header + rows.tobytes()
    )
    np.testing.assert_array_equal(images.decode(file, 4), pixels)
    np.testing.assert_array_equal(images.decode(file, 3), pixels[..., :3])


def test_a_bmp_whose_masks_are_no_bytes_is_refused():
    header = struct.pack("<IiiHHIIiiII3I", 40, 2, 2, 1, 32, 3, 0, 0, 0, 0, 0, 0x3FF, 0xFFC00, 0x3FF00000)
    file = b"BM" + struct.pack("<IHHI", 14 + len(header) + 16, 0, 0, 14 + len(header)) + header + bytes(16)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a BMP whose masks of colours are no whole bytes"):
        images.decode(file, 3)


def test_a_gif_of_empty_blocks_ends_soon():
    file = gif_of(np.random.default_rng(0), 4)
    start = 13 + 3 * 2 ** (file[10] % 8 + 1)  # after the table of colours

    def with_blocks(blocks):
        return file[:start] + b"\x21\xfe" + blocks + b"\0" + file[start:]

    np.testing.assert_array_equal(images.decode(with_blocks(b"\x01a" * 200_000), 3), images.decode(file, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a GIF of more blocks than a picture has"):
        images.decode(with_blocks(b"\x01a\x02aa" * 100_000), 3)


# --- upright PNG, colour keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_png_stands_upright_as_its_exif_orientation_says(orientation, channels):
    block = Image.Exif()
    block[0x010F], block[0x0112] = "a camera", orientation
    data = encoded("PNG", "RGBA", exif=block.tobytes())
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    seen = images.decode(data, channels)
    assert tuple(images.size_of(data)) == seen.shape[:2] == picture.size[::-1]
    if channels > 1:
        np.testing.assert_array_equal(seen, picture.convert({3: "RGB", 4: "RGBA"}[channels]))
        np.testing.assert_array_equal(GRAPHS[channels](data), seen)
    plain = images.decode(data, channels, orientation=False)
    np.testing.assert_array_equal(plain, images.decode(encoded("PNG", "RGBA"), channels))
    behind = data[33 : data.index(b"IDAT") - 4]  # the block, before the pixels; it may stand behind them too
    moved = data.replace(behind, b"")[:-12] + behind + data[-12:]
    np.testing.assert_array_equal(images.decode(moved, channels), seen)


def test_what_only_looks_like_exif_in_a_png_turns_nothing():
    data = encoded("PNG")
    wanted = images.decode(data, 3)
    for content in (
        b"",
        b"II*\0",
        b"MM\0*" + bytes(3),
        b"Exif\0\0II*\0\x08\0\0\0",
        exif(6, "<")[6:-5].replace(b"II*", b"II+"),
    ):
        chunk = struct.pack(">I", len(content)) + b"eXIf" + content
        chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
        np.testing.assert_array_equal(images.decode(data[:33] + chunk + data[33:], 3), wanted)


def keyed(mode, colours, **options):
    """A PNG of few colours, some of which stand for transparent."""
    rng = np.random.default_rng(1)
    if mode == "P":
        numbers = rng.integers(0, colours, (9, 13), dtype=np.uint8)
        numbers[0, :2] = 0, 1
        picture = Image.fromarray(numbers, "P")
        picture.putpalette(rng.integers(0, 256, 3 * colours, dtype=np.uint8).tobytes())
    else:
        shape = (9, 13) if mode in ("L", "1") else (9, 13, 3)
        values = np.array([0, 60, 255], np.uint8)[rng.integers(0, colours, shape)]
        picture = Image.fromarray(values).convert(mode)
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_png_of_few_bits_without_transparency_is_opaque(bits):
    data = keyed("P", 2**bits, bits=bits)
    np.testing.assert_array_equal(GRAPHS[4](data), Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "data",
    [
        keyed("L", 3, transparency=60),
        keyed("1", 3, transparency=255),
        keyed("RGB", 3, transparency=(60, 0, 255)),
        *(keyed("P", 2**bits, bits=bits, transparency=1) for bits in (1, 2, 4, 8)),
        keyed("P", 9, transparency=bytes([0, 255, 120, 7])),
    ],
    ids=["grey", "1 bit", "RGB", "2 colours", "4 colours", "16 colours", "256 colours", "alpha of each"],
)
def test_a_colour_that_stands_for_transparent_is_so(data, channels):
    """Where alpha is asked for; elsewhere transparency is dropped and the colour stays, as of a PNG with alpha."""
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), int)
    assert theirs[..., 3].min() < 255
    seen = GRAPHS[channels](data).numpy().astype(int)
    if channels == 1:
        grey = np.asarray(Image.fromarray(theirs[..., :3].astype(np.uint8)).convert("L"), int)
        assert np.abs(seen[..., 0] - grey).max() <= 1
    else:
        np.testing.assert_array_equal(seen, theirs[..., :channels])


def test_a_key_of_sixteen_bits_is_met_by_all_of_them():
    values = np.array([[0x1234, 0x1235, 0xFFFF]], np.uint16)
    data = sixteen_bits(values)
    key = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 0x1234)
    key += struct.pack(">I", zlib.crc32(key[4:]))
    seen = images.decode(data[:33] + key + data[33:], 4).numpy()
    np.testing.assert_array_equal(seen[0, :, 3], [0, 255, 255])
    np.testing.assert_array_equal(seen[0, :, 0], values[0] >> 8)


# --- what costs too much ---------------------------------------------------------------------------------------------


def with_scans(size, count, **options):
    """A progressive JPEG with its last scan again and again."""
    data = encoded("JPEG", size=size, progressive=True, **options)
    at, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[at:end] * count + data[end:]


@pytest.mark.filterwarnings("ignore")
def test_a_jpeg_of_hundreds_of_scans_is_refused_where_it_is_large():
    assert images.decode(with_scans((200, 150), 300), 3).shape == (150, 200, 3)
    hostile = with_scans((2000, 1500), 300)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        images.decode(hostile, 3, limit=SERVED)
    assert images.reason(caught.value) == "a picture of 2000 x 1500 pixels in more than 99 scans"
    assert not is_served(hostile)
    assert is_served(with_scans((2000, 1500), 80))
    assert is_served(encoded("JPEG", "CMYK", size=(4096, 3072), progressive=True, quality=30))


def test_a_preview_or_a_film_behind_a_picture_is_not_counted():
    """As phones write them, behind the end of the picture or in a segment before it."""
    data = encoded("JPEG", size=(2000, 1500))
    wanted = images.decode(data, 3)
    film = b"\xff\xda" * 6000
    preview = b"\xff\xfe" + struct.pack(">H", 2 + len(film)) + film
    for file in (data + film, data[:2] + preview * 3 + data[2:]):
        np.testing.assert_array_equal(images.decode(file, 3, limit=SERVED), wanted)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"quality": 1, "optimize": True}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("colour", [0, 128, 255])
def test_no_honest_picture_has_too_few_bytes(mode, colour, options):
    """Those of one colour have the fewest; 128 is what libjpeg fills with where a file ends too early."""
    picture = Image.new(mode, (3000, 2000), (colour,) * len(Image.new(mode, (1, 1)).getbands()))
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    assert is_served(file.getvalue())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.4])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_that_ends_early_and_says_that_it_is_done_is_refused(mode, share):
    data = encoded("JPEG", mode, size=(400, 300), quality=70)
    scan = data.rindex(b"\xff\xda") + 16
    assert is_served(data)
    assert not is_served(data[: scan + int(share * (len(data) - scan))] + b"\xff\xd9")


def test_a_jpeg_that_says_a_size_it_has_no_bytes_for_is_refused_by_its_header():
    data = patched(encoded("JPEG"), encoded("JPEG").index(b"\xff\xc0") + 5, struct.pack(">HH", 11_000, 11_000))
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        images.decode(data, 1)
    assert images.reason(caught.value) == "a picture of 11000 x 11000 pixels in so few bytes: most of it is missing"


def test_what_is_served_may_be_smaller_than_what_is_trained_with():
    data = png_header(6000, 6000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 12582912 in all"):
        images.decode(data, 3, limit=SERVED)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        images.decode(data, 3)
    assert "pixels" not in images.reason(caught.value)
    codec = ImageCodec((16, 12), "pad", 3)
    (kept,), (served,) = (read_rows("image", one, tf.constant([solid_png(6000)]))[1] for one in (codec, codec.served))
    assert (bool(kept), bool(served)) == (True, False)


def solid_png(side):
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


def test_two_sides_of_a_gif_are_no_larger_together_than_one_may_be():
    """The screen is wide and the frame is high: what holds both is neither."""
    file = gif_of(np.random.default_rng(0), 4)
    place = file.index(b"\x2c" + struct.pack("<HHHH", 0, 0, 13, 9))
    hostile = patched(patched(file, 6, struct.pack("<HH", 65_535, 1)), place + 1, struct.pack("<HH", 0, 65_000))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a picture of 65535 x 65009 pixels"):
        images.decode(hostile, 3)


def test_a_large_picture_is_grey_by_strips_as_a_small_one_is_at_once(monkeypatch):
    picture = tf.constant(np.random.default_rng(0).integers(0, 256, (301, 207, 3)), tf.uint8)
    at_once = pixels.luma(picture)
    monkeypatch.setattr(pixels, "STRIP", 1000)
    np.testing.assert_array_equal(pixels.luma(picture), at_once)
    np.testing.assert_array_equal(tf.function(pixels.luma)(picture), at_once)


def with_texts(count, size):
    data = encoded("PNG", size=size, compress_level=0)
    packed = b"k\0\0" + zlib.compress(b"a" * 5000)
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed
    return data[:33] + (chunk + struct.pack(">I", zlib.crc32(chunk[4:]))) * count + data[33:]


@pytest.mark.parametrize(
    ("count", "size", "fits"), [(16, (300, 200), True), (17, (300, 200), False), (50, (30, 20), True)]
)
def test_a_png_of_many_texts_is_refused_where_they_can_be_large(count, size, fits):
    assert is_served(with_texts(count, size)) == fits
