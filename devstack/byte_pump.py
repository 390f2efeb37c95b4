"""The byte pump: lets clients on 127.0.0.1 reach a server that listens on a unix socket alone.

Belongs here: connections, passed on byte for byte. Not: which server that is (seaweed.py), what the bytes mean.
"""

import asyncio
from pathlib import Path
from typing import cast


class _End(asyncio.Protocol):
    """One end of a passed-on connection: what comes here goes out at the other end, as fast as that takes it."""

    def __init__(self, other: "_End | None" = None) -> None:
        self._other = other
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: "_End") -> None:
        """Name the other end."""
        self._other = other

    def data_received(self, data: bytes) -> None:
        if self._other:
            self._other.transport.write(data)

    def eof_received(self) -> bool:
        if self._other and not self._other.transport.is_closing():
            self._other.transport.write_eof()
        return True  # the other direction may still have something to say

    def pause_writing(self) -> None:
        if self._other:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other:
            self._other.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self._other:
            self._other.transport.close()


class _Entrance(_End):
    """The end that clients connect to."""

    def __init__(self, path: Path, connecting: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self._path = path
        self._connecting = connecting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        try:
            _, other = await asyncio.get_running_loop().create_unix_connection(lambda: _End(self), str(self._path))
        except OSError:  # the server isn't there: its clients are told as if there were no pump
            self.transport.abort()
            return
        self.join(other)
        if self.transport.is_closing():
            other.transport.close()
        else:
            self.transport.resume_reading()


async def start(port: int, path: Path) -> asyncio.Server:
    """Pass connections to a port of 127.0.0.1 on to a unix socket, until the server is closed."""
    connecting = set[asyncio.Task[None]]()
    return await asyncio.get_running_loop().create_server(
        lambda: _Entrance(path, connecting), "127.0.0.1", port, backlog=1024
    )
