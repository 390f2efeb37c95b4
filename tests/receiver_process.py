"""A receiver as a process of its own, and what a sender does to it.

Belongs here: starting, stopping, posting, and reading what landed. Not: expectations.
"""

import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from factories import SECRET, headers
from project import ROOT

from devstack.waiting import wait_until
from pipelines.landing.format import LandedEvent, decode_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CURRENT = "/api/webhooks/whatsapp"
FIRST = "/api/integrations/whatsapp/events"


class S3Server(Protocol):
    """What a receiver needs to know of an S3 server."""

    @property
    def endpoint(self) -> str: ...  # noqa: D102  (its name says it)
    @property
    def access_key(self) -> str: ...  # noqa: D102  (the same)
    @property
    def secret_key(self) -> str: ...  # noqa: D102  (the same)
    @property
    def region(self) -> str: ...  # noqa: D102  (the same)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """A running receiver."""

    process: subprocess.Popen[bytes]
    env: Mapping[str, str]
    log: IO[bytes]
    port: int = field(default=0)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        """Return everything the process wrote so far."""
        return os.pread(self.log.fileno(), 10_000_000, 0).decode()

    def stop(self) -> int:
        """Stop it with SIGTERM; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def request(
        self, method: str, path: str, body: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own, an iterator's body chunked; redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def deliver(self, event_id: str, body: bytes, path: str = CURRENT, **headers: str) -> Answer:
        """Post a properly signed event; `headers` (underscores for dashes) are added or replace its own."""
        replaced = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, signed(event_id, body, path) | replaced)


def signed(event_id: str, body: bytes, path: str = CURRENT, secret: str = SECRET) -> dict[str, str]:
    """Return the headers with which the collector sends this event."""
    return headers(body, event_id, "first" if path == FIRST else "current", secret)


def new_id() -> str:
    """Return an event id that nothing has used."""
    return str(uuid.uuid4())


def event(text: str = "hello") -> bytes:
    """Return the body of a plausible event."""
    return json.dumps({"type": "messages.upsert", "chat_jid": "1@g.us", "payload": {"text": text}}).encode()


def landed(client: "S3Client", bucket: str, event_id: str | None = None) -> list[LandedEvent]:
    """Return the landed events of a bucket, or those of one id as sent."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="whatsapp/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    files = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    events = [decode_line(line) for file in files for line in file.split(b"\n")[:-1]]
    return [found for found in events if event_id in (None, found.event_id)]


def settings_env(s3: S3Server, bucket: str) -> dict[str, str]:
    """Return the environment of a receiver that lands in `bucket`."""
    return {
        "WHATSAPP_WEBHOOK_SECRET": SECRET,
        "LANDING_BUCKET": bucket,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region,
        "RECEIVER_PORT": "0",
    }


@contextmanager
def spawned(env: Mapping[str, str], python: str | Path = sys.executable, folder: Path = ROOT) -> Iterator[Receiver]:
    """Run `python -m receiver` in this environment alone, from its start to the end of the block."""
    command = [str(python), "-m", "receiver"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            yield Receiver(process, env, log)
        finally:
            process.kill()


def wait_for_port(receiver: Receiver) -> None:
    """Return when the receiver has said where it listens. Raises when it ended instead."""

    def listening() -> None:
        found = re.search(r'listening on http://[^\s"]+:(\d+)["\n]', receiver.said())
        if found is None:
            raise LookupError(f"no port in: {receiver.said()}")
        receiver.port = int(found[1])

    wait_until(listening, "receiver")


def admin(receiver: Receiver) -> Receiver:
    """Return a receiver that has an admin port as it is seen there."""
    port = re.search(r'readiness and metrics on http://[^\s"]+:(\d+)"', receiver.said())
    assert port is not None
    return replace(receiver, port=int(port[1]))


def check_ready(receiver: Receiver) -> None:
    """Raise unless /readyz answers 200."""
    answer = receiver.request("GET", "/readyz")
    if answer.status != http.client.OK:
        raise LookupError(f"not ready: {answer.body!r}")


@contextmanager
def start_receiver(s3: S3Server, bucket: str, *, wait_ready: bool = True, **env: str) -> Iterator[Receiver]:
    """Run a receiver on a free port until the block ends; `env` adds settings or replaces them."""
    with spawned(settings_env(s3, bucket) | env) as receiver:
        wait_for_port(receiver)
        if wait_ready:
            wait_until(lambda: check_ready(receiver), "receiver's landing bucket")
        yield receiver


def peak_memory(receiver: Receiver) -> int:
    """Return the most bytes of memory that the process has ever had."""
    status = Path(f"/proc/{receiver.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def open_files(enough: int) -> Iterator[None]:
    """Allow this process, and those it starts, so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
