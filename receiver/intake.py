"""Bodies on their way in: read in time, within their limit, and all together within one budget of bytes.

Belongs here: how long a body may take, how many bytes of bodies are here, whose go when those are too many. Not: what
a body says, who sent it.

The budget is taken by bytes that have arrived, never by a length that somebody announces. Where it runs short, the
bodies that have been on their way for longest make room: an honest one takes milliseconds, one that is held back on
purpose takes as long as it is let.
"""

import asyncio
from contextlib import suppress

from aiohttp import HttpVersion11, StreamReader, hdrs, web

from receiver.contract import Refusal
from receiver.writer import Unavailable

BODY_SECONDS = 5
FULL = "the queue is full"


class Intake:
    """Reads bodies of `longest` bytes at most each, and holds `budget` bytes of them. Lives in one event loop."""

    def __init__(self, longest: int, budget: int) -> None:
        self._longest = longest
        self._budget = self._free = budget
        self._arriving: dict[asyncio.Timeout, bytearray] = {}  # what is there of each, by its deadline; oldest first
        self._arrived = 0  # bytes of those

    @property
    def held(self) -> int:
        """The bytes of bodies that are here, whole or not."""
        return self._budget - self._free

    def check_room(self, length: int) -> None:
        """Raise Unavailable when so many bytes would not fit even if all bodies on their way made room."""
        if length > self._free + self._arrived:
            raise Unavailable(FULL)

    async def read(self, request: web.BaseRequest) -> bytes:
        """Return the body of a request, which is held until it is given to `release`.

        Raises Refusal when it doesn't come whole, in time and within the limit, Unavailable when there is no room.
        """
        content = request.content
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
            with suppress(ConnectionError):  # the sender has left, maybe after it had sent everything
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        try:  # what came with its headers needs no timer, which costs more than reading it
            body = content.read_nowait() if content.is_eof() else await self._gather(content)
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Refusal(400, "the body is not the one its headers announced") from error
        if content.total_bytes > self._longest:
            raise Refusal(413, "the body is longer than the limit")
        if len(body) > self._free:
            self._make_room(len(body))
        self._free -= len(body)
        return body

    def release(self, body: bytes) -> None:
        """Count a body as gone."""
        self._free += len(body)

    async def _gather(self, content: StreamReader) -> bytes:
        """Return a body that comes piece by piece, as far as its limit. It is held no longer: that is for the whole."""
        deadline = asyncio.timeout(BODY_SECONDS)
        part = self._arriving[deadline] = bytearray()
        try:
            async with deadline:
                while content.total_bytes <= self._longest and (chunk := await content.readany()):
                    self._add(deadline, chunk)
            if deadline in self._arriving:
                return bytes(part)
        except TimeoutError as error:
            if deadline in self._arriving:
                raise Refusal(408, "the body did not arrive in time") from error
        finally:
            self._forget(deadline)
        raise Unavailable(f"{FULL}, and this body had been on its way for longest")

    def _add(self, deadline: asyncio.Timeout, chunk: bytes) -> None:
        """Hold another piece of a body, unless that body has to make room, or had to."""
        if len(chunk) > self._free and deadline in self._arriving:
            self._make_room(len(chunk))
        if deadline in self._arriving:
            self._arriving[deadline] += chunk
            self._arrived += len(chunk)
            self._free -= len(chunk)

    def _make_room(self, size: int) -> None:
        """Turn bodies away that are on their way until so many bytes are free. Raises Unavailable if that won't do."""
        self.check_room(size)
        while size > self._free:
            oldest = next(iter(self._arriving))
            self._forget(oldest)
            if not oldest.expired():
                oldest.reschedule(0)  # at once: it wakes up who waits for the rest

    def _forget(self, deadline: asyncio.Timeout) -> None:
        """Let go of what is there of a body on its way."""
        if part := self._arriving.pop(deadline, None):
            self._arrived -= len(part)
            self._free += len(part)
            part.clear()
