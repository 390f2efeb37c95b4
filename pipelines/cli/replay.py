"""Sends signed requests to a receiver, several at a time: those of a file as they are, or bodies that are signed here.

Belongs here: sending and counting answers, and signing as the collector does. Not: the command line (main).
"""

import asyncio
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Annotated, BinaryIO

import aiohttp
import msgspec
from msgspec import Meta
from rich.console import Console
from rich.progress import Progress

from pipelines.cli.options import colours
from pipelines.errors import WppLakeError
from receiver.landing import signature

CURRENT = "/api/webhooks/whatsapp"
CONCURRENCY = 8
TIMEOUT = aiohttp.ClientTimeout(total=15)  # what the collector allows


class RequestFileError(WppLakeError, ValueError):
    """A line of the file isn't a request."""


class ReceiverError(WppLakeError):
    """The receiver can't be reached, or gave no whole answer."""


class Request(msgspec.Struct):
    """One request of a file; the body's bytes are those of the text in UTF-8, lone surrogates and all."""

    method: Annotated[str, Meta(pattern=r"^[A-Za-z]+\Z")]
    path: Annotated[str, Meta(pattern="^/(?!/)")]  # of the receiver, and nowhere else
    headers: dict[str, str]
    body: str


def requests(file: BinaryIO) -> Iterator[Request]:
    """Yield the requests of a JSON-lines file.

    Lines end at newlines only: bodies may hold U+0085 and U+2028. Raises RequestFileError.
    """
    for number, line in enumerate(file, 1):
        try:
            yield msgspec.convert(json.loads(line), Request)  # msgspec itself reads no lone surrogates
        except ValueError as error:  # it says what was expected and where
            raise RequestFileError(f"{file.name}:{number}: not a request: {error}") from None


def signed(bodies: Iterable[bytes], secret: str) -> Iterator[Request]:
    """Yield the requests of events' bodies, signed with a secret; blank ones are passed over.

    An event's id follows from its body, so that one that is sent again is the same event. Raises RequestFileError.
    """
    for number, body in enumerate(map(bytes.strip, bodies), 1):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise RequestFileError(f"line {number}: not UTF-8") from None
        if body:
            yield sign(text, str(uuid.uuid5(uuid.NAMESPACE_URL, f"wpp-lake:{text}")), secret)


def sign(body: str, event_id: str, secret: str) -> Request:
    """Return an event's request, signed as the collector signs."""
    headers = {
        "Content-Type": "application/json",
        "X-Event-Id": event_id,
        "X-Signature": signature(secret.encode(), "current", event_id.encode(), body.encode()),
    }
    return Request("POST", CURRENT, headers, body)


def replay(
    waiting: Iterable[Request], receiver_url: str, on_answer: Callable[[], object] = lambda: None
) -> Counter[str]:
    """Send requests; return how often each answer came: `accepted`, `duplicate`, else the HTTP status.

    `on_answer` is called at each answer. Raises ReceiverError when a connection fails.
    """
    try:
        return asyncio.run(_replay(iter(waiting), receiver_url, on_answer))
    except TimeoutError:
        raise ReceiverError(f"no answer within {TIMEOUT.total} s") from None
    except aiohttp.ClientError as error:
        raise ReceiverError(f"{type(error).__name__}: {error}") from None


def replay_with_progress(name: str, waiting: Collection[Request], receiver_url: str) -> Counter[str]:
    """Replay as above, with a progress bar on stderr."""
    quiet = os.environ.get("WPP_LAKE_QUIET") == "1"
    with Progress(console=Console(stderr=True, color_system=colours()), disable=quiet) as progress:
        sending = progress.add_task(f"sending {name}", total=len(waiting))
        return replay(waiting, receiver_url, lambda: progress.advance(sending))


async def _replay(waiting: Iterator[Request], receiver_url: str, on_answer: Callable[[], object]) -> Counter[str]:
    answers: Counter[str] = Counter()

    async def send_what_waits(session: aiohttp.ClientSession) -> None:
        for request in waiting:
            answers[await _send(session, request)] += 1
            on_answer()

    async with aiohttp.ClientSession(receiver_url, timeout=TIMEOUT) as session:
        await asyncio.gather(*(send_what_waits(session) for _ in range(CONCURRENCY)))
    return answers


async def _send(session: aiohttp.ClientSession, request: Request) -> str:
    body = request.body.encode("utf-8", "surrogatepass")
    async with session.request(request.method, request.path, data=body, headers=request.headers) as response:
        if response.status != 202:  # noqa: PLR2004  accepted or duplicate
            return str(response.status)
        return str((await response.json())["status"])
