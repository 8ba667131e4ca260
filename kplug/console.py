"""The lines on stderr: kplug's own, and TensorFlow without its start-up talk, which no variable turns off."""

from __future__ import annotations

import os
import re
import sys
import tempfile

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
chosen: set[str] = set()  # variables of the environment that were set here
_TALK = re.compile(
    r"[IW]\d{4} \d\d:|WARNING: All log messages before absl::InitializeLog|E\d{4} .*failed call to cuInit"
)


def load_tensorflow(look_for_devices: bool = True) -> None:
    """Import TensorFlow; of what it writes to stderr meanwhile, only errors get through.

    `TF_CPP_MIN_LOG_LEVEL`, where it is set, is left to TensorFlow, and all it says is shown.

    Args:
        look_for_devices: now, since it does that aloud; a process that forks others must not.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if LEVEL in os.environ:
        return
    chosen.add(LEVEL)
    os.environ[LEVEL] = "3"  # what is an error for the caller comes as an exception
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            import tensorflow

            if look_for_devices:
                tensorflow.config.list_physical_devices()  # where it looks for graphics cards, aloud
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            sys.stderr.writelines(line for line in file if not _TALK.match(line))


def inherited_environment() -> dict[str, str]:
    """The environment as this process got it, for a process that loads TensorFlow itself."""
    return {name: value for name, value in os.environ.items() if name not in chosen}


def log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
