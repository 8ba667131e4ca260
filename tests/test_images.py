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
from kplug.data.codecs import pixels
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
    assert images.exif_orientation(data) == 1
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
        assert int(images.exif_orientation(data[:length])) in (1, 6)
    first = data.index(b"\xff\xe0") if b"\xff\xe0" in data else data.index(b"\xff\xe1")
    for said in (0, 1, 2, 2**16 - 1):
        assert int(images.exif_orientation(patched(data, first + 2, struct.pack(">H", said)))) in (1, 6)


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
