"""A process that has TensorFlow loaded and forks another for each training: `python -m kplug.tuning.fork_server FD`.

What a training does to its process (memory, threads, a crash) ends with it, and its start costs a fork. No operation
runs here, and no device is looked for: a fork of a process with threads or with a GPU does not work.

The other end of FD, a Unix socket, sends a job as a line of JSON together with one end of a socket on which the
training talks; it gets lines back: {"name", "pid"} of a training that began, {"name", "code"} of one that ended. Where
the other end is closed, all trainings are killed.

The fork server of `multiprocessing` will not do: each of its children runs the script again that called `kplug.search`,
unless that guards its main part; and the server itself cannot be given an environment and a lock to hold, be killed
while it still loads TensorFlow, or be replaced where it was killed, but by private names.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from kplug.console import heard, load_tensorflow
from kplug.errors import Terminated
from kplug.spec.plugins import host
from kplug.tuning.executor import BROKEN, Ended, Job

ENDING = {signal.SIGTERM, signal.SIGHUP}
READ_AT_ONCE = 1 << 22  # bytes of a job, a spec in JSON; what is longer comes with further reads


def serve(channel: socket.socket) -> None:
    """Fork a training for each job that comes, until the channel is closed."""
    # a system that ends sends SIGTERM to all, a terminal that is closed SIGHUP; trainings need us
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    load_tensorflow(look_for_devices=False)
    import kplug.tuning.job  # noqa: F401  what a training needs, loaded once

    host()
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    # Python writes to the wakeup descriptor for those signals alone that have a handler: this one does nothing, and is
    # there so that `select` below hears of a child that ended.
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    names: dict[int, str] = {}
    while True:
        ready, _, _ = select.select([channel, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_ended(channel, names)
        if channel in ready:
            received = _receive(channel)
            if received is None:
                break
            job, end = received
            pid = os.fork()
            if pid == 0:
                for other in (channel, woken, waker):
                    other.close()
                _train(job, end)
            end.close()
            names[pid] = job.name
            channel.sendall(json.dumps({"name": job.name, "pid": pid}).encode() + b"\n")
    for pid in names:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _receive(channel: socket.socket) -> tuple[Job, socket.socket] | None:
    """Read a job and the socket that its training talks on; None at the end."""
    content, descriptors, _, _ = socket.recv_fds(channel, READ_AT_ONCE, 1)
    if not content:
        return None
    while not content.endswith(b"\n"):
        content += channel.recv(READ_AT_ONCE)
    fields = json.loads(content)
    return Job(**{**fields, "wanted": tuple(fields["wanted"])}), socket.socket(fileno=descriptors[0])


def _tell_ended(channel: socket.socket, names: dict[int, str]) -> None:
    """Tell the names of trainings whose processes ended, with their exit codes."""
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        channel.sendall(json.dumps({"name": names.pop(pid), "code": code}).encode() + b"\n")


# --- in the process of a training ------------------------------------------------------------------------------------


def _train(job: Job, end: socket.socket) -> NoReturn:
    """Run a job in the process that was forked for it, which ends with it."""
    code = 1
    try:
        os.setpgrp()  # so that what it starts can be ended with it
        _die_with_parent()
        _be_the_first_to_die()
        # In this order: a SIGTERM that came since the fork is held back until it is let through here. It must then find
        # a handler, which has the training end with its last words; without one the process would be gone at once.
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in heard():
            signal.signal(number, _terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        ended = _run(job, end)
        _send(end, {"ended": asdict(ended)})
        code = 0
    except BaseException:  # also one that came while it ended
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(job: Job, end: socket.socket) -> Ended:
    """Train, and ask the other end after each epoch."""
    from kplug.tuning.job import run_job

    answers = end.makefile("rb")

    def ask(epoch: int, metrics: Mapping[str, float]) -> bool:
        _send(end, {"epoch": epoch, "metrics": dict(metrics)})
        answer = answers.readline()
        if not answer:  # nobody is there to go on for
            os._exit(1)
        return bool(json.loads(answer)["go_on"])

    try:
        return run_job(job, ask)
    except BaseException:
        return Ended(job.name, BROKEN, reason=traceback.format_exc())


def _send(end: socket.socket, content: Any) -> None:
    end.sendall(json.dumps(content).encode() + b"\n")


def _die_with_parent() -> None:
    """Have the system kill this process when the one that forked it is gone; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _be_the_first_to_die() -> None:
    """Have the system end this training, not the search, where memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _terminate(number: int, frame: Any) -> NoReturn:
    raise Terminated


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # nobody is there any more
        serve(socket.socket(fileno=int(sys.argv[1])))
