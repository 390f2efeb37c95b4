"""The servers that the receiver is measured against: `python -m benchmarks.servers NAME`, settings as the receiver's.

Belongs here: each server's difference from the receiver, and nothing more. Not: starting them, sending to them.
"""

import asyncio
import gc
import importlib
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3
import obstore
import orjson
import uvicorn
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from multidict import CIMultiDict
from obstore.store import S3Store
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

import receiver.app
from benchmarks.wrk import PATH
from receiver.__main__ import BACKLOG, GC_THRESHOLD, KEEPALIVE_SECONDS, main
from receiver.contract import Refusal, check_envelope, check_media, credentials, verify
from receiver.dedupe import Dedupe
from receiver.landing import encode_line, new_key
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics, configure_logging
from receiver.writer import LandingWriter, Unavailable, open_store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # stubs: only the test extra installs them

PUT_THREADS = 16

_log = logging.getLogger("receiver")


def bare() -> None:
    """Read the body and answer 202: what aiohttp can do at most on asyncio's own loop."""
    asyncio.run(_bare(ReceiverSettings()))


async def _bare(settings: ReceiverSettings) -> None:

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post(PATH, take)
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, keepalive_timeout=KEEPALIVE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, settings.receiver_host, settings.receiver_port, backlog=BACKLOG).start()
    _settle(runner.addresses[0][1])
    await asyncio.Event().wait()


def no_put() -> None:
    """Be the receiver, whose PUTs are done at once and store nothing."""

    async def nothing(*_: object, **__: object) -> None:
        return

    with patch.object(obstore, "put_async", nothing):
        main()


class ObjectPerEvent(LandingWriter):
    """Puts each line as an object of its own: boto3 in threads."""

    def __init__(self, client: "S3Client", bucket: str, store: S3Store, metrics: Metrics, *others: Any) -> None:
        super().__init__(store, metrics, *others)
        self._client, self._bucket, self._threads = client, bucket, ThreadPoolExecutor(PUT_THREADS)

    def submit(self, received_at: datetime, line: bytes) -> asyncio.Future[None]:
        """Put one line; the future is done when it is stored."""
        return asyncio.get_running_loop().run_in_executor(self._threads, self._store_one, new_key(received_at), line)

    async def close(self) -> None:
        """Return when every submitted line is decided."""
        await asyncio.to_thread(self._threads.shutdown)

    def _store_one(self, key: str, line: bytes) -> None:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=line, IfNoneMatch="*")
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("the landing store did not confirm the event") from error
        self.metrics.file_events.observe(1)


def object_per_event() -> None:
    """Be the receiver with one boto3 PUT an event."""
    client = boto3.client(
        "s3", config=Config(max_pool_connections=PUT_THREADS, retries={"total_max_attempts": 1}, proxies={})
    )
    writer = partial(ObjectPerEvent, client, ReceiverSettings().landing_bucket)
    with patch.object(receiver.app, "LandingWriter", writer):
        main()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which says where it listens. It binds by itself: given a socket it would leave Nagle's algorithm on."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, and say so."""
        await super().startup(sockets)
        _settle(self.servers[0].sockets[0].getsockname()[1])


def fastapi() -> None:
    """Do what the receiver does, with its own modules, as a FastAPI application on uvicorn."""
    settings = ReceiverSettings()
    host, port = settings.receiver_host, settings.receiver_port
    app = _fastapi_app(settings)
    _Uvicorn(uvicorn.Config(app, host, port, access_log=False, log_level="warning", backlog=BACKLOG)).run()


def _fastapi_app(settings: ReceiverSettings) -> Any:
    """Assemble the application."""
    metrics = Metrics()
    edge = _FastAPIEdge(settings, metrics)
    # By name: FastAPI is in no extra that the type checker needs.
    app = importlib.import_module("fastapi").FastAPI(lifespan=edge.lifespan, openapi_url=None)

    async def healthz() -> Response:
        return Response()

    async def exposition() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.add_api_route(PATH, edge.receive, methods=["POST"])
    app.add_api_route("/healthz", healthz, methods=["GET"])
    app.add_api_route("/metrics", exposition, methods=["GET"])
    return app


class _FastAPIEdge:
    """The receiver's own parts behind FastAPI's request and response."""

    def __init__(self, settings: ReceiverSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._free = settings.receiver_queue_bytes
        self._dedupe = Dedupe(settings.receiver_dedupe_seconds, settings.receiver_dedupe_entries, time.monotonic)
        self._writer: LandingWriter

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """Open the writer; at the end, see every submitted line decided."""
        settings = self._settings
        self._writer = LandingWriter(
            open_store(settings), self._metrics, settings.secrets[0], settings.receiver_puts_in_flight
        )
        yield
        await self._writer.close()

    async def receive(self, request: Request) -> Response:
        """Answer one delivery."""
        began = time.perf_counter()
        try:
            status, content = 202, await self._receive(request)
        except Refusal as refusal:
            status, content = refusal.status, {"status": "refused", "error": str(refusal)}
        except Unavailable as unavailable:
            status, content = 503, {"status": "unavailable", "error": str(unavailable)}
        self._metrics.answered((PATH, "current", content["status"], status), time.perf_counter() - began)
        return Response(orjson.dumps(content), status, media_type="application/json")

    async def _receive(self, request: Request) -> dict[str, str]:
        headers = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        check_media(headers)
        if self._writer.silent:
            raise Unavailable("the landing store is silent")
        size = int(headers["Content-Length"])
        if size > self._free:
            raise Unavailable("the queue is full")
        self._free -= size
        try:
            return await self._land(headers, await request.body())
        finally:
            self._free += size

    async def _land(self, headers: CIMultiDict[str], body: bytes) -> dict[str, str]:
        self._metrics.request_bytes.inc(len(body))
        received_at = datetime.now(UTC)
        event_id, signature = credentials(headers)
        verify(self._settings.secrets, "current", event_id, signature, body)
        check_envelope(body)
        line = encode_line(event_id, received_at, "current", signature, body)
        landed = await self._dedupe.land_once(event_id, body, partial(self._writer.submit, received_at, line))
        if not landed:
            self._metrics.duplicates.inc()
        return {"status": "accepted" if landed else "duplicate", "event_id": event_id}


def _settle(port: int) -> None:
    """Treat the garbage collector as the receiver does, and say where the server listens."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    _log.info("listening on http://127.0.0.1:%d", port)


SERVERS: dict[str, Callable[[], None]] = {
    "bare": bare,
    "no_put": no_put,
    "object_per_event": object_per_event,
    "fastapi": fastapi,
}


if __name__ == "__main__":
    configure_logging()
    SERVERS[sys.argv[1]]()
