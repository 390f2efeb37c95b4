"""Landing an event once: deliveries already acknowledged, and those still in flight.

Belongs here: the memory of what this process landed lately. Not: how a delivery lands (writer). It is a convenience
for an impatient sender: what it forgets is landed again, and harmless.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable


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

        The same event has the same id, in either case, and the same body. A twin of a delivery in flight shares its
        outcome. Raises what the landing raised.
        """
        key = hashlib.sha256(event_id.lower().encode() + body).digest()
        if self._acknowledged.get(key, 0) > self._clock():
            return False
        if key in self._in_flight:
            await asyncio.shield(self._in_flight[key])
            return False
        landing = self._in_flight[key] = land()
        try:
            await landing  # unshielded: aiohttp cancels whoever waits only when the process ends
        finally:
            del self._in_flight[key]
        self._remember(key)
        return True

    def _remember(self, key: bytes) -> None:
        """Note what is durable now; drop what is out of the window, and the oldest while there are too many."""
        now = self._clock()
        self._acknowledged[key] = now + self._seconds
        self._acknowledged.move_to_end(key)
        while self._acknowledged:
            oldest = next(iter(self._acknowledged.values()))
            if oldest > now and len(self._acknowledged) <= self._entries:
                return
            self._acknowledged.popitem(last=False)
