"""Memory doesn't depend on what senders push before anybody has agreed to take it, nor on what they don't read."""

import asyncio
import socket
from collections import Counter

import pytest
from conftest import S3
from receiver_process import Receiver, open_files, peak_memory, start_receiver
from senders import MEGABYTE, headers_alone

CONNECTIONS = 1500
PUSHED_BYTES = 300_000
# What one read brings, what is kept when that stops the reading, and the connection itself.
KEPT_BYTES = 128 * 1024
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
        pytest.param(b"application/json", {503: CONNECTIONS - 1, 408: 1}, id="beyond the byte budget"),
        pytest.param(b"text/plain", {415: CONNECTIONS}, id="refused"),
    ],
)
def test_pushing(s3: S3, landing_bucket: str, content_type: bytes, statuses: dict[int, int]) -> None:
    """1,500 connections that push 300 KB each are turned away, and each was in memory with 128 KB at most."""
    with open_files(8192), start_receiver(s3, landing_bucket, RECEIVER_QUEUE_BYTES=str(QUEUE_BYTES)) as receiver:
        before = peak_memory(receiver)
        answers = asyncio.run(push_all(receiver, content_type))
        grown = peak_memory(receiver) - before
    assert (dict(answers), grown <= CONNECTIONS * KEPT_BYTES + QUEUE_BYTES) == (statuses, True)


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
