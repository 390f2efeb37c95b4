"""A wire to a server that carries so many bytes and no more: whoever sends over it stands still in the middle of it.

Belongs here: counting and withholding what a client sends. Not: what happens to the client then.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK = 65_536


class Wire:
    """A port of 127.0.0.1 that leads to another one, for one client at a time."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.carried = 0
        self._limit = 0
        self._over = threading.Event()

    def carry(self, limit: int) -> None:
        """Carry so many bytes of the next client, and no more."""
        self.carried, self._limit = 0, limit
        self._over.clear()

    def wait(self) -> None:
        """Return when all that may be carried was, or the client has hung up. Raises TimeoutError."""
        if not self._over.wait(60):
            raise TimeoutError("the client neither goes on nor ends")

    def serve(self) -> None:
        """Serve one client after the other, until closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
                answers = threading.Thread(target=_answer, args=(server, client))
                answers.start()
                self._send(client, server)
                server.shutdown(socket.SHUT_WR)
                answers.join()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        while block := _received(client):
            allowed = block[: self._limit - self.carried]
            server.sendall(allowed)
            self.carried += len(allowed)
            if self.carried == self._limit:
                self._over.set()
        self._over.set()

    def close(self) -> None:
        """Take no further client."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _answer(server: socket.socket, client: socket.socket) -> None:
    while block := _received(server):
        try:
            client.sendall(block)
        except OSError:
            return  # killed: nobody is left to answer


def _received(peer: socket.socket) -> bytes:
    try:
        return peer.recv(_BLOCK)
    except OSError:
        return b""  # killed, which is an end too


@contextmanager
def wire(server_port: int) -> Iterator[Wire]:
    """Lay a wire until the block ends."""
    laid = Wire(server_port)
    serving = threading.Thread(target=laid.serve)
    serving.start()
    try:
        yield laid
    finally:
        laid.close()
        serving.join()
