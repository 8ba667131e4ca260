"""Files and folders written so that a crash leaves them whole or as they were before."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from kplug.console import log
from kplug.errors import Problem, SpecError

UNTOUCHED = "what was written before it is untouched"
HALF_WRITTEN = re.compile(r"\.(\d+)\.(.+)")  # the process that writes, and the name that the file gets


def opened(path: Path) -> BufferedReader:
    """Open a regular file to read it: neither a link nor a pipe or a device, which may have no end.

    Raises:
        OSError: it is not such a file.
    """
    try:  # a pipe would be waited for without `O_NONBLOCK`, of which a regular file takes no notice
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def digest_of(path: Path) -> str:
    """The SHA-256 of a regular file's content, as hexadecimal digits.

    Raises:
        OSError: it is no such file, or cannot be read.
    """
    import hashlib  # loads OpenSSL, for which `kplug check` and `--help` have no use

    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(*paths: Path) -> None:
    """Wait until the contents of files and the names in folders are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- JSON ------------------------------------------------------------------------------------------------------------


def in_json(content: Any, indent: int | None = None) -> str:
    """Plain data as JSON, which has no word for what is not finite: null stands for it."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def not_finite(content: Any, path: str = "") -> list[str]:
    """The places of numbers in plain data that JSON has no word for."""
    if isinstance(content, dict | list | tuple):
        inner = content.items() if isinstance(content, dict) else enumerate(content)
        return [name for key, value in inner for name in not_finite(value, f"{path}.{key}".lstrip("."))]
    return [path] if isinstance(content, float) and not math.isfinite(content) else []


def with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of numbers with one and the same NaN for all that is not finite: as it comes back from `in_json`."""
    return {key: value if _finite(value) is not None else math.nan for key, value in row.items()}


# --- files -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield the name of a file to write beside `path`, which replaces `path` once all of it is on the disk."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # `HALF_WRITTEN`; HDF5 and Keras go by the ending
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
    """Add a line to a file, which is no link; it is on the disk when this returns, or no part of it is left."""
    with open(path, "ab", opener=without_links) as file:
        size = file.tell()
        try:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            if not size:
                sync(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)
            raise


def without_links(path: str, flags: int) -> int:
    """An `opener` of files that are written to: a link is refused."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


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
        # neither emptied nor followed: in a run from elsewhere it may be a link to a file of ours
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        file = os.fdopen(descriptor, "r+")
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


def clear_half_written(*folders: Path) -> None:
    """Remove the files that processes left half-written in folders when they were killed."""
    for folder in folders:
        for left, _ in half_written(folder):
            remove(left)


def half_written(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder that were being written by processes that are no more, and the names of the whole."""
    for path in folder.glob(".[0-9]*.*"):
        is_file = path.is_symlink() or not path.is_dir()
        if is_file and (match := HALF_WRITTEN.fullmatch(path.name)) and not _lives(int(match[1])):
            yield path, match[2]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link, and not what that leads to; there may be none."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def refuse_links(folder: Path) -> None:
    """Refuse a folder that is written to and has links in it: what they lead to is not ours to change."""
    for inner, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(inner, name)
            if path.is_symlink():
                what = f"is a link, to {os.readlink(path)}, which may be written through; put the file itself there"
                raise SpecError([Problem(what, where=str(path))])


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
        reason = re.sub(r"\{\{function_node [^}]*\}\} ?", "", reason)  # TensorFlow names its graph, which nobody knows
        raise SpecError([Problem(f"{what}: {reason}; {advice}", where=str(path or ""))]) from error
