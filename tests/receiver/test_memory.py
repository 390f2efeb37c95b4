"""Memory doesn't depend on what senders push before anybody has agreed to take it, nor on what they don't read."""

import asyncio
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from receiver_process import Receiver, open_files, peak_memory, start_receiver
from senders import MEGABYTE, headers_alone
from servers import S3

CONNECTIONS = 1500
PUSHED_BYTES = 300_000
# What the system holds and one read brings (64 KB), what is kept when that stops the reading (as much), and the
# connection itself.
KEPT_BYTES = 192 * 1024
HEADER = b"GET /metrics HTTP/1.1\r\nHost: receiver\r\n"
LONG_HEADERS = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(60))
HEADER_BYTES = 2 * 64 * 4096  # all lines that may be, as they came and as they are read
PATIENCE_SECONDS = 60
QUEUE_BYTES = 8 * MEGABYTE


async def push(receiver: Receiver, content_type: bytes) -> int:
    """Announce a body of 8 MB and push the beginning of it; return the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    head = headers_alone(8_000_000).replace(b"application/json", content_type)
    writer.write(head + b"x" * PUSHED_BYTES)
    try:
        return int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.transport.abort()


async def push_all(receiver: Receiver, content_type: bytes) -> Counter[int]:
    """Push on every connection at the same time; return how often each status was the answer."""
    return Counter(await asyncio.gather(*(push(receiver, content_type) for _ in range(CONNECTIONS))))


@pytest.mark.parametrize(
    ("content_type", "statuses"),
    [
        # Those that are left when all has come are waited for in vain: as many as the budget has room for.
        pytest.param(b"application/json", {503: CONNECTIONS - 27, 408: 27}, id="beyond the byte budget"),
        pytest.param(b"text/plain", {415: CONNECTIONS}, id="refused"),
    ],
)
def test_pushing(s3: S3, landing_bucket: str, content_type: bytes, statuses: dict[int, int]) -> None:
    """1,500 connections that push 300 KB each are turned away, and each was in memory with 192 KB at most."""
    with open_files(8192), start_receiver(s3, landing_bucket, RECEIVER_QUEUE_BYTES=str(QUEUE_BYTES)) as receiver:
        before = peak_memory(receiver)
        answers = asyncio.run(push_all(receiver, content_type))
        grown = peak_memory(receiver) - before
    assert (dict(answers), grown <= CONNECTIONS * KEPT_BYTES + QUEUE_BYTES) == (statuses, True)


async def send_headers(receiver: Receiver, lines: bytes) -> bytes:
    """Send headers that don't end; return what comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(HEADER + lines)
    try:
        return await reader.read()
    except ConnectionError:  # closed before it had read all of it
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(LONG_HEADERS, id="as many as may be"),
        pytest.param(LONG_HEADERS * 4, id="too many"),
        pytest.param(b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8000) for number in range(120)), id="too long"),
    ],
)
def test_headers(s3: S3, landing_bucket: str, lines: bytes) -> None:
    """300 connections whose headers don't end are closed, and each was in memory with 704 KB at most."""

    async def send_all(receiver: Receiver) -> None:
        await asyncio.gather(*(send_headers(receiver, lines) for _ in range(300)))

    with start_receiver(s3, landing_bucket) as receiver:
        before = peak_memory(receiver)
        asyncio.run(send_all(receiver))
        grown = peak_memory(receiver) - before
    assert grown <= 300 * (HEADER_BYTES + KEPT_BYTES)


@pytest.mark.slow
def test_not_reading_answers(s3: S3, landing_bucket: str) -> None:
    """A peer that asks on and on and doesn't read what it is answered loses its connection."""
    questions = b"GET /metrics HTTP/1.1\r\nHost: receiver\r\n\r\n" * 200_000
    with (
        start_receiver(s3, landing_bucket) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), PATIENCE_SECONDS) as peer,
        pytest.raises(ConnectionError),
    ):
        peer.sendall(questions)


@pytest.mark.slow
def test_not_reading_answers_to_long_requests(s3: S3, landing_bucket: str) -> None:
    """Of what such a peer asks, two requests wait in memory, beside the one that is being answered."""

    def ask_on_and_on(receiver: Receiver) -> None:
        with socket.create_connection(("127.0.0.1", receiver.port), PATIENCE_SECONDS) as peer:
            while True:
                peer.sendall(HEADER + LONG_HEADERS + b"\r\n")

    with start_receiver(s3, landing_bucket) as receiver, ThreadPoolExecutor(8) as peers:
        before = peak_memory(receiver)
        asking = [peers.submit(ask_on_and_on, receiver) for _ in range(8)]
        ends = {type(each.exception()) for each in asking}
        grown = peak_memory(receiver) - before
    assert (all(issubclass(end, ConnectionError) for end in ends), grown <= 8 * (3 * HEADER_BYTES + MEGABYTE)) == (
        True,
        True,
    )
