"""Ports and patience: which ports are free, and waiting until a server really answers.

Belongs here: what every embedded server needs while it starts. Not: what a particular server has to answer.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

from devstack.errors import NotReadyError, StoppedError

GRPC_OFFSET = 10_000  # SeaweedFS listens for gRPC this far above each of its ports
_CANDIDATES = range(10_000, 22_000)  # these and their gRPC ports stay below the kernel's ephemeral ports


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the port of 127.0.0.1 or of every address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT isn't taken
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different ports that are free, as are the ports GRPC_OFFSET above them."""
    candidates = random.sample(_CANDIDATES, k=len(_CANDIDATES))
    found = (port for port in candidates if is_free(port) and is_free(port + GRPC_OFFSET))
    return tuple(port for port, _ in zip(found, range(count), strict=False))


def wait_until(
    check: Callable[[], object], what: str, seconds: float = 60.0, stopping: threading.Event | None = None
) -> None:
    """Call `check` until it doesn't raise.

    Raises NotReadyError with the last error after `seconds`, StoppedError as soon as `stopping` is set.
    """
    stopping = stopping or threading.Event()
    last: Exception | None = None
    for _ in _pauses(seconds, stopping):
        try:
            check()
        except Exception as error:  # noqa: BLE001  whatever a server that isn't up yet makes its client raise
            last = error
        else:
            return
    if stopping.is_set():
        raise StoppedError(f"stopped while waiting for {what}")
    raise NotReadyError(f"{what} didn't answer within {seconds:.0f} s: {last}") from last


def _pauses(seconds: float, stopping: threading.Event) -> Iterator[None]:
    """Yield at once and then every 50 ms until `seconds` have passed or `stopping` is set."""
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline and not stopping.wait(0.05):
        yield
