"""Making lines durable: landing files put into the object store by adaptive group commit.

Belongs here: batching, the PUT, its retries and its deadline. Not: what a line holds (landing), who sent it (app).

While all slots are busy, arriving lines gather; a freed slot takes all of them as one file. So a lone event waits for
nothing, and under load the files grow by themselves: there is no timer to choose.
"""

import asyncio
import hashlib
import logging
import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from receiver.landing import DIGEST, new_key
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, S3Config  # exist in the stubs alone

PROBE_KEY = ".readyz"
DEADLINE_SECONDS = 10.0
FILE_BYTES = 32 * 1024 * 1024
ATTEMPT_SECONDS = 2.0
ATTEMPT_BYTES_PER_SECOND = 8 * 1024 * 1024  # a file of this size gets a second more
PAUSE_SECONDS = (0.1, 0.2, 0.4, 0.8)  # after the first failed attempts; then the last of them

_log = logging.getLogger(__name__)


class Unavailable(Exception):  # noqa: N818  (the answer's own word for it)
    """The line isn't known to be durable: the sender has to deliver it again."""

    event_id: str | None = None


def open_store(settings: ReceiverSettings) -> S3Store:
    """Return a client of the landing bucket that never retries by itself: the writer knows when that is right."""
    endpoint = settings.aws_endpoint_url_s3
    config: S3Config = {"region": settings.aws_region, "virtual_hosted_style_request": False}
    if endpoint is not None:
        config["endpoint"] = endpoint
    if settings.aws_access_key_id is not None and settings.aws_secret_access_key is not None:
        config["access_key_id"] = settings.aws_access_key_id.get_secret_value()
        config["secret_access_key"] = settings.aws_secret_access_key.get_secret_value()
    client: ClientConfig = {
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
        "timeout": timedelta(seconds=DEADLINE_SECONDS),
    }
    return S3Store(settings.landing_bucket, config=config, client_options=client, retry_config={"max_retries": 0})


async def probe(store: S3Store) -> None:
    """Write the probe's object, which no reader looks at. Raises Unavailable when the bucket doesn't take it."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            await obstore.put_async(store, PROBE_KEY, b"", mode="overwrite", use_multipart=False)
    except (BaseError, OSError) as error:
        raise Unavailable("the landing bucket does not accept writes") from error


@dataclass(slots=True, eq=False)
class _Line:
    """One line on its way, and the future that its sender waits for."""

    data: bytes
    received_at: datetime
    deadline: float
    durable: asyncio.Future[None]

    @property
    def hour(self) -> int:
        """The UTC hour of receipt, counted from the epoch."""
        return int(self.received_at.timestamp()) // 3600

    def settle(self, error: str | None) -> None:
        """Decide the future, unless its waiter has cancelled it: None means durable."""
        if self.durable.done():
            return
        if error is None:
            self.durable.set_result(None)
        else:
            self.durable.set_exception(Unavailable(error))


class LandingWriter:
    """Puts submitted lines into the store, at most `puts_in_flight` files at a time. Lives in one event loop."""

    def __init__(
        self,
        store: S3Store,
        metrics: Metrics,
        *,
        puts_in_flight: int = 2,
        file_bytes: int = FILE_BYTES,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._puts_in_flight = puts_in_flight
        self._file_bytes = file_bytes
        self._deadline_seconds = deadline_seconds
        self._waiting: deque[_Line] = deque()
        self._puts: dict[asyncio.Task[None], float] = {}  # with the deadline of its oldest line
        self._last_failed = False

    def submit(self, received_at: datetime, line: bytes) -> asyncio.Future[None]:
        """Take one landed line; the future is done when it is durable, or has Unavailable when that is not known."""
        loop = asyncio.get_running_loop()
        entry = _Line(line, received_at, loop.time() + self._deadline_seconds, loop.create_future())
        self._waiting.append(entry)
        self._fill_slots()
        return entry.durable

    @property
    def silent(self) -> bool:
        """Whether the store let the last file down and the next one, which tries it, isn't decided yet."""
        return self._last_failed and bool(self._puts)

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest line that isn't decided yet; 0 without one."""
        deadlines = [*self._puts.values(), *(line.deadline for line in islice(self._waiting, 1))]
        taken = min(deadlines, default=math.inf) - self._deadline_seconds
        return max(0.0, asyncio.get_running_loop().time() - taken)

    async def close(self) -> None:
        """Return when every submitted line is decided."""
        while self._puts:
            await asyncio.wait(self._puts)

    def _fill_slots(self) -> None:
        """Start files while lines wait and slots are free."""
        while self._waiting and len(self._puts) < self._puts_in_flight:
            batch = self._next_batch()
            put = asyncio.get_running_loop().create_task(self._land(batch))
            self._puts[put] = batch[0].deadline
            put.add_done_callback(self._free_slot)

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
                line.settle(error)

    async def _put(self, key: str, data: bytes, deadline: float) -> None:
        """Put one file, with the same key and bytes until it is confirmed. Raises Unavailable at the deadline."""
        loop = asyncio.get_running_loop()
        digest = hashlib.sha256(data).hexdigest()
        attempt = 0
        while loop.time() < deadline:
            if await self._attempt(key, data, digest, deadline, first=attempt == 0):
                return
            pause = PAUSE_SECONDS[min(attempt, len(PAUSE_SECONDS) - 1)]
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
            attempt += 1
        self._metrics.puts.labels("given up").inc()
        raise Unavailable("the landing store did not confirm the event in time")

    async def _attempt(self, key: str, data: bytes, digest: str, deadline: float, *, first: bool) -> bool:
        """Return whether the file is in the store, as far as one PUT can tell. Raises Unavailable if trying is over."""
        seconds = ATTEMPT_SECONDS + len(data) / ATTEMPT_BYTES_PER_SECOND
        try:
            with self._metrics.put_seconds.time():
                async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + seconds)):
                    attributes: Attributes = {DIGEST: digest}
                    await obstore.put_async(
                        self._store, key, data, attributes=attributes, mode="create", use_multipart=False
                    )
        except (BaseError, OSError) as error:
            exists = _is_there_already(error)
            self._metrics.puts.labels("confirmed late" if exists and not first else "failed").inc()
            if exists and first:
                raise Unavailable("the landing key was taken") from error
            if not exists:
                _log.warning("landing file %s not confirmed", key, extra={"reason": _first_line(error)})
            return exists
        self._metrics.puts.labels("stored").inc()
        return True


def _is_there_already(error: Exception) -> bool:
    """Tell whether the key was refused as taken; on a retry that means an earlier attempt of ours got through.

    S3's 409 also comes as AlreadyExists, but says only that another attempt is still under way.
    """
    return isinstance(error, AlreadyExistsError) and "409 Conflict" not in _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
