"""Ctrl-C, SIGTERM and SIGHUP wait while a line of the journal, and what follows from it, is done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from kplug.console import heard


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Have the signals that end a process wait for the end of what is done inside, which is short.

    Only the main thread gets any.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before: list[tuple[signal.Signals, Any]] = []
    try:
        for number in heard(signal.SIGINT):
            before.append((number, signal.signal(number, lambda caught, frame: came.append(caught))))
        yield
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])
