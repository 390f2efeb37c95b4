"""The disk of Postgres' tables is full: the load says so, leaves nothing half done, and goes on once there is room."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from lake import Lake, connected
from loaders import LEDGER, land, outcome
from servers import running

from devstack.postgres import Postgres
from devstack.waiting import free_ports, wait_until
from pipelines.db.migrations import migrate
from pipelines.loading import batches

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Who may mount a file system, seen by what it runs alone: root, and anybody who is that in a namespace of their own.
_MAY_MOUNT = (["unshare", "--mount"], ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"])
_MOUNT = 'mount -t tmpfs -o size=32m,mode=0700,uid="$1",gid="$2" small "$3" && shift 3 && exec "$@"'


def on_a_small_disk(folder: Path, owner: Path, command: list[str]) -> list[str]:
    """Return the command, run where `folder` is a disk of 32 MB that belongs to whom `owner` belongs to."""
    mount = ["sh", "-ec", _MOUNT, "sh", str(owner.stat().st_uid), str(owner.stat().st_gid), str(folder)]
    for prefix in _MAY_MOUNT:
        with suppress(subprocess.CalledProcessError):
            subprocess.run([*prefix, *mount, "true"], check=True, capture_output=True)
            return [*prefix, *mount, *command]
    raise AssertionError("nobody can mount a file system here")


@pytest.fixture
def small_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL with a database whose tables are on a small disk."""
    folder = tmp_path_factory.mktemp("small")
    disk = folder / "disk"
    disk.mkdir()
    server = Postgres(folder / "postgres", free_ports(1)[0], "test-password")
    server.initialise()
    with running(on_a_small_disk(disk, server.folder, server.command()), server.folder, signal.SIGINT):
        wait_until(server.check, "PostgreSQL")
        with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
            conn.execute(f"create tablespace small location '{disk}'".encode())
            conn.execute("create database lake tablespace small")
        migrate(server.url("lake"))
        yield server.url("lake")


def fill(lake: Lake, left: int) -> None:
    """Fill the disk but for so many kB, with what can be dropped."""
    content = "select repeat('x', 1000) from generate_series(1, %s)"
    lake.connection.execute(f"create table room as {content % left}".encode())
    lake.connection.execute(f"create table ballast as {content % 0}".encode())
    for rows in (1000, 8):
        with suppress(psycopg.errors.DiskFull):
            while True:
                lake.connection.execute(f"insert into ballast {content % rows}".encode())
    lake.connection.execute("drop table room")


@pytest.mark.server
def test_a_full_disk_fails_the_load_and_the_next_one_completes_it(
    lake: Lake,
    s3_client: "S3Client",
    sample: list[dict[str, Any]],
    small_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    land(lake, sample)
    lake.load()
    expected = outcome(lake)
    monkeypatch.setattr(batches, "BATCH_FILES", 1)
    monkeypatch.setenv("DATABASE_URL", small_database)
    with connected(s3_client) as small:
        fill(small, 300)
        with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
            small.load()
        loaded = small.rows(LEDGER)
        assert 0 < len(loaded) < 30
        assert small.rows("select sum(deliveries)::int from whatsapp_events") == [(10 * len(loaded),)]
        small.connection.execute("drop table ballast")
        small.load()
        assert outcome(small) == expected
