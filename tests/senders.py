"""Senders under load: signed events with ids of their own, what each answer was, and whether it was kept to.

Belongs here: generating load, watching what the receiver counts, and comparing with what landed. Not: what goes wrong
meanwhile, what is expected.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
import obstore
from obstore.store import S3Store
from prometheus_client.parser import text_string_to_metric_families
from receiver_process import CURRENT, Receiver, S3Server, event, new_id, signed

from devstack.waiting import wait_until
from pipelines.landing.format import LandedEvent, decode_line, split_lines
from receiver.landing import PREFIX

PATIENCE_SECONDS = 15.0  # the collector's
BACKOFF_SECONDS = 0.1
REST_SECONDS = 30
MEGABYTE = 1024 * 1024


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when the condition holds. Raises NotReadyError."""

    def check() -> None:
        if not condition():
            raise LookupError("not yet")

    wait_until(check, what)


@contextmanager
def in_background(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run `work(stop)` in a thread's own event loop; when the block ends, set `stop` and wait for the work to end."""
    started = Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

    async def main() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await work(stop)

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, main())
        loop, stop = started.result(30)
        try:
            yield
        finally:
            with suppress(RuntimeError):  # the loop is closed when the work failed: its result says so
                loop.call_soon_threadsafe(stop.set)
        running.result()


@dataclass(slots=True)
class Sent:
    """One event: how often it was posted, and whether one of its postings was acknowledged."""

    postings: int = 0
    acknowledged: bool = False


@dataclass(frozen=True)
class Tls:
    """A proxy's host name, and whose certificates are trusted with it."""

    name: str
    trusted: ssl.SSLContext


class Load:
    """What senders have sent to some receivers, and how they were answered. Bodies are of `body_bytes` each."""

    def __init__(self, urls: Sequence[str], body_bytes: int, tls: Tls | None = None) -> None:
        self.urls = urls
        self.body_bytes = body_bytes
        self.tls = tls
        self.sent: dict[str, Sent] = {}
        self.answers: Counter[int] = Counter()  # by status
        self.unanswered = 0  # the connection was refused or broke
        self.too_late = 0  # no answer while the sender was willing to wait
        self.never_told_when = 0  # answers 503 without Retry-After
        self.slowest_seconds = 0.0  # of the answers
        self.acknowledged = 0

    def body(self, event_id: str) -> bytes:
        """Return an event's body, which no other event has."""
        bare = len(event(event_id))
        return event(event_id.ljust(len(event_id) + self.body_bytes - bare, "x"))

    def wait_for_acknowledgements(self, more: int) -> None:
        """Return when as many more events are acknowledged. Raises NotReadyError."""
        enough = self.acknowledged + more
        wait_for(lambda: self.acknowledged >= enough, f"{more} acknowledgements")

    def wait_for_answers(self, status: int, more: int = 1) -> None:
        """Return when as many more answers had this status. Raises NotReadyError."""
        enough = self.answers[status] + more
        wait_for(lambda: self.answers[status] >= enough, f"{more} answers {status}")

    def session(self) -> aiohttp.ClientSession:
        """Return a session with as many connections as there are postings."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        trusted = self.tls.trusted if self.tls else True
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=trusted), timeout=timeout)

    async def post(self, session: aiohttp.ClientSession, event_id: str) -> bool:
        """Post an event once; return whether it was acknowledged."""
        sent, body = self.sent.setdefault(event_id, Sent()), self.body(event_id)
        url = self.urls[len(self.sent) % len(self.urls)]
        sent.postings += 1
        name = self.tls.name if self.tls else None
        headers = signed(event_id, body) | ({"Host": name} if name else {})
        began = time.monotonic()
        try:
            async with session.post(url + CURRENT, data=body, headers=headers, server_hostname=name) as answer:
                await answer.read()
        except TimeoutError:
            self.too_late += 1
            return False
        except (aiohttp.ClientError, ConnectionError):
            self.unanswered += 1
            return False
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        self.answers[answer.status] += 1
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in answer.headers:
            self.never_told_when += 1
        if answer.status == HTTPStatus.ACCEPTED:
            sent.acknowledged = True
            self.acknowledged += 1
        return sent.acknowledged


async def _the_rest(load: Load) -> None:
    """Post each event that isn't acknowledged until it is."""
    never = asyncio.Event()
    async with load.session() as session, asyncio.timeout(REST_SECONDS):
        for event_id in [event_id for event_id, sent in load.sent.items() if not sent.acknowledged]:
            while not await load.post(session, event_id):
                await _pause(BACKOFF_SECONDS, never)


async def _closed_loop(load: Load, senders: int, stop: asyncio.Event) -> None:
    """Let each sender post event after event, each until it is acknowledged."""

    async def deliver(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            event_id = new_id()
            while not await load.post(session, event_id) and not stop.is_set():
                await _pause(BACKOFF_SECONDS, stop)

    async with load.session() as session:
        await asyncio.gather(*(deliver(session) for _ in range(senders)))


async def _open_loop(load: Load, per_second: float, stop: asyncio.Event) -> None:
    """Post new events at a rate, whatever becomes of them."""
    async with load.session() as session, asyncio.TaskGroup() as postings:
        while not stop.is_set():
            postings.create_task(load.post(session, new_id()))
            await _pause(1 / per_second, stop)


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


@contextmanager
def closed_loop(
    *urls: str, senders: int = 16, body_bytes: int = 300, resumed: Load | None = None, tls: Tls | None = None
) -> Iterator[Load]:
    """Run senders that post again what isn't acknowledged; they finish what they are at when the block ends."""
    load = resumed or Load(urls, body_bytes, tls)
    with in_background(partial(_closed_loop, load, senders)):
        yield load


def deliver_the_rest(load: Load) -> None:
    """Post what the senders left without an acknowledgement until all of it has one, as an outbox does."""
    asyncio.run(_the_rest(load))


@contextmanager
def open_loop(*urls: str, per_second: float, body_bytes: int) -> Iterator[Load]:
    """Post events at a rate, each once; wait for the last answers when the block ends."""
    load = Load(urls, body_bytes)
    with in_background(partial(_open_loop, load, per_second)):
        yield load


class Crowd:
    """Connections that are only there: each holds out until the receiver closes it, and then comes again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.present = 0
        self.turned_away = 0

    async def gather(self, manners: Sequence[tuple[bytes, bytes]], stop: asyncio.Event) -> None:
        """Keep up a connection for each manner (what it begins with, and adds every second) until told to stop."""
        async with asyncio.TaskGroup() as connections:
            stays = [connections.create_task(self._stay(*manner)) for manner in manners]
            await stop.wait()
            for stay in stays:
                stay.cancel()

    async def _stay(self, beginning: bytes, drip: bytes) -> None:
        while True:
            with suppress(ConnectionError):
                await self._connect(beginning, drip)
            self.turned_away += 1

    async def _connect(self, beginning: bytes, drip: bytes) -> None:
        """Hold one connection until the receiver closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.present += 1
        try:
            writer.write(beginning)
            while not await _ended(reader, seconds=1.0 if drip else None):
                writer.write(drip)
        finally:
            self.present -= 1
            writer.transport.abort()  # what it has still to send is not for anybody to wait for


async def _ended(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Tell whether the other side closes within some seconds; None: wait for it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while await reader.read(65536):
                pass
            return True
    return False


def headers_alone(length: int) -> bytes:
    """Return the head of a delivery that announces a body of some length."""
    headers = signed(new_id(), b"") | {"Host": "127.0.0.1", "Content-Length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {CURRENT} HTTP/1.1\r\n{lines}\r\n".encode()


def loiterers(*, idle: int, slow: int) -> list[tuple[bytes, bytes]]:
    """Return the manners of connections that send nothing, or their headers or body a byte a second."""
    delivery = headers_alone(1000)
    head = delivery.removesuffix(b"\r\n") + b"X-Slow: "
    return [(b"", b"")] * idle + [(head, b"x"), (delivery, b"x")] * (slow // 2)


@contextmanager
def crowd(port: int, manners: Sequence[tuple[bytes, bytes]]) -> Iterator[Crowd]:
    """Run a crowd; the block begins when all of it has come."""
    found = Crowd(port)
    with in_background(partial(found.gather, manners)):
        wait_for(lambda: found.present + found.turned_away >= len(manners), "the crowd")
        yield found


@dataclass(frozen=True)
class Reckoning:
    """What a landing zone owes to a load: nothing, when it holds what was acknowledged, as it was sent."""

    lost: frozenset[str] = frozenset()  # acknowledged, and not landed
    altered: frozenset[str] = frozenset()  # landed, but not what was sent
    surplus: frozenset[str] = frozenset()  # landed more often than posted


def reckon(load: Load, store: S3Server, bucket: str) -> Reckoning:
    """Compare the landing zone with what was sent and acknowledged."""
    copies, altered = Counter[str](), set[str]()
    for found in landed_events(store, bucket):
        copies[found.event_id] += 1
        body = load.body(found.event_id)
        if (found.signed, found.signature) != (body, signed(found.event_id, body)["X-Signature"]):
            altered.add(found.event_id)
    return Reckoning(
        lost=frozenset(event_id for event_id, sent in load.sent.items() if sent.acknowledged and not copies[event_id]),
        altered=frozenset(altered),
        surplus=frozenset(
            event_id
            for event_id, count in copies.items()
            if event_id not in load.sent or count > load.sent[event_id].postings
        ),
    )


def landed_events(store: S3Server, bucket: str) -> Iterator[LandedEvent]:
    """Yield the landed events of a bucket that may have thousands of files."""
    client = S3Store(
        bucket,
        endpoint=store.endpoint,
        region=store.region,
        access_key_id=store.access_key,
        secret_access_key=store.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    keys = [entry["path"] for page in obstore.list(client, PREFIX) for entry in page]
    with ThreadPoolExecutor(8) as readers:
        for file in readers.map(lambda key: bytes(obstore.get(client, key).bytes()), keys):
            yield from (decode_line(line) for line in split_lines(file))


def metric(receiver: Receiver, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    text = receiver.request("GET", "/metrics").body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def wait_for_metric(receiver: Receiver, least: float, name: str, **labels: str) -> None:
    """Return when a metric has this value or more. Raises NotReadyError."""
    wait_for(lambda: metric(receiver, name, **labels) >= least, name)
