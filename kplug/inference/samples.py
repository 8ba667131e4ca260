"""A few whole examples that a run keeps, as its model gets them: an export is compared on them, without the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kplug.data.features import arrays_of
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.values import Arrays, by_owner
from kplug.errors import listed
from kplug.inference.drawing import sheet
from kplug.model.memory import out_of_memory
from kplug.records import AsItIs, Codec, DataInfo
from kplug.spec.format_1 import samples_of_format_1
from kplug.storage.reading import LONGEST, content_of, damaged
from kplug.storage.run_directory import RunDirectory

# Examples that a run keeps. An export compares the saved model on them with the live one: more take it longer, fewer
# show less of a difference. Nobody measured the number.
SAMPLES = 16
FOLDER = "samples"
ADVICE = "put it back as it was, or remove the folder samples: an export is then compared on noise"


def keep_samples(run: RunDirectory, data: Data) -> None:
    """Keep a few real examples in a run: a file for each field of each, `samples/FIELD/00.png`."""
    split = next(name for name in ("validation", "test", "train") if name in data.splits)
    with explained(data, split, out_of_memory):
        batch = next(iter(data.examples(split)))
        arrays = {name: values[:SAMPLES].numpy() for name, values in batch.items()}
    if picture := sheet(data.info, arrays):
        run.write("plots/samples.png", picture)
    for field, suffixed in by_owner(arrays, data.info.codecs).items():
        codec = codec_of(data.info, field)
        for number in range(len(next(iter(suffixed.values())))):
            one = {suffix: values[number] for suffix, values in suffixed.items()}
            content = codec.keep(one[""] if set(one) == {""} else one)
            run.write(f"{FOLDER}/{field}/{number:02}{codec.ending}", content)


def codec_of(info: DataInfo, field: str) -> Codec:
    """The codec of a field; numbers that no feature reads, and those that a sampler gives, are kept as they are."""
    return info.codecs.get(field) or AsItIs()


def open_samples(run: RunDirectory) -> Arrays:
    """The examples that a run keeps: arrays by the names of a batch, `[n, ...]`."""
    folder = run.path / FOLDER
    if not folder.is_dir():
        return {}
    files = {path.name: sorted(path.iterdir()) for path in sorted(folder.iterdir()) if path.is_dir()}
    found: Arrays = {}
    for field, paths in (files or samples_of_format_1(folder)).items():
        opened = [_opened(run, field, path) for path in paths]
        for name in opened[0] if opened else ():
            found[name] = np.stack([one[name] for one in opened])
    if len({len(rows) for rows in found.values()}) > 1:
        counts = listed(f"{len(rows)} of {name}" for name, rows in found.items())
        raise damaged(folder, f"there are not as many samples of each field: {counts}", ADVICE)
    return found


def _opened(run: RunDirectory, field: str, path: Path) -> Arrays:
    """A sample of a field, arrays by the names of a batch.

    Raises:
        SpecError: it cannot be read, or has not the shape of the field.
    """
    content = content_of(path, LONGEST, ADVICE)
    try:
        found = arrays_of(field, codec_of(run.info, field).open(content))
    except Exception as error:  # codecs of plugins read it as they like
        raise damaged(path, f"{type(error).__name__}: {error}", ADVICE) from error
    for name, values in found.items():
        known = run.info.fields.get(name)
        wanted, shape = known.shape if known else values.shape, values.shape
        if len(wanted) != len(shape) or any(a not in (None, b) for a, b in zip(wanted, shape, strict=True)):
            raise damaged(path, f"its shape is {list(shape)}, and data.json says {list(wanted)}", ADVICE)
    return found
