"""`python -m receiver`: the process around the server.

Belongs here: reading the settings, logging, the HTTP server's own limits, signals and exit codes. Not: routes.
"""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, cast

import uvloop
from aiohttp import web
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import ValidationError

from receiver.app import Answer, WebhookServer
from receiver.settings import ReceiverSettings, complaints
from receiver.telemetry import configure_logging
from receiver.writer import Unavailable, first_line, open_store

KEEPALIVE_SECONDS = 7  # runs from the start of a connection too: aiohttp's only limit on slow headers
LINGERING_SECONDS = 1
UNREAD_SECONDS = 10  # after so long the system ends the connection of a peer that doesn't take its answers
WARM_UP_SECONDS = 0.2  # the store's client makes its threads at its first use: it can't while no file can be opened
SHUTDOWN_SECONDS = 20  # longer than an answer can take: a body's 5 s and a landing's 10 s
BACKLOG = 2048
READ_AHEAD_BYTES = 32 * 1024  # of a connection, by the system and by us each, before its body is admitted
READ_AHEAD_REQUESTS = 2  # of a connection, before the one at hand is answered
HEADER_LINES = 64
HEADER_BYTES = 4096  # of each: so what a connection can hold before it is known what it is
GC_THRESHOLD = 50_000
SHORT_BYTES = 16  # a secret of less may be guessed
MALFORMED = "the request is not well-formed HTTP/1.1"

_log = logging.getLogger("receiver")


class _Connection(web.RequestHandler):
    """One connection. What isn't HTTP gets the same JSON as everything else, and its bytes appear nowhere."""

    __slots__ = ()

    def __init__(self, manager: web.Server, **settings: Any) -> None:
        """Bound how many requests of a peer that pipelines are read ahead."""
        super().__init__(manager, **settings)
        self._max_msg_queue_size, self._msg_queue_resume_size = READ_AHEAD_REQUESTS, READ_AHEAD_REQUESTS - 1

    def handle_error(self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any) -> web.StreamResponse:
        """Answer a request that could not be parsed, and close its connection."""
        if request.writer.output_size:
            raise ConnectionError("the answer had begun")
        _log.warning("request refused", extra={"status": status, "reason": MALFORMED})
        response = Answer(status, "refused", MALFORMED)
        response.force_close()
        return response


class _Server(web.Server):
    """A server of such connections."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


async def _listen(ends: AsyncExitStack, said: str, handler: Any, *address: Any, shared: bool = False) -> None:
    """Serve on an address until `ends`, or exit with one line that says why that can't be."""
    server = _Server(
        handler,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
        lingering_time=LINGERING_SECONDS,
        max_headers=HEADER_LINES,
        max_field_size=HEADER_BYTES,
        read_bufsize=READ_AHEAD_BYTES // 2,  # it stops reading beyond twice that
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *address, backlog=BACKLOG, reuse_port=shared or None)
        await site.start()
    except (OSError, UnicodeError) as error:  # a host name that can't be one is an error of its encoding
        why = getattr(error, "strerror", None) or "not the name of a host"
        sys.exit("receiver: cannot listen on {}:{}: {}".format(*address, why))
    ends.push_async_callback(runner.cleanup)
    listening = cast("asyncio.Server", site._server)  # noqa: SLF001  there is no other way to its sockets
    for listener in listening.sockets:  # what is set here, each connection has from its first byte
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_AHEAD_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    _log.info(said, *runner.addresses[0][:2])


async def serve(settings: ReceiverSettings, store: S3Store) -> None:
    """Run until SIGTERM or SIGINT, then answer what has been received."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    server, host, admin_port = WebhookServer(settings, store), settings.receiver_host, settings.receiver_admin_port
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(WARM_UP_SECONDS):
            await server.readiness.check()
    async with AsyncExitStack() as ends:  # in reverse: new deliveries first
        ends.push_async_callback(server.writer.close)
        if admin_port is not None:
            admin, address = partial(server.respond, admin=True), (settings.receiver_admin_host or host, admin_port)
            await _listen(ends, "readiness and metrics on http://%s:%d", admin, *address)
        shared = settings.receiver_reuse_port
        await _listen(ends, "listening on http://%s:%d", server.respond, host, settings.receiver_port, shared=shared)
        if min(map(len, settings.secrets)) < SHORT_BYTES:
            _log.warning("a webhook secret is shorter than %d bytes", SHORT_BYTES)
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: the collector need not look at it again
        gc.set_threshold(GC_THRESHOLD)
        await stop.wait()
        _log.info("stopping: finishing what is in flight")


def main() -> None:
    """Run the receiver. Exits with 1 and one line on stderr when it cannot start."""
    configure_logging()
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # the store's client reads them itself
        if value := os.environ.pop(name).strip():  # it would take empty for a value
            os.environ[name] = value
        if not value.isprintable():
            sys.exit(f"receiver: bad settings: {name}: holds a control character")
    try:
        settings = ReceiverSettings()
        store = open_store(settings)
    except ValidationError as error:
        sys.exit(f"receiver: bad settings: {complaints(error)}")
    except BaseError as error:
        sys.exit(f"receiver: bad settings of the store: {first_line(error)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is an open file, and the usual limit 1,024
    uvloop.run(serve(settings, store))
    # The store's client has threads of its own; one that lets go of its last Python object while the interpreter is
    # being finalized aborts the process (SIGABRT), after everything is durable and answered: so it isn't finalized.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
