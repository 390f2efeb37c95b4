"""Landing an event once: deliveries already acknowledged, and those still in flight.

Belongs here: the memory of what this process landed lately. Not: what makes two deliveries the same (contract), nor
how one lands (writer). It is a convenience for an impatient sender: what it forgets is landed again, and harmless.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from receiver.contract import dedupe_key


class Dedupe:
    """Remembers at most `entries` acknowledged deliveries for `seconds` of `clock`, and every one in flight."""

    def __init__(self, seconds: float, entries: int, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._entries = entries
        self._clock = clock
        self._acknowledged: OrderedDict[bytes, float] = OrderedDict()  # key -> when it is forgotten, oldest first
        self._in_flight: dict[bytes, asyncio.Future[None]] = {}

    async def land_once(self, event_id: str, body: bytes, land: Callable[[], asyncio.Future[None]]) -> bool:
        """Return once the event is durable: True when `land` was called for it, False for a duplicate.

        A twin of a delivery in flight shares its outcome. Raises what the landing raised.
        """
        key = dedupe_key(event_id, body)
        self._forget_old()
        if key in self._acknowledged:
            return False
        twin = self._in_flight.get(key)
        landing = twin or self._start(key, land)
        await asyncio.shield(landing)  # whoever waits may be cancelled; the landing and the others may not
        return twin is None

    def _start(self, key: bytes, land: Callable[[], asyncio.Future[None]]) -> asyncio.Future[None]:
        landing = self._in_flight[key] = land()
        landing.add_done_callback(partial(self._settle, key))
        return landing

    def _settle(self, key: bytes, landing: asyncio.Future[None]) -> None:
        """Remember a landing that succeeded; forget one that didn't, so that the event can come again."""
        del self._in_flight[key]
        if not landing.cancelled() and landing.exception() is None:
            self._acknowledged[key] = self._clock() + self._seconds
            self._forget_old()

    def _forget_old(self) -> None:
        """Drop what is out of the window, and the oldest while there are too many."""
        now = self._clock()
        while self._acknowledged:
            key, forgotten = next(iter(self._acknowledged.items()))
            if forgotten > now and len(self._acknowledged) <= self._entries:
                return
            del self._acknowledged[key]
