"""The HTTP edge: routes, admission and answers, as docs/http.md specifies them.

Belongs here: turning requests into lines for the writer, and outcomes into answers. Not: who may send and what an
event looks like (contract), batching and retries (writer), the process around it (`__main__`).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import orjson
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from obstore.store import S3Store
from prometheus_client import CONTENT_TYPE_LATEST

from receiver.contract import Refusal, check_envelope, check_media, verify
from receiver.dedupe import Dedupe
from receiver.landing import Contract, encode_line
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics
from receiver.writer import LandingWriter, Readiness, Unavailable

BODY_SECONDS = 5
RETRY_AFTER_SECONDS = 2

CONTRACTS: dict[str, Contract] = {
    "/api/webhooks/whatsapp": "current",
    "/api/integrations/whatsapp/events": "first",
}
GET = ("GET", "HEAD")

_log = logging.getLogger(__name__)


class Answer(web.StreamResponse):
    """A JSON answer: its status word (`outcome`), and the event id and error if there are any.

    It is written in one piece, by itself: aiohttp's own response takes four times as long, a seventh of an event.
    """

    def __init__(self, status: int, outcome: str, error: str | None = None, event_id: str | None = None) -> None:
        super().__init__(status=status)
        self.outcome = outcome
        content = {"status": outcome, "event_id": event_id, "error": error}
        self._json = orjson.dumps({name: value for name, value in content.items() if value is not None})

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send all of it, but to HEAD only its head."""
        self._keep_alive = self._keep_alive is not False and request.keep_alive  # False: force_close() was called
        others = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status} {self.reason}\r\nDate: {rfc822_formatted_time()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._json)}\r\n"
            f"Connection: {'keep-alive' if self._keep_alive else 'close'}\r\n{others}\r\n"
        )
        await request.writer.write(head.encode() + (b"" if request.method == hdrs.METH_HEAD else self._json))

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: everything is sent."""


class Edge:
    """Answers requests, and lands in `store` what they deliver. Lives in one event loop."""

    def __init__(self, settings: ReceiverSettings, store: S3Store) -> None:
        self._secrets = settings.secrets
        self._max_body = settings.receiver_max_body_bytes
        self._free = settings.receiver_queue_bytes  # reserved before a body is read, held until its answer
        self._dedupe = Dedupe(settings.receiver_dedupe_seconds, settings.receiver_dedupe_entries, time.monotonic)
        self._metrics = metrics = Metrics()
        self.writer = LandingWriter(store, metrics, puts_in_flight=settings.receiver_puts_in_flight)
        self.readiness = Readiness(store, time.monotonic)
        self._open_requests = 0
        metrics.in_flight.set_function(lambda: self._open_requests)
        metrics.queue_bytes.set_function(lambda: settings.receiver_queue_bytes - self._free)
        metrics.queue_age.set_function(lambda: self.writer.oldest_seconds)
        self._routes: dict[str, tuple[tuple[str, ...], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]] = {
            **{path: (("POST",), partial(self._receive, contract=contract)) for path, contract in CONTRACTS.items()},
            "/healthz": (GET, self._healthz),
            "/readyz": (GET, self._readyz),
            "/metrics": (GET, self._exposition),
        }

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer whatever was requested, and count the answer under its route."""
        began = time.perf_counter()
        self._open_requests += 1
        try:
            answer = await self._routed(request)
        except (Refusal, Unavailable) as why:
            answer = self._turned_away(why)
        except Exception:  # noqa: BLE001  (whatever it is, it is logged and the sender retries)
            _log.exception("an unexpected error on %s", request.path)
            answer = Answer(500, "unavailable", "an unexpected error")
        finally:
            self._open_requests -= 1
        if hdrs.UPGRADE in request.headers:
            answer.force_close()  # what follows on the connection may be lost to the parser
        path = request.rel_url.raw_path
        route = path if path in self._routes else "other"
        outcome = getattr(answer, "outcome", "ok")
        self._metrics.answered((route, CONTRACTS.get(route, ""), outcome, answer.status), time.perf_counter() - began)
        return answer

    async def _routed(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer of the route that the path names, exactly as written."""
        path = request.rel_url.raw_path
        if path not in self._routes:
            raise Refusal(404, "Not Found")
        methods, handler = self._routes[path]
        if request.method in methods:
            return await handler(request)
        answer = self._turned_away(Refusal(405, "Method Not Allowed"))
        answer.headers[hdrs.ALLOW] = ",".join(methods)
        return answer

    def _turned_away(self, why: Refusal | Unavailable) -> Answer:
        """Return the answer that stands for what was raised; log and count it."""
        word = "refused" if why.status < HTTPStatus.INTERNAL_SERVER_ERROR else "unavailable"
        _log.warning("request %s", word, extra={"status": why.status, "reason": str(why), "event_id": why.event_id})
        answer = Answer(why.status, word, str(why), why.event_id)
        if why.status == HTTPStatus.UNAUTHORIZED:
            self._metrics.unauthorised.labels(str(why)).inc()
        if why.status == HTTPStatus.SERVICE_UNAVAILABLE:
            answer.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
        if why.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            answer.force_close()  # the rest of the body is not waited for
        return answer

    async def _receive(self, request: web.BaseRequest, *, contract: Contract) -> Answer:
        """Answer one delivery, its cases in the order of docs/http.md."""
        size = request.content_length
        if size is None:  # nothing announced: a chunked body, which may be as long as the limit
            size = self._max_body if request.body_exists else 0
        if size > self._max_body:
            raise Refusal(413, "the body is longer than the limit")
        check_media(request.headers)
        if self.writer.silent:
            raise Unavailable("the landing store is silent")
        if size > self._free:
            raise Unavailable("the queue is full")
        self._free -= size
        try:
            return await self._land(request, contract, await self._read(request))
        finally:
            self._free += size

    async def _read(self, request: web.BaseRequest) -> bytes:
        """Return the body. Raises Refusal when it doesn't arrive whole, in time and within the limit."""
        content = request.content
        chunks: list[bytes] = []
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
            with suppress(ConnectionError):  # the sender has left, maybe after it had sent everything
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        try:
            if not content.is_eof():  # else it came with its headers: no need of a timer, which costs more than it
                async with asyncio.timeout(BODY_SECONDS):
                    while content.total_bytes <= self._max_body and (chunk := await content.readany()):
                        chunks.append(chunk)
            body = b"".join((*chunks, content.read_nowait()))
        except TimeoutError as error:
            raise Refusal(408, "the body did not arrive in time") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Refusal(400, "the body is not the one its headers announced") from error
        if len(body) > self._max_body:
            raise Refusal(413, "the body is longer than the limit")
        self._metrics.request_bytes.inc(len(body))
        return body

    async def _land(self, request: web.BaseRequest, contract: Contract, body: bytes) -> Answer:
        """Verify, check and land one body."""
        received_at = datetime.now(UTC)
        event_id, signature = verify(self._secrets, contract, request.headers, body)
        try:
            check_envelope(body)
            line = encode_line(event_id, received_at, contract, signature, body)
            landed = await self._dedupe.land_once(event_id, body, partial(self.writer.submit, received_at, line))
        except (Refusal, Unavailable) as turned_away:
            turned_away.event_id = event_id
            raise
        if not landed:
            self._metrics.duplicates.inc()
        return Answer(202, "accepted" if landed else "duplicate", event_id=event_id)

    async def _healthz(self, _: web.BaseRequest) -> Answer:
        return Answer(200, "ok")

    async def _readyz(self, _: web.BaseRequest) -> Answer:
        """Answer 200 when an event of any length could be landed now."""
        if self._max_body > self._free:
            raise Unavailable("the queue is full")
        await self.readiness.check()
        return Answer(200, "ok")

    async def _exposition(self, _: web.BaseRequest) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})
