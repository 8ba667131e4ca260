"""Class names from a file as a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kplug import Columns, SpecError, Split


def open_names(file: str, image_size: tuple[int, int], skip: int) -> dict[str, Split]:
    """A split `train` with a black picture for each name; `kplug_pretrained.class_names` says the parameters."""
    names = read_names(file, skip)
    shape = (*image_size, 3)

    def load(rows: Any) -> dict[str, Any]:
        return {"image": tf.zeros(tf.concat([tf.shape(rows), shape], 0), tf.uint8)}

    labels = np.arange(len(names), dtype=np.int32)
    features = {"image": "image", "label": "label"}
    facts: dict[str, dict[str, Any]] = {
        "image": {"size": tuple(image_size), "channels": 3},
        "label": {"classes": names},
    }
    return {"train": Split(Columns(len(names), {"label": labels}), load, features, facts, batched=True)}


def read_names(file: str, skip: int) -> tuple[str, ...]:
    """The lines of a file after the first `skip`.

    Raises:
        SpecError: it cannot be read, has a blank line, whose class would have no name, or none after those left out.
    """
    try:
        lines = Path(os.path.expanduser(file)).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or str(error)).lower()
        raise SpecError(f"{file} cannot be read: {reason}") from None
    names = tuple(line.strip() for line in lines[skip:])
    if not names:
        raise SpecError(f"{file} has {len(lines)} lines, and skip: {skip} leaves none; write one class a line")
    if "" in names:
        raise SpecError(f"{file}:{names.index('') + skip + 1}: the line is blank; write a class on it, or remove it")
    return names
