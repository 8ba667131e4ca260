"""TensorFlow loaded without its start-up talk, which no environment variable turns off."""

from __future__ import annotations

import os
import re
import sys
import tempfile

_TALK = re.compile(
    r"[IW]\d{4} \d\d:|WARNING: All log messages before absl::InitializeLog|E\d{4} .*failed call to cuInit"
)


def load_tensorflow() -> None:
    """Import TensorFlow; of what it writes to stderr meanwhile, only errors get through.

    `TF_CPP_MIN_LOG_LEVEL`, where it is set, is left to TensorFlow, and all it says is shown.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # what is an error for the caller comes as an exception
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()  # where it looks for graphics cards, aloud
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            sys.stderr.writelines(line for line in file if not _TALK.match(line))
