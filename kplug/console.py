"""The streams and signals of a command: results alone on stdout, the rest on stderr, which may be gone or full."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from kplug.errors import SpecError

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
chosen: set[str] = set()  # variables of the environment that were set here
_TALK = re.compile(
    r"[IW]\d{4} \d\d:|WARNING: All log messages before absl::InitializeLog|E\d{4} .*failed call to cuInit"
)

GLOBALS = {  # of Keras, beside the dtype policy, which the precision of a spec says
    "image_data_format": "channels_last",
    "floatx": "float32",
    "epsilon": 1e-7,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def load_tensorflow(look_for_devices: bool = True) -> None:
    """Import TensorFlow; of what it writes to stderr meanwhile, only errors get through.

    `TF_CPP_MIN_LOG_LEVEL`, where it is set, is left to TensorFlow, and all it says is shown.

    Args:
        look_for_devices: now, since it does that aloud; a process that forks others must not.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise SpecError(f"kplug trains with TensorFlow; KERAS_BACKEND is {backend!r} in the environment: unset it")
    _load_quietly(look_for_devices)
    settle_keras()


def _load_quietly(look_for_devices: bool) -> None:
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


def settle_keras() -> None:
    """Set the globals of Keras on which a training depends, which keras.json or the environment may say otherwise."""
    for name, (wanted, now) in _other_globals().items():
        import keras

        getattr(keras.config, f"set_{name}")(wanted)
        log(f"{name} of Keras is {wanted!r} here, not {now!r} as keras.json or the environment says")


def refuse_other_globals() -> None:
    """Refuse to build a network where code of this process has set a global of Keras otherwise than all runs have it.

    Raises:
        SpecError: with the name of the global.
    """
    for name, (wanted, now) in _other_globals().items():
        what = f"keras.config.{name}() is {now!r}, and kplug's networks are built with {wanted!r}"
        raise SpecError(f"{what}: call keras.config.set_{name}({wanted!r}), or mend keras.json")


def _other_globals() -> dict[str, tuple[Any, Any]]:
    """The globals of Keras that are not as they should be: name to (as it should be, as it is)."""
    import keras

    now = {name: getattr(keras.config, name)() for name in GLOBALS}
    return {name: (wanted, now[name]) for name, wanted in GLOBALS.items() if now[name] != wanted}


def inherited_environment() -> dict[str, str]:
    """The environment as this process got it, for a process that loads TensorFlow itself."""
    return {name: value for name, value in os.environ.items() if name not in chosen}


def log(message: str) -> None:
    """Print a line on stderr; where nobody reads it, the work goes on."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
        print(printable(message), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """A text without what would steer a terminal: control characters are written as escapes."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def heard(*further: signal.Signals) -> list[signal.Signals]:
    """The signals that ask a process to end, without those that it was started to ignore, as `nohup` does.

    Args:
        further: beside SIGTERM and SIGHUP, which a terminal sends when it is closed.
    """
    return [one for one in (signal.SIGTERM, signal.SIGHUP, *further) if signal.getsignal(one) is not signal.SIG_IGN]


# --- the descriptors -------------------------------------------------------------------------------------------------


def open_streams() -> None:
    """Make the streams of a command such that neither a closed descriptor nor a reader that goes ends its work."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # takes the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  open as long as the process
    # what is seen of a search while it runs steers a terminal on stderr, where `log` takes care of names
    sys.stdout, sys.stderr = _stream(1, sys.stdout, Printable), _stream(2, sys.stderr, io.TextIOWrapper)


def _stream(number: int, before: Any, stream: type[io.TextIOWrapper]) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    # what the encoding of a terminal lacks is escaped
    return stream(Steady(number), encoding, errors="backslashreplace", line_buffering=True, write_through=True)


class Printable(io.TextIOWrapper):
    """A stream of text in which names of classes, files and plugins cannot steer a terminal."""

    def write(self, text: str) -> int:
        super().write(printable(text))
        return len(text)


class Steady(io.BufferedIOBase):
    """A stream to a descriptor whose reader may go: what nobody reads is dropped, and why it could not be written kept.

    Args:
        number: of the descriptor.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"<descriptor {number}>"
        self.problem: OSError | None = None  # the first that is not a reader who has gone

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[os.write(self.number, rest) :]
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.problem = self.problem or error
        return size

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)


def lost_results() -> OSError | None:
    """The reason why results could not be written, where that is so."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    raw = getattr(sys.stdout, "buffer", None)
    return raw.problem if isinstance(raw, Steady) else None


@contextlib.contextmanager
def results_apart() -> Iterator[None]:
    """Send to stderr what is printed meanwhile, whoever prints it: components, Keras, C code, processes."""
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        os.fstat(2)
        kept = os.dup(1)
    except OSError:  # in a process that has one of the two closed, as a daemon may
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or None
            sys.__stdout__.flush()  # type: ignore[union-attr]  # what was written past `sys.stdout` is no result either
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Keep what a stranger's code does inside from the rest of a command: it prints no results and goes nowhere."""
    try:
        here = os.open(".", os.O_RDONLY)
    except OSError:  # it is gone, or may not be read
        here = -1
    try:
        with results_apart():
            yield
    finally:
        if here >= 0:
            os.fchdir(here)
            os.close(here)
