"""Files and folders written so that a crash leaves them whole or as they were before."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kplug.console import log
from kplug.errors import Problem, SpecError

UNTOUCHED = "what was written before it is untouched"


def digest_of(file: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    import hashlib  # loads OpenSSL, for which `kplug check` and `--help` have no use

    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync(*paths: Path) -> None:
    """Wait until the contents of files and the names in folders are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- files -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield the name of a file to write beside `path`, which replaces `path` once all of it is on the disk."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # the ending stays: HDF5 and Keras go by it
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file; until it is on the disk, the one that was there stays."""
    with writing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def append(path: Path, line: str) -> None:
    """Add a line to a file; it is on the disk when this returns, and no part of it is left where that fails."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if not size:
            sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        raise


# --- folders ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing_folder(final: Path, temporary: Path, old: Path | None = None) -> Iterator[None]:
    """Inside, the new and empty folder `temporary` is filled; afterwards it is put in place as `final`, or is gone.

    Args:
        final: the folder's name once all of it is on the disk.
        temporary: its name until then, in the same file system; what a killed process left there is removed.
        old: as `put_in_place` takes it.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield
        put_in_place(temporary, final, old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(folder: Path, final: Path, old: Path | None = None) -> None:
    """Rename a folder once all that is in it is on the disk.

    Args:
        folder: what is renamed.
        final: its new name.
        old: the name under which a folder that stands at `final` is moved out of the way, and then removed; without it,
            such a folder is an error.

    Raises:
        OSError: the system refuses, or something stands at `final`.
    """
    sync(*folder.rglob("*"), folder)
    if old:
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():  # a rename replaces no folder that holds something
            os.rename(final, old)
    os.rename(folder, final)
    sync(final.parent)
    if old:
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def lock(folder: Path, refusal: str, patience: float = 0, silence: float = 0) -> Iterator[int]:
    """Hold a folder for this process alone; yields the descriptor of the locked file, which children may inherit.

    Args:
        folder: is made where it is missing; the file `lock` in it stays behind.
        refusal: what is said where another process holds it: "another process trains this run".
        patience: seconds to wait for that process.
        silence: seconds of them after which a line on stderr says what is waited for.

    Raises:
        SpecError: another process holds it still.
    """
    with naming_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "w")  # noqa: SIM115  closed below
    with file:
        began, silent = time.monotonic(), True
        while not _locks(file.fileno()):
            waited = time.monotonic() - began
            if waited >= patience:
                raise SpecError([Problem(refusal, where=str(folder))])
            if silent and waited > silence:
                silent = False
                log(f"{folder}: {refusal}; waiting {patience:.0f} seconds for its end")
            time.sleep(0.1)
        yield file.fileno()


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- errors ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def naming_errors(
    path: Path | None,
    advice: str = UNTOUCHED,
    what: str = "cannot be written",
    refusals: tuple[type[Exception], ...] = (OSError,),
) -> Iterator[None]:
    """Inside, a write that the system refuses becomes a SpecError that names the file.

    Args:
        path: the file; None where `what` names it.
        advice: what is untouched, or to be done.
        what: the beginning of the message.
        refusals: the errors that mean so; TensorFlow has its own.
    """
    try:
        yield
    except refusals as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        raise SpecError([Problem(f"{what}: {reason}; {advice}", where=str(path or ""))]) from error
