"""A running `wpp-lake up` or `demo`, as a person starts, watches and stops it.

Belongs here: the process, what it printed, what it left in its data folder. Not: expectations.
"""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from factories import PATHS, event, event_id, headers

from devstack.waiting import free_ports, wait_until

WPP_LAKE = str(Path(sys.executable).with_name("wpp-lake"))
PATIENCE_SECONDS = 180  # a start is some 20 CPU seconds, on a machine that others may share
SMALL = {"POSTGRES_RESERVE_MEGABYTES": "1"}  # data directories of tests are many, and are kept for a while
FOREIGN = {
    "AWS_PROFILE": "somebody-else",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "DATABASE_URL": "postgresql://127.0.0.1:9/production",
    "PGSSLMODE": "require",
    "http_proxy": "http://127.0.0.1:9",
}


class Running:
    """A running `wpp-lake` command: its process, its data folder, and what it printed.

    It is started as a script starts it with `&`: with SIGINT ignored, which children would inherit.
    """

    def __init__(self, verb: str, data_dir: Path, *options: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.receiver_port, self.dagster_port = free_ports(2)
        self.printed = data_dir.with_suffix(".out")
        ports = (f"--receiver-port={self.receiver_port}", f"--dagster-port={self.dagster_port}")
        command = ["/usr/bin/env", "--ignore-signal=INT", WPP_LAKE, verb, f"--data-dir={data_dir}", *ports, *options]
        with self.printed.open("wb") as out:
            self.process = psutil.Popen(
                command,
                stdout=out,
                stderr=out,
                cwd=data_dir.parent,
                env=dict(os.environ) | SMALL | FOREIGN | environment,
            )

    def lines(self) -> list[str]:
        """Return what it has printed."""
        return self.printed.read_text().splitlines()

    def line(self, start: str) -> str:
        """Return the first line that starts so, as soon as it is printed."""
        found: list[str] = []

        def is_printed() -> bool:
            found.extend(line for line in self.lines() if line.startswith(start))
            return bool(found) or self.process.poll() is not None

        wait_for(is_printed, f"a line {start}")
        assert found, self.printed.read_text()
        return found[0]

    def pids(self) -> dict[str, int]:
        """Return its children's recorded process ids by name."""
        record = json.loads((self.data_dir / "processes.json").read_text())
        return {entry["name"]: entry["pid"] for entry in record["processes"]}

    def environment(self) -> dict[str, str]:
        """Return what `env` holds."""
        lines = (self.data_dir / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        self.process.send_signal(number)
        return int(self.process.wait(PATIENCE_SECONDS))


def wait_for(check: Callable[[], object], what: str) -> None:
    """Return when the check holds."""

    def holds() -> None:
        assert check()

    wait_until(holds, what, PATIENCE_SECONDS)


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet doesn't."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(verb: str, data_dir: Path, *options: str, **environment: str) -> Iterator[Running]:
    """Run a command until the block ends."""
    command = Running(verb, data_dir, *options, **environment)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.stop()


def get(url: str) -> int:
    """Return a URL's status, without a proxy."""
    with open_url(urllib.request.Request(url)) as response:  # noqa: S310  the stack's own address
        return int(response.status)


def open_url(request: urllib.request.Request) -> Any:
    """Send a request without a proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)


def deliver(up: Running, name: object, **what: Any) -> str:
    """Send a signed event as the collector does, and return its id."""
    body, identifier = event(**what), event_id(name)
    signed = headers(body, identifier, secret=up.environment()["WHATSAPP_WEBHOOK_SECRET"])
    url = f"http://127.0.0.1:{up.receiver_port}{PATHS['current']}"
    with open_url(urllib.request.Request(url, body, signed)) as response:
        assert response.status == 202
    return identifier


def store_client(environment: Mapping[str, str]) -> Any:
    """Return a client of the store with an environment's keys."""
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
