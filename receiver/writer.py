"""Making lines durable: landing files put into the object store by adaptive group commit.

Belongs here: batching, the PUT, its retries and its deadline, whether the store takes any. Not: what a line holds
(landing), who sent it (app).

While a file is being put, arriving lines gather; when it is stored, the next file takes them. So a lone event waits for
nothing, and under load the files grow by themselves. A file that takes long isn't waited for: another one
starts beside it.
"""

import asyncio
import logging
import math
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from receiver.landing import file_metadata, new_key
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

PROBE_KEY = ".readyz"
READY_SECONDS = 5.0
NOT_READY_SECONDS = 0.5
FEW_LINES = 32  # a file takes so many, if they are there, or half of what waits where that is more
SLOW_SECONDS = 0.1  # a file that takes longer lets the next one start
ATTEMPT_SECONDS = 2.0
ATTEMPT_BYTES_PER_SECOND = 8 * 1024 * 1024  # a file of this size gets a second more
PAUSE_SECONDS = 0.2  # after a failed attempt
REASON_LENGTH = 500
_OF_ONE_REQUEST = re.compile(r"Error performing [A-Z]+ \S+ in \S+ - |\S*whatsapp/\S*")
_log = logging.getLogger(__name__)


class Unavailable(Exception):  # noqa: N818  (the answer's own word for it)
    """The line isn't known to be durable: the sender has to deliver it again."""

    status = 503
    event_id: str | None = None


def open_store(settings: ReceiverSettings) -> S3Store:
    """Return a client of the landing bucket, which takes endpoint, region and credentials from the AWS_* variables.

    It never retries by itself: the writer knows when that is right.
    """
    return S3Store(settings.landing_bucket, client_options={"allow_http": True}, retry_config={"max_retries": 0})


@dataclass(eq=False)
class Readiness:
    """Whether the bucket accepts writes: one probe at a time, its outcome believed for some seconds of `clock`."""

    store: S3Store
    clock: Callable[[], float]
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _believed_until: float = field(default=-math.inf, init=False)
    _ready: bool = field(default=False, init=False)

    async def check(self) -> None:
        """Raise Unavailable unless the bucket took the last probe, an object that no reader looks at."""
        async with self._probing:
            if self.clock() >= self._believed_until:
                self._ready = True
                try:
                    async with asyncio.timeout(ATTEMPT_SECONDS):
                        await obstore.put_async(self.store, PROBE_KEY, b"", mode="overwrite", use_multipart=False)
                        with suppress(AlreadyExistsError):  # some stores take no condition, which landing files have
                            await obstore.put_async(self.store, PROBE_KEY, b"", mode="create", use_multipart=False)
                except (BaseError, OSError) as error:
                    _log.warning("the landing bucket does not accept writes", extra={"reason": first_line(error)})
                    self._ready = False
                self._believed_until = self.clock() + (READY_SECONDS if self._ready else NOT_READY_SECONDS)
        if not self._ready:
            raise Unavailable("the landing bucket does not accept writes")


class _Line(NamedTuple):
    """One line on its way, the loop's time when it was taken, and the future that its sender waits for."""

    data: bytes
    received_at: datetime
    taken: float
    durable: asyncio.Future[None]


@dataclass(eq=False)
class LandingWriter:
    """Puts submitted lines into the store, at most `puts_in_flight` files at a time. Lives in one event loop."""

    store: S3Store
    metrics: Metrics
    secret: bytes  # makes the files' macs
    puts_in_flight: int = 4
    file_bytes: int = 32 * 1024 * 1024
    deadline_seconds: float = 10.0
    _waiting: deque[_Line] = field(default_factory=deque, init=False)
    _files: dict[asyncio.Task[None], float] = field(default_factory=dict, init=False)  # with the oldest line's `taken`
    _newest: asyncio.Task[None] | None = field(default=None, init=False)  # unless it is slow
    _last_failed: bool = field(default=False, init=False)

    def submit(self, received_at: datetime, line: bytes) -> asyncio.Future[None]:
        """Take one landed line; the future is done when it is durable, or has Unavailable when that is not known."""
        loop = asyncio.get_running_loop()
        durable = loop.create_future()
        self._waiting.append(_Line(line, received_at, loop.time(), durable))
        self._start_file()
        return durable

    @property
    def silent(self) -> bool:
        """Whether the store let the last file down and the next one, which tries it, isn't decided yet."""
        return self._last_failed and bool(self._files)

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest line that isn't decided yet; 0 without one. Lines wait only beside older ones."""
        now = asyncio.get_running_loop().time()
        return now - min(self._files.values(), default=now)

    async def close(self) -> None:
        """Return when every submitted line is decided."""
        while self._files:
            await asyncio.wait(self._files)

    def _start_file(self) -> None:
        """Start a file, if lines wait and every file on its way is a slow one and there are not too many."""
        if self._waiting and self._newest is None and len(self._files) < self.puts_in_flight:
            loop = asyncio.get_running_loop()
            self._newest = file = loop.create_task(self._land())
            self._files[file] = self._waiting[0].taken

    def _go_on(self, file: asyncio.Task[None] | None) -> None:
        """Wait no longer for a file, which is decided or slow."""
        if file is self._newest:
            self._newest = None
        self._start_file()

    def _next_batch(self) -> list[_Line]:
        """Take waiting lines for one file: the oldest, and those after it that are of the same UTC hour and fit.

        Not all of many: else all senders wait for one file, and nobody has work for us while it is put.
        """
        most = max(FEW_LINES, len(self._waiting) // 2)
        batch = [self._waiting.popleft()]
        size, hour = len(batch[0].data), batch[0].received_at.replace(minute=0, second=0, microsecond=0)
        while self._waiting and len(batch) < most and hour <= self._waiting[0].received_at < hour + timedelta(hours=1):
            size += len(self._waiting[0].data)
            if size > self.file_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _land(self) -> None:
        """Put what has gathered when this begins as one file, and decide its lines, whatever happens."""
        batch, file, error = self._next_batch(), asyncio.current_task(), "the landing writer failed"
        # Not before it has its lines: where the loop is busy, another file would begin beside it and find none.
        asyncio.get_running_loop().call_later(SLOW_SECONDS, self._go_on, file)
        try:
            data = b"".join(line.data for line in batch)
            await self._put(new_key(batch[0].received_at), data, batch[0].taken + self.deadline_seconds)
            self.metrics.file_events.observe(len(batch))
            error = ""
        except Unavailable as unavailable:
            error = str(unavailable)
        except Exception:  # noqa: BLE001  (whatever it is, it is logged and the waiters hear of it)
            _log.exception("a landing file of %d events failed", len(batch))
        finally:  # also when the task is cancelled
            self._last_failed = bool(error)
            del self._files[file]  # type: ignore[arg-type]  # this runs as a task
            self._go_on(file)  # before the senders hear of this one: they keep the loop busy, and the store idle
            for line in batch:
                if line.durable.done():  # its waiter has cancelled it
                    continue
                if error:
                    line.durable.set_exception(Unavailable(error))
                else:
                    line.durable.set_result(None)

    async def _put(self, key: str, data: bytes, deadline: float) -> None:
        """Put one file, with the same key and bytes until it is confirmed. Raises Unavailable at the deadline."""
        loop, seconds = asyncio.get_running_loop(), ATTEMPT_SECONDS + len(data) / ATTEMPT_BYTES_PER_SECOND
        options: Any = {"attributes": file_metadata(self.secret, key, data), "mode": "create", "use_multipart": False}
        for attempt in count():
            try:
                async with asyncio.timeout_at(min(deadline, loop.time() + seconds)):
                    with self.metrics.put_seconds.time():
                        await obstore.put_async(self.store, key, data, **options)
                result = "stored"
            except (BaseError, OSError) as error:
                result = _failure(error, again=attempt > 0)
            self.metrics.puts.labels(result).inc()
            if result == "taken":
                raise Unavailable("the landing key was taken")
            if result != "failed":
                return
            if loop.time() + PAUSE_SECONDS >= deadline:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        self.metrics.puts.labels("given up").inc()
        raise Unavailable("the landing store did not confirm the event in time")


def _failure(error: Exception, *, again: bool) -> str:
    """Tell what a refused PUT means: "confirmed late" when an earlier one of ours got through, "taken" without one.

    Else it has "failed": S3's 409 comes as AlreadyExists too, but says only that another attempt is still under way.
    """
    if isinstance(error, AlreadyExistsError) and "409 Conflict" not in str(error):
        return "confirmed late" if again else "taken"
    _log.warning("a landing file is not confirmed", extra={"reason": first_line(error)})
    return "failed"


def first_line(error: Exception) -> str:
    """Return what the client says first, without the key and the time taken: the same reason in the same words."""
    return _OF_ONE_REQUEST.sub("", (str(error) or type(error).__name__).partition("\n")[0][:REASON_LENGTH])
