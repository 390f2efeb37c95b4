"""Network namespaces: a server whose ports nobody else reaches.

Belongs here: how a command gets a namespace of its own, and how another command enters it. Not: which server needs one
(seaweed.py), how its clients reach it (byte_pump.py). Run as a script, this module brings the loopback interface up,
which a new namespace has down, and becomes the command that it is given, whose process id is its own.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# As root a namespace needs nothing else; anybody else, and root without that right, needs a user namespace as well.
_WAYS = (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net"))
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # ioctl SIOCGIFFLAGS and SIOCSIFFLAGS, IFF_UP (netdevice(7))
_REQUEST = struct.Struct("16sh14x")  # struct ifreq: name, flags


def own_network() -> tuple[str, ...]:
    """Return the words that give a command a network namespace of its own; none where that is forbidden."""
    return next((way for way in _WAYS if _works([*way, sys.executable, "-I", __file__, "/bin/true"])), ())


def enter(way: Sequence[str], pid: int) -> tuple[str, ...]:
    """Return the words that run a command in the namespace of a process that was started this way."""
    if not way:
        return ()
    user = ("--user", "--preserve-credentials") if "--user" in way else ()
    return ("nsenter", "--target", str(pid), *user, "--net")


def is_apart(pid: int) -> bool:
    """Tell whether a process has another network namespace than this one."""
    return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0  # noqa: S603  the stack's own
    except OSError:
        return False


def _raise_loopback() -> None:
    """Bring the loopback interface up. Raises OSError where that isn't allowed."""
    with socket.socket() as any_socket:
        _, flags = _REQUEST.unpack(fcntl.ioctl(any_socket, _GET_FLAGS, _REQUEST.pack(b"lo", 0)))
        fcntl.ioctl(any_socket, _SET_FLAGS, _REQUEST.pack(b"lo", flags | _UP))


if __name__ == "__main__":
    _raise_loopback()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  the stack's own command
