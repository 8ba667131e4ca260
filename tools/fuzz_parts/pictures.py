#!/usr/bin/env python
"""Hostile pictures, and what each costs the codec of pictures, live and exported.

    tools/fuzz_parts/pictures.py --seed 0 --count 1000

decodes each beside two healthy ones and writes a line of JSON for it: the CPU seconds and the megabytes by which memory
grew, at most, live and exported; whether it is valid; and what is wrong, if anything is.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
SIZE = (224, 224)  # that pictures are brought to
# With oneDNN TensorFlow keeps what it has freed for itself: what a picture takes of that would not be counted.
SEEN_BY_RSS = {"TF_ENABLE_ONEDNN_OPTS": "0"}
AT_LIMIT = 3547  # a square of which has as many pixels as are served: those of 4096 x 3072
BEYOND = (4097, 11_585, 20_000, 40_000, 65_535)
MOST_SECONDS, MOST_MEGABYTES = 1.0, 500.0
TOO_SLOW = f"more than {MOST_SECONDS} s"
Make = Callable[[np.random.Generator], bytes]

# --- healthy pictures ------------------------------------------------------------------------------------------------


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@functools.cache
def rough(mode: str = "RGB", size: tuple[int, int] = (53, 41)) -> Image.Image:
    """A picture with something to see."""
    colours = np.random.default_rng(7).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    picture = Image.fromarray(colours).resize(size)
    return picture.convert("RGB").quantize(40) if mode == "P" else picture.convert(mode)


@functools.cache
def healthy() -> dict[str, bytes]:
    """Small pictures that decode, of each kind of file."""
    sixteen = np.random.default_rng(3).integers(0, 2**16, (41, 53), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "jpeg": saved(rough(), "JPEG"),
        "grey jpeg": saved(rough("L"), "JPEG"),
        "cmyk jpeg": saved(rough("CMYK"), "JPEG"),
        "progressive jpeg": saved(rough(), "JPEG", progressive=True, subsampling=0),
        "turned jpeg": saved(rough(), "JPEG", exif=exif.tobytes()),
        "png": saved(rough(), "PNG"),
        "rgba png": saved(rough("RGBA"), "PNG"),
        "palette png": saved(rough("P"), "PNG", transparency=3),
        "16 bit png": saved(Image.fromarray(sixteen), "PNG"),
        "turned png": saved(rough(), "PNG", exif=exif.tobytes()),
        "gif": saved(rough("P"), "GIF", transparency=3),
        "bmp": saved(rough(), "BMP"),
        "palette bmp": saved(rough("P"), "BMP"),
        "masks bmp": bmp(7, 5, 32, bytes(7 * 5 * 4), masks=(0xFF0000, 0xFF00, 0xFF)),
    }


def one_of(rng: np.random.Generator, values: Any) -> Any:
    """One of several values."""
    return values[int(rng.integers(len(values)))]


def patched(data: bytes, at: int, values: bytes) -> bytes:
    """The bytes with others from a place on."""
    return data[:at] + values + data[at + len(values) :]


# --- any file --------------------------------------------------------------------------------------------------------


def flipped(rng: np.random.Generator) -> bytes:
    data = bytearray(one_of(rng, list(healthy().values())))
    for place in rng.integers(0, len(data), int(rng.integers(1, 8))):
        data[place] = rng.integers(256)
    return bytes(data)


def flipped_head(rng: np.random.Generator) -> bytes:
    data = bytearray(one_of(rng, list(healthy().values())))
    for place in rng.integers(2, min(60, len(data)), int(rng.integers(1, 4))):
        data[place] = one_of(rng, [0, 1, 127, 128, 254, 255])
    return bytes(data)


def truncated(rng: np.random.Generator) -> bytes:
    data = one_of(rng, list(healthy().values()))
    return data[: rng.integers(len(data))]


def spliced(rng: np.random.Generator) -> bytes:
    one, other = (one_of(rng, list(healthy().values())) for _ in range(2))
    return one[: rng.integers(len(one))] + other[rng.integers(len(other)) :]


def nonsense(rng: np.random.Generator) -> bytes:
    magic = one_of(rng, [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF0000WEBP", b"II*\0"])
    return magic + rng.bytes(int(rng.integers(0, 3000)))


# --- JPEG ------------------------------------------------------------------------------------------------------------


def jpeg_says(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header says another size."""
    at = next(data.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind, 0, 17]) in data)
    return patched(data, at + 5, struct.pack(">HH", height, width))


def a_jpeg(rng: np.random.Generator) -> bytes:
    return healthy()[one_of(rng, ["jpeg", "progressive jpeg", "turned jpeg"])]


def huge_jpeg(rng: np.random.Generator) -> bytes:
    side = one_of(rng, (AT_LIMIT, *BEYOND))
    return jpeg_says(a_jpeg(rng), side, one_of(rng, (side, 3, 65_535)))


def padded_jpeg(rng: np.random.Generator) -> bytes:
    """One that has as many bytes as its size asks for, behind its end or in a comment."""
    comment = b"\xff\xfe" + struct.pack(">H", 65_535) + bytes(65_533)
    data = jpeg_says(a_jpeg(rng), AT_LIMIT, AT_LIMIT)
    return data + bytes(70_000) if rng.random() < 0.5 else data[:2] + comment * 2 + data[2:]


def thin_jpeg(rng: np.random.Generator) -> bytes:
    return jpeg_says(a_jpeg(rng), *one_of(rng, [(1, 65_535), (65_535, 1), (32_768, 1024), (65_535, 512), (9, 30_000)]))


def ended_jpeg(rng: np.random.Generator) -> bytes:
    """One that ends early with the mark of an end."""
    data = saved(rough("RGB", (400, 300)), "JPEG", quality=int(rng.integers(30, 95)))
    scan = data.rindex(b"\xff\xda") + 14
    return data[: scan + int((len(data) - scan) * rng.random() ** 3)] + b"\xff\xd9"


def scans_jpeg(rng: np.random.Generator) -> bytes:
    size = one_of(rng, [(400, 300), (2000, 1500), (AT_LIMIT, AT_LIMIT)])
    data = large("progressive", size)
    at, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    scan = data[at : at + 10] if rng.random() < 0.5 else data[at:end]
    return data[:end] + scan * min(int(one_of(rng, [5, 20, 300, 3000])), 2_000_000 // len(scan)) + data[end:]


def segments_jpeg(rng: np.random.Generator) -> bytes:
    data, count = a_jpeg(rng), int(one_of(rng, [3, 1000, 50_000]))
    return (
        data[:2]
        + b"\xff"
        + bytes([one_of(rng, [0xE1, 0xFE, 0xE2])])
        + b"\0\2" * 1
        + (b"\xff\xfe\0\2" * count)
        + data[2:]
    )


def lying_segments_jpeg(rng: np.random.Generator) -> bytes:
    data = a_jpeg(rng)
    marker = one_of(rng, [place for place in range(2, 400) if data[place] == 0xFF and data[place + 1] > 0xBF])
    return patched(data, marker + 2, struct.pack(">H", int(one_of(rng, [0, 1, 2, 3, 255, 65_535]))))


def components_jpeg(rng: np.random.Generator) -> bytes:
    """One with other sampling factors, numbers of components, or bits."""
    data = a_jpeg(rng)
    at = next(data.index(bytes([0xFF, kind, 0, 17])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind, 0, 17]) in data)
    place = at + one_of(rng, [4, 9, 10, 11, 12, 13, 14, 16, 17])
    return patched(data, place, bytes([one_of(rng, [0, 1, 2, 4, 0x14, 0x41, 0x44, 0x11, 0xFF, 12])]))


def other_jpeg(rng: np.random.Generator) -> bytes:
    """One that says another way of coding: arithmetic, lossless, hierarchical."""
    data = healthy()["jpeg"]
    return patched(data, data.index(b"\xff\xc0") + 1, bytes([one_of(rng, [0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB])]))


def adobe_jpeg(rng: np.random.Generator) -> bytes:
    data = healthy()[one_of(rng, ["jpeg", "cmyk jpeg", "grey jpeg"])]
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([one_of(rng, [0, 1, 2, 3, 255])])
    return data[:2] + adobe + data[2:]


def exif_jpeg(rng: np.random.Generator) -> bytes:
    """One whose EXIF block leads out of itself, or in circles."""
    order = one_of(rng, "<>")
    offset = int(one_of(rng, [0, 8, 9, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8, 200]))
    entry = struct.pack(f"{order}HHIHH", 0x0112, *(int(one_of(rng, [0, 1, 3, 6, 65_535])) for _ in range(4)))
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    block += struct.pack(f"{order}H", int(one_of(rng, [0, 1, 65_535]))) + entry * int(rng.integers(0, 300)) + bytes(4)
    segment = b"Exif\0\0" + block[: int(one_of(rng, [8, 14, 65_000]))]
    data = healthy()["jpeg"]
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


@functools.cache
def large(kind: str, size: tuple[int, int] = (AT_LIMIT, AT_LIMIT)) -> bytes:
    """An honest picture of a size, which costs as much as may be."""
    exif = Image.Exif()
    exif[0x0112] = 7
    if kind == "progressive":
        return saved(rough("RGB", size), "JPEG", progressive=True, subsampling=0, quality=50)
    if kind == "cmyk":
        return saved(rough("CMYK", size), "JPEG", progressive=True, quality=50)
    if kind == "turned":
        return saved(rough("RGB", size), "JPEG", exif=exif.tobytes(), quality=50)
    if kind == "gif":
        return saved(rough("P", size), "GIF")
    return png(size, *one_of(np.random.default_rng(0), [(16, 6)]))


def large_picture(rng: np.random.Generator) -> bytes:
    return large(one_of(rng, ["progressive", "cmyk", "turned", "gif", "png"]))


# --- PNG -------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    size: tuple[int, int], depth: int, colour: int, interlaced: int = 0, more: bytes = b"", rows: int = -1
) -> bytes:
    """A PNG of zeros of any kind, with the pixels of `rows`."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    row = bytes(1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1) + 7) // 8)
    work = zlib.compressobj(9)
    rows = height + interlaced * (height // 8 + 8) if rows < 0 else rows  # the passes have more rows, which are short
    packed = b"".join(work.compress(row * 64) for _ in range(rows // 64)) + work.compress(row * (rows % 64))
    pixels = chunk(b"IDAT", packed + work.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + pixels + chunk(b"IEND", b"")


def huge_png(rng: np.random.Generator) -> bytes:
    side, few = one_of(rng, (AT_LIMIT, *BEYOND, 2**31 - 1, 2**32 - 1)), int(rng.integers(0, 200))
    return (
        png((side, one_of(rng, (side, 1, 1000))), *one_of(rng, [(8, 2), (16, 6), (1, 0), (8, 3)]), rows=few)
        if side < 2**17
        else patched(healthy()["png"], 16, struct.pack(">II", side, side))
    )


def lying_png(rng: np.random.Generator) -> bytes:
    """A PNG whose header says what cannot be, with a right CRC."""
    values = [(0, 1, 7, 2**31, 2**32 - 1)] * 2
    header = struct.pack(">II", *(int(one_of(rng, those)) for those in values))
    header += bytes(int(one_of(rng, [0, 1, 2, 3, 4, 6, 8, 16, 255])) for _ in range(5))
    data = healthy()[one_of(rng, ["png", "palette png", "16 bit png", "rgba png"])]
    if rng.random() < 0.6:  # the size as it is
        header = data[16:24] + header[8:]
    return data[:8] + chunk(b"IHDR", header) + data[33:]


def bomb_png(rng: np.random.Generator) -> bytes:
    """A honest PNG as large as may be, in few bytes."""
    depth, colour = one_of(rng, [(1, 0), (8, 2), (16, 6), (16, 2), (8, 6), (16, 4)])
    return packed_png(depth, colour, int(rng.integers(2)))


@functools.cache
def packed_png(depth: int, colour: int, interlaced: int) -> bytes:
    return png((AT_LIMIT, AT_LIMIT), depth, colour, interlaced)


@functools.cache
def zeros(megabytes: int) -> bytes:
    work = zlib.compressobj(9)
    return b"".join(work.compress(bytes(2**20)) for _ in range(megabytes)) + work.flush()


def text_png(rng: np.random.Generator) -> bytes:
    """A PNG whose texts or profiles grow when they are unpacked, or are many."""
    bomb = zeros(int(one_of(rng, [1, 7, 60])))
    kind, head = one_of(rng, [(b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")])
    data, many = healthy()["png"], int(one_of(rng, [1, 10, 100]))
    some = chunk(kind, head + bomb) * many
    return data[:33] + some + data[33:] if rng.random() < 0.5 else data[:-12] + some + data[-12:]


def chunks_png(rng: np.random.Generator) -> bytes:
    data, count = healthy()["png"], int(one_of(rng, [10, 900, 30_000]))
    some = one_of(rng, [chunk(b"tEXt", b"k\0a"), chunk(b"abCd", b""), chunk(b"IDAT", b""), chunk(b"eXIf", b"II*\0")])
    return data[:33] + some * count + data[33:]


def extra_png(rng: np.random.Generator) -> bytes:
    """A PNG with more pixels than it says."""
    data = healthy()["png"]
    return data[:33] + chunk(b"IDAT", zeros(int(one_of(rng, [1, 60, 200])))) + data[-12:]


def palette_png(rng: np.random.Generator) -> bytes:
    """A PNG whose palette or transparency is missing, short, long or twice there."""
    palette = one_of(rng, [b"", chunk(b"PLTE", b""), chunk(b"PLTE", bytes(3)), chunk(b"PLTE", bytes(771))])
    clear = one_of(rng, [b"", chunk(b"tRNS", b""), chunk(b"tRNS", bytes(6)), chunk(b"tRNS", bytes(300))])
    more = palette * int(rng.integers(1, 3)) + clear
    return png((9, 7), *one_of(rng, [(8, 3), (1, 3), (4, 3), (8, 2), (16, 0), (8, 6)]), more=more)


def exif_png(rng: np.random.Generator) -> bytes:
    jpeg = exif_jpeg(rng)
    at = jpeg.index(b"Exif\0\0") + 6
    data = healthy()["png"]
    return data[:33] + chunk(b"eXIf", jpeg[at : at + int(rng.integers(0, 60))]) + data[33:]


# --- GIF -------------------------------------------------------------------------------------------------------------


def gif(
    rng: np.random.Generator, frame: tuple[int, int, int, int], screen: tuple[int, int], before: bytes = b""
) -> bytes:
    """The healthy GIF with its frame (left, top, width, height) and its screen changed, and blocks before it."""
    data = patched(healthy()["gif"], 6, struct.pack("<HH", *screen))
    at = data.index(b"\x2c\0\0\0\0")
    data = patched(data, at + 1, struct.pack("<HHHH", *frame))
    start = 13 + 3 * 2 ** (data[10] % 8 + 1)
    return data[:start] + before + data[start:]


def placed_gif(rng: np.random.Generator) -> bytes:
    frame, screen = ([int(one_of(rng, [0, 1, 41, 53, 300, 5000, AT_LIMIT, 65_535])) for _ in range(n)] for n in (4, 2))
    return gif(rng, tuple(frame), tuple(screen))


def blocks_gif(rng: np.random.Generator) -> bytes:
    count = int(one_of(rng, [100, 1000, 300_000]))
    comments = [b"\x21\xfe" + blocks * count + b"\0" for blocks in (b"\x01a", b"\x01a\x02aa")]
    many = one_of(rng, [*comments, b"\x21\xfe\0" * count, b"\x21\xf9\4\1\0\0\3\0" * count])
    return gif(rng, (0, 0, 53, 41), (53, 41), many)


def bytes_gif(rng: np.random.Generator) -> bytes:
    """One whose pixels come in blocks of a byte."""
    data = healthy()["gif"]
    at = data.index(b"\x2c\0\0\0\0") + 11
    end, pixels = at, b""
    while data[end]:
        pixels += data[end + 1 : end + 1 + data[end]]
        end += 1 + data[end]
    return data[:at] + b"".join(b"\1" + bytes([each]) for each in pixels) + data[end:]


def tables_gif(rng: np.random.Generator) -> bytes:
    data = patched(healthy()["gif"], 10, bytes([one_of(rng, [0, 0x70, 0x80, 0x87, 0xF7])]))
    at = data.index(b"\x2c\0\0\0\0")
    return patched(
        data, at + 9, bytes([one_of(rng, [0, 0x40, 0x80, 0x87, 0xC0]), one_of(rng, [0, 1, 2, 8, 11, 12, 255])])
    )


# --- BMP -------------------------------------------------------------------------------------------------------------


def bmp(
    width: int, height: int, bits: int, pixels: bytes, compression: int = 0, offset: int = -1, masks: Any = ()
) -> bytes:
    """A BMP that says anything."""
    packed = struct.pack(f"<{len(masks)}I", *masks)
    compression = 3 if masks else compression
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0) + packed
    offset = 14 + len(header) if offset < 0 else offset
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, offset) + header + pixels


def lying_bmp(rng: np.random.Generator) -> bytes:
    sizes = [0, 1, 7, -7, AT_LIMIT, 65_535, -(2**31), 2**31 - 1]
    return bmp(
        int(one_of(rng, sizes)),
        int(one_of(rng, sizes)),
        int(one_of(rng, [0, 1, 4, 8, 16, 24, 32, 255])),
        rng.bytes(int(one_of(rng, [0, 10, 5000]))),
        int(one_of(rng, [0, 1, 2, 3, 4, 255])),
        int(one_of(rng, [-1, 0, 10, 54, 2**31 - 1, 2**32 - 1])),
        one_of(rng, [(), (0xFF, 0xFF00, 0xFF0000), (0, 0, 0), (0xFFFFFFFF, 1, 2**31)]),
    )


def indexed_bmp(rng: np.random.Generator) -> bytes:
    """One whose pixels name colours that its palette has not."""
    data, offset = healthy()["palette bmp"], int(one_of(rng, [54, 58, 62, 700, 1078, 2**31 - 1]))
    return patched(data, 10, struct.pack("<I", offset))


KINDS: dict[str, Make] = {
    make.__name__.replace("_", " "): make
    for make in (
        *(flipped, flipped_head, truncated, spliced, nonsense, huge_jpeg, padded_jpeg, thin_jpeg, ended_jpeg),
        *(scans_jpeg, segments_jpeg, lying_segments_jpeg, components_jpeg, other_jpeg, adobe_jpeg, exif_jpeg),
        *(large_picture, huge_png, lying_png, bomb_png, text_png, chunks_png, extra_png, palette_png, exif_png),
        *(placed_gif, blocks_gif, bytes_gif, tables_gif, lying_bmp, indexed_bmp),
    )
}


def hostile_pictures(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Files that do harm to a careless decoder, each with what it is; of each kind in turn."""
    kinds = list(KINDS.items())
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        yield f"{number} {name}", make(np.random.default_rng((seed, number)))


# --- what they cost --------------------------------------------------------------------------------------------------


def weighed(seed: int, count: int, channels: int = 3, timeout: float = 3600) -> list[dict[str, Any]]:
    """What each of the hostile pictures costs, measured in a process of its own.

    Returns:
        For each `picture`, `bytes`, `valid`, `seconds` and `megabytes` (the larger of live and exported), and `wrong`,
        a list of faults. Where the process ended before all were done, the last has the fault.
    """
    command = [sys.executable, __file__, "--seed", str(seed), "--count", str(count), "--channels", str(channels)]
    done = subprocess.run(command, env=os.environ | SEEN_BY_RSS, capture_output=True, text=True, timeout=timeout)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        names = [name for name, _ in hostile_pictures(seed, len(found) + 1)]
        found.append(
            {"picture": names[-1], "wrong": [f"the process ended with {done.returncode}: {done.stderr[-2000:]}"]}
        )
    return found


class Weighing:
    """The codec of pictures as it serves, live and out of a SavedModel, between two healthy neighbours."""

    def __init__(self, channels: int, folder: Path) -> None:
        import tensorflow as tf

        from kplug.data.codecs.image import ImageCodec
        from kplug.data.raw import read_rows

        codec = ImageCodec(SIZE, "pad", channels).served
        module = tf.Module()

        def read(files: Any) -> dict[str, Any]:
            found, valid = read_rows("image", codec, files)
            return {**found, "valid": valid}

        module.read = tf.function(read, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        tf.saved_model.save(module, str(folder), signatures=module.read)
        self.ways = {"live": module.read, "exported": tf.saved_model.load(str(folder)).signatures["serving_default"]}
        self.neighbours = [healthy()["jpeg"], healthy()["palette png"]]
        self.wanted = {name: self._ask(way, self.neighbours) for name, way in self.ways.items()}

    @staticmethod
    def _ask(way: Any, files: list[bytes]) -> tuple[Any, Any]:
        import tensorflow as tf

        found = way(files=tf.constant(files))
        return found["image"].numpy(), found["valid"].numpy()

    def of(self, name: str, data: bytes) -> dict[str, Any]:
        """What a picture costs, and what is wrong with how it is read."""
        seconds, megabytes, wrong, valid, pictures = [], [], [], [], []
        for how, way in self.ways.items():
            before, begin = reset_peak(), time.process_time()
            image, is_valid = self._ask(way, [self.neighbours[0], data, self.neighbours[1]])
            seconds.append(time.process_time() - begin)
            megabytes.append(memory("VmHWM") - before)
            valid.append(bool(is_valid[1]))
            pictures.append(image[1])
            if not is_valid[[0, 2]].all() or not np.array_equal(image[[0, 2]], self.wanted[how][0]):
                wrong.append(f"{how}: a neighbour is disturbed")
            if not is_valid[1] and image[1].any():
                wrong.append(f"{how}: not valid and not blank")
        if valid[0] != valid[1] or not np.array_equal(*pictures):
            wrong.append("live and exported differ")
        costs = {"seconds": round(max(seconds), 3), "megabytes": round(max(megabytes), 1)}
        wrong += [TOO_SLOW] * (costs["seconds"] > MOST_SECONDS)
        wrong += [f"more than {MOST_MEGABYTES} MB"] * (costs["megabytes"] > MOST_MEGABYTES)
        return {"picture": name, "bytes": len(data), "valid": valid[0], **costs, "wrong": wrong}


def memory(what: str) -> float:
    """Megabytes of this process: VmRSS, or VmHWM for the most since `reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def reset_peak() -> float:
    """Forget how much memory was used at most, give back what is free, and return what is used now."""
    import ctypes

    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("--seed", 0), ("--count", 1000), ("--channels", 3)):
        parser.add_argument(option, type=int, default=value)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weighing = Weighing(given.channels, Path(folder))
        for name, data in hostile_pictures(given.seed, given.count):
            print(json.dumps(weighing.of(name, data)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
