"""Assembles the embedded stack and runs it: in which order its parts start, and when all of it answers.

Belongs here: wiring, the children's environment, readiness. Not: how one server works (postgres.py, seaweed.py), how
processes are kept alive (supervisor.py), what the demo shows (demo.py).
"""

import asyncio
import http.client
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import psycopg

from devstack import processes
from devstack.errors import StackError, StoppedError
from devstack.postgres import Postgres
from devstack.seaweed import REGION, Seaweed
from devstack.state import State, locked, write_environment
from devstack.supervisor import Child, Supervisor
from devstack.waiting import is_free, wait_until
from pipelines.migrations import MigrationError, migrate

LANDING_BUCKET = "wpp-landing"
SNAPSHOT_BUCKET = "wpp-snapshots"
LAKE_DATABASE = "wpp_lake"
DAGSTER_DATABASE = "dagster"
PREVIOUS_SECRETS = "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS"
_CODE = Path(__file__).parent.parent  # the folder that every package of the project is in
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_FOREIGN = ("AWS_", "PG", "WEED_")

Say = Callable[[str], None]


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
        return self._python("receiver", "receiver")

    def dagster(self) -> tuple[Child, Child]:
        """Return Dagster's webserver and daemon."""
        workspace = ("-w", str(self.plan.data_dir / "dagster" / "workspace.yaml"))
        address = ("-h", "127.0.0.1", "-p", str(self.plan.dagster_port))
        return (
            self._python("dagster-webserver", "dagster_webserver", *address, *workspace),
            self._python("dagster-daemon", "dagster._daemon", "run", *workspace),
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

    def _python(self, name: str, module: str, *words: str) -> Child:
        command = [*processes.dies_with_parent(signal.SIGTERM), sys.executable, "-m", module, *words]
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


class Stopping:
    """Whether SIGINT or SIGTERM came: for threads that poll, and for the event loop."""

    def __init__(self) -> None:
        self.flag = threading.Event()
        self._came = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)

    async def wait(self) -> None:
        """Return when one of them has come."""
        await self._came.wait()

    def _stop(self) -> None:
        self.flag.set()
        self._came.set()


async def up(plan: Plan, say: Say, then: Callable[[Stack], Awaitable[int | None]] | None = None) -> int:
    """Run the stack until SIGINT or SIGTERM, and return the exit code.

    Once all of it answers, `then` runs; if it returns a number, the stack stops with that exit code.
    Raises StackError, whose message is one line, if the stack can't start.
    """
    stopping = Stopping()
    plan.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = plan.data_dir / "processes.json"
    with locked(plan.data_dir):
        stack = await asyncio.to_thread(_prepare, plan, record)
        async with Supervisor(record, say) as supervisor:
            try:
                await _start(stack, supervisor, stopping)
                say(_ready_line(plan))
                return await _run(stack, stopping, then)
            except StoppedError:
                return 0
            finally:
                stopping.flag.set()  # what still waits for an answer needn't wait any longer


def _prepare(plan: Plan, record: Path) -> Stack:
    """End what a killed stack left behind, see that the ports are free, and make the folders and files."""
    processes.end_leftovers(record)
    wanted = {"receiver": plan.receiver_port} | ({"Dagster": plan.dagster_port} if plan.dagster else {})
    for name, port in wanted.items():
        if not is_free(port):
            raise StackError(f"port {port} is taken: choose another one with --{name.lower()}-port")
    if len(set(wanted.values())) < len(wanted):
        raise StackError("the receiver and Dagster need different ports")
    stack = Stack(plan, State.load(plan.data_dir, frozenset(wanted.values())))
    stack.initialise()
    return stack


async def _start(stack: Stack, supervisor: Supervisor, stopping: Stopping) -> None:
    """Start everything, in order, and return when each part has answered."""

    def answers(check: Callable[[], object], name: str) -> Awaitable[None]:
        what = f"{name} (its log: {stack.plan.data_dir / 'logs' / name}.log)"
        return asyncio.to_thread(wait_until, check, what, stopping=stopping.flag)

    for child in stack.servers():
        await supervisor.start(child)
    client = stack.seaweed.client()
    s3_answers = answers(partial(stack.seaweed.check, client), "s3")
    await asyncio.gather(_prepare_database(stack, answers(stack.postgres.check, "postgres")), s3_answers)
    client.close()
    await asyncio.to_thread(stack.seaweed.sync_writes, LANDING_BUCKET)
    await supervisor.start(stack.receiver())
    waits = [answers(partial(_get, stack.plan.receiver_port, "/readyz"), "receiver")]
    if stack.plan.dagster:
        began = datetime.now(UTC)
        for child in stack.dagster():
            await supervisor.start(child)
        waits.append(answers(partial(_get, stack.plan.dagster_port, "/server_info"), "dagster-webserver"))
        waits.append(answers(partial(_heartbeat, stack.postgres, began), "dagster-daemon"))
    await asyncio.gather(*waits)


async def _prepare_database(stack: Stack, ready: Awaitable[None]) -> None:
    await ready
    await asyncio.to_thread(stack.postgres.create_databases, [LAKE_DATABASE, DAGSTER_DATABASE])
    try:
        await asyncio.to_thread(migrate, stack.postgres.url(LAKE_DATABASE))
    except MigrationError as error:
        raise StackError(f"the migrations failed: {error}") from error


async def _run(stack: Stack, stopping: Stopping, then: Callable[[Stack], Awaitable[int | None]] | None) -> int:
    """Run `then` and wait for the stop; whichever comes first ends it."""
    waiting = asyncio.ensure_future(stopping.wait())
    if then is not None:
        showing = asyncio.ensure_future(then(stack))
        await asyncio.wait({showing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            showing.cancel()
            await asyncio.wait({showing})
        elif (code := showing.result()) is not None:
            waiting.cancel()
            return code
    await waiting
    return 0


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


def _get(port: int, path: str) -> None:
    """Raise unless the path answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise StackError(f"{path} answers {response.status}: {response.read(300).decode(errors='replace')}")
    finally:
        connection.close()


def _heartbeat(postgres: Postgres, since: datetime) -> None:
    """Raise unless Dagster's daemon has written a heartbeat since then."""
    with psycopg.connect(postgres.url(DAGSTER_DATABASE), connect_timeout=2) as connection:
        beats = connection.execute(
            "select 1 from daemon_heartbeats where timestamp >= %s", [since.replace(tzinfo=None)]
        )
        if beats.fetchone() is None:
            raise StackError("no heartbeat yet")


def _ready_line(plan: Plan) -> str:
    dagster = f"  dagster http://127.0.0.1:{plan.dagster_port}" if plan.dagster else ""
    return f"READY  receiver http://127.0.0.1:{plan.receiver_port}{dagster}  data {plan.data_dir}"
