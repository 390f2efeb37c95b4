"""A proxy between the receiver and the real S3 server, which does to each request what the test wants.

Belongs here: passing requests on, and the faults. Not: who sends them, what is expected of them.

A fault decides about one request: it may pass it on, now or later, and answer what it likes or not at all. The proxy
runs in a thread of its own, so that a test may wait for the receiver while the proxy works.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import chain, repeat
from typing import Never

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from receiver_process import S3Server
from senders import in_background
from yarl import URL

Forward = Callable[[], Awaitable[web.Response]]
Fault = Callable[[Forward], Awaitable[web.Response]]

_PATIENCE = ClientTimeout(total=60)
_OF_ONE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class _HangUpError(Exception):
    """The connection is to be closed without an answer."""


async def passes(forward: Forward) -> web.Response:
    """Do no harm."""
    return await forward()


async def hangs_up(_: Forward) -> Never:
    """Close the connection; the store never hears of the request."""
    raise _HangUpError


async def loses_the_answer(forward: Forward) -> Never:
    """Pass the request on, and close the connection instead of answering."""
    await forward()
    raise _HangUpError


def answers(status: int) -> Fault:
    """Answer with this status; the store never hears of the request."""

    async def fault(_: Forward) -> web.Response:
        return web.Response(status=status)

    return fault


def delays(seconds: float) -> Fault:
    """Pass the request on after some seconds, whether or not anybody still waits for the answer."""

    async def fault(forward: Forward) -> web.Response:
        await asyncio.sleep(seconds)
        return await forward()

    return fault


class Gate:
    """A fault that holds requests until the test opens it."""

    def __init__(self) -> None:
        self._opened = Future[None]()
        self._requests = threading.Semaphore(0)

    async def __call__(self, forward: Forward) -> web.Response:
        """Pass the request on once the gate is open."""
        self._requests.release()
        await asyncio.shield(asyncio.wrap_future(self._opened))
        return await forward()

    def wait_for_a_request(self) -> None:
        """Return when a request that wasn't waited for yet has come. Raises TimeoutError."""
        if not self._requests.acquire(timeout=60):
            raise TimeoutError("no request came to the gate")

    def open(self) -> None:
        """Let everything through, from now on."""
        self._opened.set_result(None)


class FaultProxy:
    """An S3 endpoint in front of another: `faults` holds one for each request to come. At first it does no harm.

    `requests` are those that came, as method and path.
    """

    def __init__(self, store: S3Server) -> None:
        self.access_key = store.access_key
        self.secret_key = store.secret_key
        self.region = store.region
        self.endpoint = ""
        self.faults: Iterator[Fault] = repeat(passes)
        self.requests: list[str] = []
        self.tokens = set[str | None]()  # of temporary keys, that requests had; None for one without
        self._store = store.endpoint

    def first(self, *faults: Fault) -> None:
        """Do these to the next requests, one each, and no harm to those after them."""
        self.faults = chain(faults, repeat(passes))

    def always(self, fault: Fault) -> None:
        """Do this to every request from now on."""
        self.faults = repeat(fault)

    async def serve(self, started: Future[str], stop: asyncio.Event) -> None:
        """Serve until told to stop; `started` gets the endpoint."""
        async with ClientSession(connector=TCPConnector(limit=0), timeout=_PATIENCE, auto_decompress=False) as session:
            server = web.Server(partial(self._relay, session), access_log=None)
            runner = web.ServerRunner(server, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            started.set_result("http://{}:{}".format(*runner.addresses[0]))
            await stop.wait()
            await runner.cleanup()

    async def _relay(self, session: ClientSession, request: web.BaseRequest) -> web.Response:
        try:
            self.tokens.add(request.headers.get("X-Amz-Security-Token"))
            body = await request.content.read()
            self.requests.append(f"{request.method} {request.raw_path}")
            return await next(self.faults)(partial(self._forward, session, request, body))
        except (_HangUpError, ClientError, ConnectionError):  # as told, or the store or the receiver has hung up
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _forward(self, session: ClientSession, request: web.BaseRequest, body: bytes) -> web.Response:
        """Pass a request on, its signed headers and path as they are; return the answer."""
        url = URL(self._store + request.raw_path, encoded=True)
        async with session.request(request.method, url, headers=request.headers, data=BytesIO(body)) as answer:
            dropped = _OF_ONE_CONNECTION - ({"content-length"} if request.method == "HEAD" else set())
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


@contextmanager
def fault_proxy(store: S3Server) -> Iterator[FaultProxy]:
    """Run a proxy in front of a store until the block ends."""
    proxy, started = FaultProxy(store), Future[str]()
    with in_background(partial(proxy.serve, started)):
        proxy.endpoint = started.result(30)
        yield proxy
