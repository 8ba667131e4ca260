"""A network of this process and its children alone, in which workers reach each other and nobody else reaches them.

A worker of TensorFlow listens on all interfaces, which it cannot be told otherwise (`0.0.0.0` is fixed in
grpc_server_lib.cc), and does for whoever connects what TensorFlow can: read and write files, among much else.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

# <sched.h>, <linux/sockios.h> and <net/if.h> of Linux
NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000
SET_FLAGS, UP = 0x8914, 0x1


def leave_the_network() -> bool:
    """Move this process, and all that it starts from now on, into a network with nothing but loopback.

    Returns:
        True where the system allows it: Linux, as root or where users may have namespaces of their own.
    """
    tried = os.fork()  # a system may refuse halfway, and nobody comes back from there
    if not tried:
        os._exit(0 if _leave() else 1)
    if os.waitpid(tried, 0)[1]:
        return False
    if not _leave():
        raise RuntimeError("a network of its own was given to a child of this process, and refused to itself")
    return True


def _leave() -> bool:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        if library.unshare(NEW_NETWORK):
            if library.unshare(NEW_NETWORK | NEW_USER):
                return False
            _stay(user, group)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))
    except (OSError, AttributeError):
        return False
    return is_private()


def _stay(user: int, group: int) -> None:
    """Stay who one was in a user namespace: without it, all files would seem to be those of nobody."""
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def is_private() -> bool:
    """Return True where this process has no network but loopback."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]
