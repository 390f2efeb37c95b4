"""The parts of the embedded stack: its servers and processes, and the settings that tie them together.

Belongs here: wiring, command lines, the children's environment. Not: when a part starts and is ready (lifecycle.py),
how one server works (postgres.py, seaweed.py).
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.postgres import Postgres
from devstack.processes import dies_with_parent
from devstack.seaweed import REGION, Seaweed
from devstack.state import State, write_environment
from devstack.supervisor import Child
from pipelines import env_file
from pipelines.orchestration.code_server import SOCKET
from pipelines.settings import LakeSettings

LANDING_BUCKET = "wpp-landing"
SNAPSHOT_BUCKET = "wpp-snapshots"
LAKE_DATABASE = "wpp_lake"
DAGSTER_DATABASE = "dagster"
_CODE = Path(__file__).parent.parent  # the folder that every package of the project is in
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_PYTHON = {"PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Plan:
    """The options of a start."""

    data_dir: Path
    receiver_port: int = 8080
    dagster_port: int = 3000
    dagster: bool = True
    # Whether the store's ports may be open to every user of the machine; None: where nothing else is possible.
    unprotected_store: bool | None = False

    @property
    def record(self) -> Path:
        """The file that says which processes run."""
        return self.data_dir / "processes.json"

    @property
    def ports(self) -> dict[str, int]:
        """The ports that were asked for, by who listens there."""
        return {"receiver": self.receiver_port} | ({"dagster": self.dagster_port} if self.dagster else {})

    @property
    def receiver_url(self) -> str:
        """Where the receiver listens."""
        return f"http://127.0.0.1:{self.receiver_port}"

    @property
    def dagster_url(self) -> str:
        """Where Dagster's webserver listens."""
        return f"http://127.0.0.1:{self.dagster_port}"


class Stack:
    """The parts of one stack, and everything that another process needs to use them.

    `environment` is what `<data-dir>/env` holds: what the pipelines, and people, need. `namespace` gives a command a
    network namespace of its own, nothing where the store's ports are open. Of `former_secrets`, those of the last
    start, none is forgotten: landed lines may be signed with them.
    """

    def __init__(self, plan: Plan, state: State, namespace: tuple[str, ...], former_secrets: Sequence[str]) -> None:
        self.plan = plan
        self.postgres = Postgres(plan.data_dir / "postgres", state.postgres_port, state.postgres_password)
        keys, buckets = (state.s3_access_key, state.s3_secret_key), (LANDING_BUCKET, SNAPSHOT_BUCKET)
        self._receiver_keys = state.receiver_access_key, state.receiver_secret_key
        self.seaweed = Seaweed(
            plan.data_dir / "s3",
            state.s3_ports,
            *keys,
            buckets,
            namespace=namespace,
            writers={self._receiver_keys: LANDING_BUCKET},
        )
        secrets = {env_file.SECRET: state.webhook_secret} | _given(env_file.SECRET, env_file.PREVIOUS)
        present, given = env_file.secrets(secrets), _given(env_file.RETIRED)
        retired = [each for each in (*env_file.secrets(given), *former_secrets) if each not in present]
        self.environment = {
            "WPP_LAKE_DATA_DIR": str(plan.data_dir),
            "DATABASE_URL": self.postgres.url(LAKE_DATABASE),
            "DAGSTER_POSTGRES_URL": self.postgres.url(DAGSTER_DATABASE).replace("postgresql:", "postgresql+psycopg2:"),
            "DAGSTER_HOME": str(plan.data_dir / "dagster"),
            "AWS_ENDPOINT_URL_S3": self.seaweed.endpoint,
            "AWS_ACCESS_KEY_ID": self.seaweed.access_key,
            "AWS_SECRET_ACCESS_KEY": self.seaweed.secret_key,
            "AWS_REGION": REGION,
            "LANDING_BUCKET": LANDING_BUCKET,
            "SNAPSHOT_BUCKET": SNAPSHOT_BUCKET,
            "WPP_LAKE_RECEIVER_URL": plan.receiver_url,
            "WPP_LAKE_DAGSTER_URL": plan.dagster_url,
            "DO_NOT_TRACK": "1",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            **secrets,
            **({env_file.RETIRED: json.dumps(list(dict.fromkeys(retired)))} if retired else {}),
            **_given("RUN_HISTORY_DAYS", "LOAD_VERIFY", "STORE_MIN_FREE_MEGABYTES", "ERASURE_KEY"),
        }

    @property
    def receiver_environment(self) -> dict[str, str]:
        """The whole environment of the receiver: it may write the landing bucket, and knows of nothing else."""
        settings = (name for name in os.environ if name.startswith("RECEIVER_"))
        shared = ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "LANDING_BUCKET", env_file.SECRET, env_file.PREVIOUS)
        access_key, secret_key = self._receiver_keys
        return {
            **_given(*_PASSED_ON, *settings),
            **{name: self.environment[name] for name in shared if name in self.environment},
            **_PYTHON,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "RECEIVER_HOST": "127.0.0.1",
            "RECEIVER_PORT": str(self.plan.receiver_port),
            "RECEIVER_ADMIN_PORT": "",  # `up` and `status` ask for readiness where deliveries go
            "PYTHONPATH": _python_path(),
        }

    @property
    def pipelines_environment(self) -> dict[str, str]:
        """The whole environment of the pipelines' processes: nothing foreign that a client would listen to."""
        settings = (name.upper() for name in LakeSettings.model_fields)
        return {
            **_given(*_PASSED_ON, *(name for name in settings if not name.startswith("AWS_"))),
            **self.environment,
            **_PYTHON,
            "MALLOC_ARENA_MAX": "2",  # else each of Dagster's many threads keeps memory of its own
            # Relative to the data directory, where they all run: the length of a socket's path is limited, and Dagster
            # makes a relative one absolute.
            "DAGSTER_GRPC_SOCKET": f"/proc/self/cwd/{SOCKET}",
            "PYTHONPATH": _python_path(),
        }

    def servers(self) -> tuple[Child, Child]:
        """Return PostgreSQL and the S3 server."""
        postgres, s3, env = self.postgres, self.seaweed, _given(*_PASSED_ON)
        return (
            Child("postgres", postgres.command(), env, postgres.folder, self.log("postgres"), signal.SIGINT),
            Child("s3", s3.command(), s3.environment(), s3.folder, self.log("s3")),
        )

    def processes(self) -> Iterator[Child]:
        """Yield the receiver, and Dagster's code server."""
        command = [*dies_with_parent(signal.SIGTERM), sys.executable, "-m", "receiver"]
        yield Child("receiver", command, self.receiver_environment, self.plan.data_dir, self.log("receiver"))
        if self.plan.dagster:
            module = (
                "-m",
                "pipelines.orchestration.definitions",
                "--empty-working-directory",
                "--location-name",
                "wpp-lake",
            )
            yield self._dagster("dagster-code", "dagster", "api", "grpc", *module)

    def clients_of_code(self) -> Iterator[Child]:
        """Yield what needs the code server when it starts: Dagster's webserver and daemon."""
        workspace = ("-w", str(self.plan.data_dir / "dagster" / "workspace.yaml"))
        address = ("-h", "127.0.0.1", "-p", str(self.plan.dagster_port))
        yield self._dagster("dagster-webserver", "pipelines.orchestration.webserver", *address, *workspace)
        yield self._dagster("dagster-daemon", "dagster._daemon", "run", *workspace)

    def _dagster(self, name: str, *words: str) -> Child:
        # When `up` is killed these are too: without PostgreSQL they take long to stop.
        return self.python(name, "devstack.dagster_process", *words, orphan=signal.SIGKILL)

    def python(self, name: str, module: str, *words: str, orphan: signal.Signals = signal.SIGTERM) -> Child:
        """Return a process of the pipelines: a module run with everything that it needs to use the stack."""
        command = [*dies_with_parent(orphan), sys.executable, "-m", module, *words]
        return Child(name, command, self.pipelines_environment, self.plan.data_dir, self.log(name))

    def initialise(self) -> None:
        """Make what has to be there before the first process starts."""
        write_environment(self.plan.data_dir / "env", self.environment)
        # What the doctor tries the receiver's key with, and nobody else reads.
        key = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self._receiver_keys, strict=True))
        write_environment(self.plan.data_dir / env_file.RECEIVER, key)
        self.seaweed.initialise()
        self.postgres.initialise()
        for folder in ("logs", "dagster"):
            (self.plan.data_dir / folder).mkdir(mode=0o700, exist_ok=True)
        for file in ("dagster.yaml", "workspace.yaml"):
            shutil.copyfile(Path(__file__).with_name(file), self.plan.data_dir / "dagster" / file)

    def log(self, name: str) -> Path:
        """Return where a process's output goes."""
        return self.plan.data_dir / "logs" / f"{name}.log"


def _python_path() -> str:
    return os.pathsep.join((str(_CODE), *_given("PYTHONPATH").values()))


def _given(*names: str) -> dict[str, str]:
    """Return those variables of this process's environment that aren't blank."""
    return {name: os.environ[name] for name in names if os.environ.get(name, "").strip()}
