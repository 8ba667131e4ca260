"""The pictures of the benchmarks: class folders of JPEG files and an .npz file, the same from each seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10
SIZE = 320, 240  # width, height of a JPEG file


def write_jpegs(folder: Path, count: int, seed: int, originals: Path | None) -> None:
    """`folder/train/<class>/<n>.jpg`."""
    rng = np.random.default_rng(seed)
    for number, picture in enumerate(_pictures(rng, count, SIZE, originals)):
        path = folder / "train" / f"class{number % CLASSES}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=90)


def write_arrays(path: Path, count: int, side: int, seed: int, originals: Path | None) -> None:
    """`x_train`, uint8 `[count, side, side, 3]`, and `y_train`."""
    rng = np.random.default_rng(seed)
    pictures = np.stack([np.asarray(picture) for picture in _pictures(rng, count, (side, side), originals)])
    np.savez(path, x_train=pictures, y_train=np.arange(count) % CLASSES)


def _pictures(rng: np.random.Generator, count: int, size: tuple[int, int], originals: Path | None):
    """Random windows of the originals, brought to a size; without originals, smooth random fields."""
    files = sorted(originals.rglob("*.jpg")) if originals else []
    if originals and not files:
        raise SystemExit(f"no .jpg files below {originals}")
    opened = [Image.open(file).convert("RGB") for file in rng.permutation(np.array(files, object))[:200]]
    for number in range(count):
        if not opened:
            coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            fine = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.int16)
            yield Image.fromarray(np.clip(fine + rng.normal(0, 6, fine.shape), 0, 255).astype(np.uint8))
            continue
        picture = opened[number % len(opened)]
        share = rng.uniform(0.6, 1.0)
        width, height = (int(side * share) for side in picture.size)
        left, top = (
            int(rng.integers(0, old - new + 1)) for old, new in zip(picture.size, (width, height), strict=True)
        )
        yield picture.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.BILINEAR)
