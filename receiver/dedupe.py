"""Landing an event once: deliveries already acknowledged, and those still in flight.

Belongs here: the memory of what this process landed lately. Not: how a delivery lands (writer). It is a convenience
for an impatient sender: what it forgets is landed again, and harmless.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Dedupe:
    """Remembers at most `entries` acknowledged deliveries for `seconds` of `clock`, and every one in flight."""

    seconds: float
    entries: int
    clock: Callable[[], float]
    _landings: dict[bytes, asyncio.Future[None] | None] = field(default_factory=dict, init=False)  # None: it is durable
    _durable: deque[tuple[float, bytes]] = field(default_factory=deque, init=False)  # since when, oldest first

    async def land_once(self, event_id: str, body: bytes, land: Callable[[], asyncio.Future[None]]) -> bool:
        """Return once the event is durable: True when `land` was called for it, False for a duplicate.

        The same event has the same id, in either case, and the same body. A twin of a delivery in flight shares its
        outcome. Raises what the landing raised.
        """
        self._forget()
        key = hashlib.sha256(event_id.lower().encode() + body).digest()
        if key in self._landings:
            if landing := self._landings[key]:
                await asyncio.shield(landing)
            return False
        landing = self._landings[key] = land()
        try:
            await landing  # unshielded: aiohttp cancels whoever waits only when the process ends
        except BaseException:
            del self._landings[key]
            raise
        self._landings[key] = None
        self._durable.append((self.clock(), key))
        return True

    def _forget(self) -> None:
        """Drop what is out of the window, and the oldest while there are too many."""
        expired = self.clock() - self.seconds
        while self._durable and (self._durable[0][0] <= expired or len(self._durable) > self.entries):
            del self._landings[self._durable.popleft()[1]]
