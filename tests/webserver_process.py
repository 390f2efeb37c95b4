"""Dagster's guarded webserver, as a process that tests ask over HTTP.

Belongs here: starting it with a small code location, and sending it requests. Not: expectations.
"""

import http.client
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from project import ROOT
from servers import running

from devstack.waiting import free_ports, wait_until

LOCATION = """
import dagster as dg

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2026-05-21", "2026-05-22"]))
def numbers() -> None: ...

@dg.job
def nothing(): ...

defs = dg.Definitions(assets=[numbers], jobs=[nothing])
"""


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    text: str
    headers: http.client.HTTPMessage


class Webserver(NamedTuple):
    """A running webserver, and Dagster's storage behind it."""

    port: int
    instance: dg.DagsterInstance

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """Send a request with these headers; Host is the printed address unless it is among them."""
        named = {"Host": f"127.0.0.1:{self.port}"} | {name.replace("_", "-"): each for name, each in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body and body.encode(), named)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), response.headers)


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[Webserver]:
    """Run the webserver, its storage in a folder, with more of an environment, until the block ends."""
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (home / "location.py").write_text(LOCATION)
    [port] = free_ports(1)
    command = [sys.executable, "-m", "pipelines.orchestration.webserver", "-p", str(port), "-f", "location.py"]
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.from_config(str(home)) as instance:
        for name, value in {"DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}.items():
            patch.setenv(name, value)
        with running(command, home, signal.SIGTERM):
            served = Webserver(port, instance)
            wait_until(lambda: served.ask("GET", "/server_info"), "the webserver", 180)
            yield served
