"""The parts of the embedded stack: its servers and processes, and the settings that tie them together.

Belongs here: wiring, command lines, the children's environment. Not: when a part starts and is ready (lifecycle.py),
how one server works (postgres.py, seaweed.py).
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from devstack import processes
from devstack.errors import StackError
from devstack.postgres import Postgres
from devstack.seaweed import REGION, Seaweed
from devstack.state import State, write_environment
from devstack.supervisor import Child

LANDING_BUCKET = "wpp-landing"
SNAPSHOT_BUCKET = "wpp-snapshots"
LAKE_DATABASE = "wpp_lake"
DAGSTER_DATABASE = "dagster"
PREVIOUS_SECRETS = "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS"
_CODE = Path(__file__).parent.parent  # the folder that every package of the project is in
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_FOREIGN = ("AWS_", "PG", "WEED_")


@dataclass(frozen=True)
class Plan:
    """What a start was asked for. Signatures by `previous_secrets` are accepted too."""

    data_dir: Path
    receiver_port: int = 8080
    dagster_port: int = 3000
    dagster: bool = True
    previous_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """The parts of one stack, and everything that another process needs to use them."""

    plan: Plan
    state: State

    @cached_property
    def postgres(self) -> Postgres:
        """The embedded PostgreSQL."""
        return Postgres(self.plan.data_dir / "postgres", self.state.postgres_port, self.state.postgres_password)

    @cached_property
    def seaweed(self) -> Seaweed:
        """The embedded S3 server."""
        keys = (self.state.s3_access_key, self.state.s3_secret_key)
        return Seaweed(self.plan.data_dir / "s3", self.state.s3_ports, *keys, (LANDING_BUCKET, SNAPSHOT_BUCKET))

    @cached_property
    def environment(self) -> dict[str, str]:
        """What `<data-dir>/env` holds."""
        dagster_url = self.postgres.url(DAGSTER_DATABASE).replace("postgresql:", "postgresql+psycopg2:", 1)
        previous = [*_previous_secrets(), *self.plan.previous_secrets]
        secret = os.environ.get("WHATSAPP_WEBHOOK_SECRET", "")
        return {
            "WPP_LAKE_DATA_DIR": str(self.plan.data_dir),
            "DATABASE_URL": self.postgres.url(LAKE_DATABASE),
            "DAGSTER_POSTGRES_URL": dagster_url,
            "DAGSTER_HOME": str(self.plan.data_dir / "dagster"),
            "AWS_ENDPOINT_URL_S3": self.seaweed.endpoint,
            "AWS_ACCESS_KEY_ID": self.seaweed.access_key,
            "AWS_SECRET_ACCESS_KEY": self.seaweed.secret_key,
            "AWS_REGION": REGION,
            "LANDING_BUCKET": LANDING_BUCKET,
            "SNAPSHOT_BUCKET": SNAPSHOT_BUCKET,
            "WHATSAPP_WEBHOOK_SECRET": secret if secret.strip() else self.state.webhook_secret,
            **({PREVIOUS_SECRETS: json.dumps(previous)} if previous else {}),
            "WPP_LAKE_RECEIVER_URL": f"http://127.0.0.1:{self.plan.receiver_port}",
            "WPP_LAKE_DAGSTER_URL": f"http://127.0.0.1:{self.plan.dagster_port}",
            "DO_NOT_TRACK": "1",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }

    @cached_property
    def python_environment(self) -> dict[str, str]:
        """The whole environment of the project's own processes: nothing foreign that a client would listen to."""
        path = os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))
        receiver = {key: value for key, value in os.environ.items() if key.startswith("RECEIVER_")}
        address = {"RECEIVER_HOST": "127.0.0.1", "RECEIVER_PORT": str(self.plan.receiver_port)}
        return _passed_on() | self.environment | receiver | address | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}

    def servers(self) -> tuple[Child, Child]:
        """Return PostgreSQL and the S3 server."""
        return (
            self._child("postgres", self.postgres.command(), _passed_on(), self.postgres.folder, signal.SIGINT),
            self._child("s3", self.seaweed.command(), self.seaweed.environment(), self.seaweed.folder),
        )

    def receiver(self) -> Child:
        """Return the receiver."""
        return self._python("receiver", signal.SIGTERM, "receiver")

    def dagster(self) -> tuple[Child, Child]:
        """Return Dagster's webserver and daemon, which take long to stop once PostgreSQL is gone as well."""
        workspace = ("-w", str(self.plan.data_dir / "dagster" / "workspace.yaml"))
        address = ("-h", "127.0.0.1", "-p", str(self.plan.dagster_port))
        return (
            self._python("dagster-webserver", signal.SIGKILL, "dagster_webserver", *address, *workspace),
            self._python("dagster-daemon", signal.SIGKILL, "dagster._daemon", "run", *workspace),
        )

    def initialise(self) -> None:
        """Make what has to be there before the first process starts."""
        write_environment(self.plan.data_dir / "env", self.environment)
        (self.plan.data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
        self.seaweed.initialise()
        self.postgres.initialise()
        home = self.plan.data_dir / "dagster"
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
        (home / "workspace.yaml").write_text(_workspace())

    def _python(self, name: str, orphan_signal: signal.Signals, module: str, *words: str) -> Child:
        command = [*processes.dies_with_parent(orphan_signal), sys.executable, "-m", module, *words]
        return self._child(name, command, self.python_environment, self.plan.data_dir)

    def _child(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str],
        folder: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        log = self.plan.data_dir / "logs" / f"{name}.log"
        return Child(name, command, environment, folder, log, stop_signal)


def forget_foreign_settings() -> None:
    """Take out of this process's environment what would lead its own clients to other services, or to a proxy."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
            del os.environ[name]


def _previous_secrets() -> list[str]:
    text = os.environ.get(PREVIOUS_SECRETS) or "[]"
    try:
        return list(json.loads(text))
    except (ValueError, TypeError):
        raise StackError(f"{PREVIOUS_SECRETS} must be a JSON list of strings") from None


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _workspace() -> str:
    """Return Dagster's workspace file, which finds the code from any folder. JSON is YAML."""
    module = {
        "module_name": "pipelines.definitions",
        "working_directory": str(_CODE),
        "location_name": "wpp-lake",
    }
    return json.dumps({"load_from": [{"python_module": module}]}, indent=2) + "\n"
