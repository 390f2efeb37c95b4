"""A process that forks for each order that it reads, `before STEP` or `after STEP`: the fork works, and dies there.

Belongs here: the steps at which it can be (a put, a statement, a snapshot's put), and giving the orders. Not: what is
carried out.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import obstore
import psycopg
from project import ROOT

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore


def deaths(script: str, words: Iterable[str], steps: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Run a script that serves, in the project's folder; yield each order once a fork has died by it."""
    command = [sys.executable, "-c", script, *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for order in map(" ".join, steps):
            print(order, file=process.stdin, flush=True)
            assert int(process.stdout.readline()) == -signal.SIGKILL, f"{order} was never reached"
            yield order
        process.stdin.close()


def serve(statements: Collection[str], work: Callable[[LakeSettings, Connection], object]) -> None:
    """Fork for each line of the input, and print how each fork has ended. `statements` are names of queries."""
    settings = LakeSettings.from_environment()
    for order in sys.stdin:
        when, step = order.split()
        pid = os.fork()
        if pid == 0:
            _die_at(when, step, {query(name): name for name in statements})
            with psycopg.connect(settings.conninfo, autocommit=True) as conn:
                work(settings, conn)
            os._exit(0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _die_at(when: str, step: str, names: dict[bytes, str]) -> None:
    put, execute, publish = obstore.put, psycopg.Connection.execute, SnapshotStore.put

    def dying(name: str | None, call: Callable[[], Any]) -> Any:
        if name != step:
            return call()
        if when == "after":
            call()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def put_dying(store: Any, key: str, *rest: Any, **more: Any) -> Any:
        kind = "file" if key.startswith("whatsapp/") else "manifest" if "manifest-" in key else "entry"
        return dying(kind, lambda: put(store, key, *rest, **more))

    def execute_dying(conn: Any, text: Any, *rest: Any, **more: Any) -> Any:
        name = names.get(text) if isinstance(text, bytes) else None
        return dying(name, lambda: execute(conn, text, *rest, **more))

    patched: Any = (obstore, psycopg.Connection, SnapshotStore)
    patched[0].put, patched[1].execute = put_dying, execute_dying
    patched[2].put = lambda store, *rest: dying("parquet", lambda: publish(store, *rest))
