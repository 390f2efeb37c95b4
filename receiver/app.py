"""The HTTP edge: routes, admission and answers, as docs/http.md specifies them.

Belongs here: turning requests into lines for the writer, and outcomes into answers. Not: who may send and what an
event looks like (contract), batching and retries (writer), the process around it (`__main__`).
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Literal

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from obstore.store import S3Store
from prometheus_client import CONTENT_TYPE_LATEST

from receiver.contract import Refusal, check_envelope, check_media, verify
from receiver.dedupe import Dedupe
from receiver.landing import Contract, encode_line
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics
from receiver.writer import LandingWriter, Unavailable, open_store, probe

BODY_SECONDS = 5
READY_SECONDS = 5.0
NOT_READY_SECONDS = 0.5
RETRY_AFTER_SECONDS = 2

CONTRACTS: dict[str, Contract] = {
    "/api/webhooks/whatsapp": "current",
    "/api/integrations/whatsapp/events": "first",
}

JSON = {hdrs.CONTENT_TYPE: "application/json"}
Status = Literal["accepted", "duplicate", "refused", "unavailable", "ok"]

_log = logging.getLogger(__name__)


class Budget:
    """The bytes of bodies that may be in memory at once: reserved before a body is read, held until its answer."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._free = limit
        metrics.queue_bytes.set_function(lambda: limit - self._free)

    def has(self, size: int) -> bool:
        """Tell whether a body of this size could be taken now."""
        return size <= self._free

    def reserve(self, size: int) -> None:
        """Hold `size` bytes until they are released. Raises Unavailable when there are not as many."""
        if not self.has(size):
            raise Unavailable("the queue is full")
        self._free -= size

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self._free += size


class Readiness:
    """Whether the landing bucket accepts writes: one probe at a time, its outcome believed for some seconds."""

    def __init__(self, store: S3Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._probing = asyncio.Lock()
        self._believed_until = -math.inf
        self._reason: str | None = None

    async def check(self) -> None:
        """Raise Unavailable with the reason, unless the bucket took the last probe."""
        async with self._probing:
            if self._clock() >= self._believed_until:
                await self._probe()
        if self._reason is not None:
            raise Unavailable(self._reason)

    async def _probe(self) -> None:
        """Find out, and note for how long to believe it."""
        try:
            await probe(self._store)
        except Unavailable as unavailable:
            self._reason, seconds = str(unavailable), NOT_READY_SECONDS
        else:
            self._reason, seconds = None, READY_SECONDS
        self._believed_until = self._clock() + seconds


SETTINGS = web.AppKey("SETTINGS", ReceiverSettings)
METRICS = web.AppKey("METRICS", Metrics)
BUDGET = web.AppKey("BUDGET", Budget)
DEDUPE = web.AppKey("DEDUPE", Dedupe)
WRITER = web.AppKey("WRITER", LandingWriter)
READINESS = web.AppKey("READINESS", Readiness)


def build_app(settings: ReceiverSettings) -> web.Application:
    """Assemble the receiver. It connects to nothing before it is started, and drains its writer when it ends."""
    app = web.Application(middlewares=[_answer_in_json], client_max_size=settings.receiver_max_body_bytes)
    app[SETTINGS] = settings
    app[METRICS] = metrics = Metrics()
    app[BUDGET] = Budget(settings.receiver_queue_bytes, metrics)
    app[DEDUPE] = Dedupe(settings.receiver_dedupe_seconds, settings.receiver_dedupe_entries, time.monotonic)
    app.cleanup_ctx.append(_landing)
    for path, contract in CONTRACTS.items():
        app.router.add_post(path, partial(_receive, contract=contract), expect_handler=_expect)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    return app


async def _landing(app: web.Application) -> AsyncIterator[None]:
    """Open the store's client and the writer; at the end, see every submitted line decided."""
    store = open_store(app[SETTINGS])
    app[READINESS] = Readiness(store, time.monotonic)
    app[WRITER] = LandingWriter(store, app[METRICS], puts_in_flight=app[SETTINGS].receiver_puts_in_flight)
    app[METRICS].queue_age.set_function(lambda: app[WRITER].oldest_seconds)
    yield
    await app[WRITER].close()


async def _receive(request: web.Request, *, contract: Contract) -> web.Response:
    """Answer one delivery, its cases in the order of docs/http.md."""
    size = _announced_size(request)
    check_media(request.headers)
    if request.app[WRITER].silent:
        raise Unavailable("the landing store is silent")
    budget = request.app[BUDGET]
    budget.reserve(size)
    try:
        return await _land(request, contract, await _read(request))
    finally:
        budget.release(size)


async def _land(request: web.Request, contract: Contract, body: bytes) -> web.Response:
    """Verify, check and land one body."""
    app = request.app
    received_at = datetime.now(UTC)
    event_id, signature = verify(app[SETTINGS].secrets, contract, request.headers, body)
    try:
        check_envelope(body)
        line = encode_line(event_id, received_at, contract, signature, body)
        landed = await app[DEDUPE].land_once(event_id, body, partial(app[WRITER].submit, received_at, line))
    except (Refusal, Unavailable) as turned_away:
        turned_away.event_id = event_id
        raise
    if not landed:
        app[METRICS].duplicates.inc()
    return answer(202, "accepted" if landed else "duplicate", event_id=event_id)


def _announced_size(request: web.Request) -> int:
    """Return what to reserve for the body: its announced length, or the limit when none is announced."""
    limit = request.app[SETTINGS].receiver_max_body_bytes
    size = request.content_length
    if size is None:
        return limit if request.body_exists else 0
    if size > limit:
        raise web.HTTPRequestEntityTooLarge(limit, size)
    return size


async def _read(request: web.Request) -> bytes:
    """Return the body. Raises Refusal when it doesn't arrive whole and in time."""
    try:
        if request.content.is_eof():  # it came along with its headers: no need of a timer, which costs more than it
            body = await request.read()
        else:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
    except TimeoutError as error:
        raise Refusal(408, "the body did not arrive in time") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refusal(400, "the body is not the one its headers announced") from error
    request.app[METRICS].request_bytes.inc(len(body))
    return body


async def _healthz(_: web.Request) -> web.Response:
    return answer(200, "ok")


async def _readyz(request: web.Request) -> web.Response:
    """Answer 200 when an event of any length could be landed now."""
    app = request.app
    if not app[BUDGET].has(app[SETTINGS].receiver_max_body_bytes):
        raise Unavailable("the queue is full")
    await app[READINESS].check()
    return answer(200, "ok")


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[METRICS].text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})


def answer(status: int, word: Status, error: str | None = None, event_id: str | None = None) -> web.Response:
    """Return a JSON answer: its status word, and the event id and error if there are any."""
    content = {"status": word, "event_id": event_id, "error": error}
    body = orjson.dumps({name: value for name, value in content.items() if value is not None})
    response = web.Response(status=status, body=body, headers=JSON)
    response["outcome"] = word
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        response.force_close()  # the rest of the body is not waited for
    return response


@web.middleware
async def _answer_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever the handlers raise, and count the answer under its route."""
    metrics = request.app[METRICS]
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "other"
    began = time.perf_counter()
    metrics.open_requests += 1
    try:
        response = await _outcome(request, handler)
    finally:
        metrics.open_requests -= 1
    outcome, seconds = response.get("outcome", "ok"), time.perf_counter() - began
    metrics.answered(route, CONTRACTS.get(route, ""), outcome, response.status, seconds)
    return response


async def _outcome(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return the handler's answer, or the one that stands for what it raised."""
    try:
        return await handler(request)
    except Refusal as refusal:
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            request.app[METRICS].unauthorised.labels(refusal.error).inc()
        return _turned_away(refusal.status, "refused", refusal.error, refusal.event_id)
    except Unavailable as unavailable:
        return _turned_away(503, "unavailable", str(unavailable), unavailable.event_id)
    except web.HTTPRequestEntityTooLarge as refusal:
        return _turned_away(refusal.status, "refused", "the body is longer than the limit")
    except web.HTTPException as refusal:
        response = answer(refusal.status, "refused", refusal.reason)
        response.headers.update({name: refusal.headers[name] for name in (hdrs.ALLOW,) if name in refusal.headers})
        return response
    except Exception:  # noqa: BLE001  (whatever it is, it is logged and the sender retries)
        _log.exception("an unexpected error on %s", request.path)
        return answer(500, "unavailable", "an unexpected error")


def _turned_away(status: int, word: Status, error: str, event_id: str | None = None) -> web.Response:
    _log.warning("request %s", word, extra={"status": status, "reason": error, "event_id": event_id})
    return answer(status, word, error, event_id)


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """Let a sender that asks first go on; any other expectation is refused."""
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return answer(417, "refused", "Expect must be 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun
    return None
