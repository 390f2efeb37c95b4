"""Making lines durable: landing files put into the object store by adaptive group commit.

Belongs here: batching, the PUT, its retries and its deadline, whether the store takes any. Not: what a line holds
(landing), who sent it (app).

While a file is being put, arriving lines gather; when it is stored, the next file takes all of them. So a lone event
waits for nothing, and under load the files grow by themselves. A file that takes long isn't waited for: another one
starts beside it.
"""

import asyncio
import hashlib
import logging
import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from receiver.landing import DIGEST, new_key
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

if TYPE_CHECKING:
    from obstore import Attributes  # exists in the stubs alone

PROBE_KEY = ".readyz"
READY_SECONDS = 5.0
NOT_READY_SECONDS = 0.5
DEADLINE_SECONDS = 10.0
FILE_BYTES = 32 * 1024 * 1024
SLOW_SECONDS = 0.1  # a file that takes longer lets the next one start
ATTEMPT_SECONDS = 2.0
ATTEMPT_BYTES_PER_SECOND = 8 * 1024 * 1024  # a file of this size gets a second more
PAUSE_SECONDS = (0.1, 0.2, 0.4, 0.8)  # after the first failed attempts; then the last of them

_log = logging.getLogger(__name__)


class Unavailable(Exception):  # noqa: N818  (the answer's own word for it)
    """The line isn't known to be durable: the sender has to deliver it again."""

    status = 503
    event_id: str | None = None


def open_store(settings: ReceiverSettings) -> S3Store:
    """Return a client of the landing bucket, which takes endpoint, region and credentials from the AWS_* variables.

    It never retries by itself: the writer knows when that is right.
    """
    return S3Store(
        settings.landing_bucket,
        client_options={"allow_http": True, "timeout": timedelta(seconds=DEADLINE_SECONDS)},
        retry_config={"max_retries": 0},
    )


class Readiness:
    """Whether the bucket accepts writes: one probe at a time, its outcome believed for some seconds of `clock`."""

    def __init__(self, store: S3Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._probing = asyncio.Lock()
        self._believed_until = -math.inf
        self._ready = False

    async def check(self) -> None:
        """Raise Unavailable unless the bucket took the last probe, an object that no reader looks at."""
        async with self._probing:
            if self._clock() >= self._believed_until:
                self._ready = await self._probe()
                self._believed_until = self._clock() + (READY_SECONDS if self._ready else NOT_READY_SECONDS)
        if not self._ready:
            raise Unavailable("the landing bucket does not accept writes")

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await obstore.put_async(self._store, PROBE_KEY, b"", mode="overwrite", use_multipart=False)
        except (BaseError, OSError) as error:
            _log.warning("the landing bucket does not accept writes", extra={"reason": _first_line(error)})
            return False
        return True


class _Line(NamedTuple):
    """One line on its way, and the future that its sender waits for."""

    data: bytes
    received_at: datetime
    deadline: float
    durable: asyncio.Future[None]

    @property
    def hour(self) -> int:
        """The UTC hour of receipt, counted from the epoch."""
        return int(self.received_at.timestamp()) // 3600


class LandingWriter:
    """Puts submitted lines into the store, at most `puts_in_flight` files at a time. Lives in one event loop."""

    def __init__(
        self,
        store: S3Store,
        metrics: Metrics,
        *,
        puts_in_flight: int = 4,
        file_bytes: int = FILE_BYTES,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._puts_in_flight = puts_in_flight
        self._file_bytes = file_bytes
        self._deadline_seconds = deadline_seconds
        self._waiting: deque[_Line] = deque()
        self._puts: dict[asyncio.Task[None], tuple[float, float]] = {}  # its start, and its oldest line's deadline
        self._last_failed = False

    def submit(self, received_at: datetime, line: bytes) -> asyncio.Future[None]:
        """Take one landed line; the future is done when it is durable, or has Unavailable when that is not known."""
        loop = asyncio.get_running_loop()
        durable = loop.create_future()
        self._waiting.append(_Line(line, received_at, loop.time() + self._deadline_seconds, durable))
        self._fill_slots()
        return durable

    @property
    def silent(self) -> bool:
        """Whether the store let the last file down and the next one, which tries it, isn't decided yet."""
        return self._last_failed and bool(self._puts)

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest line that isn't decided yet; 0 without one."""
        deadlines = [line.deadline for line in islice(self._waiting, 1)] + [
            deadline for _, deadline in self._puts.values()
        ]
        taken = min(deadlines, default=math.inf) - self._deadline_seconds
        return max(0.0, asyncio.get_running_loop().time() - taken)

    async def close(self) -> None:
        """Return when every submitted line is decided."""
        while self._puts:
            await asyncio.wait(self._puts)

    def _fill_slots(self) -> None:
        """Start a file, if lines wait and every file on its way is a slow one and there are not too many."""
        loop = asyncio.get_running_loop()
        young = any(loop.time() < started + SLOW_SECONDS for started, _ in self._puts.values())
        if self._waiting and not young and len(self._puts) < self._puts_in_flight:
            batch = self._next_batch()
            put = loop.create_task(self._land(batch))
            self._puts[put] = loop.time(), batch[0].deadline
            put.add_done_callback(self._free_slot)
            loop.call_later(SLOW_SECONDS, self._fill_slots)

    def _free_slot(self, put: asyncio.Task[None]) -> None:
        del self._puts[put]
        self._fill_slots()

    def _next_batch(self) -> list[_Line]:
        """Take the waiting lines that fit one file: the oldest, and those after it in the same UTC hour."""
        batch = [self._waiting.popleft()]
        size, hour = len(batch[0].data), batch[0].hour
        while self._waiting and self._waiting[0].hour == hour:
            size += len(self._waiting[0].data)
            if size > self._file_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _land(self, batch: list[_Line]) -> None:
        """Put a batch as one file and decide its lines, whatever happens."""
        error: str | None = "the landing writer failed"
        try:
            data = b"".join(line.data for line in batch)
            await self._put(new_key(batch[0].received_at), data, batch[0].deadline)
            self._metrics.file_events.observe(len(batch))
            error = None
        except Unavailable as unavailable:
            error = str(unavailable)
        except Exception:  # noqa: BLE001  (whatever it is, it is logged and the waiters hear of it)
            _log.exception("a landing file of %d events failed", len(batch))
        finally:  # also when the task is cancelled
            self._last_failed = error is not None
            for line in batch:
                if line.durable.done():
                    continue  # its waiter has cancelled it
                if error is None:
                    line.durable.set_result(None)
                else:
                    line.durable.set_exception(Unavailable(error))

    async def _put(self, key: str, data: bytes, deadline: float) -> None:
        """Put one file, with the same key and bytes until it is confirmed. Raises Unavailable at the deadline."""
        loop, again = asyncio.get_running_loop(), False
        seconds = ATTEMPT_SECONDS + len(data) / ATTEMPT_BYTES_PER_SECOND
        attributes: Attributes = {DIGEST: hashlib.sha256(data).hexdigest()}
        for pause in chain(PAUSE_SECONDS, repeat(PAUSE_SECONDS[-1])):
            try:
                async with asyncio.timeout_at(min(deadline, loop.time() + seconds)):
                    with self._metrics.put_seconds.time():
                        await obstore.put_async(
                            self._store, key, data, attributes=attributes, mode="create", use_multipart=False
                        )
                result = "stored"
            except (BaseError, OSError) as error:
                result = _failure(error, again=again)
                _log.warning("landing file %s not confirmed", key, extra={"reason": _first_line(error)})
            self._metrics.puts.labels(result).inc()
            if result != "failed":
                return
            if loop.time() + pause >= deadline:
                break
            await asyncio.sleep(pause)
            again = True
        self._metrics.puts.labels("given up").inc()
        raise Unavailable("the landing store did not confirm the event in time")


def _failure(error: Exception, *, again: bool) -> str:
    """Tell what a refused PUT means: "confirmed late" when an earlier one of ours got through, else "failed".

    S3's 409 comes as AlreadyExists too, but says only that another attempt is still under way. Raises Unavailable when
    the key was somebody else's.
    """
    if not isinstance(error, AlreadyExistsError) or "409 Conflict" in _first_line(error):
        return "failed"
    if not again:
        raise Unavailable("the landing key was taken") from error
    return "confirmed late"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
