"""The webhook server: routes, admission and answers, as docs/http.md specifies them.

Belongs here: turning requests into lines for the writer, and outcomes into answers. Not: who may send and what an
event looks like (contract), how its body comes in (intake), batching and retries (writer), the process (`__main__`).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import orjson
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from obstore.store import S3Store
from prometheus_client import CONTENT_TYPE_LATEST

from receiver.contract import Refusal, check_envelope, check_media, credentials, verify
from receiver.dedupe import Dedupe
from receiver.intake import Intake
from receiver.landing import Contract, encode_line
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics
from receiver.writer import LandingWriter, Readiness, Unavailable

RETRY_AFTER_SECONDS = 2
CONTRACTS: dict[str, Contract] = {
    "/api/webhooks/whatsapp": "current",
    "/api/integrations/whatsapp/events": "first",
}
GET = ("GET", "HEAD")
Routes = dict[str, tuple[tuple[str, ...], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]]

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


class WebhookServer:
    """Answers requests, and lands in `store` what they deliver. Lives in one event loop."""

    def __init__(self, settings: ReceiverSettings, store: S3Store) -> None:
        self._secrets = settings.secrets
        self._max_body = settings.receiver_max_body_bytes
        self._intake = intake = Intake(settings.receiver_max_body_bytes, settings.receiver_queue_bytes)
        self._dedupe = Dedupe(settings.receiver_dedupe_seconds, settings.receiver_dedupe_entries, time.monotonic)
        self._metrics = metrics = Metrics()
        self.writer = LandingWriter(store, metrics, settings.secrets[0], settings.receiver_puts_in_flight)
        self.readiness = Readiness(store, time.monotonic)
        self._open_requests = 0
        metrics.in_flight.set_function(lambda: self._open_requests)
        metrics.queue_bytes.set_function(lambda: intake.held)
        metrics.queue_age.set_function(lambda: self.writer.oldest_seconds)
        self._admin_routes: Routes = {
            "/healthz": (GET, self._healthz),
            "/readyz": (GET, self._readyz),
            "/metrics": (GET, self._exposition),
        }
        alone = settings.receiver_admin_port is None  # else the public port has neither readiness nor metrics
        self._routes: Routes = dict(self._admin_routes) if alone else {"/healthz": (GET, self._healthz)}
        for path, contract in CONTRACTS.items():
            if contract in settings.receiver_contracts.split(","):
                self._routes |= {path: (("POST",), partial(self._receive, contract=contract))}

    async def respond(self, request: web.BaseRequest, *, admin: bool = False) -> web.StreamResponse:
        """Answer whatever was requested, on the admin port or the public one, and count the answer under its route."""
        began = time.perf_counter()
        path, routes = request.rel_url.raw_path, self._admin_routes if admin else self._routes
        self._open_requests += 1
        try:
            answer = await self._routed(request, path, routes)
        except (Refusal, Unavailable) as why:
            answer = self._turned_away(why)
        except Exception:  # noqa: BLE001  (whatever it is, it is logged and the sender retries)
            _log.exception("an unexpected error on %s", request.path)
            answer = Answer(500, "unavailable", "an unexpected error")
        finally:
            self._open_requests -= 1
        # The rest of a body isn't waited for, and what follows an upgrade may be lost to the parser.
        if not request.content.is_eof() or hdrs.UPGRADE in request.headers or request.version < HttpVersion11:
            answer.force_close()
        route = path if path in routes else "other"
        outcome = getattr(answer, "outcome", "ok")
        self._metrics.answered((route, CONTRACTS.get(route, ""), outcome, answer.status), time.perf_counter() - began)
        return answer

    async def _routed(self, request: web.BaseRequest, path: str, routes: Routes) -> web.StreamResponse:
        """Return the answer of the route that the path names, exactly as written."""
        if request.version < HttpVersion11 and hdrs.TRANSFER_ENCODING in request.headers:
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")  # nobody can tell where such a body ends
        if path not in routes:
            raise Refusal(404, "Not Found")
        methods, handler = routes[path]
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
        return answer

    async def _receive(self, request: web.BaseRequest, *, contract: Contract) -> Answer:
        """Answer one delivery, its cases in the order of docs/http.md."""
        length = request.content_length or 0
        if length > self._max_body:
            raise Refusal(413, "the body is longer than the limit")
        check_media(request.headers)
        event_id, signature = credentials(request.headers)
        if self.writer.silent:
            raise Unavailable("the landing store is silent")
        self._intake.check_room(max(1, length))
        body = await self._intake.read(request)
        try:
            return await self._land(contract, event_id, signature, body)
        finally:
            self._intake.release(body)

    async def _land(self, contract: Contract, event_id: str, signature: str, body: bytes) -> Answer:
        """Verify, check and land one body."""
        received_at = datetime.now(UTC)
        self._metrics.request_bytes.inc(len(body))
        made_by = verify(self._secrets, contract, event_id, signature, body)
        self._metrics.verified["previous" if made_by else "current"].inc()
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
        self._intake.check_room(self._max_body)
        await self.readiness.check()
        return Answer(200, "ok")

    async def _exposition(self, _: web.BaseRequest) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})
