"""Runs the embedded stack: in which order its parts start, when all of it answers, what stops it.

Belongs here: start order, readiness, signals. Not: what the parts are (stack.py), how one server works (postgres.py,
seaweed.py), how processes are kept alive (supervisor.py), what the demo shows (demo.py).
"""

import asyncio
import logging
import os
import signal
import stat
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

import psycopg
from pydantic import ValidationError

from devstack import byte_pump, namespaces, processes
from devstack.disk_guard import DiskGuard, repeat
from devstack.errors import StackError
from devstack.postgres import Postgres
from devstack.seaweed import SOCKET, Seaweed
from devstack.settings import StackSettings
from devstack.stack import DAGSTER_DATABASE, LAKE_DATABASE, LANDING_BUCKET, Plan, Stack
from devstack.state import State, locked
from devstack.supervisor import Supervisor
from devstack.waiting import is_free, wait_until
from pipelines import env_file
from pipelines.db.migrations import migrate
from pipelines.orchestration import code_server
from pipelines.settings import LakeSettings
from receiver.settings import ReceiverSettings, complaints

Say = Callable[[str], None]
Then = Callable[[Stack], Awaitable[int]]
Settings = TypeVar("Settings")

_log = logging.getLogger(__name__)


async def until_stopped(_: Stack) -> int:
    """Wait for ever: the stop cancels it."""
    await asyncio.Event().wait()
    return 0


async def up(plan: Plan, say: Say, then: Then = until_stopped) -> int:
    """Run the stack until SIGINT or SIGTERM, and return the exit code.

    Once all of it answers, `then` runs; when it returns, the stack stops with that exit code.
    Raises StackError, whose message is one line, if the stack can't start.
    """
    os.umask(0o077)
    plan.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(plan.data_dir)
    with locked(plan.data_dir):
        async with Supervisor(plan.record, say, _read(StackSettings).log_limit) as supervisor:
            work = asyncio.create_task(_work(plan, supervisor, say, then))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, work.cancel)
            try:
                return await work
            except asyncio.CancelledError:
                return 0


def _check_owner(folder: Path) -> None:
    """Raise StackError unless the folder is this user's, and nobody else's to write."""
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise StackError(f"{folder} belongs to somebody else")
    if stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise StackError(f"others may write {folder}: chmod go-w it, and look at what is in it")


def _namespace(plan: Plan, say: Say) -> tuple[str, ...]:
    """Return what closes the store's ports to everybody else on this machine. Raises StackError where nothing does."""
    namespace = () if plan.unprotected_store else namespaces.own_network()
    if not namespace and plan.unprotected_store is False:
        raise StackError(
            "network namespaces are forbidden here, and without one every user of this machine can read, forge and "
            "delete what is in the store: --unprotected-store starts all the same"
        )
    if not namespace:
        say("the store is unprotected: every user of this machine can read, forge and delete what is in it")
    return namespace


async def _work(plan: Plan, supervisor: Supervisor, say: Say, then: Then) -> int:
    stack = _prepare(plan, say)
    guard = _disk_guard(stack, supervisor, say)
    guard.check()
    stack.initialise()
    await _start(stack, supervisor, guard)
    dagster = f"  dagster {plan.dagster_url}" if plan.dagster else ""
    say(f"READY  receiver {plan.receiver_url}{dagster}  data {plan.data_dir}")
    return await then(stack)


def _read(make: Callable[[], Settings]) -> Settings:
    """Read settings. Raises StackError."""
    try:
        return make()
    except ValidationError as error:
        raise StackError(f"settings: {complaints(error)}") from None


def _prepare(plan: Plan, say: Say) -> Stack:
    """End what a killed stack left behind, see that the ports are free, and put the stack together."""
    processes.end_leftovers(plan.record)
    for name, port in plan.ports.items():
        if not is_free(port):
            raise StackError(f"port {port} is taken: choose another one with --{name}-port")
    if len(set(plan.ports.values())) < len(plan.ports):
        raise StackError("the receiver and Dagster need different ports")
    state, namespace = State.load(plan.data_dir, plan.ports.values()), _namespace(plan, say)
    LakeSettings.from_environment(database_url="postgresql:")  # or it says now what is wrong
    former = env_file.read(plan.data_dir) if (plan.data_dir / "env").exists() else {}
    stack = Stack(plan, state, namespace, env_file.secrets(former))
    secret = stack.environment["WHATSAPP_WEBHOOK_SECRET"]
    _read(partial(ReceiverSettings, whatsapp_webhook_secret=secret))
    if former.get("WHATSAPP_WEBHOOK_SECRET", secret) != secret:
        say(
            "the webhook secret is not that of the last start: WHATSAPP_WEBHOOK_SECRET is another one, or not set now; "
            "the former one still verifies landed lines"
        )
    return stack


def _disk_guard(stack: Stack, supervisor: Supervisor, say: Say) -> DiskGuard:
    """Return what keeps the last room of the disks for those who need it."""
    settings = LakeSettings.from_environment(database_url="postgresql:")
    return DiskGuard(
        stack.seaweed.folder,
        settings.store_min_free_megabytes * 1e6,
        lambda refuse: stack.seaweed.set_rules(supervisor.pid("s3"), LANDING_BUCKET, refuse=refuse),
        stack.postgres.folder,
        int(_read(StackSettings).postgres_reserve_megabytes * 1e6),
        say,
    )


async def _start(stack: Stack, supervisor: Supervisor, guard: DiskGuard) -> None:
    """Start everything, in order, and return when each part has answered."""
    answers, began = partial(_answers, stack), monotonic()
    _log.info("starting PostgreSQL and the store")
    for server in stack.servers():
        await supervisor.start(server)
    await answers("postgres", stack.postgres.check)
    await asyncio.to_thread(stack.postgres.create_databases, [LAKE_DATABASE, DAGSTER_DATABASE])
    await asyncio.to_thread(migrate, stack.postgres.url(LAKE_DATABASE))
    await _start_pump(stack.seaweed, supervisor)
    await answers("s3", guard.guard_store)
    with closing(stack.seaweed.client()) as client:
        await answers("s3", partial(stack.seaweed.check, client, puts=not guard.refuses))
    _log.info("they answer after %.0f s; starting the receiver", monotonic() - began)
    for process in stack.processes():
        await supervisor.start(process)
    await answers("receiver", partial(_get, stack.plan.receiver_url, "/healthz" if guard.refuses else "/readyz"))
    for look in (guard.keep_reserve, guard.guard_store):
        supervisor.watch(repeat(look))
    if stack.plan.dagster:
        _log.info("it answers after %.0f s; starting Dagster, which takes longest", monotonic() - began)
        await answers("dagster-code", partial(code_server.check, stack.plan.data_dir / code_server.SOCKET))
        since = datetime.now(UTC)
        for process in stack.clients_of_code():
            await supervisor.start(process)
        await answers("dagster-webserver", partial(_get, stack.plan.dagster_url, "/server_info"))
        await answers("dagster-daemon", partial(_heartbeat, stack.postgres, since))


async def _start_pump(seaweed: Seaweed, supervisor: Supervisor) -> None:
    """Let clients reach the store's socket through its port, where the server itself has none; it ends with the stack.

    The socket is named through a descriptor of its folder: its path may be longer than a socket's.
    """
    if seaweed.namespace:
        folder = os.open(seaweed.folder, os.O_PATH)
        supervisor.callback(os.close, folder)
        pump = await byte_pump.start(seaweed.ports[0], Path(f"/proc/self/fd/{folder}/{SOCKET}"))
        supervisor.callback(pump.close)


async def _answers(stack: Stack, name: str, check: Callable[[], object]) -> None:
    """Return when a part answers. Raises NotReadyError."""
    stopping = threading.Event()
    try:
        await asyncio.to_thread(wait_until, check, f"{name} (its log: {stack.log(name)})", given_up=stopping)
    finally:
        stopping.set()  # for the thread, which a stop doesn't end


def _get(url: str, path: str) -> None:
    """Raise unless the path answers 200."""
    urllib.request.urlopen(url + path, timeout=5).close()  # noqa: S310  the stack's own http address


def _heartbeat(postgres: Postgres, since: datetime) -> None:
    """Raise unless Dagster's daemon has written a heartbeat since then."""
    with psycopg.connect(postgres.url(DAGSTER_DATABASE), connect_timeout=2) as connection:
        beats = "select 1 from daemon_heartbeats where timestamp >= %s"
        if connection.execute(beats, [since.replace(tzinfo=None)]).fetchone() is None:
            raise StackError("no heartbeat yet")
