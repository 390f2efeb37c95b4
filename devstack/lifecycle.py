"""Runs the embedded stack: in which order its parts start, when all of it answers, what stops it.

Belongs here: start order, readiness, signals. Not: what the parts are (stack.py), how one server works (postgres.py,
seaweed.py), how processes are kept alive (supervisor.py), what the demo shows (demo.py).
"""

import asyncio
import http.client
import signal
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg

from devstack import processes
from devstack.errors import StackError, StoppedError
from devstack.postgres import Postgres
from devstack.stack import DAGSTER_DATABASE, LAKE_DATABASE, LANDING_BUCKET, Plan, Stack
from devstack.state import State, locked
from devstack.supervisor import Supervisor
from devstack.waiting import is_free, wait_until
from pipelines.migrations import MigrationError, migrate

Say = Callable[[str], None]


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
