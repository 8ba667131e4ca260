#!/usr/bin/env python
"""The input pipeline with masks and boxes beside its pictures, against the same pictures alone.

usage: living.py [--pictures N] [--rounds N] [--seed N]

Both read the JPEG files of the benchmark "mobilenet" and change them by flips, crops and RandAugment. One has beside
each a mask file and ten boxes, which move with it. They are processes that read in turn; a line of JSON tells the
median of the rounds' ratios, with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from contender import Chunks, take_stdout
from driver import Side, race, running
from kplug_contender import read_input
from pictures import SIZE, write_jpegs
from PIL import Image, ImageDraw

from kplug import Columns, Source, Split, hookimpl
from kplug.spec.plugins import Plugin as Installed
from kplug.spec.plugins import host

SPEC = """
name: living
task: {type: classification, model: mobilenet}
data:
  source: {type: living, path: PATH, alone: ALONE}
  features: {image: {size: [96, 96], resize: crop}}
  sampler: {type: shuffled, batch_size: BATCH}
  augment:
  - random_flip
  - {type: random_crop, padding: 8}
  - {type: rand_augment, operations: 2, magnitude: 9}
"""
OBJECTS = 10  # of each picture
BATCH, LEAD, STEPS = 32, 16, 64  # of a chunk, as the benchmark "mobilenet" has them


def living(path: str, alone: bool) -> Source:
    """Read JPEG files with masks and boxes.

    Args:
        path: of the files.
        alone: leave out what lives in the pictures.
    """
    import tensorflow as tf

    files = sorted(Path(path).rglob("*.jpg"))
    boxes = np.load(f"{path}/boxes.npy")
    names = tf.constant([str(file) for file in files])
    columns = {"label": np.arange(len(files), dtype=np.int32) % 10}
    columns |= {} if alone else {"boxes": boxes, "boxes_class": np.zeros(boxes.shape[:2], np.int32)}

    def load(row: Any) -> dict[str, Any]:
        name = tf.gather(names, row)
        found = {"image": tf.io.read_file(name)}
        mask = tf.strings.regex_replace(name, "jpg$", "png")
        return found if alone else found | {"mask": tf.io.read_file(mask)}

    features = {"image": "image", "label": "label"} | ({} if alone else {"mask": "mask", "boxes": "boxes"})
    facts = {"label": {"classes": [str(n) for n in range(10)]}, "mask": {"classes": ["ground", "object"]}}
    split = Split(Columns(len(files), columns), load, features, facts)
    return {"train": split, "test": split}


class Plugin:
    """What makes the source known."""

    @staticmethod
    @hookimpl
    def components() -> list[Any]:
        return [living]


def write(folder: Path, count: int, seed: int) -> None:
    """JPEG files, a mask file beside each, and the boxes of all."""
    write_jpegs(folder, count, seed, None)
    rng = np.random.default_rng(seed)
    boxes = []
    for file in sorted(folder.rglob("*.jpg")):
        mask = Image.new("L", SIZE)
        corners = rng.uniform(0, 0.8, (OBJECTS, 2)) * SIZE
        own = np.concatenate([corners, corners + rng.uniform(20, 60, (OBJECTS, 2))], axis=1)
        for box in own.tolist():
            ImageDraw.Draw(mask).ellipse(box, fill=1)
        mask.save(file.with_suffix(".png"))
        boxes.append(np.minimum(own, [*SIZE, *SIZE]))
    np.save(folder / "boxes.npy", np.array(boxes, np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--read", metavar="SPEC", help="be one of the two; used by this program itself")
    asked = parser.parse_args()
    if asked.read:
        host().add(Plugin, Installed("living", "living", "0"))
        return read_input(asked.read, [], Chunks(take_stdout()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, asked.pictures, asked.seed)
        for side, is_alone in (("alone", "true"), ("beside", "false")):
            (folder / f"{side}.yaml").write_text(
                SPEC.replace("PATH", name).replace("ALONE", is_alone).replace("BATCH", str(BATCH))
            )
        sides = [
            Side(side, [sys.executable, __file__, "--read", str(folder / f"{side}.yaml")])
            for side in ("alone", "beside")
        ]
        with running(sides) as started:
            rates = race([contender for contender, _ in started], asked.rounds + 1, LEAD, STEPS)
    rates = {side: values[1:] for side, values in rates.items()}  # the first is not warm
    ratios = [beside / alone for alone, beside in zip(rates["alone"], rates["beside"], strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    found = {side: round(statistics.median(values) * BATCH) for side, values in rates.items()}
    found |= {"ratio": round(median, 3), "quartiles": [round(low, 3), round(high, 3)], "rounds": asked.rounds}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
