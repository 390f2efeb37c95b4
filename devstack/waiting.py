"""Ports and patience: which ports are free, and waiting until a server really answers.

Belongs here: what every embedded server needs while it starts. Not: what a particular server has to answer.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Collection
from itertools import islice

from devstack.errors import NotReadyError

GRPC_OFFSET = 10_000  # SeaweedFS listens for gRPC this far above each of its ports
_CANDIDATES = range(10_000, 20_000)  # no gRPC port is one of these, and all stay below the kernel's ephemeral ports


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the port of 127.0.0.1 or of every address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT isn't taken
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int, reserved: Collection[int] = ()) -> tuple[int, ...]:
    """Return `count` different ports that are free, as are the ports GRPC_OFFSET above them; none of the reserved."""
    candidates = random.sample(_CANDIDATES, k=len(_CANDIDATES))
    free = (port for port in candidates if port not in reserved and is_free(port) and is_free(port + GRPC_OFFSET))
    return tuple(islice(free, count))


def wait_until(
    check: Callable[[], object], what: str, seconds: float = 60.0, given_up: threading.Event | None = None
) -> None:
    """Call `check` every 50 ms until it doesn't raise.

    Raises NotReadyError with the last error after `seconds`, or as soon as `given_up` is set.
    """
    given_up = given_up or threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        try:
            check()
        except Exception as error:
            if time.monotonic() > deadline or given_up.wait(0.05):
                raise NotReadyError(f"{what} didn't answer within {seconds:.0f} s: {error}") from error
        else:
            return
