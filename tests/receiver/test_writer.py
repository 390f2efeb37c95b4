"""Group commit against a real S3 server: what gathers, what fails, and that nothing hangs."""

import asyncio
import hashlib
import hmac
import itertools
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import uvloop
from factories import SECRET
from mypy_boto3_s3 import S3Client
from obstore.store import S3Store
from servers import S3

from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics
from receiver.writer import SLOW_SECONDS, LandingWriter, Readiness, Unavailable, open_store

AT = datetime(2026, 5, 21, 4, 14, 2, tzinfo=UTC)
OpenBucket = Callable[..., S3Store]
MakeWriter = Callable[..., LandingWriter]


@pytest.fixture
def open_bucket(s3: S3, landing_bucket: str, monkeypatch: pytest.MonkeyPatch) -> OpenBucket:
    """Return what opens the bucket, perhaps through another endpoint."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)

    def open_it(endpoint: str | None = None) -> S3Store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint or s3.endpoint)
        return open_store(
            ReceiverSettings.model_validate({"whatsapp_webhook_secret": "s", "landing_bucket": landing_bucket})
        )

    return open_it


@pytest.fixture
def make_writer(open_bucket: OpenBucket) -> MakeWriter:
    """Return what makes a writer for the bucket."""

    def make(endpoint: str | None = None, **options: float) -> LandingWriter:
        return LandingWriter(open_bucket(endpoint), Metrics(), SECRET.encode(), **options)  # type: ignore[arg-type]  # the tests pass the right numbers

    return make


def files(client: S3Client, bucket: str) -> dict[str, bytes]:
    """Return the landing files by key."""
    listed = client.list_objects_v2(Bucket=bucket, Prefix="whatsapp/").get("Contents", [])
    return {item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed}


def lines_per_file(client: S3Client, bucket: str) -> list[int]:
    """Return the files' numbers of lines, smallest first."""
    return sorted(content.count(b"\n") for content in files(client, bucket).values())


@contextmanager
def silent_server() -> Iterator[str]:
    """Run a server that takes connections and never says a word; give its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what is read until there is no more."""
    while chunk := await reader.read(65536):
        writer.write(chunk)


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return head + await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def server_that_loses_its_first_answer(endpoint: str) -> AsyncIterator[str]:
    """Pass requests on to `endpoint` and answers back, one a connection, but drop the first answer."""
    answers: list[bytes] = []
    relays: list[asyncio.Task[None]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_connection("127.0.0.1", urlsplit(endpoint).port)
        forwarding = asyncio.create_task(forward(reader, store_writer))
        answers.append(await one_answer(store_reader))
        if len(answers) > 1:
            writer.write(answers[-1])
        forwarding.cancel()
        for end in (writer, store_writer):
            end.close()
            await end.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.create_task(relay(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*relays)


async def test_a_lone_line(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """One line on an idle writer is one file, as it came."""
    await make_writer().submit(AT, b'{"a":1}\n')
    assert list(files(landing_client, landing_bucket).values()) == [b'{"a":1}\n']


async def test_the_key(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """The file is in the hour of its lines."""
    await make_writer().submit(AT, b"{}\n")
    assert next(iter(files(landing_client, landing_bucket))).startswith("whatsapp/date=2026-05-21/hour=04/")


async def test_arriving_together(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Lines that arrive in one turn of the event loop are one file."""
    writer = make_writer(puts_in_flight=1)
    await asyncio.gather(*[writer.submit(AT, b"{}\n") for _ in range(10)])
    assert lines_per_file(landing_client, landing_bucket) == [10]


async def first_in_flight(writer: LandingWriter, line: bytes = b"{}\n") -> asyncio.Future[None]:
    """Submit a line and let its file begin."""
    first = writer.submit(AT, line)
    await asyncio.sleep(0)
    return first


async def test_gathers(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """While a PUT is in flight, everything that arrives becomes one file."""
    writer = make_writer(puts_in_flight=1)
    await asyncio.gather(await first_in_flight(writer), *[writer.submit(AT, b"{}\n") for _ in range(20)])
    assert lines_per_file(landing_client, landing_bucket) == [1, 20]


async def test_keeps_order(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """The lines of a file stand in the order of their arrival."""
    writer = make_writer(puts_in_flight=1)
    await asyncio.gather(await first_in_flight(writer, b"0\n"), *[writer.submit(AT, b"%d\n" % n) for n in range(1, 5)])
    assert sorted(files(landing_client, landing_bucket).values()) == [b"0\n", b"1\n2\n3\n4\n"]


async def test_leaves_half(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Of more than 64 lines a file takes half, so that not all senders wait for the same file."""
    writer = make_writer(puts_in_flight=1)
    await asyncio.gather(*[writer.submit(AT, b"{}\n") for _ in range(200)])
    assert lines_per_file(landing_client, landing_bucket) == [18, 32, 50, 100]


async def test_bounds_files(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """A file takes no more lines than fit its size."""
    writer = make_writer(puts_in_flight=1, file_bytes=250)
    await asyncio.gather(*[writer.submit(AT, b"x" * 99 + b"\n") for _ in range(5)])
    assert lines_per_file(landing_client, landing_bucket) == [1, 2, 2]


async def test_a_line_over_the_bound(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """A line that is longer than a file should be has a file of its own."""
    await make_writer(file_bytes=10).submit(AT, b"x" * 99 + b"\n")
    assert lines_per_file(landing_client, landing_bucket) == [1]


async def test_hours_apart(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Lines of two hours are never in one file."""
    writer = make_writer(puts_in_flight=1)
    moments = [AT, AT, AT + timedelta(hours=1), AT + timedelta(hours=1)]
    await asyncio.gather(*[writer.submit(moment, b"{}\n") for moment in moments])
    hours = sorted(key.split("/")[2] for key in files(landing_client, landing_bucket))
    assert hours == ["hour=04", "hour=05"]


async def test_where_an_hour_ends(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Its first moment belongs to an hour, and the next one's first doesn't."""
    begin = AT.replace(minute=0, second=0)
    moments = [begin, begin, begin + timedelta(hours=1, microseconds=-1), begin + timedelta(hours=1)]
    writer = make_writer(puts_in_flight=1)
    await asyncio.gather(*[writer.submit(moment, b"%d\n" % number) for number, moment in enumerate(moments)])
    found = {key.split("/")[2]: content for key, content in files(landing_client, landing_bucket).items()}
    assert found == {"hour=04": b"0\n1\n2\n", "hour=05": b"3\n"}


async def test_no_more_files_at_once_than_allowed(make_writer: MakeWriter) -> None:
    """A slow file lets another one start only where the bound leaves room."""
    with silent_server() as endpoint:
        writer = make_writer(endpoint, deadline_seconds=5 * SLOW_SECONDS, puts_in_flight=1)
        first = await first_in_flight(writer)
        while writer._newest:  # noqa: ASYNC110, SLF001  until it is slow
            await asyncio.sleep(SLOW_SECONDS / 10)
        second = writer.submit(AT, b"{}\n")
        at_once = len(writer._files)  # noqa: SLF001
        await asyncio.wait([first, second])
        await writer.close()
    assert at_once == 1


async def test_the_age_of_the_oldest_line(make_writer: MakeWriter) -> None:
    with silent_server() as endpoint:
        writer = make_writer(endpoint, deadline_seconds=0.2)
        idle, line = writer.oldest_seconds, writer.submit(AT, b"{}\n")
        await asyncio.wait([line], timeout=0.05)
        waits = writer.oldest_seconds
        await asyncio.wait([line])
        await writer.close()
    assert (idle, writer.oldest_seconds) == (0, 0)
    assert 0 < waits < 5


async def test_store_away(make_writer: MakeWriter) -> None:
    """When nothing listens where the store should be, the line fails at its deadline."""
    with silent_server() as endpoint:
        gone = endpoint
    with pytest.raises(Unavailable):
        await make_writer(gone, deadline_seconds=0.2).submit(AT, b"{}\n")


async def test_store_silent(make_writer: MakeWriter) -> None:
    """When the store takes the connection and says nothing, the line fails at its deadline."""
    with silent_server() as endpoint, pytest.raises(Unavailable):
        await make_writer(endpoint, deadline_seconds=0.2).submit(AT, b"{}\n")


async def test_waiting_lines_fail_too(make_writer: MakeWriter) -> None:
    """The lines that wait behind a silent PUT are decided as well."""
    with silent_server() as endpoint:
        writer = make_writer(endpoint, deadline_seconds=0.2, puts_in_flight=1)
        outcomes = await asyncio.gather(*[writer.submit(AT, b"{}\n") for _ in range(5)], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5


async def test_not_silent_at_first(make_writer: MakeWriter) -> None:
    """A store that is slow for the first time isn't called silent."""
    with silent_server() as endpoint:
        writer = make_writer(endpoint, deadline_seconds=0.2)
        line = writer.submit(AT, b"{}\n")
        silent = writer.silent
        await asyncio.wait([line])
    assert (silent, type(line.exception())) == (False, Unavailable)


async def test_silent_after_a_failure(make_writer: MakeWriter) -> None:
    """After a failure one line tries the store, and until it is decided the writer wants no other."""
    with silent_server() as endpoint:
        writer = make_writer(endpoint, deadline_seconds=0.2)
        await asyncio.wait([writer.submit(AT, b"{}\n")])
        await writer.close()
        before = writer.silent
        line = writer.submit(AT, b"{}\n")
        during = writer.silent
        await asyncio.wait([line])
    assert (before, during, type(line.exception())) == (False, True, Unavailable)


async def test_lost_answer(
    make_writer: MakeWriter, s3: S3, landing_client: S3Client, landing_bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When a PUT got through but its answer was lost, the retry finds the file and the line is durable, once."""
    caplog.set_level(logging.WARNING)
    async with server_that_loses_its_first_answer(s3.endpoint) as endpoint:
        await make_writer(endpoint).submit(AT, b"{}\n")
    retried = "not confirmed" in caplog.text
    assert (retried, lines_per_file(landing_client, landing_bucket)) == (True, [1])


async def test_a_key_that_is_taken(
    make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file never replaces another: the store is asked to refuse that, and its line isn't called durable."""
    await make_writer().submit(AT, b'{"first":1}\n')
    [key] = files(landing_client, landing_bucket)
    monkeypatch.setattr("receiver.writer.new_key", lambda _: key)
    with pytest.raises(Unavailable, match="taken"):
        await make_writer().submit(AT, b'{"second":2}\n')
    assert files(landing_client, landing_bucket) == {key: b'{"first":1}\n'}


async def test_what_is_put_beside_a_file(
    make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str
) -> None:
    """Digest, mac and key id, as docs/landing-zone.md has them."""
    await make_writer().submit(AT, b"{}\n")
    [key] = files(landing_client, landing_bucket)
    digest = hashlib.sha256(b"{}\n").hexdigest()
    assert landing_client.head_object(Bucket=landing_bucket, Key=key)["Metadata"] == {
        "sha256": digest,
        "mac": hmac.new(SECRET.encode(), f"{key}\n{digest}".encode(), "sha256").hexdigest(),
        "key_id": hmac.new(SECRET.encode(), b"key id", "sha256").hexdigest()[:8],
    }


async def test_a_waiter_that_left(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Whoever waits for another line of the same file hears of it."""
    writer = make_writer()
    gone, *waiting = (writer.submit(AT, b"{}\n") for _ in range(3))
    gone.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    assert lines_per_file(landing_client, landing_bucket) == [3]


async def test_close_drains(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """Closing returns when every submitted line is in the store."""
    writer = make_writer(puts_in_flight=1)
    await first_in_flight(writer)
    for _ in range(9):
        writer.submit(AT, b"{}\n")
    await writer.close()
    assert lines_per_file(landing_client, landing_bucket) == [1, 9]


def test_a_busy_loop(make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str) -> None:
    """A file that comes late to its turn, for the loop was busy, is not taken for a slow one: one file, and an end."""

    async def submit_and_be_busy() -> None:
        writer = make_writer()
        durable = writer.submit(AT, b"{}\n")
        time.sleep(2 * SLOW_SECONDS)  # noqa: ASYNC251  (as when long bodies are verified)
        await durable
        async with asyncio.timeout(10):
            await writer.close()

    uvloop.run(submit_and_be_busy())  # as in the process: it runs timers before what is ready
    assert lines_per_file(landing_client, landing_bucket) == [1]


async def test_unexpected_error_fails_the_line(make_writer: MakeWriter) -> None:
    """An error that nobody foresaw (here: a line that is text) fails its waiter instead of hanging it."""
    with pytest.raises(Unavailable, match="the landing writer failed"):
        await make_writer().submit(AT, "text")  # type: ignore[arg-type]  # the point of the test


async def test_unexpected_error_spares_the_writer(
    make_writer: MakeWriter, landing_client: S3Client, landing_bucket: str
) -> None:
    """After such an error the writer goes on."""
    writer = make_writer()
    await asyncio.wait([failed := writer.submit(AT, "text")])  # type: ignore[arg-type]  # the point of the test
    await writer.submit(AT, b"{}\n")
    assert (type(failed.exception()), lines_per_file(landing_client, landing_bucket)) == (Unavailable, [1])


async def test_probe(open_bucket: OpenBucket, landing_client: S3Client, landing_bucket: str) -> None:
    """The probe overwrites one object outside the landing prefix."""
    readiness = Readiness(open_bucket(), itertools.count(0, 60).__next__)
    await readiness.check()
    await readiness.check()
    listed = landing_client.list_objects_v2(Bucket=landing_bucket)["Contents"]
    assert [item["Key"] for item in listed if item["Key"].startswith((".readyz", "whatsapp/"))] == [".readyz"]
