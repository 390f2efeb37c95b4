"""The processes of a run: the store, the servers, and what can be read of them from outside.

Belongs here: starting, ending by process id, CPU time, metrics. Not: load, figures.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from devstack.errors import StackError
from devstack.postgres import Postgres
from devstack.processes import dies_with_parent
from devstack.seaweed import REGION, Seaweed
from devstack.waiting import free_ports, wait_until

ROOT = Path(__file__).parent.parent
SECRET = "benchmark-secret"  # noqa: S105  (it protects nothing)
END_SECONDS = 30
IDLE_SECONDS = 30
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.1
_IDLE_SHARE = 0.3  # of one core

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class InvalidRunError(RuntimeError):
    """The run can't be trusted; the message says why."""


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Process:
    """A process that this run started."""

    pid: int
    log: Path

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far."""
        user, system, *_ = _cpu_ticks(self.pid)
        return (user + system) * _TICK

    def family_cpu_seconds(self) -> float:
        """Return the CPU time of it, of the children that it had, and of those that it has."""
        ticks = sum(_cpu_ticks(self.pid))
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                ticks += sum(_cpu_ticks(int(child)))
        return ticks * _TICK


def _cpu_ticks(pid: int) -> list[int]:
    """Return utime and stime of a process, and those of the children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]  # field 3 is the first after the name


@dataclass(frozen=True)
class Server(Process):
    """A server that takes deliveries."""

    port: int

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> str:
        """Return the body of a 200. Raises OSError otherwise."""
        with _direct.open(self.url + path, timeout=10) as response:
            return str(response.read().decode())

    def counted(self) -> "Counted":
        """Return what the server has counted so far."""
        sums: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                sums[sample.name + sample.labels.get("status", "")] += int(sample.value)
        return Counted(
            sums["receiver_requests_total202"],
            sums["receiver_duplicates_total"],
            sums["landing_file_events_sum"],
            sums["landing_file_events_count"],
        )


@dataclass(frozen=True)
class Counted:
    """A server's own counters."""

    accepted: int
    duplicates: int
    events: int
    files: int

    def since(self, before: "Counted") -> "Counted":
        """Return what was counted after `before`."""
        return Counted(
            self.accepted - before.accepted,
            self.duplicates - before.duplicates,
            self.events - before.events,
            self.files - before.files,
        )


@contextmanager
def running(command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run a command in `folder`, its output in `log`, until the block ends. It dies with this process."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    with process:
        try:
            yield Process(process.pid, log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def store(folder: Path, buckets: Sequence[str]) -> Iterator[tuple[Seaweed, Process]]:
    """Run an S3 server that writes these buckets through to the disk before it answers."""
    server = Seaweed(folder / "s3", free_ports(5), "benchmark", secrets.token_hex(16), tuple(buckets), admin=True)
    server.initialise()
    with running(server.command(), server.folder, server.environment(), folder / "s3.log") as process:
        client = server.client()
        wait_until(lambda: server.check(client), "SeaweedFS")
        client.close()
        for bucket in buckets:
            server.set_rules(process.pid, bucket)
        yield server, process


@contextmanager
def database_server(folder: Path) -> Iterator[tuple[Postgres, Process]]:
    """Run a PostgreSQL as the embedded stack does, settings and all."""
    server = Postgres(folder / "postgres", free_ports(1)[0], secrets.token_hex(16))
    server.initialise()
    with running(server.command(), server.folder, os.environ, folder / "postgres.log") as process:
        wait_until(server.check, "PostgreSQL")
        yield server, process


def settings_env(seaweed: Seaweed, bucket: str) -> dict[str, str]:
    """Return the whole environment of a server that lands in `bucket`."""
    passed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return passed | {
        "WHATSAPP_WEBHOOK_SECRET": SECRET,
        "LANDING_BUCKET": bucket,
        "AWS_ENDPOINT_URL_S3": seaweed.endpoint,
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
        "AWS_REGION": REGION,
        "RECEIVER_PORT": "0",
    }


@contextmanager
def serving(module: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Run a server on a free port until the block ends."""
    command = [*dies_with_parent(signal.SIGTERM), sys.executable, "-m", *module]
    with running(command, ROOT, env, log) as process:

        def port() -> int:
            found = re.search(r"listening on http://[\w.]+:(\d+)\b", log.read_text())
            if found is None:
                raise StackError(f"{' '.join(module)} doesn't listen: {log.read_text()[-2000:]}")
            return int(found[1])

        wait_until(port, " ".join(module), 20)
        server = Server(process.pid, log, port())
        wait_until(lambda: server.get("/healthz"), " ".join(module), 30)
        yield server


def wait_until_idle(*processes: Process) -> None:
    """Return when the processes have nothing left to do. Raises StackError when that takes too long."""
    deadline = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < deadline:
        before = sum(process.cpu_seconds() for process in processes)
        time.sleep(_LOOK_SECONDS)
        if sum(process.cpu_seconds() for process in processes) - before <= _IDLE_SHARE * _LOOK_SECONDS:
            return
    raise StackError(f"still busy {IDLE_SECONDS} s after a round")
