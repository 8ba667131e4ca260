"""A sheet of a run's samples: each picture with what lives in it drawn on it, the cheapest look at what is trained."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from kplug.data.values import Arrays
from kplug.records import Codec, DataInfo

LEAST = 128  # pixels that the shorter side of a picture is made larger to
COLUMNS, GAP = 4, 4


def sheet(info: DataInfo, examples: Arrays) -> bytes | None:
    """A PNG of examples side by side; None where nothing lives in a picture.

    Args:
        info: knows the codecs of the fields.
        examples: arrays `[n, ...]` by the names of a batch.
    """
    frames = {codec.frame for codec in info.codecs.values() if codec.in_frame}
    tiles = [
        drawn(info, {key: values[number] for key, values in examples.items()}, frame)
        for number in range(len(next(iter(examples.values()), ())))
        for frame in sorted(frame for frame in frames if frame in examples)
    ]
    if not tiles:
        return None
    width, height = (max(tile.size[axis] for tile in tiles) + GAP for axis in (0, 1))
    rows = -(-len(tiles) // COLUMNS)
    whole = Image.new("RGB", (width * min(COLUMNS, len(tiles)), height * rows), "white")
    for number, tile in enumerate(tiles):
        whole.paste(tile, (number % COLUMNS * width, number // COLUMNS * height))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def drawn(info: DataInfo, example: Arrays, frame: str | None) -> Image.Image:
    """The picture of one example, enlarged, with the fields that live in it; of a clip, its first picture."""
    pixels = np.asarray(example[str(frame)])
    pixels = pixels[0] if pixels.ndim == 4 else pixels
    factor = max(1, -(-LEAST // min(pixels.shape[:2])))
    picture = Image.fromarray(np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels[..., :3])
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    for name, codec in info.codecs.items():
        if codec.in_frame and codec.frame == frame:
            codec.draw(_arrays_of(name, codec, example), ImageDraw.Draw(picture), factor)
    return picture


def _arrays_of(name: str, codec: Codec, example: Arrays) -> dict[str, Any]:
    names = {suffix: f"{name}_{suffix}" if suffix else name for suffix in codec.arrays}
    return {suffix: example[array] for suffix, array in names.items() if array in example}
